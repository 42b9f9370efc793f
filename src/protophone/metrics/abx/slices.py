"""Which frames a token is, and what to do where there are none.

Frame *t* of a representation at ``frame_rate`` hertz lies at ``(t + 1/2) / frame_rate`` seconds, and a token is the
frames that lie in ``[onset, offset]``; a token that holds the centre of no frame is the frame around its middle. A
representation may end up to two frames before its recording does, for its last windows would reach past the end: a
token is cut there. One that ends later is short, and refused or left out.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from protophone.errors import InputError
from protophone.metrics.abx.distances import Distance, prepare
from protophone.metrics.abx.items import ABXItem

__all__ = ["Tokens", "slice_tokens"]

_TOLERANCE = 2  # frames

Features = Mapping[str, np.ndarray] | Callable[[str], np.ndarray]
Fault = Literal["error", "skip"]


class Tokens(NamedTuple):
    """Tokens as stretches of ``frames``, prepared for the distance; ``items`` are those that are left."""

    items: list[ABXItem]
    frames: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    missing: int
    short: int
    cut: int


def slice_tokens(
    features: Features, items: list[ABXItem], *, distance: Distance, frame_rate: float, missing: Fault, short: Fault
) -> Tokens:
    """The tokens of ``items`` in ``features`` (file name -> ``[frame, dim]``; a callable raises ``KeyError`` for none).

    Raises ``InputError`` for features that cannot be compared; and for items of no features, or that end past them,
    unless such are to be skipped, which counts them.
    """
    lookup = features if callable(features) else features.__getitem__
    parts: dict[str, np.ndarray] = {}
    absent: dict[str, None] = {}
    for name in dict.fromkeys(item.file for item in items):
        try:
            part = np.asarray(lookup(name))
        except KeyError:
            absent[name] = None
            continue
        parts[name] = _checked(name, part, distance)
        if parts[name].shape[1] != (dim := next(iter(parts.values())).shape[1]):
            raise InputError(f"{name}: {part.shape[1]} dimensions where other files have {dim}")
    if absent and (missing == "error" or not parts):
        raise InputError(
            f"{next(iter(absent))}: in the items, but no features of that name were given (so for {len(absent)} of "
            f"{len(absent) + len(parts)} recordings); encode them, or leave their items out with missing='skip'"
        )
    kept = [item for item in items if item.file in parts]
    lengths = {name: len(part) for name, part in parts.items()}
    length = np.array([lengths[item.file] for item in kept], np.int64)
    # times are decimals and their products with the rate are not exact: round before the edges decide
    edges = np.array([(item.onset, item.offset) for item in kept]).reshape(-1, 2) * frame_rate
    first = np.maximum(0, np.ceil(np.round(edges[:, 0] - 0.5, 6))).astype(np.int64)
    end = np.floor(np.round(edges[:, 1] - 0.5, 6)).astype(np.int64) + 1
    middle = (edges.sum(axis=1) / 2).astype(np.int64)
    none = end <= first
    first, end = np.where(none, middle, first), np.where(none, middle + 1, end)
    past = end > length + _TOLERANCE
    if past.any() and (short == "error" or past.all()):
        worst = int(past.argmax())
        item = kept[worst]
        raise InputError(
            f"{item.file}: an item at {item.onset} to {item.offset} s needs {end[worst]} frames where there are "
            f"{length[worst]} at {float(frame_rate):g} Hz (so for {past.sum()} of {len(kept)} items); is the frame "
            "rate right? Items past the end can be left out: short='skip' (--missing skip)"
        )
    cut = (end > length) & ~past
    end = np.minimum(end, length)
    first = np.minimum(first, end - 1)
    offsets = dict(zip(parts, np.cumsum([0, *lengths.values()]), strict=False))
    base = np.array([offsets[item.file] for item in kept], np.int64)
    return Tokens(
        items=[item for item, out in zip(kept, past.tolist(), strict=True) if not out],
        frames=prepare(list(parts.values()), distance),
        starts=(base + first)[~past],
        stops=(base + end)[~past],
        missing=len(items) - len(kept),
        short=int(past.sum()),
        cut=int(cut.sum()),
    )


def _checked(name: str, part: np.ndarray, distance: Distance) -> np.ndarray:
    """Features ``[frame, dim]``; one-dimensional whole numbers are symbols, where symbols are compared."""
    symbols = distance in {"identical", "levenshtein"}
    if part.ndim == 1 and symbols and np.issubdtype(part.dtype, np.integer):
        part = part[:, None]
    if part.ndim != 2 or not part.size:
        raise InputError(
            f"{name}: features {part.dtype} of shape {part.shape}; ABX needs [frame, dim] with a frame or more"
            + (", or whole numbers [frame]" if symbols else "; symbols [frame] go with identical or levenshtein")
        )
    if not np.isfinite(part).all():
        raise InputError(f"{name}: features that are not finite; encode this recording again")
    return part
