"""Learning from recordings: features packed on disk, then an encoder trained or fitted, or a voice for its units.

Both go on where they were interrupted; everything on the way lies in a folder of the run's own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial, reduce
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from protophone.audition import Audition
from protophone.crops import CropSampler
from protophone.data import Pack
from protophone.encoders import EncoderSettings
from protophone.encoders.base import Encoder, Moments
from protophone.encoders.content import ContentVQVAE
from protophone.encoders.pipeline import Pipeline, PipelineConfig
from protophone.encoders.pitch import PitchVQVAE
from protophone.encoders.vqvae import VQVAE
from protophone.errors import AudioError, ConfigError, InputError
from protophone.fabric import fabric_of
from protophone.features import LogMelConfig
from protophone.features.base import FeatureExtractor
from protophone.features.speaker import SpeakerEmbedder
from protophone.melody import pack_melody, pack_pitch_units
from protophone.memory import check_trainable
from protophone.progress import Stage, portion, silent
from protophone.tape import Tape, seconds_of
from protophone.train import Run, TrainConfig, check_batch, train
from protophone.types import NOBODY, AudioBatch, FeatureBatch, Recording
from protophone.vad import Segment
from protophone.vocoders import VocoderSettings
from protophone.vocoders.base import Vocoder
from protophone.vocoders.code2spec import Code2Spec, Listener
from protophone.vocoders.hifigan import HiFiGANConfig

__all__ = ["fit_encoder", "fit_voice", "listener", "speakers_of"]

_FRAME = 160  # samples of the 10 ms that the length of a voice's crops counts
_SAMPLED = 500  # recordings that the statistics of a corpus are taken from


def speakers_of(recordings: Iterable[Recording]) -> tuple[str, ...]:
    """Names of the speakers; those without one are one speaker."""
    return tuple(sorted({recording.speaker or NOBODY for recording in recordings}))


def fit_encoder(
    recordings: Sequence[Recording],
    settings: EncoderSettings,
    training: TrainConfig,
    folder: str | Path,
    *,
    segments: Mapping[str, Sequence[Segment]] | None = None,
    stage: Stage = silent,
    failures: list[tuple[str, str]] | None = None,
) -> tuple[Encoder, Run | None]:
    """An encoder learned from ``recordings``, with its loss history where it was trained by steps.

    Everything on the way lies in ``folder``: packed features, resume state.
    """
    folder = Path(folder)
    speakers = speakers_of(recordings)
    build = partial(settings.build, speakers)
    if not isinstance(settings, PipelineConfig):
        check_trainable(build, "encoder")
    torch.manual_seed(training.seed)
    encoder = build()
    if isinstance(encoder, Pipeline) and encoder.take():
        return encoder.eval(), None
    device = fabric_of(training.device, training.precision).device
    pack = partial(_feature_pack, encoder=encoder, stage=stage, device=device)
    frames, statistics = pack(folder / "features", recordings, encoder.features, failures=failures)
    if statistics is not None:
        encoder.mean.copy_(statistics[0])
        encoder.deviation.copy_(statistics[1])
    hop = encoder.features.grid.hop
    if isinstance(encoder, Pipeline):
        # Slopes that reach past a recording's ends are steep, and would get units of their own.
        inner = frames.trimmed(encoder.features.context) if segments is None else frames.cut(segments, hop)
        with stage("learning units", 1) as advance:
            encoder.to(device).fit(inner, seed=training.seed)
            advance(1)
        return encoder.cpu().eval(), None
    target = frames
    if isinstance(encoder, VQVAE) and encoder.config.target != encoder.config.features:
        read = {row.id for row in frames.rows}
        kept = [recording for recording in recordings if recording.id in read]
        target, _ = pack(folder / "target", kept, encoder.target)
    melody = None
    if isinstance(encoder, ContentVQVAE):
        read = {row.id for row in frames.rows}
        kept = [recording for recording in recordings if recording.id in read]
        melody = pack_melody(folder / "pitch", kept, encoder.features.grid, stage=stage)
    if segments is not None:
        frames, target = frames.cut(segments, hop), target.cut(segments, hop)
        melody = None if melody is None else melody.cut(segments, hop)
    sampler = CropSampler(
        frames,
        target,
        crop=max(1, training.crop // encoder.reduction) * encoder.reduction,
        context=encoder.context[0],
        batch=training.batch,
        seed=training.seed,
        speakers=speakers,
        pitch=melody,
    )
    run = train(encoder, sampler, training, folder, data=sampler.digest, stage=stage, title="learning units")
    return encoder.cpu().eval(), run


def _feature_pack(
    folder: Path,
    recordings: Sequence[Recording],
    extractor: FeatureExtractor,
    *,
    encoder: Encoder,
    stage: Stage,
    device: torch.device,
    failures: list[tuple[str, str]] | None = None,
) -> tuple[Pack, tuple[Tensor, Tensor] | None]:
    """Features of every recording, half precision, normalised as ``encoder`` does, and the statistics of the corpus.

    The statistics are None where the encoder uses none.
    """
    stream = partial(extractor.stream, device=device)
    normalization = encoder.normalization
    statistics = _statistics(recordings, extractor, encoder, device, stage) if normalization == "corpus" else None

    @torch.inference_mode()
    def parts(tape: Tape) -> Iterator[np.ndarray]:
        tape.passes = encoder.passes
        short = tape.whole() is not None
        blocks = encoder.leveled(tape.blocks)
        if normalization == "none":
            yield from (features[0] for features in stream(blocks()))
            return
        # Of a short recording the features are kept between the two passes, as its sound is.
        kept = list(stream(blocks())) if short else None
        mean, deviation = statistics or _moments(kept or stream(blocks())).mean_and_deviation()
        for features in kept or stream(blocks()):
            yield ((features.frames[0] - mean) / deviation).cpu().numpy()

    settings = {"features": repr(extractor.config), "normalization": normalization, "level": encoder.level}
    pack = Pack.build(
        folder,
        recordings,
        parts,
        sample_rate=extractor.sample_rate,
        dtype="float16",
        settings=settings,
        title="computing features",
        stage=stage,
        failures=failures,
    )
    return pack, statistics


@torch.inference_mode()
def _moments(chunks: Iterable[FeatureBatch]) -> Moments:
    """Moments of all frames of a recording."""
    return reduce(Moments.add, map(Moments.of, chunks))


def _statistics(
    recordings: Sequence[Recording], extractor: FeatureExtractor, encoder: Encoder, device: torch.device, stage: Stage
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature over the corpus, from at most ``_SAMPLED`` recordings of it."""
    moments = []
    some = recordings[:: -(-len(recordings) // _SAMPLED)]
    seconds = seconds_of(some)
    with stage("computing statistics", sum(seconds.values()), "seconds") as advance:
        for recording in some:
            # What cannot be read is listed when it is packed.
            with portion(advance, seconds[recording.id]) as move, suppress(AudioError):
                tape = Tape(recording, extractor.sample_rate, move)
                tape.passes = 1 if encoder.level is None else 2
                moments.append(_moments(extractor.stream(encoder.leveled(tape.blocks)(), device=device)))
    if not moments:
        raise InputError("none of the recordings could be read to take statistics from; look at the first of them")
    mean, deviation = reduce(Moments.add, moments).mean_and_deviation()
    return mean[0], deviation[0]


def fit_voice(
    recordings: Sequence[Recording],
    encoder: Encoder,
    settings: VocoderSettings,
    training: TrainConfig,
    folder: str | Path,
    *,
    pitch: PitchVQVAE | None = None,
    embedder: SpeakerEmbedder | None = None,
    segments: Mapping[str, Sequence[Segment]] | None = None,
    stage: Stage = silent,
    failures: list[tuple[str, str]] | None = None,
) -> tuple[Vocoder, Run]:
    """A vocoder of ``settings`` for the units of ``encoder`` in the voices of ``recordings``.

    ``pitch`` makes the pitch units, ``embedder`` the embeddings of voices, where the vocoder is to be told such.
    ``failures`` as for ``fit_encoder``. What it says on the way lies in ``samples/VOICE/STEP.wav`` of ``folder``.
    """
    folder = Path(folder)
    speakers = speakers_of(recordings)
    build = partial(settings.build, encoder.codebook, encoder.grid, speakers)
    check_trainable(build, "voice")  # what cannot be is refused before the packing
    torch.manual_seed(training.seed)
    vocoder = build()
    if isinstance(settings, HiFiGANConfig) and settings.pitch == "units":
        _check_pitch(pitch, settings.pitch_units)
    marks = {"codebook": encoder.codebook.hash, "level": encoder.level}
    hop = encoder.grid.hop

    def units(tape: Tape) -> Iterator[np.ndarray]:
        tape.passes = encoder.passes
        yield encoder.encode_tape(tape)[0].T

    def sound(tape: Tape) -> Iterator[np.ndarray]:
        tape.passes = 1 if encoder.level is None else 2
        for block in encoder.leveled(tape.blocks)():
            yield np.clip(np.round(block * 32767), -32768, 32767)[:, None]
        yield np.zeros((-tape.num_samples % hop, 1))  # the last unit is whole

    embeddings = None
    if embedder is not None:
        where = folder / "embeddings"
        embeddings = _embeddings(where, recordings, embedder, encoder.sample_rate, stage=stage, failures=failures)
        recordings = [recording for recording in recordings if recording.id in embeddings]
    pack = partial(Pack.build, sample_rate=encoder.sample_rate, stage=stage, settings=marks)
    codes = pack(folder / "codes", recordings, units, title="encoding for training", dtype="uint16", failures=failures)
    readable = {row.id for row in codes.rows}
    kept = [recording for recording in recordings if recording.id in readable]
    samples = pack(folder / "sound", kept, sound, title="reading sound", dtype="int16")
    melody = None
    if vocoder.learns_pitch == "contour":
        melody = pack_melody(folder / "pitch", kept, encoder.grid, stage=stage)
    elif pitch is not None and vocoder.learns_pitch == "units":
        melody = pack_pitch_units(folder / "pitch", kept, encoder.grid, pitch, stage=stage)
    if segments is not None:
        codes, samples = codes.cut(segments, hop), samples.cut(segments, hop, scale=hop)
        melody = None if melody is None else melody.cut(segments, hop)
    audition = Audition(folder / "samples", encoder, pitch, codes=codes, melody=melody, sounds=samples)
    sampler = CropSampler(
        codes,
        samples,
        crop=max(1, training.crop * _FRAME // hop),
        context=0,
        batch=training.batch,
        seed=training.seed,
        speakers=speakers,
        scale=hop,
        pitch=melody,
        embeddings=None if embeddings is None else np.stack([embeddings[row.id] for row in codes.rows]),
    )
    if isinstance(vocoder, Code2Spec):
        vocoder.listener = listener(encoder)
    check_batch(sampler, training)
    vocoder.calibrate(sampler(0).target[..., 0] / 32767)
    hear = partial(audition.hold, vocoder)
    run = train(
        vocoder, sampler, training, folder, data=sampler.digest, look=hear, stage=stage, title="learning to speak"
    )
    return vocoder.cpu().eval(), run


def _check_pitch(pitch: PitchVQVAE | None, wanted: int) -> None:
    """``InputError`` where a vocoder is to be told pitch units that there are none of, or not as many."""
    if pitch is None:
        raise InputError(
            "the bundle has no pitch units, and this voice is told them; learn them first: protophone train "
            "configs/pitch.toml"
        )
    if pitch.sizes != (wanted,):
        raise ConfigError(f"voice.pitch_units {wanted}: there are {pitch.sizes[0]}; write this number")


def _embeddings(
    folder: Path,
    recordings: Sequence[Recording],
    embedder: SpeakerEmbedder,
    sample_rate: int,
    *,
    stage: Stage,
    failures: list[tuple[str, str]] | None,
) -> dict[str, np.ndarray]:
    """The voice of each recording by its id, float32 ``[dim]``: of its beginning, repeated where it is very short."""

    def parts(tape: Tape) -> Iterator[np.ndarray]:
        samples = tape.beginning()
        samples = np.tile(samples, -(-embedder.shortest // len(samples)))
        yield embedder.embed(AudioBatch.from_arrays([samples], sample_rate)).cpu().numpy()

    settings = embedder.settings
    pack = Pack.build(
        folder,
        recordings,
        parts,
        sample_rate=sample_rate,
        dtype="float32",
        settings=settings,
        title="embedding voices",
        stage=stage,
        failures=failures,
    )
    return {row.id: vector[0] for row, vector in zip(pack.rows, pack, strict=True)}


def listener(encoder: Encoder) -> Listener | None:
    """How ``encoder`` hears log-mel bands, for a vocoder to learn from; None where it does not take them."""
    if not isinstance(encoder, VQVAE) or not isinstance(encoder.config.features, LogMelConfig):
        return None
    frozen = encoder.encoder.requires_grad_(requires_grad=False)

    def hear(frames: Tensor) -> Tensor:
        whole = (frames.shape[1] - 2 * encoder.context[0]) // encoder.reduction * encoder.reduction
        frozen.to(frames.device)  # where the vocoder learns
        return frozen(frames[:, : whole + 2 * encoder.context[0]])

    return hear
