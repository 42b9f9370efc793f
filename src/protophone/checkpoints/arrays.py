"""Numpy's part of foreign pickles: data types, arrays and single numbers, made from the bytes in the file."""

import math
import re
from typing import Any

import numpy as np

from protophone.checkpoints.foreign import Calls, Foreign, Name, stand_in

__all__ = ["ARRAY_CALLS", "array", "built", "dtype", "sides"]

_MOST_SIDES = 64  # of an array or tensor
_NUMBERS = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248])")


def dtype(stated: Any) -> np.dtype:
    """The data type a stand-in for one describes; ``ValueError`` for other than plain numbers."""
    if isinstance(stated, np.dtype):
        return stated
    kind = stated.args[0] if isinstance(stated, Foreign) and str(stated.kind) == "numpy.dtype" and stated.args else None
    if not isinstance(kind, str) or not _NUMBERS.fullmatch(kind):
        raise ValueError("an array of other than numbers")
    big = isinstance(stated.state, tuple) and stated.state[1] == ">"
    return np.dtype(kind).newbyteorder(">") if big else np.dtype(kind)


def array(shape: Any, kind: Any, data: Any, order: str = "C") -> np.ndarray:
    """The array of these bytes; ``ValueError`` where their number is not what ``shape`` needs."""
    found, whole = dtype(kind), sides(shape)
    if not isinstance(data, bytes | bytearray | str) or math.prod(whole) * found.itemsize != len(data):
        raise ValueError(f"an array of shape {whole} and other bytes than that needs")
    raw = data.encode("latin-1") if isinstance(data, str) else data  # text where Python 2 wrote it
    return np.frombuffer(raw, found).reshape(whole, order="F" if order == "F" else "C").copy()


def sides(stated: Any) -> tuple[int, ...]:
    """The sides of an array or tensor as the file states them; ``ValueError`` where none can have such."""
    if not isinstance(stated, tuple | list) or len(stated) > _MOST_SIDES:
        raise ValueError("a shape that is none")
    if not all(type(side) is int and 0 <= side < 1 << 63 for side in stated):
        raise ValueError("a shape of what are no sizes")
    return tuple(stated)


def built(made: Foreign) -> Any:
    """An array for the stand-in that got an array's state, ``(version, shape, dtype, is_fortran, bytes)``."""
    if str(made.kind) != "numpy.ndarray":
        return made
    *_, shape, kind, fortran, data = made.state
    if isinstance(data, list):  # of objects: kept as they are listed
        return data
    return array(shape, kind, data, "F" if fortran else "C")


def _reconstruct(kind: Any, *_: Any) -> Foreign:
    return stand_in(kind, ())


def _scalar(kind: Any, data: Any) -> Any:
    return array((), kind, data).item()


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """Bytes as Python 2's protocols write them."""
    if not isinstance(text, str) or not isinstance(encoding, str) or encoding not in {"latin1", "latin-1", "utf-8"}:
        raise ValueError("bytes of what is no text, or encoded in an unknown way")
    return text.encode(encoding)


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
