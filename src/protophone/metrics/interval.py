"""How far a figure would move with other recordings: the bootstrap, and the difference of two systems by it.

It is Rubin's (1981, The Bayesian Bootstrap): each draw gives every recording a weight drawn from the exponential
distribution instead of counting how often it was drawn with replacement. Both give the same spread, but no draw loses
a recording, so that ABX keeps its cells and a speaker his speech. The weights of a recording depend on its name and the
seed alone: any two figures on the same recordings are paired, whoever computed them, and when.

For a difference that property is a trap: what one recording in a hundred makes alone has one sign in every draw. Its
interval reaches as far to either side as to the further one, by which it takes six recordings that differ alike to
call a difference real, as many as in a sign test; and it is widened as Student's t is for few recordings (Hesterberg
2015, What teachers should know about the bootstrap). ``benchmarks/differences.py`` says how often equal systems are
called different so, and by the plain interval.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from protophone.errors import InputError

__all__ = [
    "DRAWS",
    "LEAST_PAIRED",
    "LEAST_SPEAKERS",
    "Estimate",
    "Paired",
    "difference",
    "estimate",
    "ratio",
    "speakers_of",
    "weights_of",
]

DRAWS = 1000
LEVEL = 0.95
LEAST_SPEAKERS = 20  # fewer tell too little of other speakers for an interval over them
LEAST_PAIRED = 6  # recordings: fewer may all differ alike by chance, once in 2**(n - 1), more often than in 5 %


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure, and what it would be in each draw of recordings: ``draws`` float64 ``[draw]``.

    ``names`` are what was drawn, recordings or speakers.
    """

    value: float
    draws: np.ndarray
    names: tuple[str, ...]

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the draws lie in it, as many below as above."""
        tail = (1 - LEVEL) / 2
        # a quantile that is one of the draws: interpolating between infinities would give no number
        low, high = np.quantile(self.draws, [tail, 1 - tail], method="inverted_cdf")
        return float(low), float(high)


class Paired(Estimate):
    """The difference of two figures, drawn alike."""

    @property
    def interval(self) -> tuple[float, float]:
        """As far to either side as 95 % of the draws lie to the further one, and further for few recordings."""
        from scipy.special import ndtri, stdtrit  # quantiles of the normal and of Student's distribution

        low, high = super().interval
        n, side = len(self.names), 1 - (1 - LEVEL) / 2
        # draws spread by 1 / sqrt(n + 1) of the deviation over n, not by 1 / sqrt(n) of that over n - 1
        few = math.sqrt((n + 1) / (n - 1)) * float(stdtrit(n - 1, side) / ndtri(side))
        reach = few * max(self.value - low, high - self.value)
        return self.value - reach, self.value + reach


def weights_of(names: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Weights float64 ``[draw, name]`` of recordings, or of each recording's speaker: equal names, equal weights."""
    column = {
        name: np.random.default_rng([seed, *hashlib.sha256(name.encode()).digest()]).standard_exponential(draws)
        for name in dict.fromkeys(names)
    }
    return np.stack([column[name] for name in names], axis=1) if names else np.empty((draws, 0))


def estimate(
    statistic: Callable[[np.ndarray], np.ndarray], names: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """A figure with its interval over ``names``, one a recording.

    ``statistic`` gives for weights float64 ``[draw, recording]`` the figure of each draw, ``[draw]``; weights are
    positive and only their ratios may count. The figure itself is that of equal weights. Raises ``InputError`` where
    there is no recording, or the figure is no number.
    """
    if not names:
        raise InputError("no recordings to measure; was everything left out?")
    value = float(statistic(np.ones((1, len(names))))[0])
    if np.isnan(value):
        raise InputError(f"a figure of {len(names)} recordings is no number; do they hold what is measured?")
    drawn = np.asarray(statistic(weights_of(names, draws=draws, seed=seed)), np.float64)
    if np.isnan(drawn).any():
        raise InputError(
            f"a figure of {len(names)} recordings is no number in {np.isnan(drawn).sum()} of {draws} draws; does it "
            "rest on next to nothing?"
        )
    return Estimate(value, drawn, tuple(dict.fromkeys(names)))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The statistic ``sum(numerator) / sum(denominator)`` of two numbers a recording, ``[recording]``.

    Means over recordings have ones below, rates over frames or words their counts. Nothing below is infinite, nothing
    on either side no number. Raises ``InputError`` where the two do not pair.
    """
    over, under = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    if over.shape != under.shape or over.ndim != 1:
        raise InputError(f"counts of shapes {over.shape} and {under.shape}; give one number a recording in both")

    def statistic(weights: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (weights @ over) / (weights @ under)

    return statistic


def speakers_of(speakers: Sequence[str]) -> Sequence[str]:
    """The speaker of each recording, for intervals over speakers; ``InputError`` where they are too few for one."""
    found = len(set(speakers))
    if found < LEAST_SPEAKERS:
        raise InputError(
            f"{found} speakers: an interval over speakers needs {LEAST_SPEAKERS}, for fewer say little of other "
            "speakers; take the interval over recordings, which holds for these speakers alone"
        )
    return speakers


def difference(one: Estimate, other: Estimate) -> Paired:
    """How much higher ``one`` is than ``other`` on the same recordings, paired: both are drawn alike.

    The difference is real where the interval excludes zero. Raises ``InputError`` where the recordings differ, are
    fewer than 6, or both figures are infinite.
    """
    if set(one.names) != set(other.names) or len(one.draws) != len(other.draws):
        raise InputError(
            f"figures on {len(one.names)} and {len(other.names)} recordings that are not the same; measure both "
            "systems on the same recordings to compare them"
        )
    if len(one.names) < LEAST_PAIRED:
        raise InputError(
            f"figures on {len(one.names)} recordings: whether a difference is real takes {LEAST_PAIRED} or more, for "
            "fewer may all differ alike by chance; measure on more recordings"
        )
    with np.errstate(invalid="ignore"):
        value, draws = one.value - other.value, one.draws - other.draws
    if np.isnan(value) or np.isnan(draws).any():
        raise InputError("figures that are infinite in the same draws, so their difference is no number")
    return Paired(value, draws, one.names)
