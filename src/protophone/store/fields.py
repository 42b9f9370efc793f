"""What the values of a record of units must be: whole numbers, arrays of them, codes below a size."""

from typing import Any

import numpy as np

from protophone.errors import UnitsError

__all__ = ["check_array", "check_range", "check_whole", "whole_numbers"]


def whole_numbers(name: str, value: Any) -> np.ndarray:
    """A JSON list, or lists of one length, of whole numbers as int64."""
    try:
        array = np.asarray(value) if isinstance(value, list | np.ndarray) else np.array(None)
    except ValueError:
        raise UnitsError(f"{name} are lists of different lengths; every codebook has one code a frame") from None
    if array.ndim and array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise UnitsError(f"{name} must be a list of whole numbers")
    return array.astype(np.int64)


def check_array(name: str, array: np.ndarray, rank: int) -> None:
    """``UnitsError`` unless ``array`` is int64 of ``rank``."""
    if array.dtype != np.int64 or array.ndim != rank:
        raise UnitsError(f"{name} must be int64 of rank {rank}, got {array.dtype} of shape {array.shape}")


def check_whole(name: str, value: Any, least: int | None) -> None:
    """``UnitsError`` unless ``value`` is a whole number, and at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or (least is not None and value < least):
        bound = "" if least is None else f", at least {least}"
        raise UnitsError(f"{name} is {value!r}; it must be a whole number{bound}")


def check_range(name: str, codes: np.ndarray, size: Any) -> None:
    """``UnitsError`` unless all ``codes`` lie from 0 to ``size`` - 1."""
    check_whole("pitch size" if name.startswith("pitch") else "size", size, 1)
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < size:
        raise UnitsError(
            f"{name} run from {int(codes.min())} to {int(codes.max())}, outside 0 to {size - 1}; "
            "are these the units of another bundle?"
        )
