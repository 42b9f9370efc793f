"""Recipes: what to train on which recordings, from a TOML file to a part of a bundle.

An encoder's recipe packs features and trains (VQ-VAE) or fits (k-means, mixtures); a voice's recipe packs the units of
a finished encoder beside the sound and trains an inverter. Both go on where they were interrupted.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial, reduce
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from protophone.bundle import Bundle, add_voice, write_bundle
from protophone.config import KIND, config, dump, load, tables
from protophone.data import NOBODY, CropSampler, Pack
from protophone.encoders import PipelineConfig, VQVAEConfig
from protophone.encoders.base import Encoder, Moments, Normalization
from protophone.encoders.pipeline import Pipeline
from protophone.encoders.vqvae import VQVAE
from protophone.errors import AudioError, InputError
from protophone.features import LogMelConfig
from protophone.features.base import FeatureExtractor
from protophone.files import refuse_existing, write_text
from protophone.manifest import build
from protophone.model import Model, encoder_part, voice_part
from protophone.tape import Tape
from protophone.train import Progress, Run, TrainConfig, train
from protophone.types import Recording
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
    pack = partial(_feature_pack, normalization=encoder.normalization, progress=progress)
    frames, statistics = pack(folder / "features", recordings, encoder.features, failures=failures)
    if statistics is not None:
        encoder.mean.copy_(statistics[0])
        encoder.deviation.copy_(statistics[1])
    hop = encoder.features.grid.hop
    if isinstance(encoder, Pipeline):
        encoder.fit(frames if segments is None else frames.cut(segments, hop), seed=training.seed)
        return encoder.eval(), None
    target = frames
    if encoder.config.target != encoder.config.features:
        read = {row.id for row in frames.rows}
        kept = [recording for recording in recordings if recording.id in read]
        target, _ = pack(folder / "target", kept, encoder.target)
    if segments is not None:
        frames, target = frames.cut(segments, hop), target.cut(segments, hop)
    sampler = CropSampler(
        frames,
        target,
        crop=max(1, training.crop // encoder.reduction) * encoder.reduction,
        context=encoder.context[0],
        batch=training.batch,
        seed=training.seed,
        speakers=speakers,
    )
    run = train(encoder, sampler, training, folder, data=sampler.digest, report=report)
    return encoder.cpu().eval(), run


def _feature_pack(
    folder: Path,
    recordings: Sequence[Recording],
    extractor: FeatureExtractor,
    *,
    normalization: Normalization,
    progress: Callable,
    failures: list[tuple[str, str]] | None = None,
) -> tuple[Pack, tuple[Tensor, Tensor] | None]:
    """Normalised features of every recording, half precision, and the corpus's statistics where these were used."""
    statistics = _statistics(recordings, extractor) if normalization == "corpus" else None

    @torch.inference_mode()
    def parts(recording: Recording) -> Iterator[np.ndarray]:
        tape = Tape(recording, extractor.sample_rate)
        mean, deviation = statistics or _moments(tape, extractor).mean_and_deviation()
        for features in extractor.stream(tape.blocks()):
            yield ((features.frames[0] - mean) / deviation).numpy()

    settings = {"features": repr(extractor.config), "normalization": normalization}
    pack = Pack.build(
        folder, recordings, parts, dtype="float16", settings=settings, progress=progress, failures=failures
    )
    return pack, statistics


@torch.inference_mode()
def _moments(tape: Tape, extractor: FeatureExtractor) -> Moments:
    """Moments of all frames of a recording."""
    return reduce(Moments.add, map(Moments.of, extractor.stream(tape.blocks())))


def _statistics(recordings: Sequence[Recording], extractor: FeatureExtractor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature over the corpus, from at most ``_SAMPLED`` recordings of it."""
    moments = []
    for recording in recordings[:: -(-len(recordings) // _SAMPLED)]:
        # What cannot be read is listed when it is packed.
        with suppress(AudioError):
            moments.append(_moments(Tape(recording, extractor.sample_rate), extractor))
    if not moments:
        raise InputError("none of the recordings could be read to take statistics from; look at the first of them")
    return reduce(Moments.add, moments).mean_and_deviation()


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
    hop = encoder.grid.hop

    def units(recording: Recording) -> Iterator[np.ndarray]:
        yield encoder.encode_tape(Tape(recording, encoder.sample_rate))[0].T

    def sound(recording: Recording) -> Iterator[np.ndarray]:
        tape = Tape(recording, encoder.sample_rate)
        for block in tape.blocks():
            yield np.clip(np.round(block * 32767), -32768, 32767)[:, None]
        yield np.zeros((-tape.num_samples % hop, 1))  # the last unit is whole

    codes = Pack.build(
        folder / "codes", recordings, units, dtype="uint16", settings=marks, progress=progress, failures=failures
    )
    readable = {row.id for row in codes.rows}
    kept = [recording for recording in recordings if recording.id in readable]
    samples = Pack.build(folder / "sound", kept, sound, dtype="int16", settings=marks, progress=progress)
    if segments is not None:
        codes, samples = codes.cut(segments, hop), samples.cut(segments, hop, scale=hop)
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
        scale=hop,
    )
    vocoder.listener = listener(encoder)
    vocoder.calibrate(sampler(0).target[..., 0] / 32767)
    run = train(vocoder, sampler, training, folder, data=sampler.digest, report=report)
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
