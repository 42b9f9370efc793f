"""What is scored against: the items and alignments of the recordings at hand, by the recordings' names."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from protophone.errors import InputError
from protophone.formats import read_ctm
from protophone.metrics.abx import ABXItem, by_file, read_items

__all__ = ["alignments_of", "check_references", "items_of"]


def check_references(ids: Sequence[str], *, items: str | Path | None, alignment: str | Path | None) -> None:
    """``InputError`` where the files to score against cannot be read, or name none of the recordings ``ids``.

    Better said before the work than after it.
    """
    if items is not None:
        items_of(ids, items)
    if alignment is not None:
        alignments_of(ids, alignment)


def items_of(ids: Collection[str], path: str | Path) -> tuple[list[ABXItem], dict[str, str], list[ABXItem]]:
    """The items of the recordings ``ids``, the id of each of their files, and the items of no recording here.

    Raises ``InputError`` where no recording is named in them, or a file could be several recordings.
    """
    tokens = read_items(path)
    known = {*ids, *map(_last, ids)}
    kept = [token for token in tokens if token.file in known]
    absent = [token for token in tokens if token.file not in known]
    return kept, by_file(ids, kept or tokens), absent


def alignments_of(ids: Sequence[str], path: str | Path) -> dict[str, list[tuple[float, float, str]]]:
    """``(start, duration, symbol)`` in seconds of each of the recordings ``ids`` that ``path``, a CTM file, aligns.

    It names a recording by its id, or by the last part of that where no other id ends so. Raises ``InputError`` where
    it names none of them.
    """
    alignment = read_ctm(path)
    ending = Counter(map(_last, ids))
    names = {id_: _last(id_) if id_ not in alignment and ending[_last(id_)] == 1 else id_ for id_ in ids}
    found = {id_: alignment[name] for id_, name in names.items() if name in alignment}
    if not found:
        raise InputError(
            f"{path}: no alignment of any of the {len(ids)} recordings: it names {next(iter(alignment))}, they are "
            f"called {ids[0]} and so on; name each by its id, or by the last part where no other ends so"
        )
    return found


def _last(name: str) -> str:
    """The last part of an id, which may be all that others know a recording by."""
    return name.rsplit("/", 1)[-1]
