"""What training reads: features of a corpus laid end to end on disk, and random crops of them.

A ``Pack`` is one memory-mapped array with where each recording lies in it, written once and then found again;
memory does not grow with the corpus. Crops depend on the seed and the step alone, so training resumes exactly.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from protophone.errors import InputError, ProtophoneError
from protophone.files import atomic, read_json, write_json
from protophone.types import Crops, Recording
from protophone.vad import Segment

__all__ = ["NOBODY", "CropSampler", "Pack", "Packed"]

NOBODY = "speaker"  # the name of whoever speaks where no speaker is named


@dataclass(frozen=True)
class Packed:
    """Where one recording lies in a pack."""

    id: str
    speaker: str | None
    start: int
    length: int


class Pack:
    """Recordings end to end: ``array`` memory-mapped ``[step, dim]`` and ``rows`` saying which part is whose."""

    def __init__(self, array: np.ndarray, rows: list[Packed]) -> None:
        self.array = array
        self.rows = rows

    @classmethod
    def open(cls, folder: str | Path) -> "Pack":
        """The finished pack in ``folder``."""
        folder = Path(folder)
        index = read_json(folder / "pack.json")
        array = np.memmap(folder / "pack.bin", dtype=index["dtype"], mode="r", shape=(index["steps"], *index["shape"]))
        return cls(array, [Packed(**row) for row in index["rows"]])

    @classmethod
    def build(
        cls,
        folder: str | Path,
        recordings: Sequence[Recording],
        compute: Callable[[Recording], np.ndarray],
        *,
        dtype: str,
        settings: dict[str, Any],
        progress: Callable[[Iterable[Recording]], Iterable[Recording]] = iter,
        failures: list[tuple[str, str]] | None = None,
    ) -> "Pack":
        """Packs ``compute(recording)`` (``[step, dim]``) of every recording, unless ``folder`` holds just that already.

        Recordings whose ``compute`` raises a ``ProtophoneError`` are left out and appended to ``failures``; without
        such a list the error is raised.
        """
        folder = Path(folder)
        parts = [[recording.id, recording.start, recording.num_samples] for recording in recordings]
        wanted = {"settings": settings, "recordings": parts}
        if (folder / "pack.json").exists():
            index = read_json(folder / "pack.json")
            if index["wanted"] == wanted:
                if failures is not None:
                    failures += [tuple(failure) for failure in index["failures"]]
                return cls.open(folder)
            # Gone before its array is: a kill in between must not leave the old index beside a new array.
            (folder / "pack.json").unlink()
        rows: list[Packed] = []
        failed: list[tuple[str, str]] = []
        shape: tuple[int, ...] = ()
        steps = 0
        with atomic(folder / "pack.bin") as temporary, temporary.open("wb") as file:
            for recording in progress(recordings):
                try:
                    part = np.ascontiguousarray(compute(recording), dtype=dtype)
                except ProtophoneError as error:
                    if failures is None:
                        raise
                    failed.append((recording.id, str(error)))
                    continue
                shape = part.shape[1:]
                file.write(part.tobytes())
                rows.append(Packed(recording.id, recording.speaker, steps, len(part)))
                steps += len(part)
        if not rows:
            why = f"; the first: {failed[0][1]}" if failed else "; name some"
            raise InputError(f"none of {len(recordings)} recordings could be read{why}")
        index = {
            "wanted": wanted,
            "dtype": dtype,
            "shape": shape,
            "steps": steps,
            "rows": [vars(row) for row in rows],
            "failures": failed,
        }
        write_json(folder / "pack.json", index)
        if failures is not None:
            failures += failed
        return cls.open(folder)

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
        return Pack(self.array, rows)

    def __getitem__(self, index: int) -> np.ndarray:
        """One recording's part of the array."""
        row = self.rows[index]
        return self.array[row.start : row.start + row.length]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))


class CropSampler:
    """Random crops of a pack of input frames and one of targets (the same where they are the same features).

    A recording is drawn in proportion to its length; crops of shorter ones are filled up with zeros, unmasked. A step
    of ``frames`` is ``scale`` steps of ``target`` (samples, where frames are units).
    """

    def __init__(
        self,
        frames: Pack,
        target: Pack,
        *,
        crop: int,
        context: int,
        batch: int,
        seed: int,
        speakers: Sequence[str],
        scale: int = 1,
    ) -> None:
        self.frames, self.target, self.scale = frames, target, scale
        self.crop, self.context, self.batch, self.seed = crop, context, batch, seed
        self.speaker = np.array([speakers.index(row.speaker or NOBODY) for row in frames.rows])
        weights = np.array([row.length for row in frames.rows], np.float64)
        self.cumulative = np.cumsum(weights) / weights.sum()

    def __call__(self, step: int) -> Crops:
        """The batch of ``step``."""
        random = np.random.default_rng((self.seed, step))
        chosen = np.searchsorted(self.cumulative, random.random(self.batch), side="right")
        full = self.crop + 2 * self.context
        frames = np.zeros((self.batch, full, self.frames.array.shape[1]), np.float32)
        target = np.zeros((self.batch, self.crop * self.scale, self.target.array.shape[1]), np.float32)
        mask = np.zeros((self.batch, self.crop), np.float32)
        for row, index in enumerate(chosen):
            source, wanted = self.frames[index], self.target[index]
            start = int(random.integers(max(1, len(source) - self.crop + 1)))
            low = max(0, start - self.context)
            part = source[low : start + self.crop + self.context]
            at = low - (start - self.context)
            frames[row, at : at + len(part)] = part
            part = wanted[start * self.scale : (start + self.crop) * self.scale]
            target[row, : len(part)] = part
            mask[row, : len(source) - start] = 1
        return Crops(*map(torch.from_numpy, (frames, target, mask, self.speaker[chosen])))
