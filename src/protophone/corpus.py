"""Encoding and decoding whole corpora: windows of recordings, read ahead, batched by length, resumed after a kill.

Batches depend on the manifest alone: a window of recordings is read while the one before is encoded, sorted by length
and cut into batches of bounded size. A run that was killed encodes its unfinished window again as a whole, so that
the bytes written are those of an unbroken run.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from protophone import audio
from protophone.errors import InputError, ProtophoneError
from protophone.files import inside, read_json, refuse_existing, write_json
from protophone.formats import write_zerospeech
from protophone.model import Model
from protophone.store import UnitRecord, UnitsWriter, write_features
from protophone.types import Recording, UnitBatch

__all__ = ["Done", "Form", "check_failures", "decode_corpus", "encode_corpus"]

Form = Literal["units", "shards", "zerospeech", "npy"]
_WINDOW = 256  # recordings read and sorted at a time
_BATCH_SECONDS = 120  # of sound in a batch, padding included
_LONG_SECONDS = 60  # above it a recording is encoded alone, in chunks


@dataclass
class Done:
    """What became of a corpus: how many recordings and seconds were encoded, and which failed with what reason."""

    recordings: int = 0
    seconds: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)


def encode_corpus(
    model: Model,
    recordings: Sequence[Recording],
    folder: str | Path,
    *,
    form: Form = "units",
    beside: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> Done:
    """Units of every recording into ``folder``: ``units.jsonl``, shards, or the vectors they stand for.

    ``advance(count)`` is told of recordings dealt with. Recordings that cannot be read are left out and listed. Raises
    ``UnitsError`` when ``folder`` holds other units, ``InputError`` when it holds anything else, unless the units may
    lie ``beside`` that.
    """
    folder = Path(folder)
    if not recordings:
        raise InputError(f"{folder}: nothing to write there, for no recording is left; is the split the right one?")
    if not beside and not (folder / "index.json").is_file():
        refuse_existing(folder)
    names = [[recording.id, recording.start, recording.num_samples] for recording in recordings]
    settings = {"bundle": model.encoder.codebook.hash, "recordings": _digest(json.dumps(part) for part in names)}
    done = Done()
    if form in {"zerospeech", "npy"}:
        settings["form"] = form
    writer = UnitsWriter(folder, settings=settings, shard=form == "shards")
    with writer:
        for window, sounds in _windows(model, recordings, writer.done):
            rows = dict(_encoded(model, window, sounds))
            for index, recording in enumerate(window):
                sound = sounds[index]
                if isinstance(sound, ProtophoneError):
                    writer.fail(recording.id, str(sound))
                    done.failures.append((recording.id, str(sound)))
                    continue
                if recording.id in writer.done:
                    continue
                units, length = rows[index]
                if form in {"zerospeech", "npy"}:
                    _write_vectors(model, units, folder, recording.id, form)
                writer.append(_record(units, recording, length))
                done.recordings += 1
                done.seconds += length / model.sample_rate
            advance(len(window))
    return done


def decode_corpus(
    model: Model,
    records: Iterable[UnitRecord],
    folder: str | Path,
    *,
    voice: str | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Done:
    """Speaks every record in ``voice`` (without one, in its speaker's where there is such a voice) as ``ID.wav``.

    Sounds that are there already are kept, so an interrupted run goes on. Raises ``InputError`` when ``folder`` holds
    something else, ``UnitsError`` for units of another codebook; then nothing is written.
    """
    folder = Path(folder)
    records = list(records)
    index = folder / "sounds.json"
    wanted = {
        "bundle": model.encoder.codebook.hash,
        "voice": voice,
        "units": _digest(record.to_json() for record in records),
    }
    if not index.is_file():
        refuse_existing(folder)
    elif read_json(index) != wanted:
        raise InputError(f"{folder}: holds sounds of other units or of another voice; name another folder")
    done = Done()
    for record in records:
        path = inside(folder, record.id, ".wav")
        if not path.exists():
            own = record.extra.get("speaker")
            name = voice or (own if own in model.voices else None)
            sound = model.decode(record.to_utterance(), name)
            if not index.exists():
                write_json(index, wanted)
            audio.write(path, sound[0], sound.sample_rate)
        done.recordings += 1
        done.seconds += record.num_samples / record.sample_rate
        advance(1)
    return done


def check_failures(done: Done, total: int, max_bad: float) -> None:
    """``InputError`` when more than ``max_bad`` (a share) of ``total`` recordings failed."""
    if len(done.failures) > max_bad * total:
        first = done.failures[0]
        raise InputError(
            f"{len(done.failures)} of {total} recordings could not be used, more than --max-bad {max_bad:g} allows; "
            f"the first: {first[1]}"
        )


def _digest(lines: Iterable[str]) -> str:
    """Tells apart what an output folder was made from."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:16]


def _windows(
    model: Model, recordings: Sequence[Recording], done: Iterable[str]
) -> Iterator[tuple[Sequence[Recording], list[np.ndarray | Recording | ProtophoneError]]]:
    """Windows that are not finished yet with their sounds; long recordings and faults stand in for themselves."""
    finished = set(done)
    windows = [recordings[at : at + _WINDOW] for at in range(0, len(recordings), _WINDOW)]
    waiting = [window for window in windows if any(recording.id not in finished for recording in window)]

    def fetch(recording: Recording) -> np.ndarray | Recording | ProtophoneError:
        try:
            if _seconds(recording) > _LONG_SECONDS:
                return recording
            samples = audio.read(recording, model.sample_rate)
            audio.check_speech(samples, str(recording.path), model.sample_rate)
        except ProtophoneError as error:
            return error
        return samples

    with ThreadPoolExecutor(2) as pool:
        ahead: list[list[Future]] = [[pool.submit(fetch, recording) for recording in part] for part in waiting[:1]]
        for number, window in enumerate(waiting):
            if number + 1 < len(waiting):
                ahead.append([pool.submit(fetch, recording) for recording in waiting[number + 1]])
            yield window, [future.result() for future in ahead.pop(0)]


def _seconds(recording: Recording) -> float:
    """Length of a recording, from the manifest where it says so, else from the file's header."""
    if recording.num_samples is not None and recording.sample_rate:
        return recording.num_samples / recording.sample_rate
    info = audio.probe(recording.path)
    return (recording.num_samples or info.num_samples) / info.sample_rate


def _encoded(
    model: Model, window: Sequence[Recording], sounds: list[np.ndarray | Recording | ProtophoneError]
) -> Iterator[tuple[int, tuple[UnitBatch, int]]]:
    """Units of each readable recording of a window, batched by length; faults of long ones are put into ``sounds``."""
    for index, sound in enumerate(sounds):
        if isinstance(sound, Recording):
            try:
                utterance = model.encode(window[index])
            except ProtophoneError as error:
                sounds[index] = error
                continue
            yield index, (utterance.content, utterance.num_samples)
    short = {index: sound for index, sound in enumerate(sounds) if isinstance(sound, np.ndarray)}
    for batch in _batches({index: len(sound) for index, sound in short.items()}, _BATCH_SECONDS * model.sample_rate):
        units = model.encode_batch([short[index] for index in batch])
        for row, index in enumerate(batch):
            part = UnitBatch.from_arrays([units[row]], units.sizes, units.grid, units.codebook)
            yield index, (part, len(short[index]))


def _batches(lengths: Mapping[int, int], most: int) -> list[list[int]]:
    """Keys in order of their lengths, in batches that padded hold at most ``most`` samples."""
    batches: list[list[int]] = []
    for index in sorted(lengths, key=lambda index: (lengths[index], index)):
        if not batches or (len(batches[-1]) + 1) * lengths[index] > most:
            batches.append([])
        batches[-1].append(index)
    return batches


def _record(units: UnitBatch, recording: Recording, length: int) -> UnitRecord:
    extra: dict[str, Any] = {}
    if recording.speaker is not None:
        extra["speaker"] = recording.speaker
    if recording.start:
        extra["source"] = str(recording.path.name)
        extra["start"] = recording.start
    return UnitRecord.from_batch(units, recording.id, length, extra=extra)


def _write_vectors(model: Model, units: UnitBatch, folder: Path, name: str, form: Form) -> None:
    """What ABX scores of a recording, as text or as an array."""
    vectors = model.encoder.vectors(units)
    if form == "npy":
        write_features(folder, name, vectors[0], vectors.grid)
    else:
        write_zerospeech(inside(folder, name, ".txt"), vectors[0])
