"""What is evaluated, found on disk: representations, units, alignments and items, by the recordings' names."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from protophone.errors import InputError
from protophone.formats import read_ctm
from protophone.formats.arrays import frame_rate_of, read_arrays
from protophone.manifest import build
from protophone.metrics.abx import ABXItem, by_file, read_items
from protophone.model import Model, load
from protophone.store import UnitRecord, read_units
from protophone.types import Recording

__all__ = [
    "Representation",
    "alignments_of",
    "check_references",
    "is_bundle",
    "items_of",
    "recordings_of",
    "representation",
    "units_of",
]


@dataclass(frozen=True)
class Representation:
    """Frames of recordings by id, read when asked for; ``frame_rate`` in hertz, ``symbols`` where they are units.

    ``what`` says in a few words what the frames are.
    """

    ids: tuple[str, ...]
    frames: Callable[[str], np.ndarray]
    frame_rate: Fraction | float
    symbols: bool
    what: str


def is_bundle(path: str | Path) -> bool:
    """Whether ``path`` is a bundle, or a folder of ``discover`` or a training that holds one."""
    path = Path(path)
    return (path / "bundle.json").is_file() or (path / "bundle" / "bundle.json").is_file()


def representation(
    path: str | Path,
    *,
    bundle: str | Path | None = None,
    recordings: Sequence[Recording] | None = None,
    frame_rate: float | None = None,
) -> Representation:
    """The representation in ``path``, whichever way it is kept.

    With ``recordings``, ``path`` is a bundle and they are encoded; what is scored are the vectors of their units. Units
    (a folder, ``units.jsonl``) are symbols, or with ``bundle`` the vectors it has for them. Anything else is read by
    ``formats.arrays``. ``frame_rate`` is needed where nothing says it, and refused where something says otherwise.
    """
    path = Path(path)
    if recordings is not None:
        return _encoded(path, recordings, frame_rate)
    if _holds_units(path):
        return _units(path, bundle, frame_rate)
    if bundle is not None:
        raise InputError(f"{path}: no units in it, so --bundle has nothing to give vectors for; leave it out")
    if is_bundle(path):
        raise InputError(f"{path}: a bundle; say which recordings it shall encode: --recordings manifest.jsonl")
    arrays = read_arrays(path)
    rate = _agreed(path, frame_rate_of(path), frame_rate)
    symbols = arrays[next(iter(arrays))].dtype.kind in "iu"
    return Representation(tuple(arrays), arrays.__getitem__, rate, symbols, "symbols" if symbols else "features")


def units_of(path: str | Path) -> list[UnitRecord]:
    """The units in ``path``, expanded, all on one grid; ``InputError`` for several frame rates or codebook sizes."""
    records = [_expanded(record) for record in read_units(path)]
    _one_rate(path, records)
    sizes = {record.sizes for record in records}
    if len(sizes) > 1:
        raise InputError(f"{path}: units of codebooks of sizes {sorted(sizes)}; evaluate those of each codebook alone")
    return records


def recordings_of(source: str | Path, split: str | None) -> list[Recording]:
    """The recordings of a manifest, a folder or a file, of one ``split`` where that is named."""
    found, _ = build(source, "manifest")
    kept = [recording for recording in found if split is None or recording.split == split]
    if not kept:
        known = sorted({recording.split or "none" for recording in found})
        raise InputError(f"{source}: no recording in split {split}; its splits are: {', '.join(known)}")
    return kept


def check_references(ids: Sequence[str], *, items: str | Path | None, alignment: str | Path | None) -> None:
    """``InputError`` where the files to score against cannot be read, or name none of the recordings ``ids``.

    Better said before the work than after it.
    """
    if items is not None:
        items_of(ids, items)
    if alignment is not None:
        alignments_of(ids, alignment)


def items_of(ids: Collection[str], path: str | Path) -> tuple[list[ABXItem], dict[str, str], list[ABXItem]]:
    """The items of the recordings ``ids``, the id of each of their files, and the items of no recording here.

    Raises ``InputError`` where no recording is named in them, or a file could be several recordings.
    """
    tokens = read_items(path)
    known = {*ids, *map(_last, ids)}
    kept = [token for token in tokens if token.file in known]
    absent = [token for token in tokens if token.file not in known]
    return kept, by_file(ids, kept or tokens), absent


def alignments_of(ids: Sequence[str], path: str | Path) -> dict[str, list[tuple[float, float, str]]]:
    """``(start, duration, symbol)`` in seconds of each of the recordings ``ids`` that ``path``, a CTM file, aligns.

    It names a recording by its id, or by the last part of that where no other id ends so. Raises ``InputError`` where
    it names none of them.
    """
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


def _holds_units(path: Path) -> bool:
    if path.is_dir():
        return (path / "units.jsonl").is_file() or any(path.glob("units-*.safetensors"))
    return path.suffix == ".jsonl"


def _encoded(path: Path, recordings: Sequence[Recording], frame_rate: float | None) -> Representation:
    model = load(path)
    by_id = {recording.id: recording for recording in recordings}
    rate = _agreed(path, _rate_of_vectors(model), frame_rate)
    return Representation(
        tuple(by_id), lambda name: model.represent(by_id[name])[0], rate, symbols=False, what="vectors of units"
    )


def _units(path: Path, bundle: str | Path | None, frame_rate: float | None) -> Representation:
    records = {record.id: record for record in units_of(path)}
    if bundle is None:
        rate = _agreed(path, next(iter(records.values())).grid.frame_rate, frame_rate)
        return Representation(tuple(records), lambda name: records[name].codes.T, rate, symbols=True, what="units")
    model = load(bundle)
    rate = _agreed(path, _rate_of_vectors(model), frame_rate)

    def vectors(name: str) -> np.ndarray:
        return model.encoder.vectors(records[name].to_batch())[0]

    return Representation(tuple(records), vectors, rate, symbols=False, what="vectors of units")


def _rate_of_vectors(model: Model) -> Fraction:
    """The frame rate of what ABX scores, which may be finer than that of the units."""
    one = model.encode_batch([np.zeros(model.encoder.grid.hop, np.float32)])
    return model.encoder.vectors(one).grid.frame_rate


def _expanded(record: UnitRecord) -> UnitRecord:
    if record.durations is None:
        return record
    return replace(record, codes=np.repeat(record.codes, record.durations, axis=1), durations=None)


def _one_rate(path: str | Path, records: Iterable[UnitRecord]) -> None:
    rates: Mapping[Fraction, str] = {record.grid.frame_rate: record.id for record in records}
    if len(rates) > 1:
        named = ", ".join(f"{float(rate):g} Hz ({name})" for rate, name in rates.items())
        raise InputError(f"{path}: mixed frame rates: {named}; evaluate those of each rate alone")


def _agreed(path: Path, known: Fraction | None, given: float | None) -> Fraction | float:
    """The frame rate that is known or given; ``InputError`` where it is neither, or the two differ."""
    if given is not None and not given > 0:
        raise InputError(f"--frame-rate {given:g}: frames a second, more than 0")
    if known is None and given is None:
        raise InputError(f"{path}: nothing says its frame rate; give --frame-rate, such as 100 for a frame each 10 ms")
    if known is not None and given is not None and abs(float(known) - given) > 1e-6 * given:
        raise InputError(
            f"{path}: its frames are at {float(known):g} Hz, --frame-rate says {given:g}; leave --frame-rate out"
        )
    return known if known is not None else float(given or 0)


def _last(name: str) -> str:
    """The last part of an id, which may be all that others know a recording by."""
    return name.rsplit("/", 1)[-1]
