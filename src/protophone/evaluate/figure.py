"""A figure as it is reported: a value with its interval, what it was measured on, and the settings it hangs on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from protophone.errors import InputError
from protophone.metrics.interval import Estimate, speakers_of

__all__ = ["Better", "Figure", "Found", "LeftOut", "Over", "counted", "drawn_over", "estimated"]

Better = Literal["lower", "higher", ""]
Over = Literal["recordings", "speakers"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Figure:
    """One number of a table.

    ``name`` says which measure in full (never just "bit rate"), ``unit`` in what: ``share`` is a fraction, shown in
    percent. ``count`` recordings (or speakers: ``over``) it rests on. ``protocol`` holds the settings without which the
    number cannot be compared. Where there is no interval, ``note`` says why.
    """

    name: str
    value: float
    unit: str
    better: Better = ""
    count: int = 0
    over: str = "recordings"
    estimate: Estimate | None = None
    interval: tuple[float, float] | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def key(self) -> str:
        """Equal for figures that measure the same thing in the same way."""
        return json.dumps([self.name, self.unit, self.protocol], sort_keys=True, default=str)

    def shown(self, value: float) -> str:
        """A number in this figure's unit, as tables print it."""
        if self.unit == "share":
            return f"{100 * value:.2f} %"
        digits = (
            0 if abs(value) >= 1000 or self.unit in _WHOLE else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
        )
        return f"{value:.{digits}f}{' ' + self.unit if self.unit else ''}"

    def row(self) -> tuple[str, str, str, str, str]:
        """Name, value, interval, count and note, for a table."""
        between = ""
        if self.interval is not None:
            between = " to ".join(
                self.shown(bound).removesuffix(self.unit).removesuffix(" %").strip() for bound in self.interval
            )
        counted = f"{self.count} {self.over}" if self.count else ""
        return self.name, self.shown(self.value), between, counted, self.note


_WHOLE = {"units", "recordings", "triplets"}
_ALIKE = 1e-12  # of a figure: rounding


@dataclass(frozen=True)
class LeftOut:
    """How many of what did not count, and why; ``examples`` name a few."""

    what: str
    count: int
    reason: str
    examples: tuple[str, ...] = ()

    def line(self) -> str:
        """One line that says so."""
        named = ", ".join(self.examples)
        if self.what == "measures":
            return f"not measured: {named}: {self.reason}" if named else f"not measured: {self.reason}"
        more = ", ..." if self.count > len(self.examples) else ""
        return f"left out: {self.count} {self.what}: {self.reason}{f' ({named}{more})' if named else ''}"


@dataclass(kw_only=True)
class Found:
    """What one measure found: figures, what did not count, and the settings it states."""

    figures: list[Figure] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def add(self, other: "Found") -> None:
        """Takes over what another measure found."""
        self.figures += other.figures
        self.left_out += other.left_out
        self.settings |= other.settings


def drawn_over(ids: Sequence[str], speakers: Sequence[str | None], over: Over) -> Sequence[str]:
    """What intervals are over, one a recording: its id, or its speaker where all are named and there are enough."""
    if over == "recordings":
        return ids
    known = [speaker for speaker in speakers if speaker]
    if len(known) < len(ids):
        unknown = next(name for name, speaker in zip(ids, speakers, strict=True) if not speaker)
        raise InputError(f"{unknown}: its speaker is not named; an interval over speakers needs all of them")
    return speakers_of(known)


def estimated(
    name: str,
    estimate: Estimate,
    unit: str,
    *,
    better: Better = "",
    over: str = "recordings",
    protocol: Mapping[str, Any] | None = None,
    interval: tuple[float, float] | None = None,
    note: str = "",
) -> Figure:
    """A figure with an interval: the bootstrap's, unless another is given and ``note`` says which.

    Where all draws are alike, of one recording or of a share of all, they say nothing of chance: there is none.
    """
    if interval is None and np.ptp(estimate.draws) > _ALIKE * max(1.0, abs(estimate.value)):
        interval = estimate.interval
    elif interval is None:
        note = "; ".join(filter(None, (note, "all draws alike, so no interval")))
    return Figure(
        name=name,
        value=estimate.value,
        unit=unit,
        better=better,
        count=len(estimate.names),
        over=over,
        estimate=estimate,
        interval=interval,
        protocol=protocol or {},
        note=note,
    )


def counted(
    name: str, value: float, unit: str, note: str, *, better: Better = "", protocol: Mapping[str, Any] | None = None
) -> Figure:
    """A figure without an interval; ``note`` says why it has none."""
    return Figure(name=name, value=float(value), unit=unit, better=better, protocol=protocol or {}, note=note)
