"""What ``discover`` learns, in which order and for how long: units, their pitch, a voice, and what follows what.

Each lesson goes into the bundle when it is learned, so an interrupted run goes on with the next.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from protophone.bundle import add_part, add_voice
from protophone.codec.learning import ContextConfig
from protophone.config import Minutes, Reduction, Seed, Share, Steps, Units, bounds, build, config
from protophone.encoders.pipeline import PipelineConfig
from protophone.encoders.pitch import PitchVQVAEConfig, pitch_part
from protophone.encoders.vqvae import VQVAEConfig
from protophone.errors import ConfigError
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

__all__ = [
    "DiscoverConfig",
    "TrainingSteps",
    "learn_entropy",
    "learn_pitch",
    "learn_units",
    "learn_voice",
    "pitch_units",
    "synthesizer",
    "system",
    "trainings",
]


@config
class TrainingSteps:
    """Steps of the units' training (0 unless the system is ``vqvae``), the pitch units' and the synthesizer's."""

    units: Annotated[int, bounds(0, 10**9)]
    pitch: Steps
    synthesizer: Steps

    @classmethod
    def read(cls, text: str) -> "TrainingSteps":
        """Read three numbers with commas between them; ``ConfigError`` for anything else."""
        parts = text.split(",")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
            raise ConfigError(
                f"--steps {text}: write three whole numbers, the steps of units, pitch and synthesizer, for example "
                "--steps 1200,300,900; --minutes needs none"
            )
        return build(cls, dict(zip(("units", "pitch", "synthesizer"), map(int, parts), strict=True)), source="--steps")

    def __str__(self) -> str:
        """The text that ``read`` takes."""
        return f"{self.units},{self.pitch},{self.synthesizer}"


@config
class DiscoverConfig:
    """Options of ``discover``.

    ``minutes`` is the budget for everything; without it, as long as the recordings last, 90 at most. Of what reading,
    encoding and the report leave of it, a third of it at least, the units' training gets 50 %, that of their pitch
    10 %, two minutes at most, and the voice's the rest. ``steps`` in place of ``minutes`` make a run that does not
    depend on the machine's speed.
    """

    system: Literal["vqvae", "kmeans", "gmm", "dpgmm"] = "vqvae"
    speaker_from: SpeakerFrom = "none"
    channel: Channel | None = None
    minutes: Minutes | None = None
    steps: TrainingSteps | None = None
    units: Units = 256
    time_reduction: Reduction = 4
    max_bad: Share = 0.05
    seed: Seed = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.steps is None:
            return
        if self.minutes is not None:
            raise ConfigError(f"--minutes {self.minutes:g} and --steps {self.steps}: give one of them")
        if (self.system == "vqvae") != (self.steps.units > 0):
            cure = "in steps; write more than 0" if self.system == "vqvae" else "without steps; write 0"
            raise ConfigError(f"--steps {self.steps}: {self.system} learns its units {cure} for the first")


def trainings(options: DiscoverConfig, steps: TrainingSteps) -> dict[str, TrainConfig]:
    """Return the settings of each training, by its name in ``TrainingSteps``."""
    common = TrainConfig(learning_rate=1e-3, seed=options.seed, device=options.device)
    small = replace(common, batch=16, learning_rate=2e-3, crop=320, clip=1.0, precision="32-true")
    return {
        "units": replace(common, steps=steps.units or None, batch=32),
        "pitch": replace(small, steps=steps.pitch),
        "synthesizer": replace(common, steps=steps.synthesizer, batch=8, crop=100),  # many small steps: time is short
    }


def system(options: DiscoverConfig) -> VQVAEConfig | PipelineConfig:
    """Return the config of the encoder."""
    if options.system == "vqvae":
        base = VQVAEConfig()
        return replace(
            base, time_reduction=options.time_reduction, quantizer=replace(base.quantizer, num_units=options.units)
        )
    kind = {"kmeans": KMeansConfig, "gmm": GMMConfig, "dpgmm": DPGMMConfig}[options.system]
    return PipelineConfig(quantizer=kind(num_units=options.units), time_reduction=options.time_reduction)


def pitch_units() -> PitchVQVAEConfig:
    """Return the config of the pitch units."""
    return PitchVQVAEConfig()


def synthesizer() -> VocosConfig:
    """Return the config of the synthesizer."""
    return VocosConfig()


def learn_units(survey: Survey, steps: TrainingSteps, options: DiscoverConfig, out: Path, stage: Stage) -> None:
    """The encoder, into a new bundle."""
    recordings, segments = survey.learned
    training = trainings(options, steps)["units"]
    folder = out / "work" / "encoder"
    encoder, _ = fit_encoder(recordings, system(options), training, folder, segments=segments, stage=stage, failures=[])
    write_encoder(out / "bundle", encoder, recordings, training)


def learn_pitch(survey: Survey, steps: TrainingSteps, options: DiscoverConfig, out: Path, stage: Stage) -> None:
    """The pitch units, into the bundle."""
    recordings, segments = survey.learned
    training = trainings(options, steps)["pitch"]
    folder = out / "work" / "pitch"
    pitch, _ = fit_pitch(recordings, pitch_units(), training, folder, segments=segments, stage=stage, failures=[])
    add_part(out / "bundle", "pitch", pitch_part(pitch))


def learn_voice(
    model: Model, survey: Survey, steps: TrainingSteps, options: DiscoverConfig, out: Path, stage: Stage
) -> None:
    """The voices, into the bundle."""
    recordings, segments = survey.learned
    training = trainings(options, steps)["synthesizer"]
    folder = out / "work" / "voice"
    vocoder, _ = fit_voice(
        recordings, model.encoder, synthesizer(), training, folder, segments=segments, stage=stage, failures=[]
    )
    add_voice(out / "bundle", "vocos", voice_part(vocoder))


def learn_entropy(
    model: Model, records: Sequence[UnitRecord], options: DiscoverConfig, out: Path, stage: Stage
) -> None:
    """What follows what among the units, into the bundle."""
    settings = ContextConfig(seed=options.seed)
    add_part(out / "bundle", "entropy", entropy_of(model, records, settings, stage=stage).part())
