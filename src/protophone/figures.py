"""What ``discover`` measures of the units it learned: bit rates, usage, ABX, and which unit goes with which phone."""

from collections.abc import Sequence
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

__all__ = ["check_references", "figures", "runs_of"]


def figures(
    records: Sequence[UnitRecord],
    model: Model,
    *,
    items: str | Path | None,
    alignment: str | Path | None,
    tier: str | None = None,
) -> dict[str, Any]:
    """Bit rates, usage and run lengths of the units; ABX where there are items, phones where there is an alignment.

    Both go by a recording's id, or by its last part where no other id ends so. ``InputError`` where no recording is
    named in them, or an item's file could be several recordings.
    """
    grid, sizes = records[0].grid, model.encoder.sizes
    sequences = [record.codes.T for record in records]
    seconds = sum(record.seconds for record in records)
    usage = np.bincount(np.concatenate([record.codes[0] for record in records]), minlength=sizes[0])
    lengths = np.concatenate([runs_of(record.codes[0])[1] for record in records])
    found: dict[str, Any] = {
        "bit_rates": bit_rates(sequences, seconds, frame_rate=grid.frame_rate, sizes=sizes).as_dict(),
        "usage": usage.tolist(),
        "perplexity": perplexity(usage),
        "run_lengths": {int(n): int(c) for n, c in zip(*np.unique(lengths, return_counts=True), strict=True)},
        "mean_run_ms": float(lengths.mean() * grid.hop / grid.sample_rate * 1000),
    }
    if items is not None:
        found |= _abx(records, model, items)
    if alignment is not None:
        found["phones"] = _phones(records, sizes[0], alignment, tier)
    return found


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
