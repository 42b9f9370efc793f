"""How far apart two tokens are: frame by frame along the best alignment, or as strings of symbols.

``angular`` is the angle between two frames over pi, the field's "cosine" distance; a frame of zeros has no direction,
so it is as far as can be, 1, from every other frame and 0 from another of zeros. ``euclidean`` is the distance of two
frames, ``kl_symmetric`` the mean of the Kullback-Leibler divergences of two posteriors both ways,
1e-6 added under the logarithms; ``identical`` is 0 for equal frames and 1 for others. These four are summed along the
cheapest alignment (dynamic time warping), and divided by the length of its path. ``levenshtein`` is the edit distance
of the two strings of symbols, one symbol a frame as they are given, runs and all, over the length of the longer string:
as ZeroSpeech 2019 does it for symbols. Collapse runs before, at the price of the times of the tokens, for other rates.
"""

from typing import Literal, get_args

import numpy as np

from protophone.errors import InputError

__all__ = ["DISTANCES", "Distance", "prepare"]

Distance = Literal["angular", "euclidean", "kl_symmetric", "identical", "levenshtein"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)
_KL_FLOOR = 1e-6


def prepare(parts: list[np.ndarray], distance: Distance) -> np.ndarray:
    """The frames ``[frame, dim]`` of all recordings as the compiled loops read them: one float32 ``[frame, dim]``.

    Unit vectors for angles, ``[p, log p]`` for KL, the number of the symbol ``[frame, 1]`` where only identity counts.
    Raises ``InputError`` for negative numbers under KL, and for more symbols than float32 can number.
    """
    if distance in {"identical", "levenshtein"}:
        frames = np.concatenate(parts)
        rows = frames[:, 0] if frames.shape[1] == 1 else frames
        symbols = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1, 1)
        if symbols.max() >= 2**24:
            raise InputError(f"{symbols.max() + 1} different frames are no symbols; use angular or euclidean")
        return np.ascontiguousarray(symbols, np.float32)
    if distance == "angular":
        return _directions(parts)
    if distance == "kl_symmetric":
        if any((part < 0).any() for part in parts):
            raise InputError("symmetric KL needs posteriors; these features have negative values: use angular")
        parts = [np.concatenate([part, np.log(part.astype(np.float64) + _KL_FLOOR)], axis=1) for part in parts]
    return np.concatenate([part.astype(np.float32, copy=False) for part in parts])


def _directions(parts: list[np.ndarray]) -> np.ndarray:
    units = []
    for part in parts:
        scale = np.abs(part).max(axis=1, keepdims=True).astype(np.float64)  # squares of very large numbers overflow
        scaled = part / np.where(scale > 0, scale, 1)
        norm = np.sqrt(np.einsum("fd,fd->f", scaled, scaled))[:, None]
        units.append((scaled / np.where(norm > 0, norm, 1)).astype(np.float32))
    frames = np.concatenate(units)
    zero = ~frames.any(axis=1)
    if not zero.any():
        return frames
    # one more dimension, in which zeros lie further from unit vectors than these can from each other: clipped to 1
    return np.concatenate([frames, np.where(zero, 2, 0).astype(np.float32)[:, None]], axis=1)
