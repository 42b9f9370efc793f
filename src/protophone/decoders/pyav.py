"""Files that FFmpeg decodes through PyAV, the extra ``m4a``: M4A, AAC, AMR, WMA, WebM, and the sound of videos.

The file's first bytes choose FFmpeg's demuxer. Without that choice, FFmpeg takes noise for sound, and a text for a list
of other files to open.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from protophone.errors import AudioError

__all__ = ["SHARED", "PyavDecoder", "demuxer_of"]

SHARED = {"wav", "aiff", "caf", "ogg"}  # containers that libsndfile reads, but for some codecs

_MAGIC = (  # bytes at a place in the file, and FFmpeg's name of what they begin
    *((4, b"ftyp", "mov"), (4, b"moov", "mov"), (4, b"mdat", "mov"), (4, b"wide", "mov"), (4, b"free", "mov")),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"#!AMR", "amr"),
    *((0, bytes([0xFF, second]), "aac") for second in (0xF0, 0xF1, 0xF8, 0xF9)),
    *((0, b"caff", "caf"), (0, b"OggS", "ogg"), (0, b"wvpk", "wv"), (0, b"MAC ", "ape")),
    (0, b"\0\0\x01\xba", "mpeg"),
)
_FORMS = {b"WAVE": "wav", b"AVI ": "avi", b"AIFF": "aiff", b"AIFC": "aiff"}  # by the bytes 8 to 12 of RIFF and FORM
_PACKETS = ((0, 188), (4, 192))  # of MPEG transport streams: first byte "G", every so many bytes
_AHEAD = 10  # seconds that are rather decoded than leapt over
_UNSTAMPED = -(2**62)  # time stamp of a frame that has none
_BEFORE = 1  # seconds decoded before a sample, for a decoder's memory


def demuxer_of(path: Path) -> str | None:
    """Return the FFmpeg demuxer for a file by its first bytes; None if it is no kind that PyAV is to decode."""
    with path.open("rb") as file:
        head = file.read(1024)
        if head[:3] == b"ID3":  # a tag before AAC
            size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
            file.seek(10 + size)
            return "aac" if file.read(2) in {b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9"} else None
    if head[:4] in {b"RIFF", b"FORM"}:
        return _FORMS.get(head[8:12])
    for first, step in _PACKETS:
        if head[first::step].strip(b"G") == b"" and len(head) > first + 4 * step:
            return "mpegts"
    return next((name for at, magic, name in _MAGIC if head[at : at + len(magic)] == magic), None)


@dataclass(frozen=True, eq=False)
class _Index:
    """The length of a decoded file, and a frame of each second: its first sample, length and time stamp.

    These are int64 ``[frame]``. ``stamped`` says that every frame of the file is known by its time stamp.
    """

    sample_rate: int
    channels: int
    num_samples: int
    codec: str
    stamped: bool
    starts: np.ndarray
    lengths: np.ndarray
    stamps: np.ndarray


class PyavDecoder:
    """The first audio stream of a file. ``AudioError`` if it has none, cannot be decoded, or PyAV is not installed."""

    def __init__(self, path: Path, demuxer: str) -> None:
        stat = path.stat()
        self._path, self._demuxer = path, demuxer
        self._index = _indexed(path, demuxer, stat.st_size, stat.st_mtime_ns)
        self.sample_rate = self._index.sample_rate
        self.channels = self._index.channels
        self.num_samples = self._index.num_samples
        self.format = f"{demuxer.upper()} {self._index.codec.upper()}"
        self._at = 0  # the next sample
        self._rest = np.zeros((0, self.channels), np.float32)  # those decoded from there on
        self._begin()

    def read(self, at: int, count: int) -> np.ndarray:
        """Return ``count`` samples from sample ``at``, float32 ``[sample, channel]``."""
        if at < self._at or at > self._at + _AHEAD * self.sample_rate:
            self._leap(at)
        parts: list[np.ndarray] = []
        end = at + count
        while self._at < end:
            if not len(self._rest):
                try:
                    self._rest = next(self._frames)[1]
                except StopIteration:
                    break
            used = self._rest[: end - self._at]
            parts.append(used[max(0, at - self._at) :])
            self._at += len(used)
            self._rest = self._rest[len(used) :]
        return np.concatenate([np.zeros((0, self.channels), np.float32), *parts])

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _begin(self) -> None:
        """Open the file at its first sample."""
        self._container = _opened(self._path, self._demuxer)
        self._frames = _frames(self._container, self._path)
        self._rest, self._at = self._rest[:0], 0

    def _leap(self, at: int) -> None:
        """Go to a frame before sample ``at``, found by its time stamp; to the first where stamps do not tell."""
        index = self._index
        place = int(np.searchsorted(index.starts, at - _BEFORE * self.sample_rate, side="right")) - 1
        if place > 0 and index.stamped:
            stream = self._container.streams.audio[0]
            self._container.seek(int(index.stamps[place]), stream=stream, backward=True)
            self._frames = _frames(self._container, self._path)
            for stamp, samples in self._frames:
                found = int(np.searchsorted(index.stamps, stamp))
                if found >= len(index.stamps) or index.starts[found] > at:
                    break
                if index.stamps[found] == stamp and len(samples) == index.lengths[found]:
                    self._rest, self._at = samples, int(index.starts[found])
                    return
        self._container.close()
        self._begin()


def _opened(path: Path, demuxer: str) -> Any:
    """Open a container that has an audio stream."""
    try:
        import av
    except ImportError as error:
        raise AudioError(
            f"{path}: a kind of sound that only PyAV decodes; type: pip install 'protophone[m4a]', or convert it to WAV"
        ) from error
    try:
        container = av.open(f"file:{path}", format=demuxer, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise AudioError(
            f"{path}: not a sound file that can be decoded ({error.strerror}); convert it to WAV or FLAC, or leave it "
            "out"
        ) from error
    fault = None
    if not container.streams.audio:
        fault = "a file without sound; leave it out"
    elif container.streams.audio[0].codec_context is None:
        fault = "sound that is encrypted, or of a codec that FFmpeg does not decode; convert it to WAV or leave it out"
    if fault is not None:
        container.close()
        raise AudioError(f"{path}: {fault}")
    return container


def _frames(container: Any, path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """The decoded frames of the first audio stream: time stamps and float32 ``[sample, channel]``."""
    import av

    count = 0
    try:
        for frame in container.decode(container.streams.audio[0]):
            yield _UNSTAMPED if frame.pts is None else frame.pts, _samples(frame)
            count += frame.samples
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioError(
            f"{path}: broken, cut off or encrypted, {count} samples on ({getattr(error, 'strerror', error)}); copy it "
            "again or leave it out"
        ) from error


def _samples(frame: Any) -> np.ndarray:
    """Samples of a frame in [-1, 1], float32 ``[sample, channel]``."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    scale = 2.0 ** (8 * values.dtype.itemsize - 1)
    return ((values - (scale if values.dtype.kind == "u" else 0.0)) / scale).astype(np.float32)


@lru_cache(maxsize=2**12)
def _indexed(path: Path, demuxer: str, size: int, changed: int) -> _Index:  # noqa: ARG001 - they tell versions apart
    """Decode a file once: containers of these kinds count no samples, or not those that are decoded."""
    kept: list[tuple[int, int, int]] = []
    count = longest = 0
    stamped, before = True, _UNSTAMPED
    with _opened(path, demuxer) as container:
        stream = container.streams.audio[0]
        shape = None
        for stamp, samples in _frames(container, path):
            found = (stream.codec_context.sample_rate, samples.shape[1])
            if shape not in {None, found}:
                raise AudioError(f"{path}: its rate or channels change after {count} samples; convert it to WAV")
            shape = found
            stamped, before = stamped and stamp > before, stamp
            if not kept or count - kept[-1][0] >= found[0]:
                kept.append((count, len(samples), stamp))
            count += len(samples)
            longest = max(longest, len(samples))
        rate, channels = shape or (1, 1)
        if demuxer == "mov" and stream.duration:  # an edit list says how much of the last frame is padding
            edited = round(stream.duration * stream.time_base * rate)
            if 0 < count - edited < 2 * longest:
                count = edited
        codec = stream.codec_context.name
    return _Index(rate, channels, count, codec, stamped, *np.array(kept or [(0, 0, 0)], np.int64).T)
