"""Units written so that nothing is lost: killed at any moment, the same command goes on from where it was.

Records are appended in order. A folder begins with an ``index.json`` that says it is not complete and with which
settings it is being made; finishing writes the full index. What an interrupted and resumed run leaves is byte for byte
what an unbroken one leaves.
"""

import json
import os
import time
from collections.abc import KeysView, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from protophone.errors import UnitsError
from protophone.files import explained, open_regular, read_json, write_json
from protophone.store.fields import FORMAT
from protophone.store.record import UnitRecord
from protophone.store.shards import RECORDS_PER_SHARD, find_shards, read_shard, shard_name, write_shard

__all__ = ["UnitsWriter"]

_SYNC_SECONDS = 1.0  # what a power cut may cost; a killed process loses nothing that was appended


class UnitsWriter:
    """Writes the units of a corpus into ``folder``, resuming what an earlier run with the same settings left.

    ``settings`` is what the units depend on (bundle hash, options), as JSON values; another run's settings are refused
    with ``UnitsError``, unless every recording failed in it. ``file_sizes`` are the bytes of each recording's file: one
    that failed may come back with another file, one that is done may not. With ``shard`` the units go into shards of
    1000 recordings instead of ``units.jsonl``, and an interruption costs the shard that was being filled. Used as a
    context, leaving it without an error finishes it.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        settings: dict[str, Any],
        shard: bool = False,
        file_sizes: Mapping[str, int] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self._head: dict[str, Any] = {"format": FORMAT, "layout": "shards" if shard else "lines"}
        if shard:
            self._head["records_per_shard"] = RECORDS_PER_SHARD
        self._head["settings"] = json.loads(json.dumps(settings))  # as they will be read back: tuples become lists
        self._file_sizes = dict(file_sizes or {})
        self._bundle: str | None = None
        self._failed: dict[str, str] = {}
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        found = self._open_index()
        self._complete = found["complete"] is True
        self._parts: _Lines | _Shards = _Shards(self.folder) if shard else _Lines(self.folder)
        self._seconds = 0.0
        try:
            for recording, bundle, seconds in self._parts.recovered:
                self._check_bundle(recording, bundle)
                self._check_file(recording, found.get("file_sizes", {}))
                self._seconds += seconds
            if not self._complete and found.get("file_sizes", {}) != self._file_sizes:
                self._begin()  # before any of the files that changed is done
        except BaseException:
            self._parts.close()
            raise

    @property
    def done(self) -> KeysView[str]:
        """Ids that need not be encoded again."""
        return self._parts.places.keys()

    @property
    def seconds(self) -> float:
        """How long the recordings last that are done, in this run and before it."""
        return self._seconds

    def append(self, record: UnitRecord) -> None:
        """Adds the units of one recording; ``UnitsError`` for an id given before or units of another codebook."""
        if record.id in self._parts.places:
            raise UnitsError(
                f"{self.folder}: id {record.id!r} was written before; give each recording an id of its own"
            )
        self._check_bundle(record.id, record.bundle)
        if self._complete:
            self._begin()
        self._parts.append(record)
        self._seconds += record.seconds
        self._failed.pop(record.id, None)

    def fail(self, recording: str, reason: str) -> None:
        """Notes that a recording could not be encoded, and why; a later run tries it again."""
        self._failed[recording] = reason

    def finish(self) -> None:
        """Writes what is still held and the full ``index.json``; nothing can be appended afterwards."""
        self._parts.finish()
        sizes = {recording: self._file_sizes[recording] for recording in self.done if recording in self._file_sizes}
        self._write_index(
            {
                "complete": True,
                "bundle": self._bundle,
                "count": len(self._parts.places),
                self._parts.key: self._parts.places,
                "failed": [{"id": recording, "reason": reason} for recording, reason in self._failed.items()],
            }
            | ({"file_sizes": sizes} if self._file_sizes else {})
        )

    def close(self) -> None:
        """Stops without finishing; a later run goes on from here."""
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.close()

    def _open_index(self) -> dict[str, Any]:
        """The index that is there, compared with these settings, or the one begun here."""
        index = self.folder / "index.json"
        _remove_leftovers(self.folder)
        if not index.exists():
            # Only this writer's own beginning may be missing an index: nothing can have been written before it.
            if (self.folder / "units.jsonl").exists() or find_shards(self.folder):
                raise UnitsError(
                    f"{self.folder}: holds units but no index.json, so not ours to add to; name another folder"
                )
            return self._begin()
        found: Any = read_json(index)
        if not isinstance(found, dict) or found.get("format") != FORMAT or not _are_sizes(found.get("file_sizes", {})):
            raise UnitsError(f"{index}: not an index of units in format {FORMAT}; name another folder to write to")
        if found.get("complete") is True and self._is_empty():
            with explained(self.folder):
                (self.folder / "units.jsonl").unlink(missing_ok=True)  # the layout may be another now
            return self._begin()
        for key, value in self._head.items():
            if found.get(key) != value:
                raise UnitsError(
                    f"{self.folder}: begun with other {key} ({_difference(found.get(key), value)}); "
                    "name another folder, or remove this one to start over"
                )
        return found | {"complete": found.get("complete") is True}

    def _is_empty(self) -> bool:
        """Whether a folder holds no units, as when every recording failed."""
        lines = self.folder / "units.jsonl"
        return not (lines.exists() and lines.stat().st_size) and not find_shards(self.folder)

    def _begin(self) -> dict[str, Any]:
        """Writes the index of units that are not complete: with the sizes of all files, as which are done changes."""
        state = {"complete": False} | ({"file_sizes": self._file_sizes} if self._file_sizes else {})
        self._write_index(state)
        return state

    def _write_index(self, state: dict[str, Any]) -> None:
        write_json(self.folder / "index.json", self._head | state)
        self._complete = state["complete"]

    def _check_file(self, recording: str, sizes: Mapping[str, int]) -> None:
        was, now = sizes.get(recording), self._file_sizes.get(recording)
        if was is not None and now is not None and was != now:
            raise UnitsError(
                f"{self.folder}: the file of {recording!r} had {was} bytes when its units were made, now {now}; "
                "put the former file back, or name another folder"
            )

    def _check_bundle(self, recording: str, bundle: str) -> None:
        if self._bundle is None:
            self._bundle = self._head["settings"].get("bundle", bundle)
        if bundle != self._bundle:
            raise UnitsError(
                f"{self.folder}: {recording!r} has units of codebook {bundle}, this folder's are of {self._bundle}; "
                "write them to another folder"
            )


class _Lines:
    """``units.jsonl``: one record a line, appended; ``places`` are byte offsets."""

    key = "offsets"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "units.jsonl"
        self.places: dict[str, int] = {}
        self.recovered: list[tuple[str, str, float]] = []
        self._size = 0
        if self._path.exists():
            self._recover()
        with explained(self._path):
            self._file = self._path.open("ab", buffering=0)
            self._file.truncate(self._size)  # a line that a kill cut short
        self._synced = time.monotonic()

    def _recover(self) -> None:
        with open_regular(self._path) as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                record = UnitRecord.from_json(line, str(self._path), number)
                self.places[record.id] = self._size
                self.recovered.append((record.id, record.bundle, record.seconds))
                self._size += len(line)

    def append(self, record: UnitRecord) -> None:
        line = record.to_json().encode() + b"\n"
        if os.fstat(self._file.fileno()).st_size != self._size:
            raise UnitsError(f"{self._path}: another program is writing to it; let only one write here, then run again")
        with explained(self._path):
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError:
                self._file.truncate(self._size)  # nothing half-written stays, on a full disk either
                raise
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                self._sync()
        self.places[record.id] = self._size
        self._size += len(line)

    def finish(self) -> None:
        with explained(self._path):
            self._sync()
        self.close()

    def close(self) -> None:
        self._file.close()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


class _Shards:
    """``units-00000.safetensors`` and so on; ``places`` are shard and row."""

    key = "records"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.places: dict[str, tuple[int, int]] = {}
        self.recovered: list[tuple[str, str, float]] = []
        self._held: list[UnitRecord] = []
        shards = find_shards(folder)
        self._number = len(shards)
        for number, shard in enumerate(shards):
            for row, record in enumerate(read_shard(shard)):
                self.places[record.id] = (number, row)
                self.recovered.append((record.id, record.bundle, record.seconds))

    def append(self, record: UnitRecord) -> None:
        record.to_json()  # what cannot be written is refused here, not with the whole shard
        self.places[record.id] = (self._number, len(self._held))
        self._held.append(record)
        if len(self._held) == RECORDS_PER_SHARD:
            self._write()

    def finish(self) -> None:
        if self._held:
            self._write()

    def close(self) -> None:
        # What is held is dropped: a shard cut elsewhere would make the bytes depend on the interruption.
        for record in self._held:
            del self.places[record.id]
        self._held.clear()

    def _write(self) -> None:
        write_shard(self._folder / shard_name(self._number), self._held)
        self._number += 1
        self._held.clear()


def _are_sizes(value: Any) -> bool:
    """Return whether ``value`` is a table of the sizes of files."""
    return isinstance(value, dict) and all(type(size) is int for size in value.values())


def _difference(found: Any, wanted: Any) -> str:
    """What differs, said shortly: one key of two tables of settings, or the two values."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        key = next(k for k in [*wanted, *found] if k not in wanted or k not in found or found[k] != wanted[k])
        return f"{key} was {found.get(key)!r}, now {wanted.get(key)!r}"
    return f"was {found!r}, now {wanted!r}"


def _remove_leftovers(folder: Path) -> None:
    """Temporary files of writes that a kill cut short, of the kinds this writer makes."""
    for pattern in (".writing-*.json", ".writing-*.safetensors"):
        for path in folder.glob(pattern):
            with explained(path):
                path.unlink(missing_ok=True)
