"""The values of a record of units: whole numbers within bounds, arrays of them, codes below a size."""

import reprlib
from typing import Any

import numpy as np

from protophone.errors import UnitsError

__all__ = [
    "FORMAT",
    "HOPS",
    "MOST_BOOKS",
    "OFFSETS",
    "RATES",
    "SAMPLES",
    "SIZES",
    "check_array",
    "check_format",
    "check_range",
    "check_whole",
    "whole_numbers",
]

FORMAT = 1  # of units on disk
# The least and the greatest value of each number.
HOPS = (1, 2**20)
RATES = (1, 768_000)
SIZES = (1, 2**20)
OFFSETS = (-(2**20), 2**20)
SAMPLES = (0, 2**32 - 1)  # of a recording: three days at 16 kHz
MOST_BOOKS = 64


def whole_numbers(name: str, value: Any) -> np.ndarray:
    """A JSON list, or lists of one length, of whole numbers as int64."""
    try:
        array = np.asarray(value) if isinstance(value, list | np.ndarray) else np.array(None)
    except ValueError:
        raise UnitsError(f"{name} are lists of different lengths; every codebook has one code a frame") from None
    if array.ndim and array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iu" or (array.dtype == np.uint64 and int(array.max()) >= 2**63):
        raise UnitsError(f"{name} must be a list of whole numbers below 2^63")
    return array.astype(np.int64)


def check_format(version: Any) -> None:
    """Raise ``UnitsError`` for another format than this package writes."""
    if version != FORMAT:
        raise UnitsError(
            f"units of format {reprlib.repr(version)}, this protophone reads {FORMAT}; "
            "upgrade with pip install -U protophone"
        )


def check_array(name: str, array: np.ndarray, rank: int) -> None:
    """``UnitsError`` unless ``array`` is int64 of ``rank``."""
    if array.dtype != np.int64 or array.ndim != rank:
        raise UnitsError(f"{name} must be int64 of rank {rank}, got {array.dtype} of shape {array.shape}")


def check_whole(name: str, value: Any, bounds: tuple[int, int]) -> None:
    """Raise ``UnitsError`` unless ``value`` is a whole number within ``bounds``."""
    least, most = bounds
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise UnitsError(
            f"{name} is {reprlib.repr(value)}; it must be a whole number, at least {least} and at most {most}"
        )


def check_range(name: str, codes: np.ndarray, size: Any) -> None:
    """``UnitsError`` unless all ``codes`` lie from 0 to ``size`` - 1."""
    check_whole("pitch size" if name.startswith("pitch") else "size", size, SIZES)
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < size:
        raise UnitsError(
            f"{name} run from {int(codes.min())} to {int(codes.max())}, outside 0 to {size - 1}; "
            "are these the units of another bundle?"
        )
