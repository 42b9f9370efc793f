"""Whether units change where phones do: precision, recall, F1, over-segmentation and R-value at a tolerance.

A unit boundary lies midway between the centres of two frames of different units; a phone boundary where a label ends or
begins. The ends of what an alignment covers are the recording's: what lies within the tolerance of one counts for
neither.

* **Precision**, **recall**, **F1**: of the boundaries that pair off at 20 ms or nearer, each with one of the other kind
  at most. Pairing the earliest that fit finds the most pairs there can be: all reach equally far, so that a boundary
  that could pair with a later one is needed there no more than any other. Counting instead, for each boundary, whether
  there is *some* other nearby credits one boundary twice and rewards units that change at each frame.
* **Over-segmentation**: boundaries found over boundaries there are, less 1 (recall over precision, less 1).
* **R-value** (Räsänen, Laine and Altosaar 2009): ``1 - (|r1| + |r2|) / 2`` with ``r1`` the distance from recall 1 and
  over-segmentation 0, ``r2 = (recall - 1 - over-segmentation) / sqrt(2)``. Units that change at each frame find every
  phone; by this they pay for the rest.

Counts are added up over recordings. Edges between a phone and a label that is ignored (silence, what the aligner did
not recognise) count: a phone begins or ends there. Those between two ignored labels do not, nor do unit boundaries
further than the tolerance into ignored or unlabelled time, where nobody knows the phones; they are counted as left out.
``ignore=()`` scores silence like a phone.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from protophone.errors import InputError
from protophone.metrics.alignment import SAME, UNLABELLED, Phones, Segment
from protophone.metrics.interval import DRAWS, Estimate, estimate, ratio
from protophone.metrics.symbols import check_names
from protophone.metrics.units import IGNORED

__all__ = ["BoundaryFit", "boundary_fit", "matches", "phone_boundaries", "r_value", "unit_boundaries"]

TOLERANCE = 0.02  # seconds


@dataclass(frozen=True, eq=False)
class BoundaryFit:
    """Unit boundaries against phone boundaries within ``tolerance`` seconds of each other.

    ``units`` and ``phones`` count the boundaries of either that were scored, ``matched`` the pairs among them;
    ``left_out`` unit boundaries lay where no phone is known. ``without`` recordings had no phone boundary: they were
    not scored, and their unit boundaries are among those left out.
    """

    precision: Estimate
    recall: Estimate
    f1: Estimate
    over_segmentation: Estimate
    r_value: Estimate
    units: int
    phones: int
    matched: int
    left_out: int
    recordings: int
    without: int
    tolerance: float
    ignored: tuple[str, ...]


def boundary_fit(
    codes: Sequence[np.ndarray],
    centres: Sequence[np.ndarray],
    segments: Sequence[Sequence[Segment]],
    names: Sequence[str],
    *,
    tolerance: float = TOLERANCE,
    ignore: Collection[str] = IGNORED,
    draws: int = DRAWS,
    seed: int = 0,
) -> BoundaryFit:
    """Scores the changes of ``codes`` (``[frame]``, or ``[frame, codebook]``) whose frames lie at ``centres`` seconds.

    Raises ``InputError`` where there is no boundary of either kind to score.
    """
    check_names(names, codes=codes, centres=centres, segments=segments)
    if not 0 <= tolerance < np.inf:
        raise InputError(f"a tolerance of {tolerance} seconds; give 0 or more")
    counts = np.zeros((3, len(names)), np.int64)
    left_out = 0
    for index, row in enumerate(zip(codes, centres, segments, strict=True)):
        phones = Phones.of(row[2])
        found, there = unit_boundaries(*row[:2]), phone_boundaries(row[2], ignore=ignore)
        there = there[_within(there, phones, tolerance)]
        scored = found[_within(found, phones, tolerance) & _known(found, phones, tolerance, ignore)]
        scored = scored if len(there) else scored[:0]
        left_out += len(found) - len(scored)
        counts[:, index] = matches(scored, there, tolerance), len(scored), len(there)
    hits, units, there = counts
    for what, total in (("unit", units.sum()), ("phone", there.sum())):
        if not total:
            raise InputError(
                f"no {what} boundary to score in {len(names)} recordings ({left_out} unit boundaries lay where no "
                "phone is known); do units change, and does the alignment name phones of these recordings?"
            )
    recall, over = ratio(hits, there), ratio(units - there, there)
    precision, f1 = ratio(hits, units), ratio(2 * hits, units + there)

    def found_of(statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        return estimate(statistic, names, draws=draws, seed=seed)

    return BoundaryFit(
        precision=found_of(precision),
        recall=found_of(recall),
        f1=found_of(f1),
        over_segmentation=found_of(over),
        r_value=found_of(lambda weights: r_value(recall(weights), over(weights))),
        units=int(units.sum()),
        phones=int(there.sum()),
        matched=int(hits.sum()),
        left_out=left_out,
        recordings=int((there > 0).sum()),
        without=int((there == 0).sum()),
        tolerance=tolerance,
        ignored=tuple(sorted(ignore)),
    )


def unit_boundaries(codes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Seconds midway between frames of different units, float64 ``[boundary]``, of ``codes`` at ``centres``."""
    if len(centres) != len(codes) or (np.diff(centres) <= 0).any():
        raise InputError(f"{len(centres)} centres of {len(codes)} frames; give each frame its time, one after another")
    changes = codes[1:] != codes[:-1]
    at = np.flatnonzero(changes if changes.ndim == 1 else changes.any(axis=1))
    return (np.asarray(centres, np.float64)[at] + np.asarray(centres, np.float64)[at + 1]) / 2


def phone_boundaries(segments: Sequence[Segment], *, ignore: Collection[str] = IGNORED) -> np.ndarray:
    """Seconds where a phone begins or ends, float64 ``[boundary]``, each once, without the ends of the alignment."""
    phones = Phones.of(segments)
    spoken = _spoken(phones, ignore)
    ends = phones.ends[:-1][spoken[:-1] | (spoken[1:] & phones.adjoin())]
    starts = phones.starts[1:][spoken[1:] & ~phones.adjoin()]
    return np.sort(np.concatenate([ends, starts]))


def matches(one: np.ndarray, other: np.ndarray, tolerance: float = TOLERANCE) -> int:
    """The most pairs of times, ascending, no further apart than ``tolerance`` (included), each time in one at most."""
    first, second = one.tolist(), other.tolist()
    here = there = pairs = 0
    while here < len(first) and there < len(second):
        apart = first[here] - second[there]
        near = abs(apart) <= tolerance + SAME
        pairs += near
        here += near or apart < 0
        there += near or apart > 0
    return pairs


def r_value(recall: np.ndarray, over_segmentation: np.ndarray) -> np.ndarray:
    """Räsänen et al.'s (2009) R-value of a recall and an over-segmentation, both fractions; 1 is perfect."""
    r1 = np.hypot(1 - recall, over_segmentation)
    r2 = (recall - 1 - over_segmentation) / np.sqrt(2)
    return 1 - (np.abs(r1) + np.abs(r2)) / 2


def _spoken(phones: Phones, ignore: Collection[str]) -> np.ndarray:
    return np.array([label not in {UNLABELLED, *ignore} for label in phones.labels], bool)


def _within(times: np.ndarray, phones: Phones, tolerance: float) -> np.ndarray:
    """Whether each of ``times`` is further than the tolerance inside what the alignment covers."""
    if not len(phones.starts):
        return np.zeros(len(times), bool)
    return (phones.starts[0] + tolerance + SAME < times) & (times < phones.ends[-1] - tolerance - SAME)


def _known(times: np.ndarray, phones: Phones, tolerance: float, ignore: Collection[str]) -> np.ndarray:
    """Whether each of ``times`` is in a phone or within the tolerance of one."""
    spoken = _spoken(phones, ignore)
    starts, ends = phones.starts[spoken], phones.ends[spoken]
    # the last phone to begin no later than a tolerance from now is the one that could still last, for none overlap
    index = np.searchsorted(starts, times + tolerance + SAME, side="right") - 1
    return (index >= 0) & (times - tolerance - SAME <= np.append(ends, -np.inf)[index])
