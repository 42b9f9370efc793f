"""What there is to learn from: each recording listened through once for speech, and a few kept from training."""

import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from protophone.config import Whole, build, config
from protophone.errors import ConfigError, InputError, ProtophoneError
from protophone.files import read_json, write_json
from protophone.progress import Advance, Stage, portion
from protophone.tape import Tape, seconds_of
from protophone.types import Recording
from protophone.vad import Segment, speech_segments

__all__ = ["RATE", "HeldOut", "Survey", "listen"]

RATE = 16000  # Hz that segments are counted at
_NOTED = 30  # seconds between notes of how far listening has come
_HELD_OUT = 8  # recordings or segments at most that are kept from training
_CLIP = 60  # seconds that a clip lasts at most; what is longer is a tape


@dataclass(frozen=True)
class HeldOut:
    """A part of a recording that nothing is learned from, in samples at 16 kHz, and what it is called."""

    id: str
    recording: Recording
    segment: Segment


@dataclass(frozen=True)
class Survey:
    """The recordings with speech in them, and which have none or cannot be read, with the reason.

    ``segments`` (speech) and ``lengths`` are in samples at 16 kHz, by id. ``warnings`` are faults of the signal.
    """

    recordings: list[Recording]
    segments: dict[str, list[Segment]]
    lengths: dict[str, int]
    failures: list[tuple[str, str]]
    warnings: list[str] = field(default_factory=list)

    @property
    def minutes(self) -> float:
        """Of recordings with speech in them."""
        return sum(self.lengths.values()) / RATE / 60

    @property
    def speech_minutes(self) -> float:
        """Of speech."""
        return sum(part.end - part.start for parts in self.segments.values() for part in parts) / RATE / 60

    @property
    def held_out(self) -> list[HeldOut]:
        """What is kept from training, to be listened to: a twentieth, eight at most, chosen by names.

        Whole recordings where these are clips, but not the last of a speaker; else segments, but not the last of a
        recording, named by the second they begin at.
        """
        clips = [
            HeldOut(each.id, each, Segment(0, self.lengths[each.id]))
            for each in self.recordings
            if self.lengths[each.id] <= _CLIP * RATE
        ]
        speakers = Counter(each.speaker for each in self.recordings)
        held = _twentieth(clips, speakers, lambda part: part.recording.speaker)
        if held and len(clips) > len(self.recordings) // 2:
            return held
        parts = [
            HeldOut(f"{tape.id}_{part.start / RATE:.2f}", tape, part)
            for tape in self.recordings
            for part in self.segments[tape.id]
        ]
        return _twentieth(parts, Counter(part.recording.id for part in parts), lambda part: part.recording.id)

    @property
    def learned(self) -> tuple[list[Recording], dict[str, list[Segment]]]:
        """What is learned from: recordings, and their segments, without those held out."""
        held = self.held_out
        whole = {part.id for part in held}
        cut = {(part.recording.id, part.segment) for part in held}
        recordings = [recording for recording in self.recordings if recording.id not in whole]
        return recordings, {
            each.id: [part for part in self.segments[each.id] if (each.id, part) not in cut] for each in recordings
        }


def _twentieth(
    parts: Sequence[HeldOut], left: Counter[str | None], owner: Callable[[HeldOut], str | None]
) -> list[HeldOut]:
    """A twentieth of the parts, one at least and eight at most, of owners that have more than one ``left``."""
    wanted = min(_HELD_OUT, max(1, len(parts) // 20))
    chosen: list[HeldOut] = []
    for part in sorted(parts, key=lambda part: hashlib.sha256(part.id.encode()).hexdigest()):
        if len(chosen) < wanted and left[owner(part)] > 1:
            left[owner(part)] -= 1
            chosen.append(part)
    return sorted(chosen, key=lambda part: part.id)


def listen(
    source: Path,
    found: Sequence[Recording],
    path: Path,
    begin: Callable[[], None],
    stage: Stage,
) -> Survey:
    """Listens for speech in ``found``, the recordings of ``source``; goes on from what is noted in ``path``.

    ``begin`` is called before the first note. ``InputError`` where the notes are of other recordings, or none of these
    has speech in it.
    """
    heard: dict[str, Any] = {"whole": False, "segments": {}, "lengths": {}, "failures": {}, "warnings": {}}
    if path.exists():
        try:
            heard = asdict(build(_Notes, read_json(path), source=str(path)))
        except ConfigError as error:
            raise InputError(f"{error}; remove this file to listen again") from None
    names = {recording.id for recording in found}
    known = heard["lengths"].keys() | heard["failures"].keys()
    if not known <= names or (heard["whole"] and known != names):
        raise InputError(f"{source}: its recordings are not those that {path} notes; name another output")
    if heard["whole"]:
        _check_failures(found, heard["failures"], path)
    else:
        left = [recording for recording in found if recording.id not in known]
        seconds = seconds_of(left)
        with stage("listening", sum(seconds.values()), "seconds") as advance:
            _hear(left, seconds, heard, path, begin, advance)
    failures = dict(heard["failures"])
    kept = [recording for recording in found if heard["segments"].get(recording.id)]
    for recording in found:
        if recording.id not in failures and not heard["segments"][recording.id]:
            fault = "".join(heard["warnings"].get(recording.id, [])[:1]).removeprefix(f"{recording.path}: ")
            failures[recording.id] = f"{recording.path}: no speech found in it; {fault or 'is it the right file?'}"
    if not kept:
        raise InputError(f"{source}: no recording with speech in it; the first: {next(iter(failures.values()))}")
    return Survey(
        kept,
        {each.id: [Segment(*pair) for pair in heard["segments"][each.id]] for each in kept},
        {each.id: heard["lengths"][each.id] for each in kept},
        list(failures.items()),
        [text for each in kept for text in heard["warnings"].get(each.id, [])],
    )


@config
class _Notes:
    """The document of ``survey.json``: segments and lengths are in samples at 16 kHz, by id."""

    whole: bool
    segments: dict[str, list[tuple[Whole, Whole]]]
    lengths: dict[str, Whole]
    failures: dict[str, str]
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.segments.keys() != self.lengths.keys():
            raise ConfigError("segments and lengths are of other recordings")
        for name, pairs in self.segments.items():
            if any(not start < end <= self.lengths[name] for start, end in pairs):
                raise ConfigError(f"segments of {name!r} that are none, or pass its end")


def _check_failures(found: Sequence[Recording], failures: Mapping[str, str], path: Path) -> None:
    """``InputError`` where a recording can be read by now, which the run was begun without."""
    for recording in found:
        if recording.id in failures:
            try:
                deque(Tape(recording, RATE).blocks(), maxlen=0)
            except ProtophoneError:
                continue
            raise InputError(
                f"{recording.path}: can be read now, but the run of {path.parent.parent} was begun without it; "
                "name another output to learn from it, or take it out of the recordings"
            )


def _hear(
    recordings: Sequence[Recording],
    seconds: Mapping[str, float],
    heard: dict[str, Any],
    path: Path,
    begin: Callable[[], None],
    advance: Advance,
) -> None:
    """Speech and length of each recording into ``heard``, and that into ``path`` now and then."""

    def note() -> None:
        if any(heard["segments"].values()):  # else there is nothing to go on with
            begin()
            write_json(path, heard)

    noted = time.monotonic()
    try:
        for recording in recordings:
            with portion(advance, seconds[recording.id]) as move:
                tape = Tape(recording, RATE, move)
                try:
                    segments = speech_segments(tape.blocks(), RATE)
                except ProtophoneError as error:
                    heard["failures"][recording.id] = str(error)
                else:
                    heard["segments"][recording.id] = [[segment.start, segment.end] for segment in segments]
                    heard["lengths"][recording.id] = tape.num_samples
                    heard["warnings"] |= {recording.id: tape.warnings} if tape.warnings else {}
            if time.monotonic() - noted > _NOTED:
                note()
                noted = time.monotonic()
        heard["whole"] = True
    finally:
        note()
