"""Boundary scores the slow way: matching by augmenting paths, the R-value in per cent as published."""

import math


def matches(one, other, tolerance):
    """Size of a maximum matching of times no further apart than ``tolerance`` (a microsecond is nothing)."""
    partner = {}

    def pairs_off(here, tried):
        for there, time in enumerate(other):
            if abs(one[here] - time) <= tolerance + 1e-6 and there not in tried:
                tried.add(there)
                if there not in partner or pairs_off(partner[there], tried):
                    partner[there] = here
                    return True
        return False

    return sum(pairs_off(here, set()) for here in range(len(one)))


def r_value(hits, found, there):
    """Räsänen et al. 2009: hit rate and over-segmentation in per cent."""
    hit_rate, over = 100 * hits / there, 100 * (found / there - 1)
    r1 = math.sqrt((100 - hit_rate) ** 2 + over**2)
    r2 = (-over + hit_rate - 100) / math.sqrt(2)
    return 1 - (abs(r1) + abs(r2)) / 200
