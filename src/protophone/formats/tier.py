"""A tier: labelled stretches of one recording, one after another, as Praat and ELAN show them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from protophone.errors import InputError

__all__ = ["SAME_TIME", "Interval", "Tier", "check_tiers", "in_order"]

Interval = tuple[float, float, str]  # start and end in seconds, label

SAME_TIME = 1e-6  # seconds: times nearer than this are one time, rounded differently


@dataclass(frozen=True)
class Tier:
    """``intervals`` of ``(start, end, label)`` in seconds, in order and apart; ``InputError`` where they are not.

    ``mended`` counts, by "what: reason", all that was trimmed or skipped of the tier as its file has it.
    """

    name: str
    intervals: list[Interval]
    mended: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_text(f"tier name {self.name!r}", self.name)
        last = 0.0
        for start, end, label in self.intervals:
            if not (math.isfinite(start) and math.isfinite(end) and start < end):
                raise InputError(
                    f"tier {self.name!r}: an interval from {start} to {end} s; it must end after it starts"
                )
            if start < last - SAME_TIME:
                before = "the recording" if last == 0 else f"the one before it ends ({last} s)"
                raise InputError(
                    f"tier {self.name!r}: an interval starts at {start} s, before {before}; sort or trim it"
                )
            _check_text(f"tier {self.name!r}: label {label!r}", label)
            last = end


def in_order(intervals: Iterable[Interval], *, rounding: float = SAME_TIME) -> tuple[list[Interval], Counter[str]]:
    """Bring the intervals of a real file in order: skip those without length, trim those that overlap.

    Where two overlap the earlier one is kept whole, and the later one begins at its end. Overlaps of at most
    ``rounding`` seconds stay.

    Returns
    -------
    The intervals in order of time, and how many were trimmed or skipped, by "what: reason".

    """
    kept: list[Interval] = []
    mended: Counter[str] = Counter()
    last = 0.0
    for start, end, label in sorted(intervals):
        if end <= start:
            mended[f"intervals: they end {'where' if end == start else 'before'} they start"] += 1
        elif end <= 0:
            mended["intervals: they lie before the recording"] += 1
        elif end <= last:
            mended["intervals: another interval covers them"] += 1
        elif start < last - rounding:
            before = "another interval ends after they start" if kept else "they start before the recording"
            mended[f"parts of intervals: {before}"] += 1
            kept.append((last, end, label))
        else:
            kept.append((max(start, 0.0), end, label))
        last = max(last, end)
    return kept, mended


def check_tiers(tiers: Sequence[Tier], duration: float, path: object) -> None:
    """``InputError``, naming the file to be written, unless ``tiers`` lie within ``duration`` seconds."""
    if not (math.isfinite(duration) and duration > 0):
        raise InputError(f"{path}: a recording of {duration} s holds no tiers; leave it out")
    if not tiers:
        raise InputError(f"{path}: no tiers to write; give at least one")
    for tier in tiers:
        if tier.intervals and tier.intervals[-1][1] > duration + SAME_TIME:
            raise InputError(
                f"{path}: tier {tier.name!r} ends at {tier.intervals[-1][1]} s, the recording at {duration} s; "
                "trim its last interval"
            )


def _check_text(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{what} is not valid Unicode; rename the file or label it comes from") from None
