"""Normalised edit distance over all pairs of each class, for classes of thousands of fragments."""

from collections.abc import Callable, Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

__all__ = ["ned", "pair_statistic"]

_ROWS = 512  # transcriptions compared with all others of their class at a time


def ned(classes: Sequence[Sequence[str]]) -> tuple[float, int]:
    """Mean normalised edit distance of the pairs in each class, and their number; 0.0 of no pair.

    ``classes`` hold transcriptions, one character a phone. Two that are both empty are not alike: 1.
    """
    texts = [text for members in classes for text in members]
    sizes = [len(members) for members in classes]
    numbers = np.repeat(np.arange(len(classes)), sizes)
    over, under = pair_statistic(numbers, np.zeros(len(texts), np.int64), texts)
    ones = np.ones((1, 1))
    count = round(float(under(ones)[0]))
    return (float(over(ones)[0]) / count if count else 0.0), count


_Sum = Callable[[np.ndarray], np.ndarray]


def pair_statistic(number: np.ndarray, recording: np.ndarray, texts: Sequence[str]) -> tuple[_Sum, _Sum]:
    """Sums over the pairs in each class, of their distances and of ones: weights ``[draw, recording]`` to ``[draw]``.

    ``number`` and ``recording`` int64 ``[fragment]`` say whose each of ``texts`` is. A pair weighs the product of the
    weights of its recordings. Equal transcriptions of a class are compared once.
    """
    order = np.argsort(number, kind="stable")
    bounds = np.flatnonzero(np.diff(number[order])) + 1
    classes = [members for members in np.split(order, bounds) if len(members) > 1]

    def distances(weights: np.ndarray) -> np.ndarray:
        return _total(weights, lambda rows, members: _distances(rows, [texts[i] for i in members]))

    def pairs(weights: np.ndarray) -> np.ndarray:
        return _total(weights, lambda rows, _: _products(rows))

    def _total(weights: np.ndarray, of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        columns = np.ascontiguousarray(weights.T)
        total = np.zeros(len(weights))
        for members in classes:
            total += of(columns[recording[members]], members)
        return total

    return distances, pairs


def _products(rows: np.ndarray) -> np.ndarray:
    """The sum over pairs of different rows of ``[member, draw]`` of their products, ``[draw]``."""
    return np.maximum(rows.sum(axis=0) ** 2 - (rows**2).sum(axis=0), 0) / 2


def _distances(rows: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """The same sum, each product times the distance of the two members' transcriptions."""
    known: dict[str, int] = {}
    index = np.array([known.setdefault(text, len(known)) for text in texts])
    distinct = list(known)
    total = np.zeros(rows.shape[1])
    if "" in known:  # equal transcriptions are 0 apart, but for two of silence alone
        total += _products(rows[index == known[""]])
    if len(distinct) == 1:
        return total
    order = np.argsort(index, kind="stable")
    weight = np.add.reduceat(rows[order], np.flatnonzero(np.diff(index[order], prepend=-1)), axis=0)
    lengths = np.array([len(text) for text in distinct])
    for at in range(0, len(distinct), _ROWS):
        some = slice(at, at + _ROWS)
        edits = cdist(distinct[some], distinct, scorer=Levenshtein.distance, dtype=np.int32)
        apart = edits / np.maximum(np.maximum.outer(lengths[some], lengths), 1)
        total += np.einsum("sd,sd->d", weight[some], apart @ weight) / 2
    return total
