"""Pitch over time: contours in hertz, and the line that goes on where there is no voice."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from protophone.types import FrameGrid

__all__ = ["PitchBatch", "hertz", "scaled"]

_MIDDLE_HZ, _SPREAD = 150.0, 0.5  # of the melodies of voices, and their deviation in natural logarithms


def scaled(f0_hz: Tensor) -> Tensor:
    """What networks are told of a melody in Hz: its logarithm about that of 150 Hz, in deviations."""
    return (f0_hz / _MIDDLE_HZ).log() / _SPREAD


def hertz(melody: Tensor) -> Tensor:
    """The melody in Hz of what ``scaled`` makes of it."""
    return (melody * _SPREAD).exp() * _MIDDLE_HZ


@dataclass(frozen=True)
class PitchBatch:
    """Pitch: ``f0_hz`` float32 ``[batch, frame]``, 0 where there is no voice, on ``grid``.

    ``lengths`` int64 ``[batch]`` are in frames.
    """

    f0_hz: Tensor
    lengths: Tensor
    grid: FrameGrid

    def __post_init__(self) -> None:
        rows, frames = self.f0_hz.shape if self.f0_hz.ndim == 2 else (-1, -1)
        longest = int(self.lengths.max()) if len(self.lengths) else 0
        if self.f0_hz.dtype != torch.float32 or len(self.lengths) != rows or longest > frames:
            raise ValueError(
                f"f0_hz of {self.f0_hz.dtype} {tuple(self.f0_hz.shape)} and lengths {self.lengths.tolist()}: give "
                "float32 [batch, frame] and a length for each row"
            )

    @property
    def voiced(self) -> Tensor:
        """Where there is a voice, bool ``[batch, frame]``."""
        return self.f0_hz > 0

    def to(self, device: torch.device | str) -> "PitchBatch":
        """The same batch on another device."""
        return PitchBatch(self.f0_hz.to(device), self.lengths.to(device), self.grid)

    def row(self, index: int) -> "PitchBatch":
        """A batch of one of these rows, without its padding."""
        one = slice(index, index + 1)
        return PitchBatch(self.f0_hz[one, : int(self.lengths[index])], self.lengths[one], self.grid)

    def continued(self, fallback_hz: float) -> "PitchBatch":
        """The melody: where there is no voice, a straight line in log frequency from one voiced frame to the next.

        Before the first and after the last it stays level; a row without any voice has ``fallback_hz``.
        """
        f0_hz = torch.full_like(self.f0_hz, fallback_hz)
        for row, length in enumerate(self.lengths.tolist()):
            known = self.f0_hz[row, :length].cpu().numpy()
            voiced = np.flatnonzero(known > 0)
            if len(voiced):
                line = np.exp(np.interp(np.arange(self.f0_hz.shape[1]), voiced, np.log(known[voiced])))
                f0_hz[row] = torch.as_tensor(line, dtype=torch.float32)
        return PitchBatch(f0_hz, self.lengths, self.grid)

    def __getitem__(self, index: int) -> np.ndarray:
        """One row without its padding, float32 ``[frame]`` in Hz."""
        return self.f0_hz[index, : int(self.lengths[index])].cpu().numpy()
