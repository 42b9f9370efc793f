"""What an ABX error was measured on: its interval, its cells, and what was left out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from protophone.metrics.abx.cells import Cells, Groups
from protophone.metrics.interval import Estimate

__all__ = ["ABXResult"]

_COUNTS = (
    "cells_scored",
    "triplets",
    "tokens",
    "missing",
    "short",
    "cut",
    "tokens_not_drawn",
    "x_not_drawn",
    "without_x",
)


@dataclass(frozen=True, eq=False)
class ABXResult:
    """An ABX error as a fraction, with its settings and the counts of what it was measured on and what was left out.

    ``tokens`` were compared in ``triplets`` and ``cells_scored`` cells. Left out were: items of absent recordings
    (``missing``), items past the features (``short``), tokens and speakers of X that were not drawn
    (``tokens_not_drawn``, ``x_not_drawn``: cells), and phones A and B in one context by one speaker with no X to them
    (``without_x``). ``cut`` tokens lost a frame or two at the end of their features.
    """

    estimate: Estimate
    speaker: str
    context: str
    distance: str
    frame_rate: float
    max_size_group: int | None
    max_x_across: int | None
    seed: int
    triplets: int
    tokens: int
    missing: int
    short: int
    cut: int
    tokens_not_drawn: int
    groups: Groups
    scored: Cells
    errors: np.ndarray

    @property
    def error(self) -> float:
        """The error, a fraction."""
        return self.estimate.value

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval over recordings."""
        return self.estimate.interval

    @property
    def cells_scored(self) -> int:
        """How many cells were averaged."""
        return len(self.errors)

    @property
    def x_not_drawn(self) -> int:
        """Cells of speakers of X that were not drawn."""
        return self.scored.not_drawn

    @property
    def without_x(self) -> int:
        """Pairs of A and B in one context by one speaker that found no X."""
        return self.scored.without_x

    @property
    def cells(self) -> np.ndarray:
        """Every cell, a structured array: phones A and B, neighbours (empty for any), speakers, triplets, error."""
        groups = self.groups
        x, a, b = self.scored.groups.T
        same = (x == a).astype(np.int64)
        sizes = groups.sizes
        return _table(
            phone_a=groups.phones[groups.phone[a]],
            phone_b=groups.phones[groups.phone[b]],
            previous=groups.contexts[groups.context[a], 0],
            following=groups.contexts[groups.context[a], 1],
            speaker=groups.speakers[groups.speaker[a]],
            speaker_x=groups.speakers[groups.speaker[x]],
            triplets=sizes[x] * (sizes[a] - same) * sizes[b],
            error=self.errors,
        )

    def by_phone_pair(self) -> np.ndarray:
        """Every ordered pair of phones, a structured array; the mean of its errors is the error."""
        cells = self.cells
        pairs, pair = np.unique(cells[["phone_a", "phone_b"]], return_inverse=True)
        share = self.scored.share
        return _table(
            phone_a=pairs["phone_a"],
            phone_b=pairs["phone_b"],
            cells=np.bincount(pair),
            triplets=np.bincount(pair, cells["triplets"]).astype(np.int64),
            error=np.bincount(pair, share * self.errors) / np.bincount(pair, share),
        )

    def as_dict(self) -> dict[str, Any]:
        """Error and interval, settings and counts, as JSON writes them."""
        settings = ("speaker", "context", "distance", "frame_rate", "max_size_group", "max_x_across", "seed")
        return {"error": self.error, "interval": list(self.interval)} | {
            name: getattr(self, name) for name in (*settings, *_COUNTS)
        }


def _table(**columns: np.ndarray) -> np.ndarray:
    rows = np.empty(len(columns["error"]), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        rows[name] = column
    return rows
