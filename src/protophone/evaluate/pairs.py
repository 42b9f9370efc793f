"""A recording and the sound that was made of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protophone import audio
from protophone.types import Recording

__all__ = ["RATE", "Pair"]

RATE = 16000  # that all measures of sound take


@dataclass(frozen=True)
class Pair:
    """An original of a manifest, and the file of the sound made of it."""

    recording: Recording
    sound: Path

    @property
    def id(self) -> str:
        """The recording's."""
        return self.recording.id

    def read_original(self) -> np.ndarray:
        """Float32 ``[sample]`` at 16 kHz."""
        return audio.read(self.recording, RATE)

    def read_sound(self) -> np.ndarray:
        """Float32 ``[sample]`` at 16 kHz."""
        return audio.read(self.sound, RATE)
