"""Which phones a stretch of a recording holds: time counted in whole microseconds, all recordings in a row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protophone.errors import InputError
from protophone.metrics.alignment import Segment

__all__ = ["Segments", "microseconds"]

_INSTANT = 1e-6  # seconds
_ENOUGH = 30_000  # microseconds of a phone that make it a part of a fragment, or half of it where that is less


def microseconds(seconds: Iterable[float]) -> np.ndarray:
    """Times as int64, so that edges that are equal in the files are equal here."""
    return np.rint(np.asarray(list(seconds), np.float64) * 1e6).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments (phones or words) of some recordings, sorted by recording and time, ``[segment]`` each.

    ``recording`` int64 indexes ``recordings``; ``start`` and ``end`` int64 are microseconds of the recording;
    ``symbol`` int64 indexes ``symbols``.
    """

    recordings: tuple[str, ...]
    symbols: tuple[str, ...]
    recording: np.ndarray
    start: np.ndarray
    end: np.ndarray
    symbol: np.ndarray

    @classmethod
    def of(
        cls,
        segments: Mapping[str, Sequence[Segment]],
        recordings: Sequence[str] | None = None,
        leave_out: Iterable[str] = (),
        what: str = "phones",
    ) -> "Segments":
        """Sorts ``(start, end, label)`` in seconds of each recording; ``recordings`` says which, and their order.

        Those that last no time or have a label in ``leave_out`` are dropped. ``InputError`` for one within another.
        """
        names = sorted(segments) if recordings is None else list(recordings)
        dropped = frozenset(leave_out)
        rows = [
            (index, start, end, symbol)
            for index, name in enumerate(names)
            for start, end, symbol in segments.get(name, ())
            if symbol not in dropped and not 0 <= end - start < _INSTANT
        ]
        recording = np.array([row[0] for row in rows], np.int64)
        start, end = microseconds(row[1] for row in rows), microseconds(row[2] for row in rows)
        symbols = tuple(sorted({row[3] for row in rows}))
        known = {name: index for index, name in enumerate(symbols)}
        symbol = np.array([known[row[3]] for row in rows], np.int64)
        order = np.lexsort((end, start, recording))
        out = cls(tuple(names), symbols, recording[order], start[order], end[order], symbol[order])
        out._check(what)
        return out

    def _check(self, what: str) -> None:
        wrong = np.flatnonzero(self.end <= self.start)
        same = self.recording[1:] == self.recording[:-1]
        within = same & ((self.start[1:] <= self.start[:-1]) | (self.end[1:] <= self.end[:-1]))
        for found, cause in ((wrong, "end before they start"), (np.flatnonzero(within) + 1, "lie within one another")):
            if len(found):
                name, at = self.recordings[self.recording[found[0]]], self.start[found[0]] / 1e6
                raise InputError(
                    f"{name}: {what} that {cause}, {len(found)} in all, the first at {at} s; give an alignment of one "
                    "segment after another"
                )

    def __len__(self) -> int:
        return len(self.start)

    def overlapping(
        self, recording: np.ndarray, onset: np.ndarray, offset: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """First segment and one past the last that share any time with each stretch ``[stretch]``, in microseconds."""
        # one recording behind another on a single line of time, so that one search serves them all
        room = int(max(self.end.max(initial=0), offset.max(initial=0))) + 1
        first = np.searchsorted(self.end + self.recording * room, onset + recording * room, side="right")
        past = np.searchsorted(self.start + self.recording * room, offset + recording * room, side="left")
        return first, np.maximum(first, past)

    def held(self, recording: np.ndarray, onset: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First segment and one past the last of which each stretch holds 30 ms or half: its transcription."""
        first, past = self.overlapping(recording, onset, offset)
        any_held = first < past
        first = first + (any_held & ~self._enough(first, onset, offset))
        any_held = first < past
        past = past - (any_held & ~self._enough(past - 1, onset, offset))
        return first, past

    def _enough(self, segment: np.ndarray, onset: np.ndarray, offset: np.ndarray) -> np.ndarray:
        at = np.clip(segment, 0, max(len(self) - 1, 0))
        shared = np.minimum(self.end[at], offset) - np.maximum(self.start[at], onset)
        return (shared >= _ENOUGH) | (2 * shared >= self.end[at] - self.start[at])

    def texts(self, first: np.ndarray, past: np.ndarray) -> list[str]:
        """The symbols of each span as a string, one character a symbol: equal where the transcriptions are."""
        line = "".join(chr(_LETTERS + index) for index in self.symbol.tolist())
        return [line[a:b] for a, b in zip(first.tolist(), past.tolist(), strict=True)]

    def letters(self, symbols: Iterable[str]) -> str:
        """The characters that stand for ``symbols`` in ``texts``, of those that occur."""
        wanted = frozenset(symbols)
        return "".join(chr(_LETTERS + index) for index, name in enumerate(self.symbols) if name in wanted)


_LETTERS = 0x10000  # no surrogates from here on; there is room for a million symbols
