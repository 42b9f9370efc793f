"""Recipes: what to train on which recordings, from a TOML file to a part of a bundle.

An encoder's recipe packs features and trains (VQ-VAE) or fits (k-means, mixtures); a voice's recipe packs the units of
a finished encoder beside the sound and trains an inverter. Both go on where they were interrupted.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from protophone import audio
from protophone.bundle import Bundle, add_voice, write_bundle
from protophone.config import KIND, config, dump, load, tables
from protophone.data import NOBODY, CropSampler, Pack
from protophone.encoders import PipelineConfig, VQVAEConfig
from protophone.encoders.base import Encoder, Moments
from protophone.encoders.pipeline import Pipeline
from protophone.encoders.vqvae import VQVAE
from protophone.errors import AudioError, InputError
from protophone.features import LogMelConfig
from protophone.features.base import FeatureExtractor
from protophone.files import refuse_existing, write_text
from protophone.manifest import build
from protophone.model import Model, encoder_part, voice_part
from protophone.train import Progress, Run, TrainConfig, train
from protophone.types import AudioBatch, FeatureBatch, Recording
from protophone.vad import Segment
from protophone.vocoders.code2spec import Code2Spec, Code2SpecConfig, Listener

__all__ = [
    "DataConfig",
    "EncoderRecipe",
    "VoiceRecipe",
    "fit_encoder",
    "fit_voice",
    "load_recipe",
    "run_recipe",
    "select",
    "speakers_of",
    "write_encoder",
]


_SAMPLED = 500  # recordings that the statistics of a corpus are taken from


@config
class DataConfig:
    """Which recordings: a manifest or folder, and of a manifest which split and speakers."""

    recordings: str
    split: str | None = "train"
    speakers: tuple[str, ...] | None = None


@config
class EncoderRecipe:
    """An encoder, the recordings it learns from, and how long."""

    data: DataConfig
    encoder: Annotated[VQVAEConfig | PipelineConfig, KIND]
    train: TrainConfig = TrainConfig()


@config
class VoiceRecipe:
    """A voice for a bundle, the recordings it learns from, and how long."""

    data: DataConfig
    bundle: str
    name: str
    voice: Code2SpecConfig
    train: TrainConfig = TrainConfig()


def speakers_of(recordings: Iterable[Recording]) -> tuple[str, ...]:
    """Names of the speakers; those without one are one speaker."""
    return tuple(sorted({recording.speaker or NOBODY for recording in recordings}))


def fit_encoder(
    recordings: Sequence[Recording],
    settings: VQVAEConfig | PipelineConfig,
    training: TrainConfig,
    folder: str | Path,
    *,
    segments: Mapping[str, Sequence[Segment]] | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    progress: Callable[[Iterable[Recording]], Iterable[Recording]] = iter,
    failures: list[tuple[str, str]] | None = None,
) -> tuple[Encoder, Run | None]:
    """An encoder learned from ``recordings``, with its loss history where it was trained by steps.

    Everything on the way lies in ``folder``: packed features, resume state.
    """
    folder = Path(folder)
    speakers = speakers_of(recordings)
    torch.manual_seed(training.seed)
    encoder = settings.build(speakers)
    frames = _feature_pack(folder / "features", recordings, encoder.features, encoder, progress, failures)
    hop = encoder.features.grid.hop
    if segments is not None:
        frames = frames.cut(segments, hop)
    if isinstance(encoder, Pipeline):
        encoder.fit((frames[index] for index in range(len(frames.rows))), seed=training.seed)
        return encoder.eval(), None
    target = frames
    if encoder.config.target != encoder.config.features:
        read = {row.id for row in frames.rows}
        kept = [recording for recording in recordings if recording.id in read]
        target = _feature_pack(folder / "target", kept, encoder.target, encoder, progress, None)
        target = target.cut(segments, hop) if segments is not None else target
    sampler = CropSampler(
        frames,
        target,
        crop=max(1, training.crop // encoder.reduction) * encoder.reduction,
        context=encoder.context[0],
        batch=training.batch,
        seed=training.seed,
        speakers=speakers,
    )
    run = train(encoder, sampler, training, folder, report=report)
    return encoder.cpu().eval(), run


def _feature_pack(
    folder: Path,
    recordings: Sequence[Recording],
    extractor: FeatureExtractor,
    encoder: Encoder,
    progress: Callable,
    failures: list[tuple[str, str]] | None,
) -> Pack:
    """Normalised features of every recording, half precision."""

    @torch.inference_mode()
    def extract(recording: Recording) -> FeatureBatch:
        samples = audio.read(recording, extractor.sample_rate)
        audio.check_speech(samples, str(recording.path), extractor.sample_rate)
        return extractor(AudioBatch.from_arrays([samples], extractor.sample_rate))

    fixed = None
    if encoder.normalization == "corpus":
        moments = []
        for recording in recordings[:: -(-len(recordings) // _SAMPLED)]:
            # What cannot be read is listed when it is packed.
            with suppress(AudioError):
                moments.append(Moments.of(extract(recording)))
        if not moments:
            raise InputError("none of the recordings could be read to take statistics from; look at the first of them")
        fixed = reduce(Moments.add, moments).mean_and_deviation()
        if extractor is encoder.features:
            encoder.mean.copy_(fixed[0][0])
            encoder.deviation.copy_(fixed[1][0])

    def compute(recording: Recording) -> np.ndarray:
        features = extract(recording)
        mean, deviation = fixed or Moments.of(features).mean_and_deviation()
        return ((features.frames - mean[:, None]) / deviation[:, None])[0].numpy()

    settings = {"features": repr(extractor.config), "normalization": encoder.normalization}
    return Pack.build(
        folder, recordings, compute, dtype="float16", settings=settings, progress=progress, failures=failures
    )


def fit_voice(
    recordings: Sequence[Recording],
    encoder: Encoder,
    settings: Code2SpecConfig,
    training: TrainConfig,
    folder: str | Path,
    *,
    segments: Mapping[str, Sequence[Segment]] | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    progress: Callable[[Iterable[Recording]], Iterable[Recording]] = iter,
    failures: list[tuple[str, str]] | None = None,
) -> tuple[Code2Spec, Run]:
    """An inverter for the units of ``encoder`` in the voices of ``recordings``; ``failures`` as for ``fit_encoder``."""
    folder = Path(folder)
    speakers = speakers_of(recordings)
    marks = {"codebook": encoder.codebook.hash}

    def sound(recording: Recording) -> np.ndarray:
        samples = audio.read(recording, encoder.sample_rate)
        wanted = encoder.grid.num_frames(len(samples)) * encoder.grid.hop
        whole = np.pad(samples, (0, wanted - len(samples)))
        return np.clip(np.round(whole * 32767), -32768, 32767)[:, None]

    def units(recording: Recording) -> np.ndarray:
        samples = audio.read(recording, encoder.sample_rate)
        audio.check_speech(samples, str(recording.path), encoder.sample_rate)
        return encoder.encode(AudioBatch.from_arrays([samples], encoder.sample_rate))[0].T

    codes = Pack.build(
        folder / "codes", recordings, units, dtype="uint16", settings=marks, progress=progress, failures=failures
    )
    readable = {row.id for row in codes.rows}
    kept = [recording for recording in recordings if recording.id in readable]
    samples = Pack.build(folder / "sound", kept, sound, dtype="int16", settings=marks, progress=progress)
    if segments is not None:
        codes = codes.cut(segments, encoder.grid.hop)
        samples = samples.cut(segments, encoder.grid.hop, scale=encoder.grid.hop)
    torch.manual_seed(training.seed)
    vocoder = settings.build(encoder.codebook, encoder.grid, speakers)
    sampler = CropSampler(
        codes,
        samples,
        crop=max(1, training.crop // vocoder.repeat),
        context=0,
        batch=training.batch,
        seed=training.seed,
        speakers=speakers,
        scale=encoder.grid.hop,
    )
    vocoder.listener = listener(encoder)
    vocoder.calibrate(sampler(0).target[..., 0] / 32767)
    run = train(vocoder, sampler, training, folder, report=report)
    return vocoder.cpu().eval(), run


def listener(encoder: Encoder) -> Listener | None:
    """How ``encoder`` hears log-mel bands, for a vocoder to learn from; None where it does not take them."""
    if not isinstance(encoder, VQVAE) or not isinstance(encoder.config.features, LogMelConfig):
        return None
    frozen = encoder.encoder.requires_grad_(requires_grad=False)

    def hear(frames: Tensor) -> Tensor:
        whole = (frames.shape[1] - 2 * encoder.context[0]) // encoder.reduction * encoder.reduction
        return frozen(frames[:, : whole + 2 * encoder.context[0]])

    return hear


def load_recipe(path: str | Path, overrides: list[str]) -> EncoderRecipe | VoiceRecipe:
    """The recipe in a TOML file: a voice's where it has a table ``[voice]``, an encoder's otherwise.

    Paths in it are relative to where the command is run.
    """
    if "voice" in tables(path):
        return load(VoiceRecipe, path, overrides)
    return load(EncoderRecipe, path, overrides)


def run_recipe(
    recipe: EncoderRecipe | VoiceRecipe,
    folder: str | Path,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    progress: Callable[[Iterable[Recording]], Iterable[Recording]] = iter,
    failures: list[tuple[str, str]] | None = None,
) -> Path:
    """Trains what ``recipe`` says in ``folder``; the bundle written or, for a voice, the bundle it was put into.

    Recordings that cannot be used are left out and appended to ``failures``; without such a list the first is raised.
    ``InputError`` when ``folder`` holds something else.
    """
    folder = Path(folder)
    recordings = select(recipe.data)
    kept = folder / "recipe.toml"
    if not kept.is_file():
        refuse_existing(folder)
    elif (before := load_recipe(kept, []).data) != recipe.data:
        raise InputError(
            f"{folder}: holds a run on other recordings ({before.recordings}, {before.split}); name another"
        )
    write_text(kept, dump(recipe))
    if isinstance(recipe, VoiceRecipe):
        speaks = Model(Bundle(recipe.bundle)).encoder
        vocoder, _ = fit_voice(
            recordings, speaks, recipe.voice, recipe.train, folder, report=report, progress=progress, failures=failures
        )
        add_voice(recipe.bundle, recipe.name, voice_part(vocoder))
        return Path(recipe.bundle)
    encoder, _ = fit_encoder(
        recordings, recipe.encoder, recipe.train, folder, report=report, progress=progress, failures=failures
    )
    bundle = folder / "bundle"
    # A bundle of these very units may have got voices meanwhile.
    if not (bundle / "bundle.json").is_file() or Model(Bundle(bundle)).encoder.codebook.hash != encoder.codebook.hash:
        write_encoder(bundle, encoder, recordings, recipe.train)
    return bundle


def select(data: DataConfig) -> list[Recording]:
    """The recordings a recipe names; ``InputError`` where none is left."""
    found, _ = build(data.recordings, "manifest")
    kept = [
        recording
        for recording in found
        if (recording.split is None or data.split is None or recording.split == data.split)
        and (data.speakers is None or recording.speaker in data.speakers)
    ]
    if not kept:
        raise InputError(
            f"{data.recordings}: no recording of split {data.split!r}"
            + (f" by {', '.join(data.speakers)}" if data.speakers else "")
            + "; change data.split or data.speakers"
        )
    return kept


def write_encoder(folder: Path, encoder: Encoder, recordings: Sequence[Recording], training: TrainConfig) -> None:
    """A bundle with ``encoder``, and a card that says what it learned from."""
    speakers = speakers_of(recordings)
    names = hashlib.sha256("\n".join(sorted(recording.id for recording in recordings)).encode()).hexdigest()[:16]
    facts = {
        "training": {"recordings": len(recordings), "speakers": len(speakers), "ids": names, "seed": training.seed},
        "figures": {},
        "licence": "as that of the recordings it learned from",
    }
    card = (
        f"# Units learned by {encoder.config.kind}\n\n"
        f"Learned from {len(recordings)} recordings by {len(speakers)} speakers, without text. "
        "The voices of this bundle are real people's: speak as them only with their consent.\n"
    )
    write_bundle(folder, encoder_part(encoder, speakers), facts, card)
