"""Names as they are shown and as they name files: escaped in text, kept apart in an output folder."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from protophone.errors import InputError

__all__ = ["collision", "printable", "refuse_collisions"]

_UNSHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, which a terminal obeys
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of writing around
    "\u2028\u2029\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"  # bytes of a name that are not UTF-8
)
_SUFFIXES = frozenset({"wav", "npy", "txt", "ppn", "TextGrid", "eaf"})  # that an id gets in outputs


def printable(text: str, *, keep: str = "") -> str:
    """Escape the characters of ``text`` that a terminal obeys or a reader cannot see, but for those in ``keep``.

    The escapes are those of JSON, so that JSON text stays JSON.
    """
    return _UNSHOWN.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)


def collision(ids: Iterable[str], *, fold: bool = False) -> tuple[str, str] | None:
    """Return two ids whose outputs cannot lie in one folder, None if there are none.

    They are ``a`` and ``a.wav/c``, since ``a.wav`` would be a file and a folder. With ``fold``, for file systems that
    ignore case, they are also ``a`` and ``A``.
    """
    known: dict[str, str] = {}
    for name in ids:
        other = known.setdefault(name.casefold() if fold else name, name)
        if other != name:
            return other, name
    suffixes = {suffix.casefold() for suffix in _SUFFIXES} if fold else _SUFFIXES
    for key, name in known.items():
        head = key
        while "/" in head:
            head = head.rpartition("/")[0]
            stem, _, suffix = head.rpartition(".")
            if suffix in suffixes and stem in known:
                return known[stem], name
    return None


def refuse_collisions(folder: Path, ids: Collection[str]) -> None:
    """Raise ``InputError`` if outputs of two ``ids`` cannot lie in ``folder``, whose file system may ignore case."""
    if clash := collision(ids, fold=_ignores_case(folder)):
        raise InputError(
            f"{folder}: cannot hold outputs of both {clash[0]} and {clash[1]}, for a file of one would be a file or "
            "folder of the other; rename one of the recordings"
        )


def _ignores_case(folder: Path) -> bool:
    """Whether names that differ in case alone are one; False if the name of ``folder`` cannot show it."""
    other = folder.with_name(folder.name.swapcase()) if folder.name else folder
    return other != folder and folder.exists() and other.exists() and other.samefile(folder)
