"""What training reads: features of a corpus laid end to end on disk.

A ``Pack`` is one memory-mapped array with where each recording lies in it, written once and then found again;
memory does not grow with the corpus.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from protophone.config import Count, Whole, build, config
from protophone.errors import ConfigError, InputError, ProtophoneError
from protophone.files import explained, read_json, write_json
from protophone.progress import Stage, portion, silent
from protophone.tape import Tape, seconds_of
from protophone.types import Recording
from protophone.vad import Segment

__all__ = ["Pack", "Packed"]

_NOTED = 30  # seconds between notes of how far a pack has come


@dataclass(frozen=True)
class Packed:
    """Where one recording lies in a pack."""

    id: str
    speaker: str | None
    start: int
    length: int


class Pack:
    """Recordings end to end: ``array`` memory-mapped ``[step, dim]`` and ``rows`` saying which part is whose.

    ``content`` is a hash of the array's bytes.
    """

    def __init__(self, array: np.ndarray, rows: list[Packed], content: str) -> None:
        self.array = array
        self.rows = rows
        self.content = content

    @classmethod
    def build(
        cls,
        folder: str | Path,
        recordings: Sequence[Recording],
        compute: Callable[[Tape], Iterable[np.ndarray]],
        *,
        sample_rate: int,
        dtype: str,
        settings: Mapping[str, Any],
        title: str = "reading",
        stage: Stage = silent,
        failures: list[tuple[str, str]] | None = None,
    ) -> "Pack":
        """Packs what ``compute(tape)`` yields, parts ``[step, dim]``, for every recording's tape at ``sample_rate``.

        What ``folder`` holds of just that is not computed again: all of it, or what an interrupted run had written.
        Recordings for which a ``ProtophoneError`` is raised are left out and appended to ``failures``; without such a
        list the error is raised.
        """
        writer = _Writer.open(Path(folder), recordings, dtype, settings)
        left = recordings[len(writer.rows) + len(writer.failures) :]
        if not writer.content:
            seconds = seconds_of(left)
            with writer.appending() as append, stage(title, sum(seconds.values()), "seconds") as advance:
                for recording in left:
                    with portion(advance, seconds[recording.id]) as move:
                        try:
                            append(recording, compute(Tape(recording, sample_rate, move)))
                        except ProtophoneError as error:
                            if failures is None:
                                raise
                            writer.failures.append((recording.id, str(error)))
            if not writer.rows:
                why = f"; the first: {writer.failures[0][1]}" if writer.failures else "; name some"
                raise InputError(f"none of {len(recordings)} recordings could be read{why}")
            writer.finish()
        if failures is not None:
            failures += writer.failures
        shape = (writer.steps, *writer.shape)
        array = np.memmap(writer.array, dtype=dtype, mode="r", shape=shape)
        return cls(array, writer.rows, writer.content)

    def cut(self, segments: Mapping[str, Sequence[Segment]], hop: int, *, scale: int = 1) -> "Pack":
        """The same array with a row for each segment (in samples) of each recording.

        Segments are widened to whole frames of ``hop`` samples; a frame is ``scale`` steps of the array.
        """
        rows = []
        for row in self.rows:
            for segment in segments[row.id]:
                first = segment.start // hop
                end = min(-(-segment.end // hop), row.length // scale)
                if end > first:
                    rows.append(Packed(row.id, row.speaker, row.start + first * scale, (end - first) * scale))
        return Pack(self.array, rows, self.content)

    def trimmed(self, steps: int) -> "Pack":
        """The same array without the first and last ``steps`` of each recording; short ones keep their middle step."""
        rows = []
        for row in self.rows:
            cut = min(steps, (row.length - 1) // 2)
            rows.append(Packed(row.id, row.speaker, row.start + cut, row.length - 2 * cut))
        return Pack(self.array, rows, self.content)

    @property
    def digest(self) -> str:
        """Tells apart what packs hold: the array's bytes, and which part of them is whose."""
        rows = json.dumps([[row.id, row.speaker, row.start, row.length] for row in self.rows])
        return hashlib.sha256((self.content + rows).encode()).hexdigest()[:16]

    def __getitem__(self, index: int) -> np.ndarray:
        """One recording's part of the array."""
        row = self.rows[index]
        return self.array[row.start : row.start + row.length]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))


@config
class _Row:
    """A recording in ``pack.json``."""

    id: str
    speaker: str | None
    start: Whole
    length: Whole


@config
class _Notes:
    """The document of ``pack.json``."""

    wanted: dict[str, Any]
    shape: tuple[Count, ...]
    content: str
    rows: tuple[_Row, ...]
    failures: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if any(row.start + row.length != after.start for row, after in pairwise(self.rows)):
            raise ConfigError("its rows do not follow each other")


class _Writer:
    """A pack on its way to disk: ``pack.bin``, and ``pack.json`` with what of it is finished."""

    def __init__(self, folder: Path, wanted: dict[str, Any], dtype: str) -> None:
        self.folder, self.wanted, self.dtype = folder, wanted, dtype
        self.rows: list[Packed] = []
        self.failures: list[tuple[str, str]] = []
        self.shape: tuple[int, ...] = ()
        self.content = ""  # a hash once the pack is whole

    @classmethod
    def open(cls, folder: Path, recordings: Sequence[Recording], dtype: str, settings: Mapping[str, Any]) -> "_Writer":
        """What ``folder`` holds of these recordings with these settings, or nothing yet."""
        digest = hashlib.sha256()
        for each in recordings:
            size = each.path.stat().st_size if each.path.is_file() else None
            digest.update(
                json.dumps(
                    [each.id, each.speaker, each.start, each.num_samples, size, *filter(None, [each.channel])]
                ).encode()
            )
        writer = cls(folder, {**settings, "dtype": dtype, "recordings": digest.hexdigest()}, dtype)
        if not writer.index.exists():
            return writer
        try:
            kept = build(_Notes, read_json(writer.index), source=str(writer.index))
        except ConfigError as error:
            raise InputError(f"{error}; remove {folder} to make it again") from None
        if kept.wanted != writer.wanted:
            return writer
        done = [row.id for row in kept.rows] + [name for name, _ in kept.failures]
        if sorted(done) != sorted(each.id for each in recordings[: len(done)]):
            raise InputError(f"{writer.index}: notes other recordings; remove {folder} to make it again")
        found = cls(folder, writer.wanted, dtype)
        found.rows = [Packed(row.id, row.speaker, row.start, row.length) for row in kept.rows]
        found.failures = list(kept.failures)
        found.shape, found.content = kept.shape, kept.content
        there = found.array.stat().st_size if found.array.exists() else -1
        return found if there >= found.steps * found._width else writer

    @property
    def index(self) -> Path:
        return self.folder / "pack.json"

    @property
    def array(self) -> Path:
        return self.folder / "pack.bin"

    @property
    def steps(self) -> int:
        """Steps of the recordings that are finished."""
        return self.rows[-1].start + self.rows[-1].length if self.rows else 0

    @contextmanager
    def appending(self) -> Iterator[Callable[[Recording, Iterable[np.ndarray]], None]]:
        """What it yields appends a recording; how far it came is noted now and then, and when the block is left."""
        with explained(self.array):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._note()  # before the array is touched: an old index must not stand beside a new array
            with self.array.open("ab") as file:
                noted = time.monotonic()

                def append(recording: Recording, parts: Iterable[np.ndarray]) -> None:
                    nonlocal noted
                    file.truncate(self.steps * self._width)
                    length = 0
                    for part in parts:
                        self.shape = part.shape[1:]
                        file.write(np.ascontiguousarray(part, dtype=self.dtype).tobytes())
                        length += len(part)
                    self.rows.append(Packed(recording.id, recording.speaker, self.steps, length))
                    if time.monotonic() - noted > _NOTED:
                        self._sync(file)
                        noted = time.monotonic()

                try:
                    yield append
                finally:
                    self._sync(file)

    def finish(self) -> None:
        """The pack is whole."""
        digest = hashlib.sha256()
        with self.array.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        self.content = digest.hexdigest()[:16]
        self._note()

    @property
    def _width(self) -> int:
        """Bytes of a step."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    def _sync(self, file: BinaryIO) -> None:
        file.truncate(self.steps * self._width)
        file.flush()
        os.fsync(file.fileno())
        self._note()

    def _note(self) -> None:
        rows = [vars(row) for row in self.rows]
        write_json(
            self.index,
            {
                "wanted": self.wanted,
                "shape": self.shape,
                "content": self.content,
                "rows": rows,
                "failures": self.failures,
            },
        )
