"""The document in ``results.json``: every key with its type, checked as a whole where the file is read."""

from typing import Any, Literal

from protophone.config import Count, Measured, Whole, config
from protophone.errors import ConfigError

__all__ = ["Document", "LeftOutRow", "Row"]


@config
class Row:
    """A figure. ``drawn`` is the key of the list of names that its interval is over, where it has draws."""

    name: str
    value: Measured
    unit: str
    better: Literal["lower", "higher", ""]
    interval: tuple[Measured, Measured] | None
    count: Whole
    over: str
    protocol: dict[str, Any]
    note: str
    drawn: str | None = None

    def __post_init__(self) -> None:
        if self.interval is not None and not self.interval[0] <= self.interval[1]:
            raise ConfigError(f"the interval of {self.name!r} is from {self.interval[0]} to {self.interval[1]}")


@config
class LeftOutRow:
    """How many of ``what`` were left out, and why."""

    what: str
    count: Whole
    reason: str
    examples: tuple[str, ...]


@config
class Document:
    """Results of one evaluation: ``draws`` is a hash of ``draws.safetensors``, ``drawn`` has lists of names by hash."""

    format: Count
    title: str
    figures: tuple[Row, ...]
    left_out: tuple[LeftOutRow, ...]
    settings: dict[str, Any]
    versions: dict[str, str]
    hashes: dict[str, str]
    drawn: dict[str, tuple[str, ...]]
    draws: str

    def __post_init__(self) -> None:
        for row in self.figures:
            if row.drawn is not None and not self.drawn.get(row.drawn):
                raise ConfigError(f"the names that {row.name!r} was drawn over are missing")
