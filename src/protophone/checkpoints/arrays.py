"""Numpy's part of foreign pickles: data types, arrays and single numbers, made from the bytes in the file."""

import math
import re
import reprlib
from typing import Any

import numpy as np

from protophone.checkpoints.foreign import Calls, Foreign, Name
from protophone.errors import InputError

__all__ = ["ARRAY_CALLS", "array", "built", "dtype"]

_NUMBERS = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248])")


def dtype(stated: Any) -> np.dtype:
    """The data type a stand-in for one describes; ``InputError`` for other than plain numbers."""
    if isinstance(stated, np.dtype):
        return stated
    kind = stated.args[0] if isinstance(stated, Foreign) and str(stated.kind) == "numpy.dtype" and stated.args else None
    if not isinstance(kind, str) or not _NUMBERS.fullmatch(kind):
        raise InputError(f"an array of {reprlib.repr(kind)} in the checkpoint; only arrays of numbers can be read")
    big = isinstance(stated.state, tuple) and stated.state[1] == ">"
    return np.dtype(kind).newbyteorder(">") if big else np.dtype(kind)


def array(shape: Any, kind: Any, data: Any, order: str = "C") -> np.ndarray:
    """The array of these bytes; ``InputError`` where their number is not what ``shape`` needs."""
    found = dtype(kind)
    sides = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if not all(type(side) is int and side >= 0 for side in sides) or not isinstance(data, bytes | bytearray | str):
        raise InputError(f"an array of shape {reprlib.repr(shape)} in the checkpoint; fetch the file again")
    raw = data.encode("latin-1") if isinstance(data, str) else bytes(data)  # text where Python 2 wrote it
    if math.prod(sides) * found.itemsize != len(raw):
        raise InputError(f"an array of shape {sides} in the checkpoint has {len(raw)} bytes; fetch the file again")
    return np.frombuffer(raw, found).reshape(sides, order="F" if order == "F" else "C").copy()


def built(made: Foreign) -> Any:
    """An array for the stand-in that got an array's state, ``(version, shape, dtype, is_fortran, bytes)``."""
    if str(made.kind) != "numpy.ndarray":
        return made
    *_, shape, kind, fortran, data = made.state
    if isinstance(data, list):  # of objects: kept as they are listed
        return data
    return array(shape, kind, data, "F" if fortran else "C")


def _reconstruct(kind: Any, *_: Any) -> Foreign:
    return Foreign(kind)


def _scalar(kind: Any, data: Any) -> Any:
    return array((), kind, data).item()


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """Bytes as Python 2's protocols write them."""
    if encoding not in {"latin1", "latin-1", "utf-8"}:
        raise InputError(f"bytes encoded as {reprlib.repr(encoding)} in the checkpoint; fetch the file again")
    return str(text).encode(encoding)


def _dtype_of(kind: Any, *_: Any) -> Any:
    return Foreign(Name("numpy", "dtype"), (kind,))


ARRAY_CALLS: Calls = {
    "numpy.dtype": _dtype_of,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": lambda data, kind, shape, order: array(shape, kind, data, order),
    "_codecs.encode": _encode,
}
"""Functions a pickle with arrays calls."""
