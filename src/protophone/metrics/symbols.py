"""Recordings as rows of symbols: their runs, their histograms, and the entropy of those in each draw of recordings.

A measure of symbols in a draw is that of the recordings' histograms added up with the draw's weights. Histograms are
sparse, one row a recording, and draws are taken in blocks, so that memory stays bounded whatever the number of symbols.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.special import xlogy

from protophone.errors import InputError, UnitsError
from protophone.metrics.interval import Estimate

__all__ = ["Symbols", "bits", "centred", "check_codes", "check_names", "entropy", "histograms", "number", "weighted"]

_BLOCK = 2_000_000  # cells of weighted histograms held at a time, 8 bytes each


@dataclass(frozen=True, eq=False)
class Symbols:
    """All recordings in a row: ``values`` and the ``recording`` each is of, int64 ``[frame]``, ``recordings`` in all.

    ``values`` number what is distinct; recordings stay together and in order, and may be empty.
    """

    values: np.ndarray
    recording: np.ndarray
    recordings: int

    def runs(self) -> tuple["Symbols", np.ndarray]:
        """Runs of one symbol, which never cross recordings, and how many frames each lasts, int64 ``[run]``."""
        fresh = np.ones(len(self.values), bool)
        fresh[1:] = (self.values[1:] != self.values[:-1]) | (self.recording[1:] != self.recording[:-1])
        first = np.flatnonzero(fresh)
        lengths = np.diff(first, append=len(self.values))
        return Symbols(self.values[first], self.recording[first], self.recordings), lengths


def number(sequences: Sequence[np.ndarray]) -> Symbols:
    """The distinct lines of ``sequences``, each ``[frame]`` or ``[frame, dim]``, numbered in their sorted order.

    Raises ``InputError`` for shapes that differ, for values that are no finite number, or where there is no frame.
    """
    tables = [np.asarray(sequence) for sequence in sequences]
    tables = [table[:, None] if table.ndim == 1 else table for table in tables]
    shapes = {table.shape[1:] for table in tables}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise InputError(
            f"sequences of shapes {sorted({str(table.shape) for table in tables})[:4]}; each must be [frame], or "
            "[frame, dim] of one dim"
        )
    if not sum(map(len, tables)):
        raise InputError(f"{len(tables)} sequences without a frame; there is nothing to charge")
    lines = np.concatenate(tables)
    if not np.isfinite(lines).all():
        raise InputError(f"{(~np.isfinite(lines)).any(axis=1).sum()} frames hold values that are no finite number")
    # numbers sort many times faster than rows
    lines = lines[:, 0] if lines.shape[1] == 1 else lines
    values = np.unique(lines, axis=0, return_inverse=True)[1].reshape(-1)
    return Symbols(values, np.repeat(np.arange(len(tables)), [len(table) for table in tables]), len(tables))


def histograms(values: np.ndarray, recording: np.ndarray, recordings: int) -> csr_array:
    """How often each distinct value, in sorted order, occurs in each recording: sparse ``[recording, value]``."""
    distinct, column = np.unique(values, return_inverse=True)
    cells = (np.ones(len(values)), (recording, column.reshape(-1)))
    return coo_array(cells, shape=(recordings, len(distinct))).tocsr()


def weighted(weights: np.ndarray, rows: csr_array) -> Iterator[tuple[slice, np.ndarray]]:
    """The histogram of each draw, block by block: which draws, and their counts ``[value, draw]``.

    ``weights`` are ``[draw, recording]``, ``rows`` the histograms of the recordings.
    """
    columns = rows.T.tocsr()
    step = max(1, _BLOCK // max(1, columns.shape[0]))
    for begin in range(0, len(weights), step):
        block = slice(begin, min(begin + step, len(weights)))
        yield block, columns @ np.ascontiguousarray(weights[block].T)


def entropy(weights: np.ndarray, rows: csr_array) -> np.ndarray:
    """Bits a symbol of the empirical distribution in each draw, ``[draw]``."""
    out = np.empty(len(weights))
    for block, counts in weighted(weights, rows):
        out[block] = bits(counts)
    return out


def bits(counts: np.ndarray) -> np.ndarray:
    """Entropy in bits of each column of ``counts``, ``[value, draw]``."""
    total = counts.sum(axis=0)
    # log2 of the total less the mean of log2 of the counts; rounding may leave less than nothing
    return np.maximum(0.0, np.log2(total) - xlogy(counts, counts).sum(axis=0) / (total * np.log(2)))


def centred(found: Estimate) -> Estimate:
    """The same figure, its draws moved so that they lie around it.

    An entropy, or a share of the likeliest, is biased by how few recordings it is of, and a draw of unequal weights is
    as good as one of about half as many: uncorrected, draws lie to one side, and the figure may fall outside its own
    interval. What the interval is to say, how far the figure moves with as many other recordings, is their spread.
    """
    return Estimate(found.value, found.draws - found.draws.mean() + found.value, found.names)


def check_codes(codes: Sequence[np.ndarray], size: int) -> None:
    """``InputError`` unless ``codes`` are whole numbers ``[frame]`` below ``size``, with a frame in one at least."""
    for row in codes:
        if row.ndim != 1 or not np.issubdtype(row.dtype, np.integer):
            raise InputError(
                f"codes of {row.dtype} {row.shape}; give whole numbers [frame], each codebook of several for itself"
            )
        if len(row) and not 0 <= int(row.min()) <= int(row.max()) < size:
            raise UnitsError(
                f"codes from {int(row.min())} to {int(row.max())}, outside 0 to {size - 1}; "
                "are these the units of another codebook?"
            )
    if not sum(map(len, codes)):
        raise InputError(f"the codes of {len(codes)} recordings hold no frame; there is nothing to measure")


def check_names(names: Sequence[str], **per_recording: Sequence[object] | np.ndarray) -> None:
    """``InputError`` where anything does not come once a recording, as ``names`` do."""
    for what, values in per_recording.items():
        if len(values) != len(names):
            raise InputError(f"{what} of {len(values)} recordings, names of {len(names)}; give one of each a recording")
