"""Completeness of sound files, from their containers: decoders take a file that was cut off for a shorter one.

Most containers say at the head of a chunk how many bytes of sound follow. An Ogg file is made of pages of known
length, the last of which should be marked as such; what common recorders write (Android's, Telegram's) is not marked,
so a page that is whole and ends the file is taken for the last one, too. A file cut exactly between two pages is
therefore not noticed.
"""

import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

__all__ = ["Unclosed", "is_unclosed", "missing", "wav_data"]

_PAGE = 27 + 255 + 255 * 255  # bytes of the longest Ogg page
_LAST_PAGE = 4  # the bit of an Ogg page header
_SOX = 0x7F000000 + 8  # bytes that sox counts in an AIFF written to a pipe
_HEADER = 44  # bytes of a plain WAV header, which some writers count with the sound


def missing(path: Path) -> str | None:
    """What a file that was cut off lacks, in words; None where nothing is, or its container does not tell."""
    try:
        with path.open("rb", buffering=0) as file:
            magic = file.read(16)
            return next((check(file) for start, check in _CHECKS if re.match(start, magic, re.DOTALL)), None)
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
    return None if count is None else _lacking(file, start, count)


def _lacking(file: BinaryIO, start: int, count: int) -> str | None:
    """Return the lack of a file whose header counts ``count`` bytes of sound from byte ``start``, in words."""
    # who writes to a pipe cannot know: 0, or just below 2 or 4 GiB (sox, ffmpeg, arecord), stands for "to the end"
    if (count + 2**13) % 2**31 <= 2**13 or count == _SOX or count >= 2**63:
        return None
    there = file.seek(0, os.SEEK_END) - start
    if there >= count - _HEADER:
        return None
    return f"it has {max(there, 0)} of the {count} bytes of sound that its header counts"


def _chunks(
    file: BinaryIO, at: int, name: int, size: int, order: Literal["big", "little"], *, inclusive: bool, align: int = 1
) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and length of the content of each chunk from byte ``at``; those behind the last may be cut off.

    A chunk begins with ``name`` bytes of name and ``size`` bytes of length, which may count these bytes
    (``inclusive``).
    """
    file.seek(at)
    while len(head := file.read(name + size)) == name + size:
        count = int.from_bytes(head[name:], order) - (len(head) if inclusive else 0)
        yield head[:name], at + len(head), count
        if count < 0:
            return
        at += -(-(len(head) + count) // align) * align
        file.seek(at)


def _missing_form(file: BinaryIO) -> str | None:
    """AIFF: chunks of even length, of which SSND holds the sound."""
    for name, start, count in _chunks(file, 12, 4, 4, "big", inclusive=False, align=2):
        if name == b"SSND":
            return _lacking(file, start, count)
    return None


def _missing_au(file: BinaryIO) -> str | None:
    file.seek(0)
    head = file.read(12)
    order: Any = "big" if head[:4] == b".snd" else "little"
    return _lacking(file, int.from_bytes(head[4:8], order), int.from_bytes(head[8:12], order))


def _missing_caf(file: BinaryIO) -> str | None:
    for name, start, count in _chunks(file, 8, 4, 8, "big", inclusive=False):
        if name == b"data":
            return _lacking(file, start, count)
    return None


def _missing_w64(file: BinaryIO) -> str | None:
    for name, start, count in _chunks(file, 40, 16, 8, "little", inclusive=True, align=8):
        if name[:4] == b"data":
            return _lacking(file, start, count)
    return None


def _missing_nist(file: BinaryIO) -> str | None:
    file.seek(0)
    head = file.read(16)
    start = int(size) if (size := head[8:16].strip()).isdigit() else 1024
    fields = dict(re.findall(rb"(\w+) -(?:i|s\d+) (\d+)", head + file.read(min(start, 2**16))))
    keys = (b"sample_count", b"sample_n_bytes", b"channel_count")
    if not fields.keys() >= {*keys} or any(len(fields[key]) > 18 for key in keys):
        return None
    count = int(fields[keys[0]]) * int(fields[keys[1]]) * int(fields[keys[2]])
    return _lacking(file, start, count)


def _missing_voc(file: BinaryIO) -> str | None:
    """Creative's: blocks of a byte of kind and three of length."""
    file.seek(20)
    for name, start, count in _chunks(file, int.from_bytes(file.read(2), "little"), 1, 3, "little", inclusive=False):
        if name == b"\0":
            return None
        if lack := _lacking(file, start, count):
            return lack
    return None


def _missing_boxes(file: BinaryIO) -> str | None:
    """MP4, 3GP and QuickTime: boxes, of which one must be the index."""
    at, end, found = 0, file.seek(0, os.SEEK_END), set()
    while at < end:
        file.seek(at)
        head = file.read(16)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        size = int.from_bytes(head[8:16], "big") if size == 1 else size or end - at
        found.add(name)
        if size < 8:
            break
        if name in {b"mdat", b"moov", b"moof"} and at + size > end:
            return f"its part {name.decode()} has {end - at} of {size} bytes"
        at += size
    return None if b"moov" in found else "it has no index (moov), which a recorder writes last"


def _missing_segment(file: BinaryIO) -> str | None:
    """WebM and Matroska: a header, then one segment."""
    at, end = 0, file.seek(0, os.SEEK_END)
    for _ in range(2):
        file.seek(at)
        head = file.read(12)
        if len(head) < 12 or not head[4]:
            return "it ends within its header"
        wide = 9 - head[4].bit_length()  # bytes of the size
        size = int.from_bytes(head[4 : 4 + wide], "big") & (1 << 7 * wide) - 1
        if size == (1 << 7 * wide) - 1:  # written to a pipe
            return None
        at += 4 + wide + size
    return f"it has {end} of {at} bytes" if at > end else None


def _missing_objects(file: BinaryIO) -> str | None:
    """WMA: a header object, then one of data, then indexes."""
    end = file.seek(0, os.SEEK_END)
    for name, start, count in _chunks(file, 0, 16, 8, "little", inclusive=True):
        if start + count > end and name[:4] in {b"\x30\x26\xb2\x75", b"\x36\x26\xb2\x75"}:
            return f"it has {end - start} of {count} bytes of sound"
    return None


def _missing_riff(file: BinaryIO) -> str | None:
    """AVI: the size of the whole file."""
    file.seek(0)
    count = int.from_bytes(file.read(8)[4:], "little")
    return _lacking(file, 8, count)


_CHECKS: tuple[tuple[bytes, Callable[[BinaryIO], str | None]], ...] = (  # by the first bytes of a file
    (rb"OggS", _missing_pages),
    (rb"RIFF....AVI ", _missing_riff),
    (rb"RIFF|RIFX|RF64", _missing_sound),
    (rb"FORM....AIF[FC]", _missing_form),
    (rb"\.snd|dns\.", _missing_au),
    (rb"caff", _missing_caf),
    (rb"riff\x2e\x91\xcf\x11", _missing_w64),
    (rb"NIST_1A", _missing_nist),
    (rb"Creative Voice F", _missing_voc),
    (rb"....ftyp", _missing_boxes),
    (rb"\x1a\x45\xdf\xa3", _missing_segment),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _missing_objects),
)


def _sound(file: BinaryIO) -> tuple[int, int | None]:
    """Where the sound of a WAV begins, and how many bytes its header says it takes; None where it does not say."""
    _, start, count = wav_data(file)
    return start, count


def wav_data(file: BinaryIO) -> tuple[int, int, int | None]:
    """Find the sound of a WAV: its format tag, its first byte, and its bytes by the header, None if not counted."""
    file.seek(0)
    magic = file.read(12)[:4]
    order: Any = "big" if magic == b"RIFX" else "little"
    kind, large = 0, None  # the size in a RF64, where 32 bits may not do
    while len(head := file.read(8)) == 8:
        count = int.from_bytes(head[4:], order)
        start = file.tell()
        if head[:4] == b"data":
            return kind, start, large if magic == b"RF64" and count == 2**32 - 1 else count
        if head[:4] == b"ds64":
            large = int.from_bytes(file.read(16)[8:], order)
        if head[:4] == b"fmt ":
            kind = int.from_bytes(file.read(2), order)
        file.seek(start + count + count % 2)  # chunks begin at even bytes
    return kind, file.tell(), None
