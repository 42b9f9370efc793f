"""Pitch errors by one loop over frames: slow, shares nothing with the package."""

import math


def frames_of(reference, estimate):
    """Pairs of Hz of the frames that both tracks have."""
    return [(float(one), float(other)) for one, other in zip(reference, estimate, strict=False)]


def errors(pairs_of_recordings):
    """GPE, VDE, FFE, RMSE in Hz and in cents of all frames of all recordings in a row; None where nothing is voiced."""
    frames = both = gross = voicing = 0
    hz = cents = 0.0
    for reference, estimate in pairs_of_recordings:
        for one, other in frames_of(reference, estimate):
            frames += 1
            if (one > 0) != (other > 0):
                voicing += 1
            elif one > 0:
                both += 1
                gross += abs(other / one - 1) > 0.2
                hz += (other - one) ** 2
                cents += (1200 * math.log2(other / one)) ** 2
    return {
        "gpe": gross / both if both else None,
        "vde": voicing / frames,
        "ffe": (gross + voicing) / frames,
        "rmse_hz": math.sqrt(hz / both) if both else None,
        "rmse_cents": math.sqrt(cents / both) if both else None,
    }


def correlation(pairs_of_recordings, *, contour):
    """Pearson's correlation of log F0 of frames voiced in both; ``contour`` takes each recording's mean off first."""
    xs, ys = [], []
    for reference, estimate in pairs_of_recordings:
        voiced = [(math.log(a), math.log(b)) for a, b in frames_of(reference, estimate) if a > 0 and b > 0]
        if contour and voiced:
            mean_x = math.fsum(x for x, _ in voiced) / len(voiced)
            mean_y = math.fsum(y for _, y in voiced) / len(voiced)
            voiced = [(x - mean_x, y - mean_y) for x, y in voiced]
        xs += [x for x, _ in voiced]
        ys += [y for _, y in voiced]
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    xy = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return xy / math.sqrt(math.fsum((x - mean_x) ** 2 for x in xs) * math.fsum((y - mean_y) ** 2 for y in ys))
