"""The centroids of a k-means that scikit-learn fitted, from the file joblib or pickle wrote of it (often ``.bin``)."""

import bz2
import io
import lzma
import math
import tokenize
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from protophone.checkpoints.arrays import ARRAY_CALLS, array, built, dtype, sides
from protophone.checkpoints.foreign import Foreign, plain
from protophone.checkpoints.machine import FAULTS, Machine, Stream
from protophone.errors import InputError
from protophone.files import read_bytes

__all__ = ["read_kmeans"]

_LARGEST = 1 << 30  # bytes when unpacked: 10,000 centroids of 1024 numbers are 80 MB
_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"


def read_kmeans(path: str | Path) -> np.ndarray:
    """Centroids float32 ``[unit, dim]`` of a pickled ``KMeans`` or ``MiniBatchKMeans``, or of an ``.npy`` array.

    Nothing in the file is run. Raises ``InputError`` where it is not there, broken, or holds no centroids.
    """
    path = Path(path)
    try:
        raw = read_bytes(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give a k-means file") from error
    found = _npy(path) if raw.startswith(b"\x93NUMPY") else _centroids(path, raw)
    if found.ndim != 2 or not found.size or found.dtype.kind != "f" or not np.isfinite(found).all():
        raise InputError(f"{path}: an array of shape {found.shape} and {found.dtype}; centroids are finite [unit, dim]")
    if np.abs(found).max() > np.finfo(np.float32).max:
        raise InputError(f"{path}: centroids as large as {np.abs(found).max():.3g}, which float32 cannot hold")
    return found.astype(np.float32)


def _npy(path: Path) -> np.ndarray:
    try:  # mapped, so that no more room is made than the file has, whatever shape it states
        with np.errstate(over="ignore"):  # a size beyond all numbers is refused a step later
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (*FAULTS, OSError, SyntaxError, tokenize.TokenError) as error:  # the last two as numpy parses its header
        raise InputError(f"{path}: not a whole array of numbers, as numpy saves them; fetch it again") from error


def _centroids(path: Path, raw: bytes) -> np.ndarray:
    stream = io.BytesIO(_unpacked(path, raw))
    value = plain(_JoblibMachine(stream, str(path)).run(), str(path))
    found = value.get("cluster_centers_") if isinstance(value, dict) else None
    if not isinstance(found, np.ndarray):
        raise InputError(f"{path}: no cluster_centers_ in it; give a fitted k-means of scikit-learn")
    return found


class _JoblibMachine(Machine):
    """A machine for joblib's pickles, in which each array's bytes follow the stand-in that describes it."""

    def __init__(self, stream: Stream, name: str) -> None:
        super().__init__(stream, name, ARRAY_CALLS, built=self._filled)

    def _filled(self, made: Foreign) -> Any:
        if str(made.kind) != _WRAPPER:
            return built(made)
        stated: dict[str, Any] = made.state
        described = stated["dtype"].args[0]
        if isinstance(described, str) and described.startswith("O"):  # objects: they follow as a pickle of their own
            return _JoblibMachine(self.stream, self.name).run()
        kind = dtype(stated["dtype"])
        shape = sides(stated["shape"])
        if stated.get("numpy_array_alignment_bytes") is not None:  # since joblib 1.2
            self.stream.read(self.stream.read(1)[0])
        return array(shape, kind, self.stream.read(math.prod(shape) * kind.itemsize), stated["order"])


def _unpacked(path: Path, raw: bytes) -> bytes:
    """What joblib compressed, no more than ``_LARGEST``."""
    try:
        if raw.startswith((b"\x80", b"c")):  # before protocol 2 a pickle begins with a name
            return raw
        if raw.startswith((b"\x1f\x8b", b"\x78")):
            whole = zlib.decompressobj(wbits=47).decompress(raw, _LARGEST + 1)  # gzip or zlib
        elif raw.startswith(b"BZh"):
            whole = bz2.BZ2Decompressor().decompress(raw, _LARGEST + 1)
        elif raw.startswith((b"\xfd7zXZ", b"\x5d\x00")):
            whole = lzma.LZMADecompressor().decompress(raw, _LARGEST + 1)
        else:
            raise InputError(f"{path}: neither a pickle nor one that joblib compressed; give a k-means file")
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
        raise InputError(f"{path}: cannot be unpacked ({error}); fetch it again") from error
    if len(whole) > _LARGEST:
        raise InputError(f"{path}: unpacks to more than {_LARGEST >> 30} GB, and is no k-means")
    return whole
