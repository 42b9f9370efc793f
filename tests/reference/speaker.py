"""Equal error rate, slowly: every threshold is tried on a list of trials, each counted as often as it weighs."""

from itertools import pairwise


def equal_error_rate(trials: list[tuple[float, bool, int]]) -> float:
    """Where the broken line of (false, missed) crosses the diagonal; trials are (score, is it a target, how often)."""
    scores = sorted({score for score, _, _ in trials})
    thresholds = [*scores, scores[-1] + 1]
    targets = sum(times for _, target, times in trials if target)
    impostors = sum(times for _, target, times in trials if not target)
    points = []
    for threshold in thresholds:
        missed = sum(times for score, target, times in trials if target and score < threshold)
        accepted = sum(times for score, target, times in trials if not target and score >= threshold)
        points.append((accepted / impostors, missed / targets))
    for (false, missed), (next_false, next_missed) in pairwise(points):
        if missed <= false and next_missed >= next_false:
            low, high = 0.0, 1.0
            for _ in range(60):  # halving finds where on this stretch both are equal
                middle = (low + high) / 2
                gap = missed + middle * (next_missed - missed) - false - middle * (next_false - false)
                low, high = (middle, high) if gap < 0 else (low, middle)
            return missed + low * (next_missed - missed)
    raise AssertionError("the line goes from (1, 0) to (0, 1) and must cross")
