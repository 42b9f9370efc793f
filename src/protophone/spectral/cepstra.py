"""Cepstral coefficients of decibels in mel bands, and how frames change over time."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from protophone.errors import InputError
from protophone.spectral.mel import mel_power

__all__ = ["dct_ortho", "delta", "mfcc", "power_to_db"]


def mfcc(
    samples: Tensor,
    sample_rate: int = 16000,
    *,
    n_fft: int = 400,
    hop: int = 160,
    window_length: int = 400,
    n_mels: int = 40,
    n_mfcc: int = 13,
) -> Tensor:
    """Mel-frequency cepstral coefficients of the decibels, float32 ``[batch, ceil(sample / hop), n_mfcc]``."""
    decibels = power_to_db(mel_power(samples, sample_rate, n_fft, hop, window_length, n_mels))
    return decibels @ dct_ortho(n_mels, n_mfcc, samples.device).T


def power_to_db(power: Tensor) -> Tensor:
    """Decibels of power, never below -100 dB: ``librosa.power_to_db`` with ``top_db=None``."""
    return 10 * power.clamp_min(1e-10).log10()


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def dct_ortho(size: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The first ``count`` rows of the orthonormal DCT-II of ``size`` points: float32 ``[count, size]``, shared."""
    k = torch.arange(count, dtype=torch.float64)[:, None]
    n = torch.arange(size, dtype=torch.float64)
    matrix = math.sqrt(2 / size) * torch.cos(math.pi / size * (n + 0.5) * k)
    matrix[0] /= math.sqrt(2)
    return matrix.float().to(device)


def delta(frames: Tensor, width: int = 9, order: int = 1, lengths: Tensor | None = None) -> Tensor:
    """Slope (``order`` 1) or curvature (2) of each dimension over ``width`` frames, ``[batch, frame, dim]``.

    A Savitzky-Golay filter: a polynomial of degree ``order`` is fitted to the frames around each frame and its
    derivative taken. At the edges the polynomial of the first and last ``width`` frames goes on, as in
    ``librosa.feature.delta`` (mode "interp"). A recording shorter than ``width`` has one polynomial fitted to all its
    frames, and zero where those are no more than ``order``. ``lengths`` int64 ``[batch]`` say where each row ends;
    what comes after is zero.
    """
    if width % 2 == 0 or width <= order or order < 1:
        raise InputError(f"delta width {width} must be odd and above the order {order}, which must be at least 1")
    out = torch.zeros_like(frames)
    for row, end in enumerate([frames.shape[1]] * len(frames) if lengths is None else lengths.tolist()):
        size = min(width, end)
        inner = frames[row].unfold(0, size, 1) @ _derivative_taps(size, order, frames.device)
        # The derivative of degree ``order`` is the same all along each polynomial: edges repeat their neighbour's.
        near = (torch.arange(end, device=frames.device) - size // 2).clamp(0, end - size)
        out[row, :end] = inner[near]
    return out


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)
def _derivative_taps(count: int, order: int, device: torch.device) -> Tensor:
    """Weights ``[count]`` of frames in the ``order``-th derivative of the polynomial of that degree fitted to them."""
    if count <= order:
        return torch.zeros(count, device=device)
    time = torch.arange(count, dtype=torch.float64) - (count - 1) / 2
    fit = torch.linalg.pinv(time[:, None] ** torch.arange(order + 1))
    return (math.factorial(order) * fit[order]).float().to(device)
