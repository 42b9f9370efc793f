"""Pitch as Praat finds it, through parselmouth: the judge that most papers of phonetics take."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from protophone.config import Positive, SampleCount, SpeechRate, config
from protophone.errors import ConfigError, InputError
from protophone.features.pitch import Tracker

__all__ = ["PraatConfig", "PraatTracker"]


@config
class PraatConfig:
    """``To Pitch (ac)`` of Praat between ``floor_hz`` and ``ceiling_hz``, every other setting Praat's own."""

    kind: Literal["praat"] = "praat"
    sample_rate: SpeechRate = 16000
    hop: SampleCount = 80
    floor_hz: Positive = 60.0
    ceiling_hz: Positive = 500.0

    def __post_init__(self) -> None:
        if not self.floor_hz < self.ceiling_hz <= self.sample_rate / 2:
            raise ConfigError(
                f"pitch from {self.floor_hz:g} to {self.ceiling_hz:g} Hz in sound at {self.sample_rate} Hz: the floor "
                f"must lie below the ceiling, and that at {self.sample_rate / 2:g} Hz or below"
            )

    def build(self) -> "PraatTracker":
        """The tracker; ``InputError`` where parselmouth is not installed."""
        return PraatTracker(self)


class PraatTracker(Tracker):
    """Praat's autocorrelation method, on the CPU.

    Praat lays its frames so that as many whole windows (three longest periods) as fit are in the middle of the sound.
    A frame of ``grid`` takes the pitch of the nearest of them, at most half a hop away, and has none where none is so
    near: within 25 ms of either end, for a floor of 60 Hz.
    """

    config: PraatConfig

    def __init__(self, config: PraatConfig) -> None:
        super().__init__(config)
        try:
            import parselmouth
        except ImportError as error:
            raise InputError("Praat's pitch needs parselmouth; pip install 'protophone[praat]'") from error
        self._praat = parselmouth
        self.settings |= {"praat": parselmouth.PRAAT_VERSION, "parselmouth": parselmouth.VERSION}

    def _pitch(self, samples: Tensor) -> Tensor:
        c, frames = self.config, self.grid.num_frames(len(samples))
        if len(samples) < 3 * c.sample_rate / c.floor_hz:  # Praat refuses what is shorter than a window
            return torch.zeros(frames)
        sound = self._praat.Sound(samples.cpu().double().numpy(), c.sample_rate)
        pitch = sound.to_pitch_ac(time_step=c.hop / c.sample_rate, pitch_floor=c.floor_hz, pitch_ceiling=c.ceiling_hz)
        # Praat's sample n lies at (n + 0.5) / sample_rate; places and distances in hops
        place = ((np.arange(frames) * c.hop + 0.5) / c.sample_rate - pitch.x1) * c.sample_rate / c.hop
        near = np.clip(np.round(place), 0, pitch.n_frames - 1).astype(np.int64)
        f0_hz = np.where(np.abs(place - near) <= 0.5, pitch.selected_array["frequency"][near], 0.0)
        return torch.from_numpy(f0_hz.astype(np.float32))
