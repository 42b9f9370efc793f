"""What ``torch.save`` wrote, read as plain values: the zip of today and the single stream of before torch 1.6.

The file is mapped, copy on write: a tensor's bytes are read from disk when they are used, so that the state of an
optimiser beside a model's weights costs nothing.
"""

import io
import math
import mmap
import reprlib
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from protophone.checkpoints.arrays import ARRAY_CALLS, built, sides
from protophone.checkpoints.foreign import Calls, Name, plain
from protophone.checkpoints.machine import Machine, Stream
from protophone.errors import InputError
from protophone.files import open_regular

__all__ = ["read_torch"]

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older format
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_torch(path: str | Path) -> Any:
    """What a file of ``torch.save`` holds: nested dicts, lists, tuples, numbers, texts, and ``torch.Tensor`` on cpu.

    Nothing in the file is run. Objects of other classes come out as plain values: a ``Namespace`` or a dataclass as the
    dict of its attributes, an omegaconf tree as dicts and lists, an ordered dict as a dict, a numpy array as
    ``numpy.ndarray``, an enumeration's member as its value, a class as the text of its name. Tensors are views of the
    mapped file: clone what is to outlive it.

    Raises ``InputError`` where the file is not there, is neither format, is broken, or asks for anything to be called.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:  # the latter where it is empty
        raise InputError(f"{path}: cannot be read ({error}); give a checkpoint file") from error
    if mapped[:2] == b"PK":
        return _read_zip(path, mapped)
    if mapped[:1] == b"\x80":
        return _read_stream(path, mapped)
    raise InputError(f"{path}: not a checkpoint that torch.save wrote; fetch it again, or give another file")


def _read_zip(path: Path, data: mmap.mmap) -> Any:
    """The zip: ``NAME/data.pkl``, and each storage's bytes as ``NAME/data/KEY``, none of it compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            total = len(archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: a broken zip ({error}); fetch the checkpoint again") from error
    roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
    if len(roots) != 1 or len(entries) != total or f"{roots[0]}constants.pkl" in entries:
        raise InputError(f"{path}: a zip, but none of torch.save's with one data.pkl; give the checkpoint of a model")
    if sum(entry.file_size for entry in entries.values()) > len(data):
        raise InputError(f"{path}: its parts are compressed or cut short, or overlap; fetch the checkpoint again")
    root = roots[0]
    if f"{root}byteorder" in entries and data[_entry(path, data, entries[f"{root}byteorder"])] != b"little":
        raise InputError(f"{path}: written on a big-endian machine, which is not read here; save it again on another")

    def stored(key: str) -> Tensor:
        if f"{root}data/{key}" not in entries:
            raise InputError(f"{path}: the bytes of a tensor ({reprlib.repr(key)}) are missing; fetch it again")
        return whole[_entry(path, data, entries[f"{root}data/{key}"])]

    whole = torch.frombuffer(data, dtype=torch.uint8)
    stream = io.BytesIO(data[_entry(path, data, entries[f"{root}data.pkl"])])
    return plain(_machine(path, stream, _Storages(path, stored)).run(), str(path))


def _entry(path: Path, data: mmap.mmap, entry: zipfile.ZipInfo) -> slice:
    """Where the bytes of an entry lie in the file; ``InputError`` where they are compressed or cut short."""
    at = entry.header_offset
    head = data[at : at + 30]
    start = at + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    whole = head[:4] == b"PK\x03\x04" and start + entry.file_size <= len(data)
    if not whole or entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise InputError(
            f"{path}: {reprlib.repr(entry.filename)} in it is compressed or cut short, as torch.save never writes it; "
            "fetch the checkpoint again"
        )
    return slice(start, start + entry.file_size)


def _read_stream(path: Path, data: mmap.mmap) -> Any:
    """The older format: five pickles (magic, version, system, the value, keys), then each storage with its length."""
    blank = _Storages(path, None)
    machine = _machine(path, data, blank)
    magic = machine.run()
    if not isinstance(magic, int) or magic != _MAGIC:
        raise InputError(f"{path}: a pickle, but not a checkpoint that torch.save wrote; give another file")
    machine.run()
    machine.run()
    begun = data.tell()
    machine.run()  # once to learn what storages there are, and again when it is known where they lie
    keys = machine.run()
    at = data.tell()
    whole, places = torch.frombuffer(data, dtype=torch.uint8), dict[str, Tensor]()
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in blank.kinds for key in keys):
        raise InputError(f"{path}: does not list the tensors it holds, and those only; fetch the checkpoint again")
    for key in keys:
        count, item = int.from_bytes(data[at : at + 8], "little"), blank.kinds[key].itemsize
        begin, at = at + 8, at + 8 + count * item
        if at > len(data):
            raise InputError(f"{path}: cut short; fetch the checkpoint again")
        places[key] = whole[begin:at]
    data.seek(begun)
    return plain(_machine(path, data, _Storages(path, places.__getitem__)).run(), str(path))


class _Storages:
    """The tensors' memory by its keys in the file; ``stored`` gives the bytes, and without it they have none."""

    def __init__(self, path: Path, stored: Any) -> None:
        self.path, self.stored = path, stored
        self.kinds: dict[str, torch.dtype] = {}
        self._made: dict[str, Tensor] = {}

    def __call__(self, identity: Any) -> Tensor:
        """The storage that a persistent id, ``("storage", class, key, place, count)``, stands for: a flat tensor."""
        match identity:
            case ("storage", Name() as kind, str(key), _, int(count)) | (
                "storage",
                Name() as kind,
                str(key),
                _,
                int(count),
                None,
            ) if kind.name in _DTYPES and count >= 0:
                return self._storage(key, _DTYPES[kind.name], count)
        raise InputError(
            f"{self.path}: refers to what is no tensor's memory; it is no checkpoint that can be read here"
        )

    def _storage(self, key: str, kind: torch.dtype, count: int) -> Tensor:
        if self.kinds.setdefault(key, kind) != kind:
            raise InputError(f"{self.path}: one memory is of two kinds; fetch the checkpoint again")
        if self.stored is None:
            return torch.empty(count, dtype=kind, device="meta")
        if key not in self._made:
            raw = self.stored(key)
            if len(raw) != count * kind.itemsize:
                raise InputError(
                    f"{self.path}: a tensor's memory has {len(raw)} bytes, not {count * kind.itemsize}; fetch it again"
                )
            aligned = raw.data_ptr() % kind.itemsize == 0 and raw.storage_offset() % kind.itemsize == 0
            self._made[key] = (raw if aligned else raw.clone()).view(kind)
        return self._made[key]


def _machine(path: Path, stream: Stream, storages: _Storages) -> Machine:
    return Machine(stream, str(path), _CALLS, storages, built)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """The tensor that lies in ``storage`` at ``offset``; ``ValueError`` where it reaches out of it or repeats it."""
    (offset,), size, stride = sides((offset,)), sides(size), sides(stride)
    if not isinstance(storage, Tensor) or len(size) != len(stride):
        raise ValueError("a tensor of no possible shape")
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if math.prod(size) > len(storage) or (math.prod(size) and last >= len(storage)):
        raise ValueError("a tensor larger than its memory")
    return storage.as_strided(size, stride, storage.storage_offset() + offset)


def _device(kind: Any, *index: Any) -> str:
    if not isinstance(kind, str) or not all(isinstance(number, int) for number in index):
        raise TypeError("a device of what is no name")
    return ":".join((kind, *map(str, index)))


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_CALLS: Calls = {
    **ARRAY_CALLS,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": sides,
    "torch.device": _device,
}
