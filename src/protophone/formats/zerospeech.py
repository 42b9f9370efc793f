"""ZeroSpeech's representation files: one vector a line, numbers apart by single spaces."""

from pathlib import Path

import numpy as np

from protophone.errors import InputError
from protophone.files import read_text, write_text

__all__ = ["read_zerospeech", "write_zerospeech"]


def write_zerospeech(path: str | Path, frames: np.ndarray) -> None:
    """Writes real ``frames`` ``[frame, dim]``, each number as the shortest text that gives it back exactly.

    ``InputError`` for frames that are none, or not finite: the scoring would refuse them.
    """
    if frames.ndim != 2 or frames.dtype.kind not in "fiu":
        raise ValueError(f"frames must be real [frame, dim], got {frames.dtype} of shape {frames.shape}")
    if not frames.size:
        raise InputError(f"{path}: no vectors to write (shape {frames.shape}); leave this recording out")
    if not np.isfinite(frames).all():
        raise InputError(f"{path}: vectors that are not finite; look for silence or faults in the recording")
    known: dict[bytes, str] = {}  # units repeat their vectors
    lines = []
    for row in np.ascontiguousarray(frames):
        key = row.tobytes()
        if key not in known:
            known[key] = " ".join(map(str, row))
        lines.append(known[key])
    write_text(path, "\n".join(lines) + "\n")


def read_zerospeech(path: str | Path) -> np.ndarray:
    """The vectors of a representation file, float32 ``[frame, dim]``.

    ``InputError``, naming the line, for lines of different lengths and for what is not a finite number.
    """
    path = Path(path)
    try:
        lines = read_text(path).rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable representation ({error}); give one vector a line") from error
    if not lines[0].strip():
        raise InputError(f"{path}:1: no vectors; give one vector a line, numbers apart by spaces")
    rows: list[np.ndarray] = []
    for number, line in enumerate(lines, start=1):
        try:
            row = np.array([float(value) for value in line.split()], dtype=np.float32)
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}; a line holds numbers and spaces only") from None
        if not np.isfinite(row).all():
            raise InputError(f"{path}:{number}: a number that is not finite; make these vectors again")
        if rows and len(row) != len(rows[0]):
            raise InputError(f"{path}:{number}: {len(row)} numbers where line 1 has {len(rows[0])}; a line cut short?")
        rows.append(row)
    return np.stack(rows)
