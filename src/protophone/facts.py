"""The values in the JSON files of a bundle: each is of a type with bounds, checked when the bundle is opened."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from protophone.config import Count, SampleRate, Units, Width, bounds, config, fits
from protophone.errors import BundleError

__all__ = ["EmbedderFacts", "GridFacts", "StreamFacts", "check_facts"]

Sizes = tuple[Units, ...]


@config
class GridFacts:
    """The grid of a stream of units, as ``entropy.json`` has it."""

    sample_rate: SampleRate
    hop: Count
    offset: Annotated[int, bounds(-(2**20), 2**20)] = 0
    window: Count = 1


@config
class StreamFacts:
    """A stream of units, as ``entropy.json`` has it."""

    sizes: Sizes
    grid: GridFacts
    codebook: str | None


@config
class EmbedderFacts:
    """An embedder of voices, as ``voice.json`` has it."""

    embedder: str
    package: str
    weights: str
    dim: Width | None = None


@dataclass(frozen=True)
class _Check:
    """The type that a value of a file must be of, and the same in words."""

    kind: Any
    wanted: str


_TEXT = _Check(str, "a text")
_COUNT = _Check(Count, "a whole number of 1 or more, 1,048,576 at most")
_TEXTS = _Check(list[str], "a list of texts")
_TABLE = _Check(dict[str, Any], "a table")

_CHECKS = {
    "index": {"format": _COUNT, "files": _TABLE, "encoder": _TABLE},
    "encoder": {
        "kind": _TEXT,
        "sample_rate": _Check(SampleRate, "a whole number from 1 to 768,000"),
        "hop": _COUNT,
        "normalization": _TEXT,
        "sizes": _Check(Sizes, "a list of whole numbers from 2 to 65,536"),
        "codebook": _TEXT,
        "speakers": _TEXTS,
    },
    "voice": {"speakers": _TEXTS, "codebook": _TEXT},
    "pitch": {"kind": _TEXT},
    "entropy": {
        "kind": _TEXT,
        "id": _TEXT,
        "measured": _Check(dict[str, Annotated[float, bounds(0.0, 64.0)]], "a table of numbers from 0 to 64"),
        "pitch": _Check(StreamFacts | None, "null or a table of sizes, grid and codebook"),
        "content": _Check(StreamFacts, "a table of sizes, grid and codebook"),
        "voices": _TEXTS,
    },
}
# Not in every bundle.
_OPTIONAL = {
    "training": _TABLE,
    "figures": _TABLE,
    "level": _Check(Annotated[float, bounds(-120.0, 0.0)] | None, "null or decibels from -120 to 0"),
    "lookahead": _Check(Annotated[int, bounds(0, 10**9)] | None, "null or a whole number up to 1,000,000,000"),
    "embedder": _Check(EmbedderFacts | None, "null or a table of embedder, package and weights"),
}


def check_facts(path: Path, facts: Mapping[str, Any], of: str, within: str = "") -> None:
    """Raise ``BundleError`` for the first of ``facts`` that is missing, of another type or out of bounds.

    They are those ``of`` an index, an encoder, a voice, pitch or entropy; ``path`` and ``within`` name the file and the
    table in it.
    """
    for key, check in (_CHECKS[of] | {key: check for key, check in _OPTIONAL.items() if key in facts}).items():
        if key not in facts:
            raise BundleError(f"{path}: lacks {within}{key}; copy the whole folder again")
        if not fits(check.kind, facts[key]):
            raise BundleError(
                f"{path}: {within}{key} is {reprlib.repr(facts[key])}, not {check.wanted}; copy the whole folder again"
            )
