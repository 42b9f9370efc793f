"""The compiled loops of ABX: distances between tokens, and answers that are wrong among them.

Importing this file imports numba, which takes a moment; the compiled kernels are kept on disk between runs.
"""

import numba
import numpy as np

__all__ = ["add_triplets", "compare", "count_wrong"]

_WIDTH = 512  # frames that one token is compared with at a time: they stay in the cache

# 2 asin(sqrt(q)) / (pi sqrt(q)) over 0 <= q <= 1/2, to 7e-8: a Chebyshev fit, highest power first
_ANGLE = tuple(
    np.float32(value)
    for value in (
        0.07127652177005077,
        -0.05987171877095537,
        0.04980207657467872,
        0.01007635697506543,
        0.02968953696815257,
        0.04766274894113257,
        0.1061053743979255,
        0.6366197639701836,
    )
)


@numba.njit(inline="always")
def _angle(squared_chord: np.float32) -> np.float32:
    """The angle between unit vectors over pi, from their squared distance: exactly zero between equal ones."""
    q = min(np.float32(0.25) * squared_chord, np.float32(1))
    small = min(q, np.float32(1) - q)
    value = np.float32(0)
    for coefficient in numba.literal_unroll(_ANGLE):
        value = value * small + coefficient
    value *= np.sqrt(small)
    return value if q <= np.float32(0.5) else np.float32(1) - value


@numba.njit(fastmath={"contract"})
def _frame_distances(
    frames: np.ndarray, start: int, stop: int, columns: np.ndarray, width: int, kind: int, out: np.ndarray
) -> None:
    """Fills ``out[frame of the token, column]``; each inner loop runs over columns, so that it is one of SIMD."""
    dim = frames.shape[1]
    for i in range(start, stop):
        row = out[i - start, :width]
        row[:] = 0
        x = frames[i]
        if kind == 2:  # symmetric KL of [p, log p]
            half = dim // 2
            for d in range(half):
                p, log_p, there, log_there = x[d], x[half + d], columns[d], columns[half + d]
                for m in range(width):
                    row[m] += np.float32(0.5) * (p - there[m]) * (log_p - log_there[m])
            continue
        if kind == 3:  # symbols
            for m in range(width):
                row[m] = np.float32(1) if columns[0, m] != x[0] else np.float32(0)
            continue
        whole = dim - dim % 4
        for d in range(0, whole, 4):
            x0, x1, x2, x3 = x[d], x[d + 1], x[d + 2], x[d + 3]
            c0, c1, c2, c3 = columns[d], columns[d + 1], columns[d + 2], columns[d + 3]
            for m in range(width):
                e0, e1, e2, e3 = x0 - c0[m], x1 - c1[m], x2 - c2[m], x3 - c3[m]
                row[m] += e0 * e0 + e1 * e1 + e2 * e2 + e3 * e3
        for d in range(whole, dim):
            x0, c0 = x[d], columns[d]
            for m in range(width):
                row[m] += (x0 - c0[m]) ** 2
        if kind == 0:
            for m in range(width):
                row[m] = _angle(row[m])
        else:
            for m in range(width):
                row[m] = np.sqrt(row[m])


@numba.njit
def _warp(
    apart: np.ndarray, height: int, left_edge: int, right_edge: int, cost: np.ndarray, steps: np.ndarray
) -> float:
    """Cost of the cheapest path through ``apart[:height, left_edge:right_edge]`` over the number of its cells.

    Of equally cheap steps the diagonal is taken, else that of the shorter path: the same both ways round.
    """
    infinite = np.float32(np.inf)
    width = right_edge - left_edge
    cost[: width + 1] = infinite
    steps[: width + 1] = 0
    cost[0] = 0
    for i in range(height):
        row = apart[i, left_edge:right_edge]
        corner, steps_corner = cost[0], steps[0]
        left, steps_left = infinite, np.float32(0)
        cost[0] = infinite
        for j in range(width):
            up, steps_up = cost[j + 1], steps[j + 1]
            from_up = (up < left) | ((up == left) & (steps_up <= steps_left))
            best = up if from_up else left
            steps_best = steps_up if from_up else steps_left
            straight = corner <= best
            left = row[j] + (corner if straight else best)
            steps_left = np.float32(1) + (steps_corner if straight else steps_best)
            corner, steps_corner = up, steps_up
            cost[j + 1], steps[j + 1] = left, steps_left
    return cost[width] / steps[width]


@numba.njit
def _edit(apart: np.ndarray, height: int, left_edge: int, right_edge: int, cost: np.ndarray) -> float:
    """Edit distance of two strings of symbols over the length of the longer one; ``apart`` is 1 where they differ."""
    width = right_edge - left_edge
    for j in range(width + 1):
        cost[j] = j
    for i in range(height):
        corner = cost[0]
        cost[0] = i + 1
        for j in range(width):
            up = cost[j + 1]
            cost[j + 1] = min(min(up, cost[j]) + 1, corner + apart[i, left_edge + j])
            corner = up
    return cost[width] / max(height, width)


@numba.njit(cache=True, nogil=True)
def compare(
    frames: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    first: np.ndarray,
    pairs: np.ndarray,
    begin: int,
    end: int,
    kind: int,
    out: np.ndarray,
) -> None:
    """Distances of all tokens of pairs ``begin`` to ``end`` of groups, into ``out``.

    ``pairs`` is int64 ``[pair, 3]``: two groups and where in ``out`` their ``[token of one, token of other]`` begins,
    ordered by the first. Group *g* is tokens ``first[g]`` up to ``first[g + 1]``, a token ``frames[start:stop]``.
    ``kind`` is the place in ``DISTANCES``: 0 angular, 1 euclidean, 2 symmetric KL, 3 identical, 4 Levenshtein.
    """
    longest = 0
    for p in range(begin, end):
        for g in pairs[p, :2]:
            for token in range(first[g], first[g + 1]):
                longest = max(longest, stops[token] - starts[token])
    columns = np.empty((frames.shape[1], _WIDTH + longest), np.float32)
    apart = np.empty((longest, _WIDTH + longest), np.float32)
    cost, steps = np.empty(longest + 1, np.float32), np.empty(longest + 1, np.float32)
    tokens = np.empty((_WIDTH, 3), np.int64)  # pair, place in its group, first column
    p, place = begin, 0
    while p < end:
        group = pairs[p, 0]
        count = width = 0
        while p < end and pairs[p, 0] == group and width < _WIDTH:
            token = first[pairs[p, 1]] + place
            tokens[count] = p, place, width
            for frame in range(starts[token], stops[token]):
                for d in range(frames.shape[1]):
                    columns[d, width] = frames[frame, d]
                width += 1
            count += 1
            place += 1
            if token + 1 == first[pairs[p, 1] + 1]:
                p, place = p + 1, 0
        for i in range(first[group + 1] - first[group]):
            token = first[group] + i
            height = stops[token] - starts[token]
            _frame_distances(frames, starts[token], stops[token], columns, width, min(kind, 3), apart)
            for c in range(count):
                pair, j, edge = tokens[c]
                other = pairs[pair, 1]
                if other == group and j <= i:  # the same the other way round, and none to itself
                    continue
                right = tokens[c + 1, 2] if c + 1 < count else width
                at, size = pairs[pair, 2], first[other + 1] - first[other]
                if kind == 4:
                    out[at + i * size + j] = _edit(apart, height, edge, right, cost)
                else:
                    out[at + i * size + j] = _warp(apart, height, edge, right, cost, steps)
                if other == group:
                    out[at + j * size + i] = out[at + i * size + j]


@numba.njit(fastmath={"reassoc", "contract"})
def _wrong(to_a: np.float32, to_b: np.ndarray, by_b: np.ndarray) -> np.float32:
    """How many of B are nearer than this one of A, a tie counting one half; each is added to ``by_b`` too.

    All are halves far below 2 ** 23, so that float32 is exact in any order.
    """
    total = np.float32(0)
    for b in range(len(to_b)):
        answer = np.float32(to_b[b] < to_a) + np.float32(0.5) * np.float32(to_b[b] == to_a)
        by_b[b] += answer
        total += answer
    return total


@numba.njit(cache=True, nogil=True)
def count_wrong(
    distances: np.ndarray,
    first: np.ndarray,
    file: np.ndarray,
    cells: np.ndarray,
    share: np.ndarray,
    begin: int,
    end: int,
    errors: np.ndarray,
    change: np.ndarray,
) -> None:
    """Error of cells ``begin`` to ``end`` into ``errors``; how wrong answers grow with a recording's weight is added.

    ``cells`` is int64 ``[cell, 5]``: groups X, A, B, and where the distances of X and A, X and B begin. A cell is
    ``share`` of the whole error, and each triplet the same of its cell: that is what a wrong answer adds to
    ``change[file]`` of its three tokens.
    """
    largest = 0
    for g in range(len(first) - 1):
        largest = max(largest, first[g + 1] - first[g])
    by_a, by_b = np.empty(largest, np.float64), np.empty(largest, np.float32)
    to_b = np.empty(largest, np.float32)
    for k in range(begin, end):
        x_group, a_group, b_group, to_as, to_bs = cells[k]
        xs, as_, bs = first[x_group], first[a_group], first[b_group]
        nx, na, nb = first[x_group + 1] - xs, first[a_group + 1] - as_, first[b_group + 1] - bs
        itself = 1 if x_group == a_group else 0
        triplets = nx * (na - itself) * nb
        weight = share[k] / triplets
        by_a[:na] = 0
        by_b[:nb] = 0
        wrong = np.float64(0)
        for x in range(nx):
            for b in range(nb):
                to_b[b] = distances[to_bs + (x * nb + b if x_group <= b_group else b * nx + x)]
            of_x = np.float64(0)
            for a in range(na):
                if itself and a == x:
                    continue
                to_a = distances[to_as + (x * na + a if x_group <= a_group else a * nx + x)]
                answer = _wrong(to_a, to_b[:nb], by_b[:nb])
                by_a[a] += answer
                of_x += answer
            change[file[xs + x]] += weight * of_x
            wrong += of_x
        for a in range(na):
            change[file[as_ + a]] += weight * by_a[a]
        for b in range(nb):
            change[file[bs + b]] += weight * by_b[b]
        errors[k] = wrong / triplets


@numba.njit(cache=True, nogil=True)
def add_triplets(first: np.ndarray, file: np.ndarray, cells: np.ndarray, share: np.ndarray, change: np.ndarray) -> None:
    """What ``count_wrong`` would add to ``change`` if every answer were wrong: a token is in as many as its group."""
    for k in range(len(cells)):
        for g in cells[k, :3]:
            size = first[g + 1] - first[g]
            for token in range(first[g], first[g + 1]):
                change[file[token]] += share[k] / size
