"""Dynamic time warping between tokens: the cost of the cheapest alignment over the length of its path.

The compiled kernel is kept on disk between runs and works on as many threads as numba is given
(``NUMBA_NUM_THREADS``).
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal, get_args

import numba
import numpy as np

from protophone.errors import InputError

__all__ = ["DISTANCES", "Distance", "dtw_distances", "prepare"]

Distance = Literal["angular", "euclidean", "kl_symmetric", "identical"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)
_KL_FLOOR = 1e-6  # added to probabilities under the logarithm
_CHUNK = 4096  # pairs a thread takes at a time


def prepare(frames: np.ndarray, distance: Distance) -> np.ndarray:
    """Frames ``[frame, dim]`` as the kernel reads them, float32.

    Unit vectors for angles (a zero vector stands for the diagonal), ``[p, log p]`` for KL, the number of the symbol,
    ``[frame, 1]``, where only identity counts. Raises ``InputError`` for negative numbers under KL.
    """
    if distance == "angular":
        norm = np.linalg.norm(frames, axis=1, keepdims=True)
        frames = np.where(norm > 0, frames / np.where(norm > 0, norm, 1), 1 / np.sqrt(frames.shape[1]))
    elif distance == "kl_symmetric":
        if (frames < 0).any():
            raise InputError("symmetric KL needs posteriors; these features have negative values: use angular")
        frames = np.concatenate([frames, np.log(frames + _KL_FLOOR)], axis=1)
    elif distance == "identical":
        frames = np.unique(frames, axis=0, return_inverse=True)[1].reshape(-1, 1)
    return np.ascontiguousarray(frames, dtype=np.float32)


def dtw_distances(
    frames: np.ndarray, starts: np.ndarray, stops: np.ndarray, pairs: np.ndarray, distance: Distance
) -> np.ndarray:
    """Distance float32 ``[pair]`` of each pair of tokens, ``pairs`` int64 ``[pair, 2]``.

    Token *i* is ``frames[starts[i]:stops[i]]`` of what ``prepare`` gave; every token has a frame or more.
    """
    kind = DISTANCES.index(distance)
    out = np.empty(len(pairs), np.float32)

    def work(at: int) -> None:
        _dtw(frames, starts, stops, pairs[at : at + _CHUNK], kind, out[at : at + _CHUNK])

    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        list(pool.map(work, range(0, len(pairs), _CHUNK)))
    return out


@numba.njit(cache=True, fastmath=True, nogil=True)
def _frame_distance(frames: np.ndarray, i: int, j: int, kind: int) -> np.float32:
    dim = frames.shape[1]
    total = np.float32(0)
    if kind == 0:
        for d in range(dim):
            total += frames[i, d] * frames[j, d]
        return np.float32(np.arccos(min(max(total, np.float32(-1)), np.float32(1))) / np.float32(np.pi))
    if kind == 1:
        for d in range(dim):
            total += (frames[i, d] - frames[j, d]) ** 2
        return np.sqrt(total)
    if kind == 2:
        half = dim // 2
        for d in range(half):
            total += (frames[i, d] - frames[j, d]) * (frames[i, half + d] - frames[j, half + d])
        return np.float32(0.5) * total
    return np.float32(0) if frames[i, 0] == frames[j, 0] else np.float32(1)


@numba.njit(cache=True, nogil=True)
def _dtw(
    frames: np.ndarray, starts: np.ndarray, stops: np.ndarray, pairs: np.ndarray, kind: int, out: np.ndarray
) -> None:
    """Fills ``out``. Cost and path length are carried forward together.

    Of equally cheap steps the diagonal is taken, else that of the shorter path: the same both ways round.
    """
    longest = 0
    for p in range(len(pairs)):
        longest = max(longest, stops[pairs[p, 1]] - starts[pairs[p, 1]])
    cost = np.empty(longest, np.float32)
    steps = np.empty(longest, np.int64)
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        width = stops[j] - starts[j]
        for a in range(stops[i] - starts[i]):
            before, steps_before = np.float32(0), 0  # of the cell up and to the left
            for b in range(width):
                here = _frame_distance(frames, starts[i] + a, starts[j] + b, kind)
                length = 1
                up, steps_up = cost[b], steps[b]
                if a and b:
                    left = cost[b - 1]
                    if before <= up and before <= left:
                        here += before
                        length += steps_before
                    elif up < left or (up == left and steps_up <= steps[b - 1]):
                        here += up
                        length += steps_up
                    else:
                        here += left
                        length += steps[b - 1]
                elif a:
                    here += up
                    length += steps_up
                elif b:
                    here += cost[b - 1]
                    length += steps[b - 1]
                before, steps_before = up, steps_up
                cost[b], steps[b] = here, length
        out[p] = cost[width - 1] / steps[width - 1]
