"""Power in mel bands, of sound and of magnitudes, and the magnitudes that have given bands."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from protophone.errors import InputError
from protophone.spectral.fourier import BLOCK, frames_of, hann, power_of

__all__ = ["magnitude_to_mel", "mel_filters", "mel_power", "mel_to_magnitude"]

_BREAK_HZ, _BREAK_MEL, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27  # Slaney's scale: linear, then logarithmic


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int, device: torch.device | str = "cpu") -> Tensor:
    """Triangular filters of area one on Slaney's mel scale, 0 Hz to Nyquist: float32 ``[n_mels, n_fft // 2 + 1]``.

    Equal to ``librosa.filters.mel``. The tensor is shared between callers: not to be changed in place.
    """
    if n_mels < 1 or n_fft < 2:
        raise InputError(f"{n_mels} mel bands of a {n_fft}-point FFT: both must be larger")
    top = torch.tensor(sample_rate / 2, dtype=torch.float64)
    edges = _mel_to_hz(torch.linspace(0, float(_hz_to_mel(top)), n_mels + 2, dtype=torch.float64))
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0) * (2 / (edges[2:] - edges[:-2]))[:, None]
    empty = int((filters.amax(1) == 0).sum())
    if empty:
        raise InputError(
            f"{empty} of {n_mels} mel bands fall between the bins of a {n_fft}-point FFT at {sample_rate} Hz; "
            "use fewer bands or a longer FFT"
        )
    return filters.float().to(device)


def mel_power(samples: Tensor, sample_rate: int, n_fft: int, hop: int, window_length: int, n_mels: int) -> Tensor:
    """Power in mel bands, float32 ``[batch, ceil(sample / hop), n_mels]``, in memory that does not hold the STFT."""
    window = hann(window_length, n_fft, samples.device)
    filters = mel_filters(sample_rate, n_fft, n_mels, samples.device)
    frames = frames_of(samples, n_fft, hop)
    step = max(1, BLOCK // (n_fft * max(1, len(samples))))
    blocks = [power_of(torch.fft.rfft(block * window)) @ filters.T for block in frames.split(step, dim=1)]
    return torch.cat(blocks, dim=1)


def magnitude_to_mel(magnitude: Tensor, sample_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Power in mel bands ``[batch, frame, n_mels]`` of linear magnitudes ``[batch, frame, bin]``."""
    return magnitude.square() @ mel_filters(sample_rate, n_fft, n_mels, magnitude.device).T


def mel_to_magnitude(mel: Tensor, sample_rate: int, n_fft: int, iterations: int = 16) -> Tensor:
    """Linear magnitudes ``[batch, frame, n_fft // 2 + 1]`` whose mel bands have the power ``mel`` ``[..., n_mels]``.

    The power of least Kullback-Leibler divergence from the bands: from the transposed filters' smooth answer,
    multiplicative updates (Lee and Seung 2001, equation 5) that never turn negative. Quiet bands are met as well as
    loud ones, which least squares leaves behind. Bins no filter covers (0 Hz and Nyquist) are zero.
    """
    filters = mel_filters(sample_rate, n_fft, mel.shape[-1], mel.device)
    # Divided by their area filters pull alike, so wide high bands are met in as few updates as narrow low ones.
    area = filters.sum(1)
    even, target = filters / area[:, None], mel / area
    cover = even.sum(0).clamp_min(1e-6)
    power = target @ even / cover
    for _ in range(iterations):
        ratio = target / (power @ even.T).clamp_min(torch.finfo(torch.float32).tiny)
        power = power * (ratio @ even / cover)
    return power.sqrt()


def _hz_to_mel(hz: Tensor) -> Tensor:
    high = _BREAK_MEL + (hz / _BREAK_HZ).clamp_min(1).log() / _LOG_STEP
    return torch.where(hz < _BREAK_HZ, hz * _BREAK_MEL / _BREAK_HZ, high)


def _mel_to_hz(mel: Tensor) -> Tensor:
    high = _BREAK_HZ * ((mel - _BREAK_MEL) * _LOG_STEP).exp()
    return torch.where(mel < _BREAK_MEL, mel * _BREAK_HZ / _BREAK_MEL, high)
