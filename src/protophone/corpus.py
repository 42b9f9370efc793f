"""Encoding and decoding whole corpora: windows of recordings, read ahead, batched by length, resumed after a kill.

Batches depend on the manifest alone: a window of recordings is read while the one before is encoded, sorted by length
and cut into batches of bounded size. A run that was killed encodes the batches it had not written as a whole again, so
that the bytes written are those of an unbroken run.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from protophone import audio
from protophone.delivery import Delivery
from protophone.errors import InputError, ProtophoneError, UnitsError
from protophone.files import id_fault, inside, read_json, refuse_existing, write_json
from protophone.formats import write_zerospeech
from protophone.memory import check_memory, naming_memory
from protophone.model import Heard, Model
from protophone.names import refuse_collisions
from protophone.progress import Advance, Stage, portion, silent
from protophone.store import UnitRecord, UnitsWriter, write_features
from protophone.tape import Tape, seconds_of
from protophone.types import Recording, Utterance

__all__ = ["Done", "Form", "check_failures", "decode_corpus", "encode_corpus"]

Form = Literal["units", "shards", "zerospeech", "npy"]
_AS_RECORDED = Delivery()
_WINDOW = 64  # recordings read and sorted at a time, of a minute each at most: 250 MB
_BATCH_SECONDS = 120  # of sound in a batch, padding included
_SPOKEN = 12  # bytes a sample of a recording that is spoken: the sound in parts, whole, and as it is written
_CUT = "encode the recording in shorter parts"
_LONG_SECONDS = 60  # above it a recording is encoded alone, in chunks


@dataclass
class Done:
    """What became of a corpus: how many recordings and seconds are done, in this run and before it, and what failed.

    ``failures`` are ids with the reason; ``warnings`` are faults of the signal that do not stop it from being read.
    """

    recordings: int = 0
    seconds: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Sound:
    """A recording read: ``samples`` float32 ``[sample]``, None of a long one; ``notes`` go beside its units.

    ``warnings`` are those of its signal, of a long one once it has been encoded.
    """

    recording: Recording
    samples: np.ndarray | None
    notes: Mapping[str, Any]
    warnings: list[str]


@dataclass(frozen=True)
class _Fault:
    """A recording that cannot be used, and why."""

    recording: Recording
    reason: str


def encode_corpus(
    model: Model,
    recordings: Sequence[Recording],
    folder: str | Path,
    *,
    form: Form = "units",
    beside: bool = False,
    stage: Stage = silent,
) -> Done:
    """Units of every recording into ``folder``: ``units.jsonl``, shards, or the vectors they stand for.

    Recordings that cannot be used are left out and listed; every
    run tries them again. Raises ``UnitsError`` when ``folder`` holds other units, ``InputError`` when it holds anything
    else, unless the units may lie ``beside`` that.
    """
    folder = Path(folder)
    if not recordings:
        raise InputError(f"{folder}: nothing to write there, for no recording is left; is the split the right one?")
    refuse_collisions(folder, [recording.id for recording in recordings])
    if not beside and not (folder / "index.json").is_file():
        refuse_existing(folder)
    settings = {"bundle": model.encoder.codebook.hash, "recordings": len(recordings), "files": _identity(recordings)}
    if model.pitch is not None:
        settings["pitch"] = model.pitch.codebook.hash
    if form in {"zerospeech", "npy"}:
        settings["form"] = form
    done = Done()
    sizes = _file_sizes(recordings)
    with UnitsWriter(folder, settings=settings, shard=form == "shards", file_sizes=sizes) as writer:
        windows = [recordings[at : at + _WINDOW] for at in range(0, len(recordings), _WINDOW)]
        waiting = [window for window in windows if any(recording.id not in writer.done for recording in window)]
        seconds = seconds_of(each for window in waiting for each in window)
        with stage("encoding", sum(seconds.values()), "seconds") as advance:
            for window in _read_ahead(waiting, partial(_read, folder=folder, sample_rate=model.sample_rate)):
                for made in _encoded(model, window, writer.done, seconds, advance):
                    if isinstance(made, _Fault):
                        writer.fail(made.recording.id, made.reason)
                        done.failures.append((made.recording.id, made.reason))
                        continue
                    if form in {"zerospeech", "npy"}:
                        _write_vectors(model, made, folder, form)
                    writer.append(made)
                done.warnings += [text for each in window if isinstance(each, _Sound) for text in each.warnings]
        done.recordings, done.seconds = len(writer.done), writer.seconds
    return done


def decode_corpus(
    model: Model,
    records: Iterable[UnitRecord],
    folder: str | Path,
    *,
    voice: str | Heard | None = None,
    delivery: Delivery = _AS_RECORDED,
    source: str | Path = "units",
    stage: Stage = silent,
) -> Done:
    """Speaks every record in ``voice`` (without one, in its speaker's where there is such a voice) as ``ID.wav``.

    ``delivery`` says along which melody and how fast. Sounds that are there already are kept, so an interrupted run
    goes on. Raises ``InputError`` when ``folder`` holds something else, ``UnitsError`` for units of another codebook,
    which end it where they stand; it names their ``source`` and the recording.
    """
    folder = Path(folder)
    records = list(records)
    refuse_collisions(folder, [record.id for record in records])
    index = folder / "sounds.json"
    wanted = {
        "bundle": model.encoder.codebook.hash,
        "voice": voice.mark if isinstance(voice, Heard) else voice,
        "vocoder": model.vocoder,
        "weights": model.bundle.mark("pitch", f"voices/{model.vocoder}" if model.vocoder else "voices"),
        "delivery": asdict(delivery),
        "units": _digest(record.to_json() for record in records),
    }
    if not index.is_file():
        refuse_existing(folder)
    elif read_json(index) != wanted:
        raise InputError(f"{folder}: holds sounds of other units or of another voice; name another folder")
    done = Done()
    with stage("speaking", sum(record.seconds for record in records), "seconds") as advance:
        for record in records:
            path = inside(folder, record.id, ".wav")
            if not path.exists():
                what = f"{source}: {record.id!r}"
                check_memory(_SPOKEN * record.num_samples, f"{what}, {record.seconds:.0f} s,", _CUT, UnitsError)
                try:
                    with naming_memory(what, _CUT):
                        sound = model.decode(record.to_utterance(), voice, delivery)
                except UnitsError as error:
                    raise UnitsError(f"{what}: {error}") from None
                if not index.exists():
                    write_json(index, wanted)
                audio.write(path, sound[0], sound.sample_rate)
            done.recordings += 1
            done.seconds += record.seconds / delivery.rate
            advance(record.seconds)
    return done


def check_failures(failures: Sequence[tuple[str, str]], total: int, max_bad: float) -> None:
    """``InputError`` when more than ``max_bad`` (a share) of ``total`` recordings failed."""
    if len(failures) > max_bad * total:
        raise InputError(
            f"{len(failures)} of {total} recordings could not be used, more than --max-bad {max_bad:g} allows; "
            f"the first: {failures[0][1]}"
        )


def _digest(lines: Iterable[str]) -> str:
    """Tells apart what an output folder was made from."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:16]


def _identity(recordings: Sequence[Recording]) -> str:
    """Tells recordings apart by ids, parts, channels and names of files; the sizes of those that failed may change."""
    return _digest(
        json.dumps([each.id, each.start, each.num_samples, each.path.name, *filter(None, [each.channel])])
        for each in recordings
    )


def _file_sizes(recordings: Sequence[Recording]) -> dict[str, int]:
    """Bytes of each recording's file, without those that are not there: other sound under the same name is noticed."""
    paths = {each.path for each in recordings}
    sizes = {path: path.stat().st_size for path in paths if path.is_file()}
    return {each.id: sizes[each.path] for each in recordings if each.path in sizes}


def _read_ahead(
    windows: Iterable[Sequence[Recording]], read: Callable[[Recording], _Sound | _Fault]
) -> Iterator[list[_Sound | _Fault]]:
    """The recordings of each window, read while the window before is worked on."""
    pool = ThreadPoolExecutor(2)
    ahead: Iterable[_Sound | _Fault] | None = None
    try:
        for window in windows:
            begun = pool.map(read, window)
            if ahead is not None:
                yield list(ahead)
            ahead = begun
        if ahead is not None:
            yield list(ahead)
    finally:
        pool.shutdown(cancel_futures=True)


def _read(recording: Recording, *, folder: Path, sample_rate: int) -> _Sound | _Fault:
    """A recording whose units will lie in ``folder``: its sound, unless it is long, or why it cannot be used."""
    notes: dict[str, Any] = {} if recording.speaker is None else {"speaker": recording.speaker}
    samples, tape = None, Tape(recording, sample_rate)
    try:
        if fault := id_fault(recording.id):
            raise InputError(f"{recording.path}: id {recording.id!r} {fault}")
        info = audio.probe(recording.path)
        start, count = audio.extent(recording, info)
        if count < info.num_samples:
            notes["source"] = _path_from(folder, recording.path)
            notes["start"] = round(start * sample_rate / info.sample_rate)
        if count <= _LONG_SECONDS * info.sample_rate:
            samples = tape.whole()
    except ProtophoneError as error:
        return _Fault(recording, str(error))
    return _Sound(recording, samples, notes, tape.warnings)


def _path_from(folder: Path, path: Path) -> str:
    """The path of a file as seen from ``folder``; a whole path where no other leads there, to another drive."""
    there, here = path.parent.resolve() / path.name, folder.resolve()
    return (Path(os.path.relpath(there, here)) if there.drive == here.drive else there).as_posix()


def _encoded(
    model: Model,
    window: Sequence[_Sound | _Fault],
    done: KeysView[str],
    seconds: Mapping[str, float],
    advance: Advance,
) -> list[UnitRecord | _Fault]:
    """What became of the recordings of a window, in its order; those ``done`` only fill the batches up."""
    made: dict[str, UnitRecord | _Fault] = {}
    short: dict[str, np.ndarray] = {}
    for each in window:
        name = each.recording.id
        if isinstance(each, _Fault):
            made[name] = each
        elif each.samples is not None:
            short[name] = each.samples
        elif name in done:
            advance(seconds[name])
        else:
            with portion(advance, seconds[name]) as move:
                made[name] = _encoded_alone(model, each, move)
    notes = {each.recording.id: each.notes for each in window if isinstance(each, _Sound)}
    lengths = {name: len(samples) for name, samples in short.items()}
    advance(sum(seconds[each.recording.id] for each in window if isinstance(each, _Fault)))
    for batch in _batches(lengths, _BATCH_SECONDS * model.sample_rate):
        if done >= set(batch):
            advance(sum(seconds[name] for name in batch))
            continue
        units = model.encode_batch([short[name] for name in batch])
        for row, name in enumerate(batch):
            alone = Utterance(units.row(row), lengths[name], voice=notes[name].get("speaker"))
            made[name] = UnitRecord.from_utterance(model.with_pitch(alone, [short[name]]), name, notes[name])
            advance(seconds[name])
    return [made[each.recording.id] for each in window if each.recording.id not in done]


def _encoded_alone(model: Model, sound: _Sound, heard: Callable[[float], None]) -> UnitRecord | _Fault:
    """Units of a long recording, whose faults show only when it is read; ``heard`` as in ``Tape``."""
    tape = Tape(sound.recording, model.sample_rate, heard)
    try:
        utterance = model.encode(tape)
    except ProtophoneError as error:
        return _Fault(sound.recording, str(error))
    sound.warnings.extend(tape.warnings)
    return UnitRecord.from_utterance(utterance, sound.recording.id, sound.notes)


def _batches(lengths: Mapping[str, int], most: int) -> list[list[str]]:
    """Keys in order of their lengths, in batches that padded hold at most ``most`` samples."""
    batches: list[list[str]] = []
    for key in sorted(lengths, key=lambda key: lengths[key]):
        if not batches or (len(batches[-1]) + 1) * lengths[key] > most:
            batches.append([])
        batches[-1].append(key)
    return batches


def _write_vectors(model: Model, record: UnitRecord, folder: Path, form: Form) -> None:
    """What ABX scores of a recording, as text or as an array."""
    vectors = model.encoder.vectors(record.to_batch())
    if form == "npy":
        write_features(folder, record.id, vectors[0], vectors.grid)
    else:
        write_zerospeech(inside(folder, record.id, ".txt"), vectors[0])
