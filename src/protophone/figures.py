"""What is measured of units that were learned: bit rates, usage, ABX, and which unit goes with which phone."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from protophone.errors import InputError
from protophone.formats import read_ctm
from protophone.metrics.abx import abx, read_items
from protophone.metrics.bitrate import bit_rates
from protophone.metrics.items import ABXItem, by_file
from protophone.model import Model
from protophone.store import UnitRecord

__all__ = ["check_references", "figures", "runs_of"]


def check_references(ids: Sequence[str], *, items: str | Path | None, alignment: str | Path | None) -> None:
    """``InputError`` where the files to score against cannot be read, or name none of the recordings ``ids``.

    Better said before the work than after it.
    """
    if items is not None:
        _items_of(ids, items)
    if alignment is not None:
        _alignments_of(ids, alignment)


def figures(
    records: Sequence[UnitRecord],
    model: Model,
    *,
    items: str | Path | None,
    alignment: str | Path | None,
) -> dict[str, Any]:
    """Bit rates, usage and run lengths of the units; ABX where there are items, phones where there is an alignment.

    Both go by a recording's id, or by its last part where no other id ends so. ``InputError`` where no recording is
    named in them, or an item's file could be several recordings.
    """
    grid, sizes = model.encoder.grid, model.encoder.sizes
    sequences = [record.codes.T for record in records]
    seconds = sum(record.num_samples / record.sample_rate for record in records)
    usage = np.bincount(np.concatenate([record.codes[0] for record in records]), minlength=sizes[0])
    share = usage[usage > 0] / usage.sum()
    lengths = np.concatenate([runs_of(record.codes[0])[1] for record in records])
    found: dict[str, Any] = {
        "bit_rates": bit_rates(sequences, seconds, frame_rate=grid.frame_rate, sizes=sizes).as_dict(),
        "usage": usage.tolist(),
        "perplexity": float(2 ** -(share * np.log2(share)).sum()),
        "run_lengths": {int(n): int(c) for n, c in zip(*np.unique(lengths, return_counts=True), strict=True)},
        "mean_run_ms": float(lengths.mean() * grid.hop / grid.sample_rate * 1000),
    }
    if items is not None:
        found |= _abx(records, model, items)
    if alignment is not None:
        found["phones"] = _phones(records, sizes[0], alignment)
    return found


def _abx(records: Sequence[UnitRecord], model: Model, path: str | Path) -> dict[str, Any]:
    """ABX errors in percent of the vectors the units stand for; and on how many of the items.

    Items of recordings that are not there, for they could not be used, are left out.
    """
    by_id = {record.id: record for record in records}
    kept, names, left_out = _items_of(by_id, path)
    vectors = {file: model.encoder.vectors(by_id[name].to_batch()) for file, name in names.items()}
    arrays = {file: batch[0] for file, batch in vectors.items()}
    rate = float(next(iter(vectors.values())).grid.frame_rate)
    conditions: list[Literal["within", "across"]] = ["within"]
    if len({token.speaker for token in kept}) > 1:
        conditions.append("across")
    errors = {name: abx(arrays, kept, speaker=name, frame_rate=rate).error for name in conditions}
    return {
        "abx": {f"{name} speakers": 100 * error for name, error in errors.items()},
        "abx_items": {"scored": len(kept), "left_out": left_out},
    }


def _items_of(ids: Collection[str], path: str | Path) -> tuple[list[ABXItem], dict[str, str], int]:
    """The items of the recordings ``ids``, the id of each of their files, and how many items are of no recording."""
    tokens = read_items(path)
    known = {*ids, *map(_last, ids)}
    kept = [token for token in tokens if token.file in known]
    return kept, by_file(ids, kept or tokens), len(tokens) - len(kept)


def _phones(records: Sequence[UnitRecord], units: int, path: str | Path) -> dict[str, Any]:
    """How often each unit falls on each phone, in frames; and in how many recordings that could be counted."""
    alignments = _alignments_of([record.id for record in records], path)
    names = sorted({symbol for phones in alignments.values() for _, _, symbol in phones})
    column = {name: index for index, name in enumerate(names)}
    counts = np.zeros((units, len(names)), np.int64)
    for record in records:
        codes = record.codes[0]
        centres = record.offset + record.hop * np.arange(len(codes))
        for start, duration, symbol in alignments.get(record.id, ()):
            edges = [round(time * record.sample_rate) for time in (start, start + duration)]
            first, end = np.searchsorted(centres, edges)
            np.add.at(counts[:, column[symbol]], codes[first:end], 1)
    return {"names": names, "counts": counts.tolist(), "recordings": len(alignments)}


def _alignments_of(ids: Sequence[str], path: str | Path) -> dict[str, list[tuple[float, float, str]]]:
    """The phones of each of the recordings ``ids`` that are aligned."""
    alignment = read_ctm(path)
    ending = Counter(map(_last, ids))
    names = {id_: _last(id_) if id_ not in alignment and ending[_last(id_)] == 1 else id_ for id_ in ids}
    found = {id_: alignment[name] for id_, name in names.items() if name in alignment}
    if not found:
        raise InputError(
            f"{path}: no alignment of any of the {len(ids)} recordings: it names {next(iter(alignment))}, they are "
            f"called {ids[0]} and so on; name each by its id, or by the last part where no other ends so"
        )
    return found


def _last(name: str) -> str:
    """The last part of an id, which may be all that others know a recording by."""
    return name.rsplit("/", 1)[-1]


def runs_of(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units, lengths and first frames of the runs of equal codes ``[frame]``."""
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    return codes[starts], np.diff(starts, append=len(codes)), starts
