"""Units and recordings to evaluate, found on disk."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from protophone.errors import InputError
from protophone.evaluate.figure import LeftOut
from protophone.manifest import build, of_speakers, of_split
from protophone.store import UnitRecord, read_units
from protophone.types import Channel, Recording

__all__ = ["listing_of", "recordings_of", "units_of"]


def units_of(path: str | Path) -> list[UnitRecord]:
    """The units in ``path``, expanded, all on one grid; ``InputError`` for several frame rates or codebook sizes."""
    records = [_expanded(record) for record in read_units(path)]
    _one_rate(path, records)
    sizes = {record.sizes for record in records}
    if len(sizes) > 1:
        raise InputError(f"{path}: units of codebooks of sizes {sorted(sizes)}; evaluate those of each codebook alone")
    return records


def recordings_of(
    source: str | Path, split: str | None, speakers: Sequence[str] = (), channel: Channel | None = None
) -> list[Recording]:
    """The recordings of a manifest, a folder or a file, of one ``split`` and of ``speakers`` where these are named.

    ``channel`` is read of each; None: as the manifest says.
    """
    return listing_of(source, split, speakers, channel)[0]


def listing_of(
    source: str | Path, split: str | None, speakers: Sequence[str] = (), channel: Channel | None = None
) -> tuple[list[Recording], list[LeftOut]]:
    """Return what ``recordings_of`` returns, and the other files of a folder."""
    listing = build(source, "manifest", channel=channel)
    kept = listing.recordings if split is None else of_split(listing.recordings, split, source)
    if speakers:
        kept = of_speakers(kept, speakers, source)
    left_out = [LeftOut("files", each.count, each.reason, each.examples) for each in listing.passed]
    if listing.failures:
        examples = tuple(reason for _, reason in listing.failures[:3])
        left_out.insert(0, LeftOut("recordings", len(listing.failures), "they cannot be used", examples))
    return kept, left_out


def _expanded(record: UnitRecord) -> UnitRecord:
    if record.durations is None:
        return record
    return replace(record, codes=np.repeat(record.codes, record.durations, axis=1), durations=None)


def _one_rate(path: str | Path, records: Iterable[UnitRecord]) -> None:
    rates = {record.grid.frame_rate: record.id for record in records}
    if len(rates) > 1:
        named = ", ".join(f"{float(rate):g} Hz ({name})" for rate, name in rates.items())
        raise InputError(f"{path}: mixed frame rates: {named}; evaluate those of each rate alone")
