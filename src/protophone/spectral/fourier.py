"""The short-time Fourier transform and its inverse: the frames, window and overlap that everything here is built on."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from protophone.errors import InputError

__all__ = [
    "BLOCK",
    "add_frames",
    "frames_of",
    "hann",
    "istft",
    "overlap_add",
    "power_of",
    "spectral_convergence",
    "stft",
]

BLOCK = 2**18
"""Values of a block of frames worked on at once: a megabyte stays in a core's cache."""


def stft(samples: Tensor, n_fft: int, hop: int, window_length: int) -> Tensor:
    """Short-time Fourier transform, complex ``[batch, ceil(sample / hop), n_fft // 2 + 1]``.

    Equal to ``librosa.stft`` with ``center=True`` and its zero padding.
    """
    window = hann(window_length, n_fft, samples.device)
    return torch.fft.rfft(frames_of(samples, n_fft, hop) * window)


def istft(spectrum: Tensor, n_fft: int, hop: int, window_length: int, length: int) -> Tensor:
    """Sound float32 ``[batch, length]`` whose STFT is nearest to ``spectrum`` in the least-squares sense.

    Samples no window reaches are zero. Inverse of ``stft`` where windows overlap (``2 * hop <= window_length``).
    """
    if spectrum.shape[-1] != n_fft // 2 + 1:
        raise InputError(f"{spectrum.shape[-1]} bins are not those of n_fft {n_fft}: give n_fft // 2 + 1")
    window = hann(window_length, n_fft, spectrum.device)
    frames = torch.fft.irfft(spectrum, n_fft) * window
    sound = overlap_add(frames, hop)
    weight = overlap_add(window.square().expand(1, frames.shape[1], -1), hop)
    scale = torch.where(weight > torch.finfo(torch.float32).tiny, 1 / weight, 0.0)
    sound = (sound * scale)[:, n_fft // 2 :][:, :length]
    return F.pad(sound, (0, length - sound.shape[1]))


def spectral_convergence(magnitude: Tensor, samples: Tensor, n_fft: int, hop: int, window_length: int) -> Tensor:
    """Distance of the STFT magnitudes of ``samples`` from ``magnitude``, over the norm of the latter: ``[batch]``.

    0 is equality. ``samples`` must have as many frames as ``magnitude``.
    """
    made = stft(samples, n_fft, hop, window_length).abs()
    if made.shape != magnitude.shape:
        raise InputError(f"the sound has magnitudes {tuple(made.shape)}, to compare with {tuple(magnitude.shape)}")
    return (made - magnitude).flatten(1).norm(dim=1) / magnitude.flatten(1).norm(dim=1)


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def hann(window_length: int, n_fft: int, device: torch.device) -> Tensor:
    """The periodic Hann window in the middle of ``n_fft`` samples, float32 ``[n_fft]``, shared."""
    if not 0 < window_length <= n_fft:
        raise InputError(f"window_length {window_length} must be at least 1 and at most n_fft {n_fft}")
    window = torch.hann_window(window_length, dtype=torch.float64).float()
    left = (n_fft - window_length) // 2
    return F.pad(window, (left, n_fft - window_length - left)).to(device)


def frames_of(samples: Tensor, n_fft: int, hop: int) -> Tensor:
    """Overlapping frames as a view, ``[batch, ceil(sample / hop), n_fft]``, zeros around the sound."""
    if samples.ndim != 2 or samples.shape[1] == 0 or hop < 1:
        raise InputError(f"samples {tuple(samples.shape)} at hop {hop}: give [batch, sample], not empty, and hop >= 1")
    left = n_fft // 2
    return F.pad(samples, (left, n_fft - left + hop)).unfold(1, n_fft, hop)[:, : -(-samples.shape[1] // hop)]


def power_of(spectrum: Tensor) -> Tensor:
    """Squared magnitude; several times faster than ``abs`` of complex numbers."""
    squares = torch.view_as_real(spectrum).square()
    return squares[..., 0] + squares[..., 1]


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Sum of frames ``[batch, frame, n]`` laid ``hop`` apart: ``[batch, (frame - 1) * hop + n]``."""
    rows, count, size = frames.shape
    total = frames.new_zeros(rows, count - 1 - (-size // hop), hop)
    add_frames(total, frames, 0)
    return total.view(rows, -1)[:, : (count - 1) * hop + size]


def add_frames(total: Tensor, frames: Tensor, start: int) -> None:
    """Adds frames ``[batch, frame, n]``, the first at ``start * hop``, to sound held as ``[batch, piece, hop]``."""
    hop = total.shape[2]
    for shift, piece in enumerate(frames.split(hop, dim=2)):
        total[:, start + shift : start + shift + frames.shape[1], : piece.shape[2]] += piece
