"""What every vocoder is: units in, sound out, for the one codebook it was trained on."""

from abc import ABC, abstractmethod

from torch import nn

from protophone.errors import InputError, UnitsError
from protophone.types import AudioBatch, FrameGrid, UnitBatch

__all__ = ["Vocoder"]


class Vocoder(nn.Module, ABC):
    """Units to waveform: ``codebook`` is the hash of the codebook whose units it speaks, ``voices`` their names."""

    codebook: str
    grid: FrameGrid
    voices: tuple[str, ...]

    @abstractmethod
    def synthesize(self, content: UnitBatch, pitch: UnitBatch | None, voice: str | None) -> AudioBatch:
        """Sound of ``content`` in ``voice``: exactly frames x hop samples a row, for the caller to trim."""

    def voice_index(self, voice: str | None) -> int:
        """Position of ``voice``; without one, the only or first voice. ``InputError`` lists the voices there are."""
        if voice is None:
            return 0
        if voice not in self.voices:
            raise InputError(f"no voice {voice!r} here; the voices are: {', '.join(self.voices)}")
        return self.voices.index(voice)

    def check_units(self, units: UnitBatch) -> None:
        """``UnitsError`` where ``units`` were made by another codebook than this vocoder's."""
        if units.codebook != self.codebook:
            raise UnitsError(
                f"these units were made by codebook {units.codebook}, this voice speaks those of {self.codebook}; "
                "use the bundle they were encoded with, or encode the recordings again"
            )
        if units.grid.hop != self.grid.hop or units.grid.sample_rate != self.grid.sample_rate:
            raise UnitsError(
                f"these units lie {units.grid.hop} samples apart at {units.grid.sample_rate} Hz, this voice speaks "
                f"units {self.grid.hop} apart at {self.grid.sample_rate} Hz; encode the recordings again"
            )
