"""Manifests: which recordings there are, read from a folder or from JSONL, one recording or segment a line."""

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from protophone import audio
from protophone.errors import AudioError, InputError
from protophone.files import id_fault, read_text, write_text
from protophone.types import Recording

__all__ = ["SpeakerFrom", "build", "read", "scan", "write"]

SpeakerFrom = Literal["none", "parent", "prefix", "manifest"]

_TEXT_KEYS = ("speaker", "split", "language", "text")
_COUNT_KEYS = {"start": 0, "num_samples": 1, "sample_rate": 1}  # and the least each may be
_SOUNDS = ".wav, .flac, .ogg, .opus, .mp3, .m4a and so on (docs/recordings.md)"


def build(
    source: str | Path, speaker_from: SpeakerFrom = "none", *, probe: bool = False
) -> tuple[list[Recording], list[tuple[Recording, AudioError]]]:
    """The recordings of a folder, of a manifest (``.jsonl``), or of one sound file; and those that cannot be used.

    Speakers are as the manifest says (``manifest``; a folder or a file then names none), or from places and names, as
    in ``scan``. With ``probe``, headers are read: ``num_samples`` and ``sample_rate`` are filled in, and a recording
    whose file is not sound, or ends too early, goes to the second list with the error. Without, that list is empty.
    """
    source = Path(source)
    if speaker_from not in get_args(SpeakerFrom):
        raise InputError(f"--speaker-from {speaker_from}: choose one of {', '.join(get_args(SpeakerFrom))}")
    is_manifest = source.suffix.lower() == ".jsonl" and not source.is_dir()
    if is_manifest:
        recordings = read(source)
        if speaker_from != "manifest":
            recordings = [replace(each, speaker=_speaker(each.path, speaker_from)) for each in recordings]
    elif source.is_dir():
        recordings = scan(source, speaker_from)
    elif not source.exists():
        raise InputError(f"{source}: not there; name a folder of recordings, a manifest, or a recording")
    elif source.suffix.lower() in audio.EXTENSIONS:
        name = _plain(_identifier(Path(source.name)), ())
        recordings = [_found(name[: -len(source.suffix)], source, speaker_from)]
    else:
        raise InputError(f"{source}: not a folder, a manifest (.jsonl) or a recording ({_SOUNDS}); name one of these")
    return _probed(recordings) if probe else (recordings, [])


def scan(folder: str | Path, speaker_from: SpeakerFrom = "none") -> list[Recording]:
    """Every recording in ``folder`` and the folders in it, in the order of their names; hidden ones are skipped.

    The id is the path from ``folder`` without the suffix, with "_" for a backslash; files that differ in nothing else
    keep theirs. The speaker is the name of the folder a file lies in (``parent``) or what its name has before the first
    ``_`` or ``-`` (``prefix``).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; name the folder that holds the recordings")
    paths: dict[str, Path] = {}
    for path in _sounds(folder):
        twin = paths.setdefault(_identifier(path.relative_to(folder)), path)
        if twin != path:
            raise InputError(f"{path}: its name differs from another's only in how accents are coded; rename one")
    if not paths:
        raise InputError(f"{folder}: no recordings in it; sound files end in {_SOUNDS}")
    for full in [full for full in sorted(paths) if "\\" in full]:
        paths[_plain(full, paths)] = paths.pop(full)
    ids = {full: full[: -len(path.suffix)] for full, path in paths.items()}
    while repeated := {id_ for id_, count in Counter(ids.values()).items() if count > 1}:
        ids = {full: full if id_ in repeated else id_ for full, id_ in ids.items()}
    return [_found(ids[full], paths[full], speaker_from) for full in sorted(paths)]


def read(path: str | Path) -> list[Recording]:
    """The recordings of a JSONL manifest; ``InputError`` names the line that is wrong, and why."""
    path = Path(path)
    try:
        lines = read_text(path).split("\n")
    except FileNotFoundError:
        raise InputError(f"{path}: not there; make one with: protophone manifest FOLDER {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a manifest that can be read ({error}); it must be UTF-8 JSONL") from error
    recordings: dict[str, Recording] = {}
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        recording = _recording(line, path.parent, where)
        if recording.id in recordings:
            raise InputError(f"{where}: id {recording.id} is that of line {seen[recording.id]} too; make ids unique")
        recordings[recording.id] = recording
        seen[recording.id] = number
    if not recordings:
        raise InputError(f"{path}: no recordings in it; make one with: protophone manifest FOLDER {path}")
    return list(recordings.values())


def write(path: str | Path, recordings: Sequence[Recording]) -> None:
    """Writes recordings as a JSONL manifest with paths relative to it; ``read`` gives them back."""
    path = Path(path)
    repeated = [id_ for id_, count in Counter(recording.id for recording in recordings).items() if count > 1]
    if repeated:
        raise InputError(f"{path}: not written, for two recordings have the id {repeated[0]}; make ids unique")
    for recording in recordings:
        if fault := id_fault(recording.id):
            raise InputError(f"{path}: not written, for id {recording.id!r} {fault}")
    folder = path.parent.resolve()
    lines = []
    for recording in recordings:
        # folders are resolved, for ".." means something else across a link; a linked file keeps its own name
        sound = recording.path.parent.resolve() / recording.path.name
        row: dict[str, Any] = {"id": recording.id, "audio": Path(os.path.relpath(sound, folder)).as_posix()}
        for key in (*_TEXT_KEYS, *_COUNT_KEYS):
            value = getattr(recording, key)
            if value is not None and (key, value) != ("start", 0):
                row[key] = value
        lines.append(json.dumps(row | dict(recording.extra), ensure_ascii=False))
    write_text(path, "".join(line + "\n" for line in lines))


def _recording(line: str, folder: Path, where: str) -> Recording:
    """One line of a manifest in ``folder``, checked."""
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); write one object a line") from None
    if not isinstance(row, dict):
        raise InputError(f'{where}: not a JSON object; write {{"id": "a", "audio": "a.wav"}}')
    for key in ("id", "audio"):
        if key not in row:
            raise InputError(f'{where}: the key "{key}" is missing; every line needs "id" and "audio"')
        if not isinstance(row[key], str) or not row[key]:
            raise InputError(f"{where}: {key} is {row[key]!r}; write a text that is not empty")
    if fault := id_fault(row["id"]):
        raise InputError(f"{where}: id {row['id']!r} {fault}")
    known: dict[str, Any] = {}
    for key in _TEXT_KEYS:
        known[key] = value = row.get(key)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{where}: {key} is {value!r}; write a text, or leave the key out")
    for key, least in _COUNT_KEYS.items():
        value = row.get(key)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{where}: {key} is {value!r}; write a whole number of {least} or more")
        known[key] = value
    path = folder / row["audio"]
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for names that are too long
        raise InputError(f"{where}: audio {row['audio']} is not there; paths count from the folder of the manifest")
    extra = tuple((key, value) for key, value in row.items() if key not in {"id", "audio", *_TEXT_KEYS, *_COUNT_KEYS})
    return Recording(id=row["id"], path=path, extra=extra, **known)


def _probed(recordings: list[Recording]) -> tuple[list[Recording], list[tuple[Recording, AudioError]]]:
    """Recordings with their lengths and rates, and those whose headers do not allow them; each file is opened once."""
    headers: dict[Path, audio.AudioInfo | AudioError] = {}
    good: list[Recording] = []
    bad: list[tuple[Recording, AudioError]] = []
    for recording in recordings:
        if recording.path not in headers:
            try:
                headers[recording.path] = audio.probe(recording.path)
            except AudioError as error:
                headers[recording.path] = error
        header = headers[recording.path]
        if isinstance(header, AudioError):
            bad.append((recording, header))
            continue
        try:
            _, count = audio.extent(recording, header)
        except AudioError as error:
            bad.append((recording, error))
        else:
            good.append(replace(recording, num_samples=count, sample_rate=header.sample_rate))
    return good, bad


def _sounds(folder: Path) -> list[Path]:
    """Sound files under ``folder``; links to folders are followed, each folder once."""
    found = []
    visited = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_unreadable):
        real = os.path.realpath(place)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in files if not name.startswith(".")]
    return [path for path in sorted(found) if path.suffix.lower() in audio.EXTENSIONS]


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename}: a folder that cannot be read ({error.strerror}); change its permissions")


def _identifier(path: Path) -> str:
    """A relative path as an id: "/" between parts, composed letters (NFC), so that ids are equal on every system."""
    return unicodedata.normalize("NFC", _utf8(path.as_posix()))


def _plain(full: str, taken: Container[str]) -> str:
    """A file's identifier with "_" for a backslash, which some systems part folders by, unlike those ``taken``."""
    stem, dot, suffix = full.replace("\\", "_").rpartition(".")
    while stem + dot + suffix in taken:
        stem += "_"
    return stem + dot + suffix


def _found(id_: str, path: Path, speaker_from: SpeakerFrom) -> Recording:
    """The recording in a file; ``InputError`` where its name can be no id."""
    if fault := id_fault(id_):
        raise InputError(f"{path}: its name {fault}")
    return Recording(id=id_, path=path, speaker=_speaker(path, speaker_from))


def _utf8(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name!r}: this name is not UTF-8; rename the file") from None
    return name


def _speaker(path: Path, speaker_from: SpeakerFrom) -> str | None:
    """Whom a file's place or name says it is by; ``None`` where that was not asked for."""
    if speaker_from == "parent":
        return _identifier(Path(path.absolute().parent.name))
    if speaker_from == "prefix":
        stem = _identifier(Path(path.stem))
        cuts = [at for at in (stem.find("_"), stem.find("-")) if at >= 0]
        if not cuts or min(cuts) == 0:
            raise InputError(
                f'{path}: no speaker before a first "_" or "-" in its name; name it SPEAKER_{path.name}, '
                "or take speakers from somewhere else (--speaker-from)"
            )
        return stem[: min(cuts)]
    return None
