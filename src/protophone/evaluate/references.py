"""What is scored against: the items and alignments of the recordings at hand, by the recordings' names."""

from collections.abc import Collection, Sequence
from pathlib import Path

from protophone.errors import InputError
from protophone.evaluate.figure import LeftOut
from protophone.formats import Alignment, read_alignment
from protophone.metrics.abx import ABXItem, by_file, read_items

__all__ = ["check_references", "items_of", "mended_in"]


def check_references(
    ids: Sequence[str], *, items: str | Path | None, alignment: str | Path | None, tier: str | None = None
) -> None:
    """``InputError`` where the files to score against cannot be read, or name none of the recordings ``ids``.

    Better said before the work than after it.
    """
    if items is not None:
        items_of(ids, items)
    if alignment is not None:
        read_alignment(alignment, ids, tier)
    elif tier is not None:
        raise InputError(f"--tier {tier}: of which alignment? give it with --alignment")


def items_of(ids: Collection[str], path: str | Path) -> tuple[list[ABXItem], dict[str, str], list[ABXItem]]:
    """The items of the recordings ``ids``, the id of each of their files, and the items of no recording here.

    Raises ``InputError`` where no recording is named in them, or a file could be several recordings.
    """
    tokens = read_items(path)
    known = {*ids, *map(_last, ids)}
    kept = [token for token in tokens if token.file in known]
    absent = [token for token in tokens if token.file not in known]
    try:
        return kept, by_file(ids, kept or tokens), absent
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def mended_in(alignment: Alignment) -> list[LeftOut]:
    """Return the trimmed and skipped parts of an alignment, as results list them."""
    parts = [(each.partition(": "), count) for each, count in alignment.mended.items()]
    return [LeftOut(f"{what} of the alignment", count, reason) for (what, _, reason), count in parts]


def _last(name: str) -> str:
    """The last part of an id, which may be all that others know a recording by."""
    return name.rsplit("/", 1)[-1]
