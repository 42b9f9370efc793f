"""The units of one recording as they stand on disk: one JSON object, on one line.

``offset`` is written only where it is not 0, so that a grid whose first frame is not centred on sample 0 comes back
as it went; every other key is always there, and keys that are not the format's own are kept.
"""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from protophone.errors import UnitsError
from protophone.store.fields import (
    FORMAT,
    HOPS,
    MOST_BOOKS,
    OFFSETS,
    RATES,
    SAMPLES,
    check_array,
    check_format,
    check_range,
    check_whole,
    whole_numbers,
)
from protophone.store.pitch import PitchRecord
from protophone.types import FrameGrid, UnitBatch, Utterance

__all__ = ["UnitRecord"]

_REQUIRED = ("id", "codes", "hop", "sample_rate", "size", "num_samples", "bundle")
_OWN = {*_REQUIRED, "durations", "offset", "pitch"}


@dataclass(frozen=True, eq=False, kw_only=True)
class UnitRecord:
    """The units of one recording.

    ``codes`` int64 ``[codebook, frame]``; with ``durations`` int64 ``[run]``, ``[codebook, run]``, each run lasting
    that many frames. ``sizes`` gives the entries of each codebook, ``bundle`` the hash of the codebook that made them,
    ``num_samples`` the recording's length at ``sample_rate``. ``extra`` holds further keys: ``speaker``; of a segment
    ``source`` (its file, as seen from the folder of units) and ``start``. ``UnitsError`` for codes or durations that
    cannot be.
    """

    id: str
    codes: np.ndarray
    hop: int
    sample_rate: int
    sizes: tuple[int, ...]
    num_samples: int
    bundle: str
    durations: np.ndarray | None = None
    offset: int = 0
    pitch: PitchRecord | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, text in (("id", self.id), ("bundle", self.bundle)):
            if not isinstance(text, str) or not text:
                raise UnitsError(f"{name} is {reprlib.repr(text)}; it must be a string that is not empty")
        for name, number, bounds in (
            ("hop", self.hop, HOPS),
            ("sample_rate", self.sample_rate, RATES),
            ("num_samples", self.num_samples, SAMPLES),
            ("offset", self.offset, OFFSETS),
        ):
            check_whole(name, number, bounds)
        check_array("codes", self.codes, 2)
        if not 0 < len(self.sizes) <= MOST_BOOKS:
            raise UnitsError(f"size names {len(self.sizes)} codebooks; give the entries of each of 1 to {MOST_BOOKS}")
        if len(self.codes) != len(self.sizes):
            raise UnitsError(
                f"codes of {len(self.codes)} codebooks, but size names {len(self.sizes)}; give one of each"
            )
        for k, size in enumerate(self.sizes):
            check_range("codes" if len(self.sizes) == 1 else f"codes of codebook {k}", self.codes[k], size)
        if self.durations is not None:
            check_array("durations", self.durations, 1)
            if len(self.durations) != self.codes.shape[1]:
                raise UnitsError(
                    f"{len(self.durations)} durations for {self.codes.shape[1]} codes; each run of codes needs one"
                )
            if len(self.durations) and int(self.durations.min()) < 1:
                raise UnitsError(f"a duration of {int(self.durations.min())} frames; each run lasts at least one")
            if len(self.durations) and (longest := int(self.durations.max())) > SAMPLES[1]:  # whose sum overflows
                raise UnitsError(f"a duration of {longest} frames; a run lasts at most {SAMPLES[1]}")
        # A model with its own framing (400 samples every 320) gives a frame or two fewer than there is room for.
        room = self._check_length("codes", self.num_frames, self.hop)
        if self.num_frames < room - 2:
            raise UnitsError(
                f"{self.id!r}: codes last {self.num_frames} frames of {self.hop} samples, but num_samples is "
                f"{self.num_samples}, which makes {room}; correct num_samples, or encode this recording again"
            )
        if self.pitch is not None:
            frames = self._check_length("pitch codes", len(self.pitch.codes), self.pitch.hop)
            if len(self.pitch.codes) < frames - 2:
                raise UnitsError(
                    f"{self.id!r}: {len(self.pitch.codes)} pitch codes of {self.pitch.hop} samples for "
                    f"{self.num_samples} samples, which make {frames}; encode this recording again"
                )
        check_whole("start", self.start, SAMPLES)
        for name in ("speaker", "source"):
            if not isinstance(self.extra.get(name), str | None):
                raise UnitsError(f"{name} is {reprlib.repr(self.extra[name])}; it must be a text")
        taken = sorted(_OWN & set(self.extra))
        if taken:
            raise UnitsError(f"extra keys {', '.join(taken)} are the format's own; name them otherwise")

    def _check_length(self, what: str, frames: int, hop: int) -> int:
        """How many frames the recording has room for, no fewer than there are."""
        room = -(-self.num_samples // hop)
        if frames > room:
            raise UnitsError(
                f"{self.id!r}: {what} last {frames} frames of {hop} samples, but {self.num_samples} samples hold {room}"
                "; are hop, durations and num_samples those of this recording?"
            )
        return room

    @property
    def start(self) -> int:
        """Where a segment begins in its file, in samples at ``sample_rate``; 0 of a whole file."""
        return self.extra.get("start", 0)

    @property
    def seconds(self) -> float:
        """How long the recording lasts."""
        return self.num_samples / self.sample_rate

    @property
    def num_frames(self) -> int:
        """Frames the units last, runs counted with their durations."""
        return self.codes.shape[1] if self.durations is None else int(self.durations.sum())

    @property
    def grid(self) -> FrameGrid:
        """Where the frames lie on the recording."""
        return FrameGrid(self.sample_rate, self.hop, self.offset)

    def document(self) -> dict[str, Any]:
        """The JSON object of this record, arrays still arrays; the keys in the order they are written."""
        single = len(self.sizes) == 1
        out: dict[str, Any] = {"id": self.id, "codes": self.codes[0] if single else self.codes}
        if self.durations is not None:
            out["durations"] = self.durations
        out |= {"hop": self.hop, "sample_rate": self.sample_rate}
        out["size"] = self.sizes[0] if single else list(self.sizes)
        out |= {"num_samples": self.num_samples, "bundle": self.bundle}
        if self.offset:
            out["offset"] = self.offset
        if self.pitch is not None:
            out["pitch"] = self.pitch.document()
        return out | dict(self.extra)

    @classmethod
    def from_document(cls, document: Any) -> "UnitRecord":
        """The record of a JSON object; the inverse of ``document``. ``UnitsError`` says what is amiss with it."""
        if not isinstance(document, dict):
            raise UnitsError('not a JSON object; a line of units is like {"id": "a", "codes": [12, 7], ...}')
        missing = [key for key in _REQUIRED if key not in document]
        if missing:
            raise UnitsError(f"no {', '.join(missing)}; a line of units needs {', '.join(_REQUIRED)}")
        check_format(document.get("format", FORMAT))
        size = document["size"]
        codes = whole_numbers("codes", document["codes"])
        if isinstance(size, list):
            if codes.ndim == 1 and codes.size == 0:  # no codebooks; refused with the sizes
                codes = codes.reshape(0, 0)
            if codes.ndim != 2:
                raise UnitsError("size is a list, so codes must be a list of lists, one for each codebook")
        elif codes.ndim != 1:
            raise UnitsError("size is one number, so codes must be a flat list; for several codebooks list their sizes")
        durations = document.get("durations")
        return cls(
            id=document["id"],
            codes=np.atleast_2d(codes),
            hop=document["hop"],
            sample_rate=document["sample_rate"],
            sizes=tuple(size) if isinstance(size, list) else (size,),
            num_samples=document["num_samples"],
            bundle=document["bundle"],
            durations=None if durations is None else whole_numbers("durations", durations),
            offset=document.get("offset", 0),
            pitch=PitchRecord.from_document(document["pitch"]) if document.get("pitch") is not None else None,
            extra={key: value for key, value in document.items() if key not in _OWN},
        )

    def to_json(self) -> str:
        """This record as one line of JSON, without the line's end."""
        try:
            line = json.dumps(self.document(), ensure_ascii=False, allow_nan=False, default=_as_list)
            line.encode()
        except (TypeError, ValueError) as error:
            raise UnitsError(
                f"{self.id!r}: cannot be written as JSON ({error}); mend its id or its extra keys"
            ) from None
        return line

    @classmethod
    def from_json(cls, line: str | bytes, source: str = "units", number: int = 1) -> "UnitRecord":
        """The record on line ``number`` of ``source``; ``UnitsError`` with both for a line that is none."""
        where = f"{source}:{number}"
        try:
            return cls.from_document(json.loads(line, parse_constant=_refuse_constant))
        except UnitsError as error:
            raise UnitsError(f"{where}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise UnitsError(f"{where}: not JSON ({error}); a line cut short? encode this recording again") from None

    def to_batch(self) -> UnitBatch:
        """These units as a batch of one."""
        return UnitBatch(
            torch.from_numpy(self.codes.copy())[None],
            torch.tensor([self.codes.shape[1]]),
            self.sizes,
            self.grid,
            None if self.durations is None else torch.from_numpy(self.durations.copy())[None],
            self.bundle,
        )

    def to_utterance(self) -> Utterance:
        """These units as what decoding takes."""
        pitch, statistics = None, None
        if self.pitch is not None:
            grid = FrameGrid(self.sample_rate, self.pitch.hop, self.pitch.offset)
            pitch = UnitBatch.from_arrays([self.pitch.codes], (self.pitch.size,), grid, self.pitch.bundle)
            if self.pitch.mean is not None and self.pitch.deviation is not None:
                statistics = (self.pitch.mean, self.pitch.deviation)
        return Utterance(
            content=self.to_batch(),
            num_samples=self.num_samples,
            pitch=pitch,
            voice=self.extra.get("speaker"),
            id=self.id,
            pitch_statistics=statistics,
        )

    @classmethod
    def from_utterance(cls, units: Utterance, recording: str, extra: Mapping[str, Any] | None = None) -> "UnitRecord":
        """The record of ``recording`` (its id): content, and pitch where there is any."""
        pitch = None
        if units.pitch is not None:
            batch, (mean, deviation) = units.pitch, units.pitch_statistics or (None, None)
            grid = batch.grid
            pitch = PitchRecord(batch[0][0], grid.hop, batch.sizes[0], grid.offset, mean, deviation, batch.codebook)
        return cls.from_batch(units.content, recording, units.num_samples, pitch=pitch, extra=extra)

    @classmethod
    def from_batch(
        cls,
        batch: UnitBatch,
        recording: str,
        num_samples: int,
        *,
        index: int = 0,
        pitch: PitchRecord | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> "UnitRecord":
        """Row ``index`` of a batch, padding left out, as the record of ``recording`` (its id)."""
        if batch.codebook is None:
            raise UnitsError(
                f"{recording!r}: units of no known codebook; encode them with a bundle before storing them"
            )
        length = int(batch.lengths[index])
        return cls(
            id=recording,
            codes=batch[index],
            hop=batch.grid.hop,
            sample_rate=batch.grid.sample_rate,
            sizes=batch.sizes,
            num_samples=num_samples,
            bundle=batch.codebook,
            durations=None if batch.durations is None else batch.durations[index, :length].cpu().numpy(),
            offset=batch.grid.offset,
            pitch=pitch,
            extra=dict(extra or {}),
        )


def _as_list(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__} has no JSON form")


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")
