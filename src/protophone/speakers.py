"""Speakers taken from the places and names of files."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from protophone.errors import InputError
from protophone.types import Recording

__all__ = ["SpeakerFrom", "amounts", "check_choice", "doubts", "speaker_of"]

SpeakerFrom = Literal["none", "parent", "top", "prefix", "manifest"]

_NAMED = 12  # speakers at most in a line
_PLACES = 3  # folders at most in a warning


def check_choice(speaker_from: str) -> None:
    """Raise ``InputError`` for a source of speakers that there is not."""
    if speaker_from not in get_args(SpeakerFrom):
        raise InputError(f"--speaker-from {speaker_from}: choose one of {', '.join(get_args(SpeakerFrom))}")


def speaker_of(path: Path, speaker_from: SpeakerFrom, source: Path) -> str | None:
    """Return the speaker of the recording in ``path``; None unless ``speaker_from`` is a place or name.

    ``parent`` is the folder that the file lies in, ``top`` the first folder below ``source``, ``prefix`` the file's
    name before the first ``_`` or ``-``. Raises ``InputError`` if there is no such folder or prefix.
    """
    if speaker_from == "parent":
        return unicodedata.normalize("NFC", path.absolute().parent.name)
    if speaker_from == "top":
        top = _top(path, source)
        if top is None:
            raise InputError(
                f"{path}: lies in no folder below {source}, so --speaker-from top finds no speaker; move it into its "
                "speaker's folder, or take speakers from somewhere else"
            )
        return top
    if speaker_from == "prefix":
        stem = unicodedata.normalize("NFC", path.stem)
        cuts = [at for at in (stem.find("_"), stem.find("-")) if at >= 0]
        if not cuts or min(cuts) == 0:
            raise InputError(
                f'{path}: no speaker before a first "_" or "-" in its name; name it SPEAKER_{path.name}, '
                "or take speakers from somewhere else (--speaker-from)"
            )
        return stem[: min(cuts)]
    return None


def amounts(recordings: Iterable[Recording], seconds: Mapping[str, float]) -> str:
    """Return a line of the speakers with their minutes, the longest first; empty if no speaker is named.

    ``seconds`` are those of each recording by its id.
    """
    lasting: dict[str, float] = {}
    for each in recordings:
        name = each.speaker or "nobody named"
        lasting[name] = lasting.get(name, 0.0) + seconds.get(each.id, 0.0)
    if set(lasting) <= {"nobody named"}:
        return ""
    order = sorted(lasting, key=lambda name: (-lasting[name], name))
    named = ", ".join(f"{name} {lasting[name] / 60:.1f} min" for name in order[:_NAMED])
    more = f" and {len(order) - _NAMED} more" if len(order) > _NAMED else ""
    return f"{len(order)} speaker{'s' if len(order) > 1 else ''}: {named}{more}"


def doubts(recordings: Sequence[Recording], speaker_from: SpeakerFrom, source: Path) -> list[str]:
    """Return a warning for each name that may be several people's: it lies under several folders."""
    if speaker_from not in {"parent", "prefix"}:
        return []
    places: dict[str, dict[str, None]] = {}
    for each in recordings:
        place = _below(each.path.parent, source) if speaker_from == "parent" else _top(each.path, source)
        if each.speaker is not None and place is not None:
            places.setdefault(each.speaker, {})[place] = None
    doubtful = {name: list(found) for name, found in places.items() if len(found) > 1}
    if not doubtful:
        return []
    name, found = next(iter(doubtful.items()))
    listed = ", ".join(found[:_PLACES]) + (", ..." if len(found) > _PLACES else "")
    others = f", and {len(doubtful) - 1} more names do so" if len(doubtful) > 1 else ""
    warning = (
        f"speaker {name!r} is one person here, but that name lies under {len(found)} folders ({listed}){others}; if "
        "these are several people, take the first folder below the source: --speaker-from top"
    )
    return [warning]


def _below(path: Path, source: Path) -> str:
    """``path`` as seen from ``source``, if it lies there."""
    return str(path.relative_to(source)) if path.is_relative_to(source) else str(path)


def _top(path: Path, source: Path) -> str | None:
    """The first folder below ``source`` on the way to ``path``."""
    try:
        parts = path.absolute().relative_to(source.absolute()).parts
    except ValueError:
        return None
    return unicodedata.normalize("NFC", parts[0]) if len(parts) > 1 else None
