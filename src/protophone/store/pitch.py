"""The pitch stream of a record of units."""

import math
import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from protophone.errors import UnitsError
from protophone.store.fields import HOPS, OFFSETS, check_array, check_range, check_whole, whole_numbers

__all__ = ["PitchRecord"]

_KEYS = ("codes", "hop", "size")
_STATISTICS = ("mean", "deviation")  # both or neither
_HIGHEST = 10.0  # of both: the logarithm of 22 kHz


@dataclass(frozen=True, eq=False)
class PitchRecord:
    """The pitch stream of a recording: ``codes`` int64 ``[frame]`` below ``size``, ``hop`` samples apart.

    ``mean`` and ``deviation`` are those of the natural logarithm of F0 that the codes were normalised by, ``bundle``
    the hash of the codebook that made them.
    """

    codes: np.ndarray
    hop: int
    size: int
    offset: int = 0
    mean: float | None = None
    deviation: float | None = None
    bundle: str | None = None

    def __post_init__(self) -> None:
        check_array("pitch codes", self.codes, 1)
        check_whole("pitch hop", self.hop, HOPS)
        check_whole("pitch offset", self.offset, OFFSETS)
        check_range("pitch codes", self.codes, self.size)
        if self.bundle is not None and (not isinstance(self.bundle, str) or not self.bundle):
            raise UnitsError(f"pitch bundle is {self.bundle!r}; it must be a string that is not empty")
        for name in _STATISTICS:
            value = getattr(self, name)
            if (value is None) != (self.mean is None) or (value is not None and not _is_number(value)):
                raise UnitsError(
                    f"pitch {name} is {reprlib.repr(value)}; mean and deviation are numbers, both there or neither"
                )
        if self.mean is not None and not (0 < self.mean < _HIGHEST and 0 < (self.deviation or 0) < _HIGHEST):
            raise UnitsError(
                f"pitch mean {reprlib.repr(self.mean)} and deviation {reprlib.repr(self.deviation)} are not those of a "
                "logarithm of F0 in Hz; encode this recording again"
            )

    def document(self) -> dict[str, Any]:
        """The JSON object of this stream, the codes still an array."""
        out: dict[str, Any] = {"codes": self.codes, "hop": self.hop, "size": self.size}
        if self.offset:
            out["offset"] = self.offset
        if self.mean is not None:
            out |= {name: getattr(self, name) for name in _STATISTICS}
        return out if self.bundle is None else out | {"bundle": self.bundle}

    @classmethod
    def from_document(cls, value: Any) -> "PitchRecord":
        """The stream of a JSON object; the inverse of ``document``."""
        known = {*_KEYS, "offset", *_STATISTICS, "bundle"}
        if not isinstance(value, dict) or any(key not in value for key in _KEYS) or set(value) - known:
            raise UnitsError(
                f"pitch must be an object of {', '.join(_KEYS)}, offset where it is not 0, mean and deviation"
            )
        codes = whole_numbers("pitch codes", value["codes"])
        return cls(
            codes,
            value["hop"],
            value["size"],
            value.get("offset", 0),
            value.get("mean"),
            value.get("deviation"),
            value.get("bundle"),
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
