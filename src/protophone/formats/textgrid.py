"""Praat TextGrids: written in the long text format, read in the long and the short one.

Praat reads a text file as a stream of free-standing numbers, quoted strings and flags, and skips every other word;
doing the same here reads both formats, the short one being the long one without the words. The header differs between
versions of Praat: ``File type = "ooTextFile"`` or ``"ooTextFile short"``, with and without quotes, before the class.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from protophone.errors import InputError
from protophone.files import read_text, write_text
from protophone.formats.tier import SAME_TIME, Interval, Tier, check_tiers, in_order

__all__ = ["read_textgrid", "write_textgrid"]

_CURE = "save it in Praat as a text file (UTF-8 or UTF-16) again"
_HEADER = re.compile(
    r"""\A\s*[^\n]*ooTextFile[^\n]*\n"""  # Praat takes any first line that holds this word
    r"""(?:\s*![^\n]*\n)*\s*(?:Object\s+class\s*=\s*)?"?TextGrid(?: \d+)?"?(?=\s)"""
)
_DIGITS = 15  # of a count; Python refuses to read very long numbers
_TOKEN = re.compile(
    r"""(?P<text>"[^"]*(?:""[^"]*)*")(?=\s|\Z)"""
    r"""|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?=\s|\Z)"""
    r"""|(?P<flag><\w+>)(?=\s|\Z)"""
    r"""|(?P<open>")"""
    r"""|![^\n]*"""  # a comment
    r"""|[^\s"][^\s]*"""  # a word for human readers
)


def write_textgrid(path: str | Path, tiers: Sequence[Tier], duration: float) -> None:
    """Writes ``tiers`` of a recording of ``duration`` seconds as a Praat TextGrid (long text format, UTF-8).

    What no interval covers is filled with intervals without a label, since Praat's tiers have no gaps. ``InputError``
    for a tier that lasts longer than the recording.
    """
    check_tiers(tiers, duration, path)
    end = repr(float(duration))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, tier in enumerate(tiers, start=1):
        intervals = _filled(tier, float(duration))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(tier.name)}"]
        lines += ["        xmin = 0", f"        xmax = {end}", f"        intervals: size = {len(intervals)}"]
        for count, (start, stop, label) in enumerate(intervals, start=1):
            lines.append(f"        intervals [{count}]:")
            lines += [f"            xmin = {start!r}", f"            xmax = {stop!r}"]
            lines.append(f"            text = {_quoted(label)}")
    write_text(path, "\n".join(lines) + "\n")


def read_textgrid(path: str | Path) -> list[Tier]:
    """Return the tiers of a TextGrid in Praat's long or short text format, UTF-8 or UTF-16.

    Intervals without a label are gaps, and left out. Intervals of real files that overlap or have no length are trimmed
    or skipped, and counted in ``Tier.mended``; a point tier holds no interval, and its points are counted there.
    ``InputError`` with file and line for anything that is not a TextGrid.
    """
    path = Path(path)
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a TextGrid") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: neither UTF-8 nor UTF-16 ({error}); {_CURE}") from None
    header = _HEADER.match(text)
    if header is None:
        binary = text.startswith("ooBinaryFile")
        raise InputError(f"{path}:1: {'a binary TextGrid' if binary else 'not a TextGrid'}; {_CURE}")
    stream = _Stream(path, text, header.end())
    stream.number(), stream.number()
    tiers = []
    for _ in range(stream.count() if stream.flag() == "<exists>" else 0):
        kind, name = stream.text(), stream.text()
        stream.number(), stream.number()
        size = stream.count()
        intervals: list[Interval] = []
        if kind == "TextTier":
            for _ in range(size):
                stream.number(), stream.text()
            mended = Counter({"points: they have no length": size} if size else {})
        elif kind == "IntervalTier":
            found = ((stream.number(), stream.number(), stream.text()) for _ in range(size))
            intervals, mended = in_order(interval for interval in found if interval[2].strip())
        else:
            raise stream.error(f"a tier of class {kind!r}")
        try:
            tiers.append(Tier(name, intervals, mended))
        except InputError as error:
            raise InputError(f"{path}:{stream.line}: {error}") from None
    return tiers


def _filled(tier: Tier, duration: float) -> list[tuple[float, float, str]]:
    """The intervals and the gaps around them, each starting exactly where the one before it ends."""
    out: list[tuple[float, float, str]] = []
    at = 0.0
    for start, end, label in tier.intervals:
        if start - at > SAME_TIME:
            out.append((at, float(start), ""))
            at = float(start)
        stop = duration if abs(end - duration) <= SAME_TIME else float(end)
        out.append((at, stop, label))
        at = stop
    if at < duration:
        out.append((at, duration, ""))
    return out


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


class _Stream:
    """The numbers, strings and flags of a file in turn, and the line the last of them stands on."""

    def __init__(self, path: Path, text: str, at: int) -> None:
        self._path, self._text, self._at = path, text, at
        self._tokens = self._scan(at)
        self.line = 1 + text.count("\n", 0, at)

    def _scan(self, at: int) -> Iterator[re.Match[str]]:
        for match in _TOKEN.finditer(self._text, at):
            if match["open"]:
                self._move(match.start())
                raise self.error("a quoted text that does not close")
            if match["text"] or match["number"] or match["flag"]:
                yield match

    def _move(self, at: int) -> None:
        self.line += self._text.count("\n", self._at, at)
        self._at = at

    def error(self, fault: str) -> InputError:
        return InputError(f"{self._path}:{self.line}: {fault}; {_CURE}")

    def _next(self, kind: str, what: str) -> str:
        match = next(self._tokens, None)
        if match is None:
            raise self.error(f"the file ends where {what} is due")
        self._move(match.start())
        if match[kind] is None:
            raise self.error(f"{match[0]} where {what} is due")
        return match[0]

    def text(self) -> str:
        return self._next("text", "a quoted text")[1:-1].replace('""', '"')

    def number(self) -> float:
        token = self._next("number", "a number")
        if not math.isfinite(number := float(token)):
            raise self.error(f"{token[:20]} where a time is due")
        return number

    def count(self) -> int:
        token = self._next("number", "a count")
        if not token.isdigit() or len(token) > _DIGITS:
            raise self.error(f"{token[:20]} where a count is due")
        return int(token)

    def flag(self) -> str:
        return self._next("flag", "<exists> or <absent>")
