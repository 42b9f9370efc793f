"""What ``discover`` learns, in which order and for how long: units, their pitch, a voice, and what follows what.

Each lesson goes into the bundle when it is learned, so an interrupted run goes on with the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from protophone.bundle import add_part, add_voice
from protophone.codec.learning import ContextConfig
from protophone.config import Minutes, Seed, Share, Units, config
from protophone.encoders.pipeline import PipelineConfig
from protophone.encoders.pitch import PitchVQVAEConfig, pitch_part
from protophone.encoders.vqvae import VQVAEConfig
from protophone.fit import fit_encoder, fit_voice
from protophone.manifest import SpeakerFrom
from protophone.melody import fit_pitch
from protophone.model import Model
from protophone.parts import voice_part
from protophone.progress import Stage
from protophone.quantizers import DPGMMConfig, GMMConfig, KMeansConfig
from protophone.recipe import entropy_of, write_encoder
from protophone.store import UnitRecord
from protophone.survey import Survey
from protophone.train import TrainConfig
from protophone.types import Channel
from protophone.vocoders.vocos import VocosConfig

__all__ = ["DiscoverConfig", "Plan", "learn_entropy", "learn_pitch", "learn_units", "learn_voice"]

_LONGEST_MINUTES = 90.0  # for all the work unless more is asked for
_PITCH_MINUTES = 2.0  # at most: pitch units are small


@config
class DiscoverConfig:
    """Options of ``discover``.

    ``minutes`` is the budget for everything; without it, as long as the recordings last, 90 at most. Of what reading,
    encoding and the report leave of it, a third of it at least, the units' training gets 50 %, that of their pitch
    10 %, two minutes at most, and the voice's the rest.
    """

    system: Literal["vqvae", "kmeans", "gmm", "dpgmm"] = "vqvae"
    speaker_from: SpeakerFrom = "none"
    channel: Channel | None = None
    minutes: Minutes | None = None
    units: Units = 256
    time_reduction: Literal[1, 2, 4, 8] = 4
    max_bad: Share = 0.05
    seed: Seed = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Plan:
    """Minutes of training for the units, their pitch and the voice, and of everything."""

    units: float
    pitch: float
    voice: float
    whole: float

    @classmethod
    def of(cls, minutes: float, options: DiscoverConfig) -> "Plan":
        """Reading, encoding and the report come first; training has the rest of the budget, a third of it at least.

        ``minutes`` is how long the recordings last.
        """
        budget = options.minutes or min(_LONGEST_MINUTES, minutes)
        fixed = 0.5 + minutes / 20
        training = max(budget / 3, budget - fixed)
        pitch = min(_PITCH_MINUTES, 0.1 * training)
        return cls(0.5 * training, pitch, 0.5 * training - pitch, fixed + training)


def learn_units(survey: Survey, plan: Plan, options: DiscoverConfig, out: Path, stage: Stage) -> None:
    """The encoder, into a new bundle."""
    recordings, segments = survey.learned
    training = _training(options, plan.units, batch=32)
    folder = out / "work" / "encoder"
    encoder, _ = fit_encoder(
        recordings, _system(options), training, folder, segments=segments, stage=stage, failures=[]
    )
    write_encoder(out / "bundle", encoder, recordings, training)


def _system(options: DiscoverConfig) -> VQVAEConfig | PipelineConfig:
    if options.system == "vqvae":
        base = VQVAEConfig()
        return replace(
            base, time_reduction=options.time_reduction, quantizer=replace(base.quantizer, num_units=options.units)
        )
    kind = {"kmeans": KMeansConfig, "gmm": GMMConfig, "dpgmm": DPGMMConfig}[options.system]
    return PipelineConfig(quantizer=kind(num_units=options.units), time_reduction=options.time_reduction)


def learn_pitch(survey: Survey, plan: Plan, options: DiscoverConfig, out: Path, stage: Stage) -> None:
    """The pitch units, into the bundle."""
    recordings, segments = survey.learned
    training = replace(_training(options, plan.pitch, batch=16, rate=2e-3), crop=320, clip=1.0, precision="32-true")
    folder = out / "work" / "pitch"
    pitch, _ = fit_pitch(recordings, PitchVQVAEConfig(), training, folder, segments=segments, stage=stage, failures=[])
    add_part(out / "bundle", "pitch", pitch_part(pitch))


def learn_voice(model: Model, survey: Survey, plan: Plan, options: DiscoverConfig, out: Path, stage: Stage) -> None:
    """The voices, into the bundle."""
    recordings, segments = survey.learned
    training = replace(_training(options, plan.voice, batch=8), crop=100)  # many small steps: the time is short
    folder = out / "work" / "voice"
    vocoder, _ = fit_voice(
        recordings, model.encoder, VocosConfig(), training, folder, segments=segments, stage=stage, failures=[]
    )
    add_voice(out / "bundle", "vocos", voice_part(vocoder))


def learn_entropy(
    model: Model, records: Sequence[UnitRecord], options: DiscoverConfig, out: Path, stage: Stage
) -> None:
    """What follows what among the units, into the bundle."""
    settings = ContextConfig(seed=options.seed)
    add_part(out / "bundle", "entropy", entropy_of(model, records, settings, stage=stage).part())


def _training(options: DiscoverConfig, minutes: float, batch: int, rate: float = 1e-3) -> TrainConfig:
    return TrainConfig(minutes=minutes, batch=batch, learning_rate=rate, seed=options.seed, device=options.device)
