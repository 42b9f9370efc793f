"""Units of many recordings in one safetensors file: a shard, complete in itself.

``codes``, ``durations`` and ``pitch`` are the records' own, flat and one after another, each with int64 offsets
``[record + 1]``. What else a record holds (id, hop, sizes, extra keys) is JSON in the header, under one key, since the
order of several is not fixed and a shard's bytes are. Codes are uint16 while every size is at most 65,536.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from protophone.errors import UnitsError
from protophone.files import atomic, check_regular
from protophone.store.record import UnitRecord

__all__ = ["RECORDS_PER_SHARD", "find_shards", "read_shard", "shard_name", "write_shard"]

RECORDS_PER_SHARD = 1000
_STREAMS = ("codes", "durations", "pitch")
_NAME = re.compile(r"units-(\d{5,})\.safetensors")


def shard_name(number: int) -> str:
    """File name of shard ``number``."""
    return f"units-{number:05d}.safetensors"


def find_shards(folder: Path) -> list[Path]:
    """The shards in ``folder``, in order; ``UnitsError`` where one between them is missing."""
    found = sorted(int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name)))
    for expected, number in enumerate(found):
        if number != expected:
            raise UnitsError(f"{folder / shard_name(expected)}: missing, though later shards are there; restore it")
    return [folder / shard_name(number) for number in found]


def write_shard(path: Path, records: Sequence[UnitRecord]) -> None:
    """Writes ``records`` as one shard, whole or not at all: a shard that is there is done."""
    values: dict[str, list[np.ndarray]] = {stream: [] for stream in _STREAMS}
    lines, largest = [], 0
    for record in records:
        document = json.loads(record.to_json())  # refuses, before anything is written, what JSON cannot hold
        document["codes"] = None
        values["codes"].append(record.codes.ravel())
        if record.durations is not None:
            document["durations"] = None
        values["durations"].append(_or_empty(record.durations))
        if record.pitch is not None:
            document["pitch"]["codes"] = None
        values["pitch"].append(_or_empty(None if record.pitch is None else record.pitch.codes))
        largest = max(largest, *record.sizes, record.pitch.size if record.pitch else 0)
        lines.append(document)
    tensors = {}
    for stream, arrays in values.items():
        dtype = np.uint16 if stream != "durations" and largest <= 65536 else np.int64
        tensors[stream] = np.concatenate([_or_empty(None), *arrays]).astype(dtype)
        tensors[f"{stream}_offsets"] = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
    with atomic(path) as temporary:
        head = {"records": json.dumps(lines, ensure_ascii=False, separators=(",", ":"))}
        temporary.write_bytes(save(tensors, head))


def read_shard(path: Path) -> Iterator[UnitRecord]:
    """The records of a shard, in order; ``UnitsError`` for a file cut short, altered or not a shard."""
    heads, tensors = _open(path)
    for row, head in enumerate(heads):
        try:
            part = {s: tensors[s][slice(*tensors[f"{s}_offsets"][row : row + 2])].astype(np.int64) for s in _STREAMS}
            document = dict(head)
            books = len(head["size"]) if isinstance(head["size"], list) else 0
            document["codes"] = part["codes"].reshape(books, -1) if books else part["codes"]
            if "durations" in head:
                document["durations"] = part["durations"]
            if "pitch" in head:
                document["pitch"] = head["pitch"] | {"codes": part["pitch"]}
            record = UnitRecord.from_document(document)
        except (UnitsError, ValueError, TypeError, KeyError, IndexError) as error:
            raise UnitsError(f"{path}: record {row}: {error}; an altered shard? restore it or encode again") from None
        yield record


def _open(path: Path) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    check_regular(path)
    try:
        with safe_open(path, framework="np") as file:
            heads = json.loads((file.metadata() or {})["records"])
            tensors = {name: file.get_tensor(name) for s in _STREAMS for name in (s, f"{s}_offsets")}
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnitsError(f"{path}: not a whole shard of units ({error}); restore it or encode again") from None
    if not isinstance(heads, list) or any(tensors[f"{s}_offsets"].shape != (len(heads) + 1,) for s in _STREAMS):
        raise UnitsError(f"{path}: its offsets do not fit its records; restore it or encode again")
    return heads, tensors


def _or_empty(array: np.ndarray | None) -> np.ndarray:
    return np.zeros(0, np.int64) if array is None else array
