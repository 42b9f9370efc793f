"""What ``discover`` found out about its units: annotations of each recording, figures, and what the page shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from protophone import audio
from protophone.formats import Tier, read_ctm, write_eaf, write_textgrid
from protophone.metrics.abx import abx, read_items
from protophone.metrics.bitrate import bit_rates
from protophone.metrics.items import by_file
from protophone.model import Model
from protophone.report import BitRate, Corpus, Curve, Example, Failure, Pair, PhoneMatrix, ReportData
from protophone.store import UnitRecord
from protophone.train import history
from protophone.types import Recording
from protophone.vad import Segment

__all__ = ["annotate", "check_references", "figures", "page"]

_MEANINGS = {
    "zerospeech": "ZeroSpeech 2019: entropy of the units, every frame charged",
    "nominal": "frames a second times log2 of the number of units",
    "run_length": "each run of one unit charged for the unit and for its length",
    "collapsed": "runs alone, their lengths free",
}
_EXAMPLES = 6  # sounds of each unit on the page
_LONGEST = 15  # seconds of a held-out recording on the page


def check_references(*, items: str | Path | None, alignment: str | Path | None) -> None:
    """``InputError`` where the files to score against cannot be read: better said before the work than after it."""
    if items is not None:
        read_items(items)
    if alignment is not None:
        read_ctm(alignment)


def annotate(
    records: Sequence[UnitRecord],
    recordings: Mapping[str, Recording],
    segments: Mapping[str, Sequence[Segment]],
    out: Path,
) -> None:
    """A Praat TextGrid and an ELAN file for each recording: its speech, and the units in it as runs."""
    for record in records:
        duration = record.num_samples / record.sample_rate
        speech = [
            (segment.start / record.sample_rate, min(segment.end / record.sample_rate, duration), "speech")
            for segment in segments[record.id]
        ]
        tiers = [Tier("speech", speech), Tier("units", _runs(record, segments[record.id]))]
        grid, eaf = out / "textgrid" / f"{record.id}.TextGrid", out / "elan" / f"{record.id}.eaf"
        if not grid.exists():
            write_textgrid(grid, tiers, duration)
        if not eaf.exists():
            write_eaf(eaf, tiers, recordings[record.id].path, duration)


def _runs(record: UnitRecord, segments: Sequence[Segment]) -> list[tuple[float, float, str]]:
    """Runs of equal units within speech, in seconds of the recording."""
    codes, hop = record.codes[0], record.hop
    out: list[tuple[float, float, str]] = []
    for segment in segments:
        first, end = segment.start // hop, min(-(-segment.end // hop), len(codes))
        if out:
            first = max(first, -(-round(out[-1][1] * record.sample_rate) // hop))
        at = first
        while at < end:
            stop = at + 1
            while stop < end and codes[stop] == codes[at]:
                stop += 1
            last = min(stop * hop, record.num_samples)
            out.append((at * hop / record.sample_rate, last / record.sample_rate, str(codes[at])))
            at = stop
    return out


def figures(
    records: Sequence[UnitRecord],
    model: Model,
    *,
    items: str | Path | None,
    alignment: str | Path | None,
) -> dict[str, Any]:
    """Bit rates, usage and run lengths of the units; ABX where there are items, phones where there is an alignment."""
    grid, sizes = model.encoder.grid, model.encoder.sizes
    sequences = [record.codes.T for record in records]
    seconds = sum(record.num_samples / record.sample_rate for record in records)
    usage = np.bincount(np.concatenate([record.codes[0] for record in records]), minlength=sizes[0])
    share = usage[usage > 0] / usage.sum()
    lengths = np.concatenate([_run_lengths(record.codes[0])[1] for record in records])
    found: dict[str, Any] = {
        "bit_rates": bit_rates(sequences, seconds, frame_rate=grid.frame_rate, sizes=sizes).as_dict(),
        "usage": usage.tolist(),
        "perplexity": float(2 ** -(share * np.log2(share)).sum()),
        "run_lengths": {int(n): int(c) for n, c in zip(*np.unique(lengths, return_counts=True), strict=True)},
        "mean_run_ms": float(lengths.mean() * grid.hop / grid.sample_rate * 1000),
    }
    if items is not None:
        found["abx"] = _abx(records, model, items)
    if alignment is not None:
        found["phones"] = _phones(records, sizes[0], alignment)
    return found


def _abx(records: Sequence[UnitRecord], model: Model, path: str | Path) -> dict[str, float]:
    """ABX errors in percent of the vectors the units stand for, within and across speakers."""
    tokens = read_items(path)
    by_id = {record.id: record for record in records}
    names = by_file(list(by_id), tokens)
    vectors = {file: model.encoder.vectors(by_id[name].to_batch()) for file, name in names.items()}
    rate = float(next(iter(vectors.values())).grid.frame_rate)
    arrays = {file: batch[0] for file, batch in vectors.items()}
    return {
        f"{speaker} speakers": 100 * abx(arrays, tokens, speaker=speaker, frame_rate=rate).error
        for speaker in ("within", "across")
    }


def _phones(records: Sequence[UnitRecord], units: int, path: str | Path) -> dict[str, Any]:
    """How often each unit falls on each phone, in frames."""
    alignment = read_ctm(path)
    names = sorted({symbol for phones in alignment.values() for _, _, symbol in phones})
    column = {name: index for index, name in enumerate(names)}
    counts = np.zeros((units, len(names)), np.int64)
    for record in records:
        for start, duration, symbol in alignment.get(record.id.rsplit("/", 1)[-1], ()):
            centres = record.offset + record.hop * np.arange(record.codes.shape[1])
            inside = (centres >= start * record.sample_rate) & (centres < (start + duration) * record.sample_rate)
            np.add.at(counts, (record.codes[0][inside], column[symbol]), 1)
    return {"names": names, "counts": counts.tolist()}


def page(
    document: Mapping[str, Any],
    records: Sequence[UnitRecord],
    recordings: Mapping[str, Recording],
    model: Model,
    out: Path,
    segments: Mapping[str, Sequence[Segment]],
) -> ReportData:
    """Everything the page shows."""
    held_out = set(document["held_out"])
    corpus = document["corpus"]
    phones = document.get("phones")
    curves = [
        Curve(f"{stage}: {name}", "train", *map(list, zip(*points, strict=True)))
        for stage in ("encoder", "voice")
        for name, points in history(out / "work" / stage).items()
    ]
    return ReportData(
        title=out.resolve().name,
        system=document["options"]["system"],
        corpus=Corpus(
            recordings=corpus["recordings"],
            minutes=corpus["minutes"],
            speakers=len(corpus["speakers"]),
            speech_minutes=corpus["speech_minutes"],
        ),
        hop=model.encoder.grid.hop,
        warnings=document["warnings"],
        failures=[Failure(**failure) for failure in document["failures"]],
        bit_rates=[BitRate(name, value, _MEANINGS[name]) for name, value in document["bit_rates"].items()],
        usage=document["usage"],
        unit_run_ms=_mean_runs(records, len(document["usage"]), model.encoder.grid.hop / model.sample_rate * 1000),
        run_lengths={int(n): count for n, count in document["run_lengths"].items()},
        mean_run_ms=document["mean_run_ms"],
        perplexity=document["perplexity"],
        curves=curves,
        abx=document.get("abx", {}),
        phone_matrix=PhoneMatrix(phones["names"], np.array(phones["counts"])) if phones else None,
        examples=_examples(records, recordings, segments, len(document["usage"])),
        pairs=[_pair(record, recordings[record.id], out) for record in records if record.id in held_out],
        voices=model.voices,
        folder=out.name,
    )


def _pair(record: UnitRecord, recording: Recording, out: Path) -> Pair:
    original = audio.read(recording, record.sample_rate)[: _LONGEST * record.sample_rate]
    spoken = audio.read(out / "sounds" / f"{record.id}.wav", record.sample_rate)[: len(original)]
    codes = record.codes[0][: -(-len(original) // record.hop)]
    return Pair(
        id=record.id, original=original, resynthesis=spoken, codes=codes, hop=record.hop, speaker=recording.speaker
    )


def _examples(
    records: Sequence[UnitRecord],
    recordings: Mapping[str, Recording],
    segments: Mapping[str, Sequence[Segment]],
    units: int,
) -> dict[int, list[Example]]:
    """The longest runs of each unit within speech, one a recording, with a little sound around them."""
    places: dict[int, list[tuple[int, int, UnitRecord]]] = {unit: [] for unit in range(units)}
    for record in records:
        longest: dict[int, tuple[int, int]] = {}
        values, lengths, starts = _runs_of(record.codes[0])
        spoken = np.zeros(record.codes.shape[1], bool)
        for segment in segments[record.id]:
            spoken[segment.start // record.hop : -(-segment.end // record.hop)] = True
        for unit, length, start in zip(values, lengths, starts, strict=True):
            if spoken[start] and length > longest.get(int(unit), (0, 0))[0]:
                longest[int(unit)] = (int(length), int(start))
        for unit, (length, start) in longest.items():
            places[unit].append((length, start, record))
    examples: dict[int, list[Example]] = {}
    wanted: dict[str, list[tuple[int, int, int, UnitRecord]]] = {}
    for unit, found in places.items():
        for length, start, record in sorted(found, key=lambda place: (-place[0], place[2].id))[:_EXAMPLES]:
            wanted.setdefault(record.id, []).append((unit, length, start, record))
    for name, entries in sorted(wanted.items()):
        samples = audio.read(recordings[name], entries[0][3].sample_rate)
        for unit, length, start, record in entries:
            first = max(0, (start - 1) * record.hop)
            part = samples[first : (start + length + 1) * record.hop]
            if len(part):
                examples.setdefault(unit, []).append(Example(part, name, first / record.sample_rate))
    return examples


def _runs_of(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units, lengths and first frames of the runs of equal codes ``[frame]``."""
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    return codes[starts], np.diff(starts, append=len(codes)), starts


def _run_lengths(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    units, lengths, _ = _runs_of(codes)
    return units, lengths


def _mean_runs(records: Sequence[UnitRecord], units: int, frame_ms: float) -> np.ndarray:
    """Mean run of each unit in milliseconds, NaN where it has none."""
    runs = [_run_lengths(record.codes[0]) for record in records]
    values, lengths = (np.concatenate(parts) for parts in zip(*runs, strict=True))
    total = np.bincount(values, weights=lengths, minlength=units)
    count = np.bincount(values, minlength=units)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan) * frame_ms
