"""A tier: labelled stretches of one recording, one after another, as Praat and ELAN show them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from protophone.errors import InputError

__all__ = ["SAME_TIME", "Tier", "check_tiers"]

SAME_TIME = 1e-6  # seconds: times nearer than this are one time, rounded differently


@dataclass(frozen=True)
class Tier:
    """``intervals`` of ``(start, end, label)`` in seconds, in order and apart; ``InputError`` where they are not."""

    name: str
    intervals: list[tuple[float, float, str]]

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
