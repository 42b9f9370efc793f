"""How far a figure would move with other recordings: the bootstrap over clips."""

import numpy as np

from protophone.errors import InputError

__all__ = ["DRAWS", "bootstrap_ratio"]

DRAWS = 2000
_BLOCK = 4_000_000  # clip multiplicities held at once


def bootstrap_ratio(
    numerator: np.ndarray, denominator: np.ndarray, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Interval of ``sum(numerator) / sum(denominator)`` when whole clips are drawn anew, with replacement.

    Both are ``[clip]``, paired: a draw takes a clip into both sums or into neither. The interval runs between the
    ``(1 - level) / 2`` quantiles of ``draws`` draws; the same ``seed`` gives the same interval. A draw whose
    denominator is zero counts as infinite. Raises ``InputError`` where there is no clip or the counts differ.
    """
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    if numerator.shape != denominator.shape or numerator.ndim != 1 or not len(numerator):
        raise InputError(
            f"counts of shapes {numerator.shape} and {denominator.shape}: a bootstrap over clips needs one number a "
            "clip in both, for one clip or more"
        )
    rng = np.random.default_rng(seed)
    clips = len(numerator)
    share = np.full(clips, 1 / clips)
    ratios = np.empty(draws)
    step = max(1, _BLOCK // clips)
    for at in range(0, draws, step):
        times = rng.multinomial(clips, share, size=min(step, draws - at))
        below = times @ denominator
        ratios[at : at + len(times)] = np.where(below > 0, times @ numerator / np.where(below > 0, below, 1), np.inf)
    # a quantile that is one of the draws: interpolating between infinities would give no number
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(low), float(high)
