"""Features on disk: one ``NAME.npy`` a recording, float32 ``[frame, dim]``, and ``grid.json`` for all of them."""

import dataclasses
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from protophone.errors import InputError, UnitsError
from protophone.files import atomic, check_regular, inside, is_leftover, read_json, write_json
from protophone.store.fields import HOPS, OFFSETS, RATES, check_whole
from protophone.types import FrameGrid

__all__ = ["Features", "read_features", "write_features"]


def write_features(folder: str | Path, recording: str, array: np.ndarray, grid: FrameGrid) -> Path:
    """Writes the frames of ``recording`` (its id; a "/" in it makes a subfolder) and returns the file.

    ``array`` is floating ``[frame, dim]``, kept as float32. ``InputError`` where the folder holds features on another
    grid, or the id would lead out of it.
    """
    folder = Path(folder)
    path = inside(folder, recording, ".npy")
    if array.ndim != 2 or array.dtype.kind != "f":
        raise ValueError(f"features must be floating [frame, dim], got {array.dtype} of shape {array.shape}")
    if (folder / "grid.json").exists():
        known = _grid(folder)
        if known != grid:
            raise InputError(f"{folder}: holds features on {known}, these are on {grid}; write them to another folder")
    else:
        stated = dataclasses.asdict(grid)
        if grid.window == 1:  # frames that cover the recording, as most do
            del stated["window"]
        write_json(folder / "grid.json", stated)
    # the file is made in memory: numpy, writing to disk itself, would not say that a disk is full
    made = io.BytesIO()
    np.save(made, np.ascontiguousarray(array, dtype="<f4"), allow_pickle=False)
    with atomic(path) as temporary:
        temporary.write_bytes(made.getbuffer())
    return path


class Features(Mapping[str, np.ndarray]):
    """The features in a folder by recording id, memory-mapped when asked for; ``grid`` says where frames lie."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; give one that holds NAME.npy files and grid.json")
        self.folder = folder
        self.grid = _grid(folder)
        found = (path.relative_to(folder) for path in folder.rglob("*.npy") if not is_leftover(path))
        self._ids = {path.as_posix().removesuffix(".npy"): path for path in sorted(found)}

    def __getitem__(self, recording: str) -> np.ndarray:
        path = self.folder / self._ids[recording]
        check_regular(path)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: not a whole .npy file ({error}); write these features again") from None
        if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.ndim != 2:
            found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "an archive"
            raise InputError(f"{path}: {found} where features are float32 [frame, dim]; write them as such")
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def read_features(folder: str | Path) -> Features:
    """The features in ``folder``, a mapping from recording id to float32 ``[frame, dim]`` that reads when asked.

    ``InputError`` for a folder that is not there or lacks ``grid.json``, and, when asked for, for a file that is not
    float32 of two axes. Pickled arrays are refused.
    """
    return Features(Path(folder))


def _grid(folder: Path) -> FrameGrid:
    path = folder / "grid.json"
    content = read_json(path)
    try:
        values = {key: content[key] for key in ("sample_rate", "hop", "offset")}
        values["window"] = content.get("window", 1)
        for key, bounds in (("sample_rate", RATES), ("hop", HOPS), ("offset", OFFSETS), ("window", HOPS)):
            check_whole(key, values[key], bounds)
        return FrameGrid(**values)
    except (KeyError, TypeError, UnitsError) as error:
        raise InputError(f"{path}: needs sample_rate, hop and offset ({error}); write these features again") from None
