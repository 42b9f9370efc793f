"""How far an ABX error would move with other recordings of these speakers.

The interval is the Bayesian bootstrap over recordings (``protophone.metrics.interval``) to first order: each draw is
``error + sum(weight * influence)``, weights over their mean. A triplet weighs the product of the weights of its three
tokens' recordings, and a cell as much as its triplets: with other recordings, other cells would be there. The influence
of a recording is so the sum, over its triplets, of how much more they are wrong than expected of the two phones, whose
share in the average is fixed. Drawn in full, triplets within one recording would weigh the square or cube of its
weight, which moves the centre. Averaging each cell by its own weights, as jackknives and bootstraps of fixed cells do,
would hold still every cell of one triplet, and call chance real.
"""

from collections.abc import Sequence

import numpy as np

from protophone.metrics.abx.cells import Cells, Groups
from protophone.metrics.interval import Estimate, estimate

__all__ = ["over_recordings"]


def over_recordings(
    errors: np.ndarray, wrong: np.ndarray, groups: Groups, cells: Cells, file: np.ndarray, files: Sequence[str]
) -> Estimate:
    """The error of ``cells`` and its draws.

    ``errors`` ``[cell]``; ``wrong`` is how fast the weighted share of wrong answers grows with the weight of each
    recording, ``[file]``; ``file`` numbers the recording of each token in the order of the groups.
    """
    from protophone.metrics.abx.kernels import add_triplets

    expected = np.zeros(len(files))
    add_triplets(groups.first, file, cells.groups, cells.share * _of_phones(errors, groups, cells), expected)
    error, influence = float(cells.share @ errors), wrong - expected

    def statistic(weights: np.ndarray) -> np.ndarray:
        relative = weights / weights.mean(axis=1, keepdims=True) - 1
        return np.clip(error + relative @ influence, 0, 1)

    return estimate(statistic, files)


def _of_phones(errors: np.ndarray, groups: Groups, cells: Cells) -> np.ndarray:
    """The error of each cell as its phones A and B let expect: least squares, one number for each A and each B.

    Their differences from the mean are shrunk as though there were one more pair of phones, with the mean error.
    """
    phones = len(groups.phones)
    _, a, b = groups.phone[cells.groups].T
    both = np.zeros((2 * phones, 2 * phones))  # of the normal equations
    sums = np.zeros(2 * phones)
    mean = cells.share @ errors
    columns = (a, b + phones)
    for one in columns:
        np.add.at(sums, one, cells.share * (errors - mean))
        for other in columns:
            np.add.at(both, (one, other), cells.share)
    pairs = len(np.unique(a * phones + b))
    effect = np.linalg.solve(both + np.eye(2 * phones) / pairs, sums)
    return mean + effect[a] + effect[b + phones]
