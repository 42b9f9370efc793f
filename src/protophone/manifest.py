"""Manifests: which recordings there are, read from a folder or from JSONL, one recording or segment a line."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from protophone import audio
from protophone.errors import AudioError, InputError
from protophone.files import check_regular, id_fault, read_text, write_text
from protophone.folder import Listing, identifier, scan
from protophone.names import collision
from protophone.speakers import SpeakerFrom, check_choice, doubts, speaker_of
from protophone.types import Channel, Recording

__all__ = ["SpeakerFrom", "build", "of_speakers", "of_split", "read", "write"]

_CHANNELS = get_args(Channel)
_TEXT_KEYS = ("speaker", "split", "language", "text")
_COUNT_KEYS = {"start": 0, "num_samples": 1, "sample_rate": 1}  # and the least each may be
_KEYS = {"id", "audio", "channel", *_TEXT_KEYS, *_COUNT_KEYS}
_SOUNDS = ".wav, .flac, .ogg, .opus, .mp3, .m4a and so on (docs/recordings.md)"


def build(
    source: str | Path, speaker_from: SpeakerFrom = "none", *, channel: Channel | None = None, probe: bool = False
) -> Listing:
    """List the recordings of a folder, of a manifest (``.jsonl``), or of one sound file, and the files left out.

    Speakers are as the manifest says (``manifest``; a folder or a file then names none), or from places and names, as
    in ``speaker_of``. ``channel`` is read of each; None: as the manifest says, or the mix. With ``probe``, headers are
    read: ``num_samples`` and ``sample_rate`` are filled in, and a recording whose file is not sound, or ends too early,
    goes to the failures.
    """
    source = Path(source)
    check_choice(speaker_from)
    check_regular(source)
    if source.suffix.lower() == ".jsonl" and not source.is_dir():
        recordings = read(source)
        if speaker_from != "manifest":
            named = (replace(each, speaker=speaker_of(each.path, speaker_from, source.parent)) for each in recordings)
            recordings = list(named)
        listing = Listing(recordings, warnings=doubts(recordings, speaker_from, source.parent))
    elif source.is_dir():
        listing = scan(source, speaker_from)
    elif not source.exists():
        raise InputError(f"{source}: not there; name a folder of recordings, a manifest, or a recording")
    elif source.suffix.lower() in audio.EXTENSIONS:
        name = identifier(Path(source.name))[: -len(source.suffix)]
        if fault := id_fault(name):
            raise InputError(f"{source}: its name {fault}")
        listing = Listing([Recording(id=name, path=source, speaker=speaker_of(source, speaker_from, source.parent))])
    else:
        raise InputError(f"{source}: not a folder, a manifest (.jsonl) or a recording ({_SOUNDS}); name one of these")
    if channel is not None:
        listing = replace(listing, recordings=[replace(each, channel=channel) for each in listing.recordings])
    return _probed(listing) if probe else listing


def of_split(
    recordings: Sequence[Recording], split: str, source: str | Path, *, unnamed: str | None = None
) -> list[Recording]:
    """Return the ``recordings`` of a split; those that name none are of the split ``unnamed``.

    ``InputError`` lists the splits of ``source`` if there is no recording in this one.
    """
    kept = [recording for recording in recordings if (recording.split or unnamed) == split]
    if not kept:
        known = sorted({recording.split or unnamed or "none" for recording in recordings})
        raise InputError(f"{source}: no recording in split {split!r}; its splits are: {', '.join(known)}")
    return kept


def of_speakers(recordings: Sequence[Recording], speakers: Sequence[str], source: str | Path) -> list[Recording]:
    """Return the ``recordings`` of ``speakers``.

    ``InputError`` lists the speakers in ``source`` if there is no recording of one of these.
    """
    known = {recording.speaker for recording in recordings}
    if missing := sorted(set(speakers) - known):
        others = ", ".join(sorted(filter(None, known))) or "none"
        raise InputError(f"{source}: no recording by {', '.join(map(repr, missing))}; its speakers are: {others}")
    return [recording for recording in recordings if recording.speaker in speakers]


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
    if clash := collision(recordings):
        raise InputError(
            f"{path}: ids {clash[0]} and {clash[1]} cannot lie in one output, where a file of the first would be a "
            "folder of the second; rename one"
        )
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
        for key in (*_TEXT_KEYS, *_COUNT_KEYS, "channel"):
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
    known["channel"] = row.get("channel")
    if known["channel"] is not None and known["channel"] not in _CHANNELS:
        raise InputError(f"{where}: channel is {row['channel']!r}; write {', '.join(_CHANNELS)}, or leave the key out")
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
    extra = tuple((key, value) for key, value in row.items() if key not in _KEYS)
    return Recording(id=row["id"], path=path, extra=extra, **known)


def _probed(listing: Listing) -> Listing:
    """Recordings with their lengths and rates, and those whose headers do not allow them; each file is opened once."""
    headers: dict[Path, audio.AudioInfo | AudioError] = {}
    good: list[Recording] = []
    bad: list[tuple[str, str]] = []
    for recording in listing.recordings:
        if recording.path not in headers:
            try:
                headers[recording.path] = audio.probe(recording.path)
            except AudioError as error:
                headers[recording.path] = error
        header = headers[recording.path]
        if isinstance(header, AudioError):
            bad.append((recording.id, str(header)))
            continue
        try:
            _, count = audio.extent(recording, header)
        except AudioError as error:
            bad.append((recording.id, str(error)))
        else:
            good.append(replace(recording, num_samples=count, sample_rate=header.sample_rate))
    return replace(listing, recordings=good, failures=[*listing.failures, *bad])
