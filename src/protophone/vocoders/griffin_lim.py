"""Griffin-Lim: a waveform from linear magnitudes or log-mel bands, without training."""

import torch
from torch import Tensor

from protophone import spectral
from protophone.config import Iterations, Points, SampleCount, Share, SpeechRate, config
from protophone.errors import ConfigError, InputError
from protophone.types import AudioBatch, FrameGrid

__all__ = ["GriffinLim", "GriffinLimConfig"]


@config
class GriffinLimConfig:
    """1025 bins, 50 ms windows every 10 ms; 32 iterations with momentum (Perraudin et al. 2013)."""

    sample_rate: SpeechRate = 16000
    n_fft: Points = 2048
    hop: SampleCount = 160
    window_length: SampleCount = 800
    iterations: Iterations = 32
    momentum: Share = 0.99

    def __post_init__(self) -> None:
        if not 2 * self.hop <= self.window_length <= self.n_fft:
            raise ConfigError(
                f"window_length {self.window_length} must hold two hops of {self.hop} and fit in n_fft {self.n_fft}"
            )

    def build(self) -> "GriffinLim":
        """The vocoder."""
        return GriffinLim(self)


class GriffinLim:
    """Finds phases for magnitudes, always the same for the same magnitudes."""

    def __init__(self, config: GriffinLimConfig) -> None:
        self.config = config
        self.grid = FrameGrid(config.sample_rate, config.hop)

    def __call__(self, magnitude: Tensor, lengths: Tensor) -> AudioBatch:
        """Sound of ``magnitude`` ``[batch, frame, n_fft // 2 + 1]``: ``frames * hop`` samples a row, within [-1, 1].

        ``lengths`` int64 ``[batch]`` in frames. A row that would exceed 1 is made quieter as a whole, not clipped.
        """
        c = self.config
        if magnitude.ndim != 3 or not bool((magnitude >= 0).all()) or not bool(torch.isfinite(magnitude).all()):
            raise InputError(
                f"magnitudes {tuple(magnitude.shape)} must be [batch, frame, bin], finite and not negative; "
                "clamp a network's output at zero first"
            )
        samples = spectral.griffin_lim(
            magnitude,
            c.n_fft,
            c.hop,
            c.window_length,
            iterations=c.iterations,
            momentum=c.momentum,
            lengths=lengths,
        )
        peak = samples.abs().amax(1, keepdim=True).clamp_min(1)
        return AudioBatch(samples / peak, lengths * c.hop, c.sample_rate)

    def from_log_mel(self, log_mel: Tensor, lengths: Tensor) -> AudioBatch:
        """Sound of natural-log mel power ``[batch, frame, band]``, as the log-mel features give it at the same hop.

        Bands made with another window are loud by another amount: use the window of the features.
        """
        magnitude = spectral.mel_to_magnitude(log_mel.exp(), self.config.sample_rate, self.config.n_fft)
        return self(magnitude, lengths)
