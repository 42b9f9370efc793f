"""What ``discover`` measures of the units it learned: bit rates, usage, ABX, and which unit goes with which phone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from protophone.evaluate.references import check_references, items_of
from protophone.formats import read_alignment
from protophone.metrics.abx import abx
from protophone.metrics.bitrate import bit_rates
from protophone.metrics.units import perplexity
from protophone.model import Model
from protophone.store import UnitRecord
from protophone.types import FrameGrid
from protophone.vad import Segment

__all__ = ["check_references", "figures", "in_speech", "runs_of"]


def figures(
    records: Sequence[UnitRecord],
    segments: Mapping[str, Sequence[Segment]],
    model: Model,
    *,
    items: str | Path | None,
    alignment: str | Path | None,
    tier: str | None = None,
) -> dict[str, Any]:
    """Count the units: bit rates, usage and run lengths; ABX if there are items, phones if there is an alignment.

    ``on_speech`` counts the frames in ``segments`` alone, samples of each recording by its id, ``on_everything`` all.
    Items and alignment name recordings by their ids, or by the last part of an id if no other ends so. ``InputError``
    if no recording is named in them, or an item's file could be several recordings.
    """
    grid, sizes = records[0].grid, model.encoder.sizes
    spoken = [(record, *part) for record in records for part in in_speech(record, segments[record.id])]
    seconds = sum(
        min(first + codes.shape[1], record.num_samples / grid.hop) - first for record, first, codes in spoken
    ) / float(grid.frame_rate)
    found: dict[str, Any] = {
        "on_speech": _counted([codes for _, _, codes in spoken], seconds, grid, sizes),
        "on_everything": _counted(
            [record.codes for record in records], sum(record.seconds for record in records), grid, sizes
        ),
    }
    if items is not None:
        found |= _abx(records, model, items)
    if alignment is not None:
        found["phones"] = _phones(records, sizes[0], alignment, tier)
    return found


def _counted(parts: Sequence[np.ndarray], seconds: float, grid: FrameGrid, sizes: Sequence[int]) -> dict[str, Any]:
    """Count units, parts ``[codebook, frame]`` that last ``seconds`` in all; runs end with a part."""
    usage = np.bincount(np.concatenate([codes[0] for codes in parts]), minlength=sizes[0])
    lengths = np.concatenate([runs_of(codes[0])[1] for codes in parts])
    return {
        "seconds": round(seconds, 3),
        "bit_rates": bit_rates(
            [codes.T for codes in parts], seconds, frame_rate=grid.frame_rate, sizes=sizes
        ).as_dict(),
        "usage": usage.tolist(),
        "perplexity": perplexity(usage),
        "run_lengths": {int(n): int(c) for n, c in zip(*np.unique(lengths, return_counts=True), strict=True)},
        "mean_run_ms": float(lengths.mean() * grid.hop / grid.sample_rate * 1000),
    }


def in_speech(record: UnitRecord, segments: Iterable[Segment]) -> list[tuple[int, np.ndarray]]:
    """Return the first frame and the codes ``[codebook, frame]`` of each segment of speech; no frame is in two."""
    parts = []
    end = 0
    for segment in segments:
        first, end = max(end, segment.start // record.hop), max(end, -(-segment.end // record.hop))
        codes = record.codes[:, first:end]
        if codes.shape[1]:
            parts.append((first, codes))
    return parts


def _abx(records: Sequence[UnitRecord], model: Model, path: str | Path) -> dict[str, Any]:
    """ABX errors in percent of the vectors the units stand for; and on how many of the items.

    Items of recordings that are not there, for they could not be used, are left out.
    """
    by_id = {record.id: record for record in records}
    kept, names, absent = items_of(by_id, path)
    vectors = {file: model.encoder.vectors(by_id[name].to_batch()) for file, name in names.items()}
    arrays = {file: batch[0] for file, batch in vectors.items()}
    rate = float(next(iter(vectors.values())).grid.frame_rate)
    conditions: list[Literal["within", "across"]] = ["within"]
    if len({token.speaker for token in kept}) > 1:
        conditions.append("across")
    scores = {
        name: abx(arrays, kept, speaker=name, frame_rate=rate, max_size_group=None, max_x_across=None, short="skip")
        for name in conditions
    }
    short = scores["within"].short
    return {
        "abx": {f"{name} speakers": 100 * score.error for name, score in scores.items()},
        "abx_items": {"scored": len(kept) - short, "left_out": len(absent) + short},
    }


def _phones(records: Sequence[UnitRecord], units: int, path: str | Path, tier: str | None) -> dict[str, Any]:
    """How often each unit falls on each phone, in frames; and in how many recordings that could be counted."""
    alignment = read_alignment(path, [record.id for record in records], tier)
    alignments = alignment.segments
    names = sorted({symbol for phones in alignments.values() for _, _, symbol in phones})
    column = {name: index for index, name in enumerate(names)}
    counts = np.zeros((units, len(names)), np.int64)
    for record in records:
        codes = record.codes[0]
        centres = record.offset + record.hop * np.arange(len(codes))
        for begin, finish, symbol in alignments.get(record.id, ()):
            edges = [round(time * record.sample_rate) for time in (begin, finish)]
            first, end = np.searchsorted(centres, edges)
            np.add.at(counts[:, column[symbol]], codes[first:end], 1)
    return {"names": names, "counts": counts.tolist(), "recordings": len(alignments), "mended": dict(alignment.mended)}


def runs_of(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units, lengths and first frames of the runs of equal codes ``[frame]``."""
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    return codes[starts], np.diff(starts, append=len(codes)), starts
