"""What every vocoder is: units in, sound out, for the one codebook it was trained on."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from protophone.errors import InputError
from protophone.features.contour import PitchBatch
from protophone.types import AudioBatch, FrameGrid, UnitBatch

__all__ = ["PitchInput", "Vocoder"]

PitchInput = Literal["none", "units", "contour"]


class Vocoder(nn.Module, ABC):
    """Units to waveform: ``codebook`` is the hash of the codebook whose units it speaks, ``voices`` their names.

    ``pitch_input`` says what it must be told of the melody: nothing, pitch units, or a contour in Hz; ``learns_pitch``
    what its training crops must hold. ``context`` are the units on each side that a unit's sound depends on.
    """

    config: Any
    context: int

    codebook: str
    grid: FrameGrid
    voices: tuple[str, ...]
    pitch_input: PitchInput = "none"
    discriminator: Any
    spare: tuple[str, ...] = ("discriminator.",)  # names of weights that only training needs begin so

    @property
    def learns_pitch(self) -> PitchInput:
        """What of the melody training crops must hold."""
        return self.pitch_input

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The discriminators step before the vocoder."""
        discriminators = [] if self.discriminator is None else list(self.discriminator.parameters())
        theirs = set(map(id, discriminators))
        own = [parameter for parameter in self.parameters() if id(parameter) not in theirs]
        return ({"discriminator": discriminators} if discriminators else {}) | {"vocoder": own}

    def calibrate(self, samples: Tensor) -> None:
        """Sets what follows from the sounds ``[batch, sample]`` alone, before training starts."""

    @abstractmethod
    def stream(
        self, content: UnitBatch, pitch: UnitBatch | PitchBatch | None, voice: str | Tensor | None
    ) -> Iterator[Tensor]:
        """Sound of a batch of one in parts ``[sample]``, in memory that does not grow with it.

        The parts are exactly frames x hop samples together, for the caller to trim. ``voice`` is a name, or an
        embedding float32 ``[dim]`` where the vocoder was trained with such.
        """

    def synthesize(
        self, content: UnitBatch, pitch: UnitBatch | PitchBatch | None, voice: str | Tensor | None
    ) -> AudioBatch:
        """Sound of each row of ``content``, as if it were alone: frames x hop samples."""
        sounds = []
        for row in range(len(content)):
            parts = list(self.stream(content.row(row), None if pitch is None else pitch.row(row), voice))
            sounds.append(torch.cat(parts).cpu().numpy() if parts else np.zeros(0, np.float32))
        return AudioBatch.from_arrays(sounds, self.grid.sample_rate)

    def voice_index(self, voice: str | None) -> int:
        """Position of ``voice``; without one, the only or first voice. ``InputError`` lists the voices there are."""
        if voice is None:
            return 0
        if voice not in self.voices:
            raise InputError(f"no voice {voice!r} here; the voices are: {', '.join(self.voices)}")
        return self.voices.index(voice)

    def check_units(self, units: UnitBatch) -> UnitBatch:
        """``units``, one code a frame; ``UnitsError`` where they are not of the codebook this vocoder learned."""
        return units.of(self.codebook, units.sizes, self.grid, "this voice speaks")
