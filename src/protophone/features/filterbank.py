"""MFCC with deltas, and log-mel bands: 25 ms windows every 10 ms, no normalisation, nothing to train."""

from abc import abstractmethod
from typing import Annotated, Literal

import torch
from torch import Tensor

from protophone import spectral
from protophone.config import Bands, Points, Positive, SampleCount, SpeechRate, bounds, config
from protophone.errors import AudioError, ConfigError, InputError
from protophone.features.base import FeatureExtractor
from protophone.types import AudioBatch, FeatureBatch, FrameGrid

__all__ = ["LOG_FLOOR", "LogMel", "LogMelConfig", "Mfcc", "MfccConfig"]

LOG_FLOOR = 1e-10
"""Least power before the logarithm, -100 dB: below the rounding noise of 16-bit sound."""


@config
class MfccConfig:
    """Cepstral coefficients of decibels in mel bands, then their slopes and curvatures over ``delta_width`` frames.

    Equal to ``librosa.feature.mfcc`` without ``top_db`` and ``librosa.feature.delta``.
    """

    kind: Literal["mfcc"] = "mfcc"
    sample_rate: SpeechRate = 16000
    n_fft: Points = 400
    window_length: SampleCount = 400
    hop: SampleCount = 160
    n_mels: Bands = 40
    n_mfcc: Bands = 13
    delta_width: Annotated[int, bounds(3, 999)] = 9

    def __post_init__(self) -> None:
        _check(self)
        if self.n_mfcc > self.n_mels:
            raise ConfigError(f"n_mfcc {self.n_mfcc} must be at most n_mels {self.n_mels}")
        if self.delta_width % 2 == 0:
            raise ConfigError(f"delta_width {self.delta_width} must be odd")

    def build(self) -> "Mfcc":
        """The extractor."""
        return Mfcc(self)


@config
class LogMelConfig:
    """Natural logarithm of the power in mel bands, which counts as no less than ``floor``."""

    kind: Literal["logmel"] = "logmel"
    sample_rate: SpeechRate = 16000
    n_fft: Points = 400
    window_length: SampleCount = 400
    hop: SampleCount = 160
    n_mels: Bands = 80
    floor: Positive = LOG_FLOOR

    def __post_init__(self) -> None:
        _check(self)

    def build(self) -> "LogMel":
        """The extractor."""
        return LogMel(self)


def _check(config: MfccConfig | LogMelConfig) -> None:
    if config.window_length > config.n_fft:
        raise ConfigError(f"window_length {config.window_length} does not fit in n_fft {config.n_fft}")
    try:
        spectral.mel_filters(config.sample_rate, config.n_fft, config.n_mels)  # refuses bands without a bin
    except InputError as error:
        raise ConfigError(str(error)) from None


class _Filterbank(FeatureExtractor):
    """What MFCC and log-mel share: rate check, framing, padding."""

    def __init__(self, config: MfccConfig | LogMelConfig) -> None:
        self.config = config
        self.sample_rate = config.sample_rate
        self.grid = FrameGrid(config.sample_rate, config.hop)
        self._reach = -(-config.window_length // (2 * config.hop))  # frames half a window covers

    def __call__(self, audio: AudioBatch) -> FeatureBatch:
        """Frames of each row; ``AudioError`` at another sample rate."""
        if audio.sample_rate != self.sample_rate:
            raise AudioError(
                f"sound at {audio.sample_rate} Hz given to features at {self.sample_rate} Hz; resample it as it is read"
            )
        lengths = torch.tensor([self.grid.num_frames(n) for n in audio.lengths.tolist()], dtype=torch.int64)
        lengths = lengths.to(audio.lengths.device)
        rows, width = audio.samples.shape
        if rows == 0 or width == 0:
            return FeatureBatch(audio.samples.new_zeros(rows, 0, self.dim), lengths, self.grid)
        samples = audio.samples
        if int(audio.lengths.min()) < width:  # what lies in the padding must not be heard in a row's last frames
            samples = samples * _within(audio.lengths, width)
        frames = self._extract(samples, lengths)
        return FeatureBatch(frames * _within(lengths, frames.shape[1])[:, :, None], lengths, self.grid)

    @abstractmethod
    def _extract(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Frames ``[batch, frame, dim]`` of samples with silent padding; ``lengths`` in frames."""

    def _mel(self, samples: Tensor) -> Tensor:
        c = self.config
        return spectral.mel_power(samples, c.sample_rate, c.n_fft, c.hop, c.window_length, c.n_mels)


class Mfcc(_Filterbank):
    """MFCC, slopes, curvatures: three times ``n_mfcc`` values a frame."""

    config: MfccConfig

    def __init__(self, config: MfccConfig) -> None:
        super().__init__(config)
        self.dim = 3 * config.n_mfcc
        # The first frame of a recording takes its slope from the first ``delta_width`` frames.
        self.context = config.delta_width - 1 + self._reach

    def _extract(self, samples: Tensor, lengths: Tensor) -> Tensor:
        c = self.config
        decibels = spectral.power_to_db(self._mel(samples))
        cepstra = decibels @ spectral.dct_ortho(c.n_mels, c.n_mfcc, samples.device).T
        slopes = [spectral.delta(cepstra, c.delta_width, order, lengths) for order in (1, 2)]
        return torch.cat([cepstra, *slopes], dim=-1)


class LogMel(_Filterbank):
    """Log power in mel bands: ``n_mels`` values a frame."""

    config: LogMelConfig

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__(config)
        self.dim = config.n_mels
        self.context = self._reach

    def _extract(self, samples: Tensor, lengths: Tensor) -> Tensor:
        del lengths  # a band's power needs no neighbouring frames
        return self._mel(samples).clamp_min(self.config.floor).log()


def _within(lengths: Tensor, width: int) -> Tensor:
    """True for what is real in each row, ``[batch, width]``."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]
