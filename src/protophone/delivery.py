"""How units are delivered: in whose register and along which melody, and how fast."""

import math
import re
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from protophone.errors import InputError
from protophone.features.contour import PitchBatch
from protophone.types import UnitBatch

__all__ = ["Delivery", "faster"]

_SHIFT = re.compile(r"shift:([+-]?[0-9]+(?:\.[0-9]+)?)st")
_FASTEST = 4.0  # times as fast, or as slow, at most
_MOST = 36.0  # semitones of a shift: three octaves
_RANGE_HZ = (40.0, 1000.0)  # what a voice is asked for at most


@dataclass(frozen=True)
class Delivery:
    """``pitch`` is one of four melodies; ``rate`` is how many times as fast as the recording.

    ``target``: the recording's melody in the register (mean and deviation) of the voice that speaks. ``copy``: the
    recording's own, in hertz. ``flat``: level, at the mean of the voice. ``shift:+2st``: as ``target``, that many
    semitones higher or, with a minus, lower. What would lie below 40 Hz or above 1000 is sung there. Raises
    ``InputError`` for anything else.
    """

    pitch: str = "target"
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.pitch not in {"target", "copy", "flat"} and not _SHIFT.fullmatch(self.pitch):
            raise InputError(f"pitch {self.pitch!r}: write target, copy, flat, or a shift such as shift:+2st")
        if abs(self.semitones) > _MOST:
            raise InputError(f"pitch {self.pitch!r}: at most {_MOST:g} semitones up or down")
        if not 1 / _FASTEST <= self.rate <= _FASTEST:  # nor is NaN
            raise InputError(f"rate {self.rate:g}: from {1 / _FASTEST:g} (slower) to {_FASTEST:g} (faster)")

    @property
    def semitones(self) -> float:
        """How far the melody is shifted."""
        shift = _SHIFT.fullmatch(self.pitch)
        return float(shift[1]) if shift else 0.0

    def melody(self, melody: PitchBatch, source: tuple[float, float], target: tuple[float, float]) -> PitchBatch:
        """``melody``, in Hz everywhere, as it is to be sung and as fast.

        ``source`` and ``target`` are mean and deviation of the natural logarithm of the pitch of the voice that was
        recorded and of the voice that speaks.
        """
        log = melody.f0_hz.log()
        if self.pitch == "flat":
            log = torch.full_like(log, target[0])
        elif self.pitch != "copy":
            log = (log - source[0]) / source[1] * target[1] + target[0]
        log = log + self.semitones * math.log(2) / 12
        f0_hz = log.exp().clamp(*_RANGE_HZ)
        if self.rate == 1:
            return replace(melody, f0_hz=f0_hz)
        at = self.steps(melody.f0_hz.shape[1], f0_hz.device)
        return PitchBatch(f0_hz[:, at], torch.full_like(melody.lengths, len(at)), melody.grid)

    def steps(self, count: int, device: torch.device) -> Tensor:
        """Which of ``count`` steps of the recording is spoken at each step of the faster or slower whole."""
        return _stretched(count, self.rate, device)


def faster(content: UnitBatch, rate: float) -> UnitBatch:
    """A batch of one spoken ``rate`` times as fast: units left out or repeated, evenly."""
    if rate == 1:
        return content
    content = content if content.durations is None else content.expand()
    at = _stretched(int(content.lengths[0]), rate, content.codes.device)
    return replace(content, codes=content.codes[..., at], lengths=torch.full_like(content.lengths, len(at)))


def _stretched(count: int, rate: float, device: torch.device) -> Tensor:
    """Which of ``count`` steps is spoken at each step of the faster or slower whole."""
    at = (torch.arange(math.ceil(count / rate), dtype=torch.float64) + 0.5) * rate
    return at.long().clamp(max=max(0, count - 1)).to(device)
