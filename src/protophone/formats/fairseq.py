"""fairseq's lists: ``.tsv`` (root, then path and samples a line) and ``.km`` (the units of the same line)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from protophone.errors import UnitsError
from protophone.files import atomic

__all__ = ["write_fairseq"]


class _Units(Protocol):
    """What a line needs of a recording; the store's records have it."""

    @property
    def id(self) -> str: ...
    @property
    def codes(self) -> np.ndarray: ...
    @property
    def durations(self) -> np.ndarray | None: ...
    @property
    def num_samples(self) -> int: ...
    @property
    def extra(self) -> Mapping[str, Any]: ...


def write_fairseq(folder: str | Path, records: Iterable[_Units], *, root: str = ".", split: str = "units") -> None:
    """Writes ``split``.tsv and ``split``.km into ``folder``, line-aligned, one code for every frame.

    A recording's path, below ``root``, is what it has under ``audio``, and its id where it has none. ``UnitsError`` for
    several codebooks and for segments of longer files, neither of which these lists can say.
    """
    folder = Path(folder)
    with (
        atomic(folder / f"{split}.tsv") as tsv,
        atomic(folder / f"{split}.km") as km,
        tsv.open("w", encoding="utf-8", newline="\n") as paths,
        km.open("w", encoding="utf-8", newline="\n") as units,
    ):
        paths.write(f"{_one_line(root)}\n")
        for record in records:
            if len(record.codes) != 1:
                raise UnitsError(f"{record.id!r}: {len(record.codes)} codebooks; fairseq's .km holds one")
            if "start" in record.extra:
                raise UnitsError(f"{record.id!r}: a segment of a file; fairseq's .tsv lists whole files, so cut it out")
            codes = record.codes[0]
            if record.durations is not None:
                codes = np.repeat(codes, record.durations)
            path = _one_line(str(record.extra.get("audio", record.id)))
            paths.write(f"{path}\t{record.num_samples}\n")
            units.write(" ".join(map(str, codes.tolist())) + "\n")


def _one_line(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UnitsError(f"{path!r}: not valid Unicode; rename the file") from None
    if any(character in path for character in "\t\n\r"):
        raise UnitsError(f"{path!r}: tabs and newlines cannot stand in a .tsv; rename the file")
    return path
