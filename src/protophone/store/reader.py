"""Units read back, whichever way they were written."""

from collections.abc import Iterator
from pathlib import Path

from protophone.errors import UnitsError
from protophone.files import check_regular, open_regular, read_json
from protophone.store.fields import FORMAT, check_format
from protophone.store.record import UnitRecord
from protophone.store.shards import find_shards, read_shard

__all__ = ["read_units"]

_LONGEST = 2**28  # bytes of a line: units of a week


def read_units(path: str | Path) -> Iterator[UnitRecord]:
    """The units in ``path``, one recording after another, in the order they were written.

    ``path`` is a folder of units (``units.jsonl`` or shards, with ``index.json``), a folder of ``discover``, or a
    ``.jsonl`` file. ``UnitsError``, naming file and line, for lines that are broken or lack a key, for codes out of
    range, ids given twice, several codebooks in one place, and a folder whose writing was not finished.
    """
    path = Path(path)
    check_regular(path)
    if not path.exists():
        raise UnitsError(f"{path}: not there; give a folder of units or a .jsonl file")
    if path.is_file():
        if path.suffix != ".jsonl":
            raise UnitsError(f"{path}: not a .jsonl file; give one, or the folder of units it lies in")
        return _checked(_lines(path), path, None)
    lines, shards = path / "units.jsonl", find_shards(path)
    if lines.is_file() and shards:
        raise UnitsError(f"{path}: holds both {lines.name} and {shards[0].name}; move one of them away")
    if not lines.is_file() and not shards:
        raise UnitsError(f"{path}: no units in it; give a folder with units.jsonl or units-00000.safetensors")
    count = _promised(path, required=bool(shards))
    if shards:
        return _checked(_sharded(shards), path, count)
    return _checked(_lines(lines), lines, count)


def _promised(folder: Path, *, required: bool) -> int | None:
    """How many records the index says there are; None for lines without an index."""
    index = folder / "index.json"
    if not required and not index.exists():
        return None
    content = read_json(index)
    if not isinstance(content, dict) or not isinstance(content.get("count"), int | None) or "complete" not in content:
        raise UnitsError(f"{index}: not an index of units; restore it, or remove it and encode again")
    try:
        check_format(content.get("format", FORMAT))
    except UnitsError as error:
        raise UnitsError(f"{index}: {error}") from None
    if not content["complete"]:
        raise UnitsError(f"{folder}: these units were not finished; run the command that writes them again")
    return content["count"]


def _lines(path: Path) -> Iterator[tuple[str, UnitRecord]]:
    try:
        with open_regular(path) as file:  # bytes, so that only a newline ends a line, whatever the ids contain
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), start=1):
                if len(line) == _LONGEST:
                    raise UnitsError(f"{path}:{number}: a line longer than {_LONGEST} bytes; is it a file of units?")
                if line.strip():
                    yield f"{path}:{number}", UnitRecord.from_json(line, str(path), number)
    except OSError as error:
        raise UnitsError(f"{path}: cannot be read ({error.strerror}); is the disk there and yours to read?") from error


def _sharded(shards: list[Path]) -> Iterator[tuple[str, UnitRecord]]:
    for shard in shards:
        for row, record in enumerate(read_shard(shard)):
            yield f"{shard}: record {row}", record


def _checked(found: Iterator[tuple[str, UnitRecord]], path: Path, count: int | None) -> Iterator[UnitRecord]:
    """Passes records on while ids are new, the codebook stays the same, and as many come as the index promises."""
    ids: set[str] = set()
    bundle = None
    for where, record in found:
        bundle = bundle or record.bundle
        if record.bundle != bundle:
            raise UnitsError(
                f"{where}: units of codebook {record.bundle} after units of {bundle}; "
                "keep those of each codebook in a file of their own"
            )
        if record.id in ids:
            raise UnitsError(f"{where}: id {record.id!r} was there before; give each recording one line")
        ids.add(record.id)
        yield record
    if count is not None and len(ids) != count:
        raise UnitsError(
            f"{path}: {len(ids)} recordings where index.json counts {count}; restore what is missing, "
            "or remove index.json if you changed the units yourself"
        )
    if not ids:
        raise UnitsError(f"{path}: no units in it; encode some recordings first")
