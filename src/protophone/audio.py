"""Sound files in and out: probe, read, stream, write. Nothing else touches audio files.

Sound is float32 mono ``[sample]`` in [-1, 1]; channels are averaged unless a recording names one. ``read`` and
``stream`` give the same samples to the last bit, whatever the block. A segment of a WAV or FLAC file is exactly that
part of the whole; in Opus and MP3, whose decoders remember what came before, it is so to about 0.3 % of the peak.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from protophone.decoders import PYAV_EXTENSIONS, SNDFILE_EXTENSIONS, Decoder, opened
from protophone.errors import AudioError, InputError
from protophone.files import atomic, refuse_unwritable
from protophone.types import Channel, Recording

__all__ = [
    "EXTENSIONS",
    "PYAV_EXTENSIONS",
    "AudioInfo",
    "check_speech",
    "check_writable",
    "extent",
    "is_flat",
    "part",
    "probe",
    "read",
    "seconds",
    "stream",
    "write",
    "writing",
]

EXTENSIONS = SNDFILE_EXTENSIONS + PYAV_EXTENSIONS

_WRITTEN = (".wav", ".flac")
_BLOCK = 2**20  # samples of the file decoded at once; clips fit in one block, tapes stay small in memory
_SHORTEST = 0.025  # seconds: one analysis window
_TRIED = 2**16  # bytes written to see whether a disk takes any
_EDGE = 0.02  # seconds at the ends where a resampled constant rings
_LOUDEST = 8.0  # a peak above full scale is a mixer's, one of thousands another scale


@dataclass(frozen=True)
class AudioInfo:
    """What the header of a sound file says; ``num_samples`` counts samples of one channel at ``sample_rate``."""

    sample_rate: int
    channels: int
    num_samples: int
    format: str


def probe(path: str | Path) -> AudioInfo:
    """Rate, channels, length and format of a sound file, from its header alone.

    ``AudioError`` where it is not a sound file, holds nothing, or is a WAV or Ogg that was cut off; a body that is
    broken, and a FLAC or MP3 that was cut off, show only when they are read.
    """
    with opened(Path(path)) as file:
        return _info(file)


def extent(recording: Recording, info: AudioInfo) -> tuple[int, int]:
    """First sample and number of samples of a recording in its file, in samples of the file.

    ``AudioError`` where the recording reaches past the end of the file or counts samples at another rate.
    """
    if recording.sample_rate not in {None, info.sample_rate}:
        raise AudioError(
            f"{recording.path}: its rate is {info.sample_rate} Hz, but recording {recording.id} counts samples at "
            f"{recording.sample_rate} Hz; correct sample_rate, start and num_samples in the manifest"
        )
    count = info.num_samples - recording.start if recording.num_samples is None else recording.num_samples
    if recording.start < 0 or count <= 0 or recording.start + count > info.num_samples:
        raise AudioError(
            f"{recording.path}: recording {recording.id} is samples {recording.start} to {recording.start + count}, "
            f"but the file has {info.num_samples}; correct start and num_samples in the manifest"
        )
    return recording.start, count


def part(recording: Recording, first: int, end: int, rate: int) -> Recording:
    """Return the part of a recording between two of its samples, clamped to its end.

    Every sample of the file that the part touches belongs to it.

    Parameters
    ----------
    recording : Recording
        A file or a segment of one.
    first, end : int
        Samples at ``rate``, counted from the beginning of the recording; ``end`` is excluded.
    rate : int
        Hertz that ``first`` and ``end`` are counted at, whatever the file's rate.

    Returns
    -------
    Recording
        The same recording, with ``start``, ``num_samples`` and ``sample_rate`` in samples of the file.

    Raises
    ------
    AudioError
        If the file cannot be read, or the recording ends before ``first``.

    """
    if not 0 <= first < end:
        raise ValueError(f"first {first} and end {end} must be 0 <= first < end")
    info = probe(recording.path)
    start, count = extent(recording, info)
    skipped = first * info.sample_rate // rate
    kept = min(-(-end * info.sample_rate // rate), count) - skipped
    found = replace(recording, start=start + skipped, num_samples=kept, sample_rate=info.sample_rate)
    extent(found, info)
    return found


def seconds(path: str | Path) -> float:
    """Return the duration of a sound file in seconds. Raises ``AudioError`` as ``probe`` does."""
    info = probe(path)
    return info.num_samples / info.sample_rate


def read(source: str | Path | Recording, sample_rate: int = 16000) -> np.ndarray:
    """A recording as mono sound: float32 ``[sample]`` at ``sample_rate``, whatever the file's rate and channels.

    Of a ``Recording``, the part that it names. ``AudioError`` where the file is missing, not sound, empty or broken,
    holds values that are not finite, or ends before the part does.
    """
    parts = list(_sound(source, sample_rate))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def stream(
    source: str | Path | Recording,
    sample_rate: int,
    block_samples: int,
    check: Callable[[np.ndarray], None] = lambda _: None,
) -> Iterator[np.ndarray]:
    """The samples of ``read`` in blocks of ``block_samples`` (the last is shorter), in memory that does not grow.

    ``check`` is called with the samples of all channels as they are in the file, in parts ``[sample, channel]``.
    """
    if block_samples <= 0:
        raise ValueError(f"block_samples must be positive, got {block_samples}")
    held: list[np.ndarray] = []
    size = 0
    for part in _sound(source, sample_rate, check):
        held.append(part)
        size += len(part)
        if size < block_samples:
            continue
        joined = np.concatenate(held)
        for start in range(0, size - size % block_samples, block_samples):
            yield joined[start : start + block_samples]
        held = [joined[size - size % block_samples :]]
        size %= block_samples
    if size:
        yield np.concatenate(held)


def check_speech(samples: np.ndarray, name: str, sample_rate: int) -> None:
    """``AudioError`` where sound ``[sample]`` cannot be speech: shorter than 25 ms, or one value all along."""
    if len(samples) < _SHORTEST * sample_rate:
        raise AudioError(
            f"{name}: too short: {len(samples)} samples, {1000 * len(samples) / sample_rate:.1f} ms, "
            f"where one analysis window is {1000 * _SHORTEST:.0f} ms; leave it out"
        )
    if is_flat(samples, sample_rate):
        level = samples[len(samples) // 2]
        raise AudioError(
            f"{name}: digital silence: every sample is {level:.4g} (of several channels their mean); "
            "record it again or leave it out"
        )


def is_flat(samples: np.ndarray, sample_rate: int) -> bool:
    """Whether sound ``[sample]`` is one value all along, but for what resampling adds at the ends."""
    edge = min(round(_EDGE * sample_rate), len(samples) // 4)
    inner = samples[edge : len(samples) - edge]
    # beside the ringing at its ends, a resampled constant wavers by some 1e-6 of itself
    return bool(samples.min() == samples.max() or (inner.any() and np.ptp(inner) <= 1e-5 * np.abs(inner).max()))


def check_writable(path: str | Path) -> None:
    """``InputError`` where ``write`` could not write ``path``: to know it before the work whose sound it is."""
    _check_suffix(Path(path))
    refuse_unwritable(path)


def write(path: str | Path, samples: np.ndarray, sample_rate: int) -> int:
    """Writes mono sound ``[sample]`` as 16-bit WAV or FLAC, by the suffix of ``path``, whole or not at all.

    Returns how many samples lay outside [-1, 1) and were clipped.
    """
    path = Path(path)
    _check_suffix(path)
    levels, clipped = _levels(path, samples)
    # the file is made in memory so that a full disk is told by the operating system, not by libsndfile's vaguer words
    made = io.BytesIO()
    soundfile.write(made, levels, sample_rate, subtype="PCM_16", format=path.suffix[1:].upper())
    with atomic(path) as temporary:
        temporary.write_bytes(made.getbuffer())
    return clipped


@contextmanager
def writing(path: str | Path, sample_rate: int) -> Iterator[Callable[[np.ndarray], None]]:
    """A WAV or FLAC file written in parts: what it yields, called with mono sound ``[sample]``, adds to it.

    The samples are those that ``write`` would write of all parts joined; the file takes its name when the block ends
    without an error.
    """
    path = Path(path)
    _check_suffix(path)
    kind = path.suffix[1:].upper()
    with atomic(path) as temporary:
        try:
            with soundfile.SoundFile(temporary, "w", sample_rate, 1, "PCM_16", format=kind) as file:
                yield lambda samples: file.write(_levels(path, samples)[0])
        except soundfile.SoundFileError as error:
            with temporary.open("ab") as file:  # the operating system says more clearly what is amiss
                file.write(bytes(_TRIED))
            raise InputError(f"{path}: cannot be written ({error}); is the disk full?") from error


def _levels(path: Path, samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Mono sound ``[sample]`` as int16, and how many of its samples were clipped."""
    if samples.ndim != 1:
        raise ValueError(f"samples must be mono [sample], got shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: not written, for its samples are not all finite; has training diverged?")
    levels = np.rint(samples.astype(np.float64) * 2**15)
    within = np.clip(levels, -(2**15), 2**15 - 1)
    return within.astype(np.int16), int(np.count_nonzero(levels != within))


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in _WRITTEN:
        raise InputError(f"{path}: sound is written as {' or '.join(_WRITTEN)}; choose one of these suffixes")


def _info(file: Decoder) -> AudioInfo:
    return AudioInfo(file.sample_rate, file.channels, file.num_samples, file.format)


def _sound(
    source: str | Path | Recording, sample_rate: int, check: Callable[[np.ndarray], None] = lambda _: None
) -> Iterator[np.ndarray]:
    """Mono float32 parts ``[sample]`` at ``sample_rate``, of any lengths; joined, they do not depend on the cuts."""
    recording = source if isinstance(source, Recording) else Recording(id=str(source), path=Path(source))
    with opened(recording.path) as file:
        at, left = extent(recording, _info(file))
        resampler = None
        if file.sample_rate != sample_rate:
            resampler = soxr.ResampleStream(file.sample_rate, sample_rate, 1, dtype="float32", quality="HQ")
        while left:
            channels = _decode(file, recording.path, at, min(left, _BLOCK))
            check(channels)
            part = _mono(channels, recording.channel)
            at += len(part)
            left -= len(part)
            yield part if resampler is None else resampler.resample_chunk(part, last=left == 0)


def _decode(file: Decoder, path: Path, at: int, count: int) -> np.ndarray:
    """``count`` samples of a file from sample ``at``: float32 ``[sample, channel]``."""
    part = file.read(at, count)
    if len(part) < count:
        raise AudioError(
            f"{path}: cut off: {at + len(part)} samples where its header says {file.num_samples}; "
            "copy it again or leave it out"
        )
    if not np.isfinite(part).all():
        bad = at + int(np.argmin(np.isfinite(part).all(1)))
        raise AudioError(f"{path}: sample {bad} is not a finite number; export it as 16-bit WAV or leave it out")
    if (peak := np.abs(part).max(initial=0)) > _LOUDEST:
        raise AudioError(
            f"{path}: samples as large as {peak:.3g}, where full scale is 1; export it as 16-bit WAV, or scale it down"
        )
    return part


def _mono(channels: np.ndarray, channel: Channel | None) -> np.ndarray:
    """One of several channels ``[sample, channel]``, or their mean; right of a single one is that one."""
    if channel in {None, "mix"} and channels.shape[1] > 1:
        return channels.mean(axis=1, dtype=np.float32)
    return channels[:, int(channel == "right" and channels.shape[1] > 1)]
