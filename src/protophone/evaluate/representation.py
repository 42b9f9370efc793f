"""What ABX scores, found on disk: features of any kind, units, or what a bundle's encoder makes of recordings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from protophone.errors import InputError
from protophone.formats.arrays import frame_rate_of, read_arrays

if TYPE_CHECKING:
    from protophone.model import Model
    from protophone.types import Recording

__all__ = ["Representation", "representation"]


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


def representation(
    path: str | Path,
    *,
    bundle: str | Path | None = None,
    recordings: "Sequence[Recording] | None" = None,
    frame_rate: float | None = None,
) -> Representation:
    """The representation in ``path``, whichever way it is kept.

    With ``recordings``, ``path`` is a bundle and they are encoded; what is scored are the vectors of their units. Units
    (a folder, ``units.jsonl``) are symbols, or with ``bundle`` the vectors it has for them. Anything else is read by
    ``formats.arrays``. ``frame_rate`` is needed where nothing says it, and refused where something says otherwise.
    """
    path = Path(path)
    if recordings is not None:
        if bundle is not None:
            raise InputError(
                f"--bundle {bundle}: for units; recordings are encoded by {path}, so leave one of them out"
            )
        return _encoded(path, recordings, frame_rate)
    if _holds_units(path):
        return _units(path, bundle, frame_rate)
    if bundle is not None:
        raise InputError(f"{path}: no units in it, so --bundle has nothing to give vectors for; leave it out")
    if _is_bundle(path):
        raise InputError(f"{path}: a bundle; say which recordings it shall encode: --recordings manifest.jsonl")
    arrays = read_arrays(path)
    rate = _agreed(path, frame_rate_of(path), frame_rate)
    symbols = arrays[next(iter(arrays))].dtype.kind in "iu"
    return Representation(tuple(arrays), arrays.__getitem__, rate, symbols, "symbols" if symbols else "features")


def _is_bundle(path: str | Path) -> bool:
    """Whether ``path`` is a bundle, or a folder of ``discover`` or a training that holds one."""
    path = Path(path)
    return (path / "bundle.json").is_file() or (path / "bundle" / "bundle.json").is_file()


def _holds_units(path: Path) -> bool:
    if path.is_dir():
        return (path / "units.jsonl").is_file() or any(path.glob("units-*.safetensors"))
    return path.suffix == ".jsonl"


def _encoded(path: Path, recordings: "Sequence[Recording]", frame_rate: float | None) -> Representation:
    from protophone.model import load  # which takes seconds, and features need it not

    model = load(path)
    by_id = {recording.id: recording for recording in recordings}
    rate = _agreed(path, _rate_of_vectors(model), frame_rate)
    return Representation(
        tuple(by_id), lambda name: model.represent(by_id[name])[0], rate, symbols=False, what="vectors of units"
    )


def _units(path: Path, bundle: str | Path | None, frame_rate: float | None) -> Representation:
    from protophone.evaluate.sources import units_of

    records = {record.id: record for record in units_of(path)}
    if bundle is None:
        rate = _agreed(path, next(iter(records.values())).grid.frame_rate, frame_rate)
        return Representation(tuple(records), lambda name: records[name].codes.T, rate, symbols=True, what="units")
    from protophone.model import load

    model = load(bundle)
    rate = _agreed(path, _rate_of_vectors(model), frame_rate)

    def vectors(name: str) -> np.ndarray:
        return model.encoder.vectors(records[name].to_batch())[0]

    return Representation(tuple(records), vectors, rate, symbols=False, what="vectors of units")


def _rate_of_vectors(model: "Model") -> Fraction:
    """The frame rate of what ABX scores, which may be finer than that of the units."""
    grid = model.encoder.grid
    one = model.encode_batch([np.zeros(max(grid.hop, grid.window), np.float32)])
    return model.encoder.vectors(one).grid.frame_rate


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
