"""How far WAV and Ogg files go: decoders take one that was cut off for a shorter one, its container tells.

A WAV says at its head how many bytes of sound follow. An Ogg file is made of pages of known length, the last of which
should be marked as such; what common recorders write (Android's, Telegram's) is not marked, so a page that is whole
and ends the file is taken for the last one, too. A file cut exactly between two pages is therefore not noticed.
"""

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["Unclosed", "is_unclosed", "missing"]

_PAGE = 27 + 255 + 255 * 255  # bytes of the longest Ogg page
_LAST_PAGE = 4  # the bit of an Ogg page header
_HEADER = 44  # bytes of a plain WAV header, which some writers count with the sound


def missing(path: Path) -> str | None:
    """What a file that was cut off lacks, in words; None where nothing is, or its container does not tell."""
    try:
        with path.open("rb", buffering=0) as file:
            magic = file.read(4)
            if magic == b"OggS":
                return _missing_pages(file)
            if magic in {b"RIFF", b"RIFX", b"RF64"}:
                return _missing_sound(file)
    except OSError:
        return None  # what the system says against reading it is told where it is decoded
    return None


def is_unclosed(path: Path) -> bool:
    """Whether a WAV says that it holds nothing because its writer never came back to say how much it does."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return False
        whole = int.from_bytes(file.read(4), "little")
        size = os.fstat(file.fileno()).st_size
        start, count = _sound(file)
        return count == 0 and size > start and whole + 8 != size  # a size that is right says that it was closed


class Unclosed(io.FileIO):
    """A WAV that ``is_unclosed``, with the mark in its head by which libsndfile knows that sound goes on to its end."""

    _MARK = (8).to_bytes(4, "little")  # "the file ends behind the word WAVE", at byte 4

    def readinto(self, buffer: Any) -> int:
        """Bytes from the file, those of the mark in their place."""
        at = self.tell()
        count = super().readinto(buffer) or 0
        for place in range(max(at, 4), min(at + count, 8)):
            buffer[place - at : place - at + 1] = self._MARK[place - 4 : place - 3]
        return count


def _missing_pages(file: BinaryIO) -> str | None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _PAGE))
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return f"no Ogg page begins in its last {len(tail)} bytes"
    page = tail[at:]
    lacing = page[27 : 27 + page[26]] if len(page) > 26 else b""
    length = 27 + len(lacing) + sum(lacing)
    if len(page) < 27 or len(lacing) < page[26] or len(page) < length:
        return "it ends within an Ogg page"
    if len(page) > length and not page[5] & _LAST_PAGE:
        return f"the last {len(page) - length} bytes are no Ogg page"
    return None


def _missing_sound(file: BinaryIO) -> str | None:
    start, count = _sound(file)
    # who writes to a pipe cannot know: 0, or just below 2 or 4 GiB (sox, ffmpeg, arecord), stands for "to the end"
    if count is None or (count + 2**13) % 2**31 <= 2**13:
        return None
    there = file.seek(0, os.SEEK_END) - start
    if there >= count - _HEADER:
        return None
    return f"it has {max(there, 0)} of the {count} bytes of sound that its header counts"


def _sound(file: BinaryIO) -> tuple[int, int | None]:
    """Where the sound of a WAV begins, and how many bytes its header says it takes; None where it does not say."""
    file.seek(0)
    magic = file.read(12)[:4]
    order: Any = "big" if magic == b"RIFX" else "little"
    large = None  # the size in a RF64, where 32 bits may not do
    while len(head := file.read(8)) == 8:
        count = int.from_bytes(head[4:], order)
        start = file.tell()
        if head[:4] == b"data":
            return start, large if magic == b"RF64" and count == 2**32 - 1 else count
        if head[:4] == b"ds64":
            large = int.from_bytes(file.read(16)[8:], order)
        file.seek(start + count + count % 2)  # chunks begin at even bytes
    return file.tell(), None
