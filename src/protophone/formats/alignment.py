"""Alignments of recordings, in any of the files they come in: CTM, TextGrid, ELAN, or a folder of these.

A CTM file names the recordings it aligns. A TextGrid or ELAN file aligns one recording and is named like it: by the id
of the recording, or by the last part of that where no other id ends so. Below a folder, the names of files are their
paths, or the last parts of these where no other ends so. Times are seconds of the recording; of a segment of a longer
file, seconds from where the segment begins.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from protophone.errors import InputError
from protophone.formats.ctm import read_ctm
from protophone.formats.eaf import read_eaf
from protophone.formats.textgrid import read_textgrid
from protophone.formats.tier import Interval, Tier, in_order

__all__ = ["Alignment", "read_alignment"]

_ROUNDING = 1e-3  # seconds that neighbours in a CTM file may overlap by rounding
_READERS: Mapping[str, Callable[[Path], list[Tier]]] = {
    ".textgrid": read_textgrid,
    ".eaf": lambda path: read_eaf(path, path.stem),
}
_NAMES = {  # of tiers, as aligners and linguists call them
    "phones": frozenset({"phone", "phones", "phoneme", "phonemes", "segment", "segments", "phon", "phonetic", "mau"}),
    "words": frozenset({"word", "words", "ort", "ort-mau"}),
}


@dataclass(frozen=True)
class Alignment:
    """Labelled stretches ``(start, end, label)`` in seconds of each recording, in order and apart.

    Labels have no white space at their ends: "a " is the phone "a".

    ``mended`` counts, by "what: reason", all that was trimmed or skipped of the files.
    """

    segments: Mapping[str, list[Interval]]
    mended: Mapping[str, int]


def read_alignment(
    path: str | Path,
    ids: Sequence[str] | None = None,
    tier: str | None = None,
    *,
    of: Literal["phones", "words"] = "phones",
) -> Alignment:
    """Read the alignment of recordings from a file or a folder.

    Parameters
    ----------
    path
        A CTM file, a TextGrid, an ELAN file, or a folder of them.
    ids
        The recordings to find; keys of the answer are theirs. Without them all that is there, by the names it has.
    tier
        Name of the tier of TextGrids and ELAN files, in full or without the speaker that aligners and ELAN add ("tx"
        is "tx@ana" and "ana - tx"). Without it the one called phones, segments or the like (words,
        with ``of="words"``), or the only one with intervals.
    of
        Labels of the tier that is looked for.

    Raises
    ------
    InputError
        If a file cannot be read, two files align one recording, ``path`` aligns none of ``ids``, or it is not clear
        which tier is meant.

    """
    path = Path(path)
    sources = dict(_sources(path, tier, of))
    names = {name: name for name in sources} if ids is None else _matched(ids, sources)
    if not names:
        examples = ", ".join(list(ids or ())[:1]) or "none"
        raise InputError(
            f"{path}: no alignment of any of the {len(ids or ())} recordings: it names {next(iter(sources))}, they are "
            f"called {examples} and so on; name each by its id, or by the last part where no other ends so"
        )
    segments: dict[str, list[Interval]] = {}
    mended: Counter[str] = Counter()
    lacking: list[InputError] = []
    for id_, name in names.items():
        try:
            found = sources[name]()
        except _NoSuchTierError as error:
            if len(names) == 1:
                raise
            lacking.append(error)
            continue
        segments[id_] = [(start, end, label.strip()) for start, end, label in found.intervals if label.strip()]
        mended.update(found.mended)
    if not segments:
        raise lacking[0]
    if lacking:
        mended[f"files: they have no tier {tier}"] = len(lacking)
    return Alignment(segments, mended)


class _NoSuchTierError(InputError):
    """A file without the tier that was asked for; in a folder others may have it."""


def _sources(path: Path, tier: str | None, of: str) -> Iterator[tuple[str, Callable[[], Tier]]]:
    """The name of each recording that is aligned in ``path``, and its reader."""
    seen: dict[str, Path] = {}
    if not path.is_dir():
        files = {path: path.stem}
    else:
        known = {*_READERS, ".ctm"}
        files = {
            each: each.relative_to(path).with_suffix("").as_posix()
            for each in sorted(path.rglob("*"))
            if each.suffix.lower() in known and not each.is_dir()
        }
        if not files:
            raise InputError(f"{path}: no .ctm, .TextGrid or .eaf file in it; give alignments of the recordings")
    for file, name in files.items():
        for recording, reader in _within(file, name, tier, of):
            if recording in seen:
                raise InputError(f"{file}: aligns {recording}, as {seen[recording]} does; keep one of them")
            seen[recording] = file
            yield recording, reader


def _within(file: Path, name: str, tier: str | None, of: str) -> Iterator[tuple[str, Callable[[], Tier]]]:
    if file.suffix.lower() in _READERS:
        read = _READERS[file.suffix.lower()]
        yield name, lambda: _chosen(file, read(file), tier, of)
        return
    if tier is not None and file.suffix.lower() == ".ctm":
        raise InputError(f"{file}: a CTM file has no tiers; leave --tier {tier} out")
    for recording, rows in read_ctm(file).items():
        intervals, mended = in_order(
            ((start, start + duration, label) for start, duration, label in rows), rounding=_ROUNDING
        )
        yield recording, partial(Tier, recording, intervals, mended)


def _matched(ids: Sequence[str], names: Mapping[str, object]) -> dict[str, str]:
    """The name of the alignment of each of ``ids`` that has one."""
    endings, ends = Counter(map(_last, ids)), Counter(map(_last, names))
    deeper = {_last(name): name for name in names if ends[_last(name)] == 1}  # of files in folders
    found = {}
    for id_ in ids:
        if id_ in names:
            found[id_] = id_
        elif endings[_last(id_)] == 1:
            name = _last(id_) if _last(id_) in names else deeper.get(id_)
            if name is not None:
                found[id_] = name
    return found


def _last(name: str) -> str:
    """The last part of an id, which may be all that others know a recording by."""
    return name.rsplit("/", 1)[-1]


def _chosen(file: Path, tiers: Sequence[Tier], wanted: str | None, of: str) -> Tier:
    """The tier that is ``wanted``, or is called like what is looked for, or the only one with intervals."""
    listed = ", ".join(f"{tier.name} ({len(tier.intervals)} intervals)" for tier in tiers) or "none"
    if wanted is not None:
        folded = wanted.strip().casefold()
        named = (
            [tier for tier in tiers if tier.name == wanted]
            or [tier for tier in tiers if tier.name.strip().casefold() == folded]
            or [tier for tier in tiers if folded in _words(tier.name)]
        )
        if not named:
            raise _NoSuchTierError(f"{file}: no tier {wanted}; its tiers are: {listed}")
    else:
        filled = [tier for tier in tiers if tier.intervals]
        if not filled:
            raise InputError(f"{file}: no tier with intervals; its tiers are: {listed}")
        named = [tier for tier in filled if _words(tier.name) & _NAMES[of]] or filled
    if len(named) > 1:
        raise InputError(f"{file}: which tier holds the {of}? name one with --tier; its tiers are: {listed}")
    return named[0]


def _words(name: str) -> set[str]:
    """The name of a tier and its parts, where aligners and ELAN add a speaker: "ana - phones", "phones@ana"."""
    folded = name.strip().casefold()
    return {folded, folded.rsplit(" - ", 1)[-1], folded.split("@", 1)[0]}
