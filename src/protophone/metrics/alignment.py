"""The phones of a recording as an aligner or a person marked them: stretches of time, each with its label.

Times come from files of two decimals or from samples over a rate, so that what is meant to be equal differs in its
last digits: within a microsecond, times are one time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protophone.errors import InputError

__all__ = ["SAME", "UNLABELLED", "Phones", "Segment"]

Segment = tuple[float, float, str]  # start and end in seconds, label

SAME = 1e-6  # seconds
UNLABELLED = ""  # the label of time that has none: what some formats fill gaps with
_OVERLAP = 1e-3  # seconds that rounding may make neighbours overlap, or leave between them


@dataclass(frozen=True, eq=False)
class Phones:
    """Labelled stretches in order of time: ``starts`` and ``ends`` float64 ``[phone]`` in seconds, and ``labels``."""

    starts: np.ndarray
    ends: np.ndarray
    labels: tuple[str, ...]

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> "Phones":
        """``segments`` in order; ``InputError`` where one ends before it starts, or two overlap.

        Stretches that last no time are dropped: nothing is said in them.
        """
        ordered = sorted(segment for segment in segments if not 0 <= segment[1] - segment[0] < SAME)
        starts = np.array([start for start, _, _ in ordered], np.float64)
        ends = np.array([end for _, end, _ in ordered], np.float64)
        for index, (start, end, label) in enumerate(ordered):
            if not 0 <= start < end < np.inf:
                raise InputError(f"{label!r} from {start} to {end} s; a stretch of an alignment ends after it starts")
            if index and start < ends[index - 1] - _OVERLAP:
                raise InputError(
                    f"{label!r} from {start} s overlaps {ordered[index - 1][2]!r}, which ends at {ends[index - 1]} s; "
                    "give one tier, with one label at a time"
                )
        return cls(starts, ends, tuple(label for _, _, label in ordered))

    def at(self, times: np.ndarray) -> np.ndarray:
        """Which stretch holds each of ``times`` (its start included, its end not), int64 ``[time]``; -1 for none."""
        index = np.searchsorted(self.starts, times + SAME, side="right") - 1
        inside = (index >= 0) & (times + SAME < np.append(self.ends, -np.inf)[index])
        return np.where(inside, index, -1)

    def adjoin(self) -> np.ndarray:
        """Whether each stretch but the last meets the next without time between them, bool ``[phone - 1]``."""
        return self.starts[1:] - self.ends[:-1] <= _OVERLAP
