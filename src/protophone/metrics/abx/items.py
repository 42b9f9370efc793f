"""ABX item files: which stretch of which recording is a token of which phone.

A line is ``#file onset offset #phone prev-phone next-phone speaker``, times in seconds (ZeroSpeech's and
Libri-Light's format).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from protophone.errors import InputError
from protophone.files import read_text

__all__ = ["ABXItem", "by_file", "read_items"]


@dataclass(frozen=True)
class ABXItem:
    """One token of an item file: where it lies, its phone, its context and its speaker."""

    file: str
    onset: float
    offset: float
    phone: str
    context: tuple[str, str]
    speaker: str


def read_items(path: str | Path) -> list[ABXItem]:
    """Tokens of a ZeroSpeech item file, in its order.

    Raises ``InputError``, naming the line, for fields that are missing, times that are no stretch of time, and tokens
    that were there before.
    """
    path = Path(path)
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable item file ({error}); give a ZeroSpeech .item file") from error
    lines_of: dict[ABXItem, int] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or (number == 1 and line.startswith("#")):
            continue
        if len(fields) != 7:
            raise InputError(
                f"{path}:{number}: {len(fields)} fields where an item has seven "
                "(file onset offset phone prev-phone next-phone speaker)"
            )
        file, onset, offset, phone, previous, following, speaker = fields
        try:
            start, end = float(onset), float(offset)
        except ValueError:
            start, end = 0.0, -1.0
        if not 0 <= start <= end < float("inf"):
            raise InputError(f"{path}:{number}: a token from {onset} to {offset}; give onset <= offset in seconds")
        item = ABXItem(file, start, end, phone, (previous, following), speaker)
        if item in lines_of:  # X would be compared with itself, at no distance
            raise InputError(f"{path}:{number}: the token of line {lines_of[item]} again; give each once")
        lines_of[item] = number
    if not lines_of:
        raise InputError(f"{path}: no items; give a ZeroSpeech .item file")
    return list(lines_of)


def by_file(ids: Iterable[str], items: list[ABXItem]) -> dict[str, str]:
    """The id of each file that ``items`` name: the same name, or the one id that ends in ``/name``.

    Raises ``InputError`` for a file that no id fits, or that several fit.
    """
    known = set(ids)
    by_name: dict[str, list[str]] = {}
    for id_ in sorted(known):
        by_name.setdefault(id_.rsplit("/", 1)[-1], []).append(id_)
    found: dict[str, str] = {}
    for file in dict.fromkeys(item.file for item in items):
        fitting = [file] if file in known else by_name.get(file, [])
        if len(fitting) != 1:
            cause = (
                f"fits several recordings ({', '.join(fitting)}); name one of them in full in the items"
                if fitting
                else f"is none of the {len(known)} recordings at hand; encode it, or give the items of these recordings"
            )
            raise InputError(f"{file}: in the items, but {cause}")
        found[file] = fitting[0]
    return found
