"""Plan of ``discover``: minutes become steps once, from the time that a step takes; and the time each stage will take.

The steps are written into the output before any training and are read from there ever after, so that a run that is
resumed or run again does not depend on the clock.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from protophone.config import build
from protophone.crops import Crops
from protophone.curriculum import DiscoverConfig, TrainingSteps, pitch_units, synthesizer, system, trainings
from protophone.encoders.pitch import VoicePitch
from protophone.encoders.vqvae import VQVAE
from protophone.files import read_json, write_json
from protophone.progress import expected
from protophone.train import Pace, pace_of

__all__ = ["Budget", "closing_stages", "noted", "paces_of", "settle", "stages"]

_LONGEST_MINUTES = 90.0  # for all the work unless more is asked for
_PITCH_MINUTES = 2.0  # at most: pitch units are small
_F0 = 150.0  # Hz, of a made batch
_STEP = 80  # samples between the values of a contour
_FITTED = {"kmeans": 100.0, "gmm": 20.0, "dpgmm": 10.0}  # seconds of sound that units are fitted to in a second
_CODED, _CODES = 120.0, 200.0  # seconds of sound in a second of the entropy model's training; seconds of it at most


@dataclass(frozen=True)
class Budget:
    """Minutes of training for the units, their pitch and the synthesizer, and of everything."""

    units: float
    pitch: float
    synthesizer: float
    whole: float

    @classmethod
    def of(cls, minutes: float, options: DiscoverConfig) -> "Budget":
        """Divide the budget: reading, encoding and the report come first, training has the rest, a third at least.

        ``minutes`` is the length of the recordings.
        """
        budget = options.minutes or min(_LONGEST_MINUTES, minutes)
        fixed = 0.5 + minutes / 20
        training = max(budget / 3, budget - fixed)
        pitch = min(_PITCH_MINUTES, 0.1 * training)
        return cls(0.5 * training, pitch, 0.5 * training - pitch, fixed + training)


def paces_of(options: DiscoverConfig, speakers: tuple[str, ...], budget: TrainingSteps | Budget) -> dict[str, Pace]:
    """Measure the time of a step of each training, by its name in ``TrainingSteps``, on batches of made values.

    The units have none unless they are trained by steps.
    """
    steps = budget if isinstance(budget, TrainingSteps) else TrainingSteps(units=0, pitch=1, synthesizer=1)
    settings = trainings(options, steps)
    if isinstance(budget, Budget):
        settings = {n: replace(each, steps=None, minutes=getattr(budget, n)) for n, each in settings.items()}
    encoder = system(options).build(speakers)
    rehearsed: dict[str, tuple[Any, Crops]] = {}
    if isinstance(encoder, VQVAE):
        training = settings["units"]
        crop = max(1, training.crop // encoder.reduction) * encoder.reduction
        frames = (crop + 2 * encoder.context[0], encoder.features.dim)
        rehearsed["units"] = encoder, _batch(training.batch, frames, (crop, encoder.target.dim), crop)
    pitch = pitch_units().build(dict.fromkeys(speakers, VoicePitch(math.log(_F0), 0.2)), VoicePitch(math.log(_F0), 0.2))
    training = settings["pitch"]
    crop = max(1, round(training.crop * pitch.grid.frame_rate / 100)) * pitch.reduction
    melodies = _batch(training.batch, (crop + 2 * pitch.context, 2), (crop, 2), crop)
    heard, wanted = (_F0 * (0.2 * noise).exp() for noise in (melodies.frames, melodies.target))
    rehearsed["pitch"] = pitch, replace(melodies, frames=heard, target=wanted)
    training, hop = settings["synthesizer"], encoder.grid.hop
    crop = max(1, training.crop * 160 // hop)
    vocoder = synthesizer().build(encoder.codebook, encoder.grid, speakers)
    spoken = _batch(training.batch, (crop, len(encoder.sizes)), (crop * hop, 1), crop)
    contour = torch.full((training.batch, crop, hop // _STEP), _F0)
    rehearsed["synthesizer"] = vocoder, replace(spoken, frames=torch.zeros_like(spoken.frames), pitch=contour)
    return {
        name: pace_of(model, lambda _, made=made: made, settings[name])  # type: ignore[misc]
        for name, (model, made) in rehearsed.items()
    }


def _batch(size: int, frames: tuple[int, int], target: tuple[int, int], crop: int) -> Crops:
    """Make a batch of noise."""
    nobody = torch.zeros(size, dtype=torch.int64)
    return Crops(torch.randn(size, *frames), torch.randn(size, *target), torch.ones(size, crop), nobody)


def settle(
    path: Path, options: DiscoverConfig, minutes: Budget, speakers: tuple[str, ...]
) -> tuple[TrainingSteps, dict[str, Pace]]:
    """Return the steps noted in ``path``, or else those asked for, or as many as ``minutes`` hold; and note them.

    The time of a step of each training comes with them.
    """
    steps = noted(path) if path.exists() else options.steps
    paces = paces_of(options, speakers, steps or minutes)
    if steps is None:
        steps = TrainingSteps(**{"units": 0} | {n: pace.steps(60 * getattr(minutes, n)) for n, pace in paces.items()})
    if not path.exists():
        write_json(path, asdict(steps))
    return steps, paces


def noted(path: Path) -> TrainingSteps:
    """Read the steps in ``path``; ``InputError`` or ``ConfigError`` if they are missing or broken."""
    return build(TrainingSteps, read_json(path), source=str(path))


def stages(
    minutes: float, options: DiscoverConfig, steps: TrainingSteps, paces: Mapping[str, Pace]
) -> list[tuple[str, float]]:
    """Return the stages after listening, in order, with the seconds that each is expected to take.

    ``minutes`` is the length of the recordings.
    """
    sound = 60 * minutes
    features = ["computing features"]
    if options.system == "vqvae":
        features += features  # of the input and of the target
        fitting = paces["units"].seconds(steps.units)
    else:
        fitting = sound / _FITTED[options.system]
    return [
        *expected(sound, *features),
        ("learning units", fitting),
        *expected(sound, "tracking pitch"),
        ("learning pitch units", paces["pitch"].seconds(steps.pitch)),
        *expected(sound, "encoding", "encoding for training", "reading sound", "tracking pitch"),
        ("learning to speak", paces["synthesizer"].seconds(steps.synthesizer)),
        *closing_stages(minutes)[1:],
    ]


def closing_stages(minutes: float) -> list[tuple[str, float]]:
    """Return the stages of a run whose trainings are finished, as ``stages``."""
    sound = 60 * minutes
    coding = min(_CODES, sound / _CODED)
    return [
        *expected(sound, "encoding"),
        ("learning what follows what in content0", coding),
        ("learning what follows what in pitch0", coding / 2),
        ("speaking", 10.0),
    ]
