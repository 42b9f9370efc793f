"""MPEG audio whose header does not count its frames: libmpg123 then guesses the length from the size of the file.

libsndfile takes that guess for the length, and reads no further.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from protophone.containers import wav_data

__all__ = ["Frames", "Lengthened", "uncounted"]

_SEARCHED = 2**16  # bytes in which a first frame must lie
_MPEG_TAGS = {0x50, 0x55}  # WAV's numbers of layers I and II, and of III
_TAG = 128  # bytes
_LONGER = 64  # times: bit rates differ by 40 at most
_RATES = (44100, 48000, 32000)
_LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_BITRATES = {  # kbit/s by the index 1 to 14, for layer and whether it is MPEG-1 (not 2 or 2.5)
    (3, True): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (3, False): _LOW,
    (2, True): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (2, False): _LOW,
}


@dataclass(frozen=True)
class Frames:
    """The MPEG frames of a file: the bytes from ``start`` to ``end``."""

    start: int
    end: int


@dataclass(frozen=True)
class _Header:
    """A frame header of layer II or III: length in bytes, and bytes before the main data."""

    length: int
    side: int

    @classmethod
    def of(cls, data: bytes) -> "_Header | None":
        """Parse four bytes; None if they are no such header."""
        if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
            return None
        version, layer, bits, rate = data[1] >> 3 & 3, 4 - (data[1] >> 1 & 3), data[2] >> 4, data[2] >> 2 & 3
        if version == 1 or layer not in {2, 3} or not 1 <= bits <= 14 or rate == 3:
            return None
        first = version == 3
        hertz = _RATES[rate] // (1 if first else 2 if version == 2 else 4)
        samples = 1152 if first or layer == 2 else 576
        length = samples // 8 * 1000 * _BITRATES[layer, first][bits - 1] // hertz + (data[2] >> 1 & 1)
        mono = data[3] >> 6 == 3
        side = (17 if mono else 32) if first else (9 if mono else 17)
        return cls(length, 4 + side)


def _alike(one: bytes, other: bytes) -> bool:
    """Return whether two frame headers are of one version, layer and rate."""
    return one[:1] == other[:1] and one[1] & 0xFE == other[1] & 0xFE and one[2] & 0x0C == other[2] & 0x0C


def uncounted(path: Path) -> Frames | None:
    """Find the frames of an MP3, also within a WAV, whose header does not count all of them.

    None if the file is something else or counts them.
    """
    try:
        with path.open("rb") as file:
            return _uncounted(file)
    except (OSError, ValueError):
        return None  # opening it for decoding fails too, with more to say


def _uncounted(file: BinaryIO) -> Frames | None:
    start, end = 0, file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    within = head[:4] == b"RIFF" and head[8:] == b"WAVE"
    if within:
        kind, start, count = wav_data(file)
        if kind not in _MPEG_TAGS:
            return None
        end = min(end, start + count) if count else end
    else:
        while head[:3] == b"ID3" and len(head) == 12:
            size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            start += 10 + size + (10 if head[5] & 0x10 else 0)
            file.seek(start)
            head = file.read(12)
        if head[:1] not in {b"\xff", b"\0"} and not start:  # another kind of file
            return None
    file.seek(start)
    found = _first(file.read(_SEARCHED))
    if found is None:
        return None
    at, header = start + found[0], found[1]
    tag = _tag(file, at, header)
    if not within and _counts(file, at, tag):
        return None
    return Frames(at + (header.length if tag else 0), end)


def _first(data: bytes) -> tuple[int, _Header] | None:
    """Find the first frame that another one follows: its place in ``data`` and its header."""
    at = data.find(b"\xff")
    while at >= 0:
        if header := _Header.of(data[at : at + 4]):
            following = data[at + header.length : at + header.length + 4]
            if _Header.of(following) and _alike(data[at:], following):
                return at, header
        at = data.find(b"\xff", at + 1)
    return None


def _tag(file: BinaryIO, at: int, header: _Header) -> bytes:
    """Return the rest of the frame at byte ``at`` from Xing's or VBRI's tag on; empty if it has none, but sound."""
    file.seek(at)
    frame = file.read(header.length)
    for place in (header.side, header.side + 2, 36):  # behind a checksum, if there is one
        if frame[place : place + 4] in {b"Xing", b"Info", b"VBRI"}:
            return frame[place:]
    return b""


def _counts(file: BinaryIO, at: int, tag: bytes) -> bool:
    """Return whether the tag of the first frame, at byte ``at``, counts all frames of the file."""
    if tag[:4] == b"VBRI":
        return True
    flags = int.from_bytes(tag[4:8], "big")
    if not flags & 1 or int.from_bytes(tag[8:12], "big") == 0:
        return False
    if not flags & 2:
        return True
    file.seek(at + int.from_bytes(tag[12:16], "big"))
    behind = file.read(_SEARCHED)  # another file's frames, joined to it, are not counted
    return not (behind.startswith(b"ID3") or _first(behind))


class Lengthened(io.RawIOBase):
    """The MPEG frames of a file, which says that it is much longer, so that libmpg123's guess is never too short."""

    def __init__(self, path: Path, frames: Frames) -> None:
        super().__init__()
        self._frames = frames
        self._size = _LONGER * (frames.end - frames.start)
        self._at = 0
        self._file = path.open("rb")

    def readinto(self, buffer: Any) -> int:
        """Read bytes into ``buffer``; return how many."""
        view = memoryview(buffer).cast("B")
        place = self._frames.start + self._at
        self._file.seek(place)
        data = self._file.read(max(0, min(len(view), self._frames.end - place)))
        if self._at >= self._size - _TAG:  # libmpg123 looks for a tag there, and must find something
            data = bytes(min(len(view), self._size - self._at))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte; return its place."""
        self._at = offset + (0 if whence == io.SEEK_SET else self._at if whence == io.SEEK_CUR else self._size)
        return self._at

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._at

    def frames_left(self) -> bool:
        """Return whether whole frames lie behind the last byte that was read."""
        self._file.seek(self._frames.start + self._at)
        return _first(self._file.read(max(0, self._frames.end - self._file.tell()))) is not None

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
