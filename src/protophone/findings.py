"""What ``discover`` found out about its units: annotations of each recording, figures, and what the page shows.

Units, alignments and items count from the beginning of a recording or segment; what is written for people to look at
counts from that of the file.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from protophone import audio
from protophone.figures import in_speech, runs_of
from protophone.files import inside
from protophone.folder import Passed
from protophone.formats import Tier, write_eaf, write_textgrid
from protophone.model import Model
from protophone.report import BitRate, Corpus, Curve, Example, Failure, Listed, Pair, PhoneMatrix, ReportData, Speaker
from protophone.store import UnitRecord
from protophone.train import history
from protophone.types import Recording
from protophone.vad import Segment

__all__ = ["annotate", "page"]

_MEANINGS = {
    "zerospeech": "ZeroSpeech 2019: entropy of the units, every frame charged",
    "nominal": "frames a second times log2 of the number of units",
    "polyak": "Polyak 2021: frames a second times the whole bits a unit's number needs",
    "run_length": "each run of one unit charged for the unit and for its length",
    "collapsed": "runs alone, their lengths free",
}
_EXAMPLES = 6  # sounds of each unit on the page
_LONGEST = 15  # seconds of a held-out recording on the page


def annotate(
    records: Sequence[UnitRecord],
    recordings: Mapping[str, Recording],
    segments: Mapping[str, Sequence[Segment]],
    out: Path,
) -> None:
    """A Praat TextGrid and an ELAN file for each recording: its speech, and the units in it as runs.

    Times are those of the file it lies in, also where it is a part of one.
    """
    for record in records:
        grid, eaf = inside(out / "textgrid", record.id, ".TextGrid"), inside(out / "elan", record.id, ".eaf")
        if grid.exists() and eaf.exists():
            continue
        path = recordings[record.id].path
        # the resampled sound may be longer than the file by a part of a sample
        end = min((record.start + record.num_samples) / record.sample_rate, audio.seconds(path))
        speech = [(part.start, min(part.end, record.num_samples), "speech") for part in segments[record.id]]
        tiers = [_tier("speech", speech, record, end), _tier("units", _runs(record, segments[record.id]), record, end)]
        if not grid.exists():
            write_textgrid(grid, tiers, end)
        if not eaf.exists():
            write_eaf(eaf, tiers, path, end)


def _tier(name: str, stretches: Iterable[tuple[int, int, str]], record: UnitRecord, last: float) -> Tier:
    """Labelled stretches of a recording, in samples of it, as a tier in seconds of its file up to ``last``."""
    rate = record.sample_rate
    times = [((record.start + start) / rate, (record.start + end) / rate, label) for start, end, label in stretches]
    return Tier(name, [(start, min(end, last), label) for start, end, label in times if start < last])


def _runs(record: UnitRecord, segments: Sequence[Segment]) -> list[tuple[int, int, str]]:
    """Runs of equal units within speech, in samples of the recording."""
    return [
        ((first + start) * record.hop, min((first + start + length) * record.hop, record.num_samples), str(unit))
        for first, codes in in_speech(record, segments)
        for unit, length, start in zip(*runs_of(codes[0]), strict=True)
    ]


def page(
    document: Mapping[str, Any],
    records: Sequence[UnitRecord],
    recordings: Mapping[str, Recording],
    segments: Mapping[str, Sequence[Segment]],
    spoken: Sequence[tuple[Recording, UnitRecord]],
    model: Model,
    out: Path,
) -> ReportData:
    """Everything the page shows; ``spoken`` are held-out recordings, whose units ``out`` holds sounds of."""
    corpus, counted = document["corpus"], document["on_speech"]
    units = len(counted["usage"])
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
            speakers=[Speaker(name, **amounts) for name, amounts in corpus["speakers"].items()],
            speech_minutes=corpus["speech_minutes"],
        ),
        hop=model.encoder.grid.hop,
        warnings=[*document["warnings"], *_gaps(document, len(records))],
        failures=[Failure(**failure) for failure in document["failures"]],
        passed=[str(Passed(**each)) for each in document["passed"]],
        bit_rates=[BitRate(name, value, _MEANINGS[name]) for name, value in counted["bit_rates"].items()],
        usage=counted["usage"],
        unit_run_ms=_mean_runs(records, segments, units, model.encoder.grid.hop / model.sample_rate * 1000),
        run_lengths={int(n): count for n, count in counted["run_lengths"].items()},
        mean_run_ms=counted["mean_run_ms"],
        perplexity=counted["perplexity"],
        curves=curves,
        abx=document.get("abx", {}),
        phone_matrix=PhoneMatrix(phones["names"], np.array(phones["counts"])) if phones else None,
        examples=_examples(records, recordings, segments, units),
        pairs=[_pair(record, recording, out) for recording, record in spoken],
        listed=[_listed(record, segments[record.id]) for record in records],
        voices=model.voices,
        folder=out.name,
    )


def _gaps(document: Mapping[str, Any], recordings: int) -> list[str]:
    """What the items and the alignment do not cover."""
    gaps = []
    if "abx" in document and document["abx_items"]["left_out"]:
        scored, left_out = document["abx_items"]["scored"], document["abx_items"]["left_out"]
        gaps.append(f"ABX is scored on {scored} of {scored + left_out} items; the others name no recording used here")
    if "phones" in document and document["phones"]["recordings"] < recordings:
        gaps.append(f"phones are known of {document['phones']['recordings']} of {recordings} recordings only")
    for reason, count in document.get("phones", {}).get("mended", {}).items():
        gaps.append(f"left out of the alignment: {count} {reason}")
    return gaps


def _pair(record: UnitRecord, recording: Recording, out: Path) -> Pair:
    most = _LONGEST * record.sample_rate
    original = _part(recording, 0, most, record.sample_rate)
    sound = Recording(id=record.id, path=inside(out / "sounds", record.id, ".wav"))
    spoken = _part(sound, 0, len(original), record.sample_rate)
    codes = record.codes[0][: -(-len(original) // record.hop)]
    return Pair(
        id=record.id, original=original, resynthesis=spoken, codes=codes, hop=record.hop, speaker=recording.speaker
    )


def _part(recording: Recording, first: int, end: int, rate: int) -> np.ndarray:
    """Samples ``first`` to ``end`` of a recording at ``rate``, or up to its end; no more than these are read."""
    return audio.read(audio.part(recording, first, end, rate), rate)[: end - first]


def _examples(
    records: Sequence[UnitRecord],
    recordings: Mapping[str, Recording],
    segments: Mapping[str, Sequence[Segment]],
    units: int,
) -> dict[int, list[Example]]:
    """The longest runs of each unit within speech, spread over the recordings, with a little sound around them."""
    places: dict[int, list[tuple[int, int, UnitRecord]]] = {unit: [] for unit in range(units)}
    each = -(-_EXAMPLES // len(records))  # of a unit in a recording at most
    for record in records:
        found = [
            (length, first + start, unit)
            for first, codes in in_speech(record, segments[record.id])
            for unit, length, start in zip(*map(np.ndarray.tolist, runs_of(codes[0])), strict=True)
        ]
        taken: Counter[int] = Counter()
        for length, start, unit in sorted(found, key=lambda run: (-run[0], run[1])):
            if taken[unit] < each:
                taken[unit] += 1
                places[unit].append((length, start, record))
    examples: dict[int, list[Example]] = {}
    for unit, found in places.items():
        for length, start, record in sorted(found, key=lambda place: (-place[0], place[2].id, place[1]))[:_EXAMPLES]:
            first, end = max(0, start - 1) * record.hop, (start + length + 1) * record.hop
            part = _part(recordings[record.id], first, end, record.sample_rate)
            seconds = (record.start + first) / record.sample_rate
            examples.setdefault(unit, []).append(Example(part, record.id, seconds))
    return examples


def _listed(record: UnitRecord, segments: Sequence[Segment]) -> Listed:
    """A recording in the list, with its units in speech and its annotations."""
    parts = [codes[0] for _, codes in in_speech(record, segments)]
    return Listed(
        id=record.id,
        speaker=record.extra.get("speaker"),
        seconds=record.seconds,
        speech_seconds=sum(part.end - part.start for part in segments) / record.sample_rate,
        runs=sum(len(runs_of(codes)[0]) for codes in parts),
        units=len(np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))),
        links={"TextGrid": _link("textgrid", record.id, ".TextGrid"), "ELAN": _link("elan", record.id, ".eaf")},
    )


def _link(folder: str, name: str, suffix: str) -> str:
    """The address of a file beside the page."""
    return quote(f"{folder}/{name}{suffix}", errors="surrogateescape")


def _mean_runs(
    records: Sequence[UnitRecord], segments: Mapping[str, Sequence[Segment]], units: int, frame_ms: float
) -> np.ndarray:
    """Mean run of each unit in speech in milliseconds, NaN where it has none."""
    runs = [runs_of(codes[0]) for record in records for _, codes in in_speech(record, segments[record.id])]
    values, lengths, _ = (np.concatenate(parts) for parts in zip(*runs, strict=True))
    total = np.bincount(values, weights=lengths, minlength=units)
    count = np.bincount(values, minlength=units)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan) * frame_ms
