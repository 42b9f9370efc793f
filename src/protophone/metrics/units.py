"""What units are: how many are in use and how long they last, and how well they go with phones.

* **Perplexity**: 2 to the entropy of the units over frames, as if so many were used equally often.
* **Phone purity**: the share of frames right if every frame of a unit were called the unit's likeliest phone.
* **Unit purity** (HuBERT's cluster purity): the share of frames whose unit is the likeliest of their phone.
* **PNMI**: ``I(phone; unit) / H(phone)``, the share of what there is to know of the phone that the unit tells.

The last three are HuBERT's (Hsu et al. 2021, arXiv 2106.07447), over frames of all recordings together. All are plug-in
figures: phone purity and PNMI rise with the number of units and the fewer the frames, up to 1 where each frame is its
own unit; unit purity falls with more units. Compare at one number of units, on the same recordings.

Codes are ``[frame]`` for each recording, of one codebook; centres are the times in seconds of the same frames.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from protophone.errors import InputError
from protophone.metrics.alignment import UNLABELLED, Phones, Segment
from protophone.metrics.interval import DRAWS, Estimate, estimate, ratio
from protophone.metrics.symbols import Symbols, bits, centred, check_codes, check_names, entropy, histograms, weighted

__all__ = [
    "IGNORED",
    "PhoneFit",
    "RunDurations",
    "UnitUsage",
    "order_units",
    "perplexity",
    "phone_fit",
    "phone_purity",
    "pnmi",
    "run_durations",
    "unit_purity",
    "unit_usage",
]

IGNORED = ("SIL", "SPN")  # labels that are no phones: silence, and what the aligner did not recognise


@dataclass(frozen=True, eq=False)
class UnitUsage:
    """How often each unit occurs: ``counts`` int64 ``[unit]`` in frames, ``used`` of all units at least once."""

    perplexity: Estimate
    counts: np.ndarray
    used: int
    share_used: float
    recordings: int
    frames: int


@dataclass(frozen=True, eq=False)
class RunDurations:
    """How long units last before another follows: ``lengths`` says how many runs last so many frames.

    The mean is over runs of all recordings, in milliseconds; ends of recordings cut runs short.
    """

    mean_ms: Estimate
    median_ms: float
    lengths: dict[int, int]
    recordings: int
    runs: int


@dataclass(frozen=True, eq=False)
class PhoneFit:
    """How units and phones go together: ``counts`` int64 ``[unit, phone]`` in frames, columns ``phones``, sorted.

    ``frames`` were counted, in ``recordings``; ``left_out`` says how many others had a label that is ``ignored``, or,
    under ``""``, none. ``without`` recordings had no frame to count.
    """

    phone_purity: Estimate
    unit_purity: Estimate
    pnmi: Estimate
    counts: np.ndarray
    phones: tuple[str, ...]
    recordings: int
    without: int
    frames: int
    left_out: dict[str, int]
    ignored: tuple[str, ...]


def unit_usage(
    codes: Sequence[np.ndarray], names: Sequence[str], *, size: int, draws: int = DRAWS, seed: int = 0
) -> UnitUsage:
    """Usage and perplexity of a codebook of ``size`` units over all frames, with its interval over recordings.

    How many units are used has no interval: every draw of recordings holds them all, and grows with the recordings.
    """
    symbols = _row(codes, names, size)
    rows = histograms(symbols.values, symbols.recording, symbols.recordings)
    counts = np.bincount(symbols.values, minlength=size)
    used = int((counts > 0).sum())
    return UnitUsage(
        perplexity=centred(estimate(lambda weights: 2 ** entropy(weights, rows), names, draws=draws, seed=seed)),
        counts=counts,
        used=used,
        share_used=used / size,
        recordings=len(names),
        frames=len(symbols.values),
    )


def run_durations(
    codes: Sequence[np.ndarray],
    names: Sequence[str],
    *,
    size: int,
    frame_seconds: float,
    draws: int = DRAWS,
    seed: int = 0,
) -> RunDurations:
    """Durations of runs of one unit on a grid of frames ``frame_seconds`` apart."""
    if not 0 < frame_seconds < np.inf:
        raise InputError(f"frames {frame_seconds} seconds apart; give the grid's hop over its sample rate")
    runs, lengths = _row(codes, names, size).runs()
    each = np.bincount(runs.recording, minlength=len(names))
    frames = np.bincount(runs.recording, weights=lengths, minlength=len(names))
    counted = Counter(lengths.tolist())
    return RunDurations(
        mean_ms=estimate(ratio(frames * frame_seconds * 1000, each), names, draws=draws, seed=seed),
        median_ms=float(np.median(lengths) * frame_seconds * 1000),
        lengths=dict(sorted(counted.items())),
        recordings=len(names),
        runs=len(lengths),
    )


def phone_fit(
    codes: Sequence[np.ndarray],
    centres: Sequence[np.ndarray],
    segments: Sequence[Sequence[Segment]],
    names: Sequence[str],
    *,
    size: int,
    ignore: Collection[str] = IGNORED,
    draws: int = DRAWS,
    seed: int = 0,
) -> PhoneFit:
    """Purities and PNMI of units on phones: a frame counts for the phone of ``segments`` that holds its centre.

    Recordings without an alignment have no segments: their frames are counted as left out. Raises ``InputError`` where
    no frame falls on a phone, or on one phone alone.
    """
    check_names(names, centres=centres, segments=segments)
    symbols = _row(codes, names, size)
    aligned = [Phones.of(row) for row in segments]
    labels = [UNLABELLED, *sorted({label for phones in aligned for label in phones.labels if label != UNLABELLED})]
    column = {label: index for index, label in enumerate(labels)}
    label = np.concatenate([_labels(*row, column) for row in zip(codes, centres, aligned, strict=True)])
    seen = np.bincount(label, minlength=len(labels))
    is_phone = (seen > 0) & ~np.isin(labels, [UNLABELLED, *ignore])
    phones = np.array(labels)[is_phone]
    if len(phones) < 2:
        raise InputError(
            f"{len(phones)} phones on the {len(label)} frames of {len(names)} recordings, the rest ignored or without "
            "a label; give an alignment of these recordings, and ignore fewer labels"
        )
    kept = is_phone[label]
    phone = (np.cumsum(is_phone) - 1)[label[kept]]
    cell = symbols.values[kept] * len(phones) + phone
    recording = symbols.recording[kept]
    pairs = _Pairs(np.unique(cell), len(phones), histograms(cell, recording, len(names)))

    def found_of(statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        return centred(estimate(statistic, names, draws=draws, seed=seed))

    return PhoneFit(
        phone_purity=found_of(pairs.phone_purity),
        unit_purity=found_of(pairs.unit_purity),
        pnmi=found_of(pairs.pnmi),
        counts=np.bincount(cell, minlength=size * len(phones)).reshape(size, len(phones)),
        phones=tuple(phones.tolist()),
        recordings=len(np.unique(recording)),
        without=len(names) - len(np.unique(recording)),
        frames=int(kept.sum()),
        left_out={labels[index]: int(seen[index]) for index in np.flatnonzero(seen * ~is_phone)},
        ignored=tuple(sorted(ignore)),
    )


def perplexity(counts: np.ndarray) -> float:
    """2 to the entropy in bits of ``counts`` ``[unit]``."""
    return float(2 ** bits(_checked(counts, 1)[:, None])[0])


def phone_purity(counts: np.ndarray) -> float:
    """Sum over units of the probability of the unit with its likeliest phone; ``counts`` are ``[unit, phone]``."""
    return _alone(counts, _Pairs.phone_purity)


def unit_purity(counts: np.ndarray) -> float:
    """Sum over phones of the probability of the phone with its likeliest unit; ``counts`` are ``[unit, phone]``."""
    return _alone(counts, _Pairs.unit_purity)


def pnmi(counts: np.ndarray) -> float:
    """``I(phone; unit) / H(phone)`` of ``counts`` ``[unit, phone]``; ``InputError`` where there is one phone alone."""
    if (np.asarray(counts).sum(axis=0) > 0).sum() < 2:
        raise InputError("frames of one phone alone: there is nothing to tell of it; give an alignment with several")
    return _alone(counts, _Pairs.pnmi)


def order_units(counts: np.ndarray) -> np.ndarray:
    """The units in use, those of one phone together and surest first, in the order of the phones, int64 ``[unit]``.

    Rows of ``counts`` ``[unit, phone]`` in this order make a heat map whose diagonal shows.
    """
    used = np.flatnonzero(counts.sum(axis=1))
    share = counts[used] / counts[used].sum(axis=1, keepdims=True)
    return used[np.lexsort((-share.max(axis=1), share.argmax(axis=1)))]


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Units and phones that occur together.

    ``cells`` int64 ``[pair]``, ascending, are ``unit * phones + phone``; ``rows`` their histograms
    ``[recording, pair]``. The methods are statistics of weights ``[draw, recording]``.
    """

    cells: np.ndarray
    phones: int
    rows: csr_array

    def phone_purity(self, weights: np.ndarray) -> np.ndarray:
        first = _firsts(self.cells // self.phones)
        return self._each(weights, lambda counts: np.maximum.reduceat(counts, first).sum(axis=0) / counts.sum(axis=0))

    def unit_purity(self, weights: np.ndarray) -> np.ndarray:
        by_phone = np.argsort(self.cells % self.phones, kind="stable")
        first = _firsts((self.cells % self.phones)[by_phone])
        return self._each(
            weights, lambda counts: np.maximum.reduceat(counts[by_phone], first).sum(axis=0) / counts.sum(axis=0)
        )

    def pnmi(self, weights: np.ndarray) -> np.ndarray:
        units = _firsts(self.cells // self.phones)
        by_phone = np.argsort(self.cells % self.phones, kind="stable")
        phones = _firsts((self.cells % self.phones)[by_phone])

        def of_block(counts: np.ndarray) -> np.ndarray:
            of_phone = bits(np.add.reduceat(counts[by_phone], phones))
            return (of_phone + bits(np.add.reduceat(counts, units)) - bits(counts)) / of_phone

        return self._each(weights, of_block)

    def _each(self, weights: np.ndarray, of_block: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        out = np.empty(len(weights))
        for block, counts in weighted(weights, self.rows):
            out[block] = of_block(counts)
        return out


def _firsts(groups: np.ndarray) -> np.ndarray:
    """Where each group begins among ``groups``, sorted."""
    return np.flatnonzero(np.diff(groups, prepend=-1))


def _alone(counts: np.ndarray, statistic: Callable[[_Pairs, np.ndarray], np.ndarray]) -> float:
    counts = _checked(counts, 2)
    cells = np.flatnonzero(counts)
    pairs = _Pairs(cells, counts.shape[1], csr_array(counts.reshape(1, -1)[:, cells].astype(np.float64)))
    return float(statistic(pairs, np.ones((1, 1)))[0])


def _checked(counts: np.ndarray, rank: int) -> np.ndarray:
    if counts.ndim != rank or not np.isfinite(counts).all() or (counts < 0).any() or not counts.sum() > 0:
        raise InputError(f"counts of shape {counts.shape}; give how often each occurs, from 0 on, with some above 0")
    return counts


def _row(codes: Sequence[np.ndarray], names: Sequence[str], size: int) -> Symbols:
    """All recordings' codes in a row."""
    check_names(names, codes=codes)
    check_codes(codes, size)
    lengths = [len(row) for row in codes]
    return Symbols(np.concatenate(codes).astype(np.int64), np.repeat(np.arange(len(codes)), lengths), len(codes))


def _labels(codes: np.ndarray, centres: np.ndarray, phones: Phones, column: Mapping[str, int]) -> np.ndarray:
    """The ``column`` of the label at each frame's centre, that of ``UNLABELLED`` where there is none."""
    if np.shape(centres) != codes.shape:
        raise InputError(f"{np.shape(centres)} centres of {codes.shape} frames; give each frame its time in seconds")
    return np.array([column[label] for label in (*phones.labels, UNLABELLED)])[phones.at(centres)]
