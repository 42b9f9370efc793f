"""What a voice is made of before mouth and throat shape it: pulses at the pitch, and breath."""

import math

import torch
from torch import Tensor

__all__ = ["breath", "pulses", "turns_before"]

_BLOCK = 2**14  # samples of noise drawn at a time, each block seeded by its number


def turns_before(f0_hz: Tensor, hop: int, sample_rate: int) -> Tensor:
    """Periods, modulo 1, that lie before each step of a contour ``[batch, step]`` in Hz: float64 of the same shape."""
    turns = torch.cumsum(f0_hz.double() * hop / sample_rate, 1)
    return torch.cat([torch.zeros_like(turns[:, :1]), turns[:, :-1]], 1).remainder(1.0)


def pulses(f0_hz: Tensor, turns: Tensor, hop: int, sample_rate: int) -> Tensor:
    """A band-limited train of pulses whose rate follows a contour, ``[batch, step * hop]``.

    ``f0_hz`` ``[batch, step]`` lies above 0 everywhere and ``turns`` are the periods before each step. All harmonics
    below the Nyquist frequency are equally strong, and together as strong as white noise of variance 1.
    """
    rate = f0_hz.double()[..., None] / sample_rate
    along = torch.arange(1, hop + 1, dtype=torch.float64, device=f0_hz.device)
    half = ((turns[..., None] + rate * along).remainder(1.0) * math.pi).float()  # of the angle
    count = torch.floor(0.5 / rate).clamp_min(1).float()
    # The sum of cos(k x) for k = 1 to n is sin((n + 1/2) x) / (2 sin(x / 2)) - 1/2; where x = 0 it is n.
    sine = half.sin()
    at_zero = sine.abs() < 1e-5
    ratio = ((2 * count + 1) * half).sin() / torch.where(at_zero, 1.0, 2 * sine)
    train = torch.where(at_zero, count, ratio - 0.5) * (2 / count).sqrt()
    return train.flatten(1)


def breath(start: int, end: int) -> Tensor:
    """Samples ``start`` to ``end`` of white noise of variance 1, always the same at a place: ``[sample]``."""
    first, last = start // _BLOCK, -(-end // _BLOCK)
    blocks = [torch.randn(_BLOCK, generator=torch.Generator().manual_seed(block)) for block in range(first, last)]
    noise = torch.cat(blocks) if blocks else torch.zeros(0)
    return noise[start - first * _BLOCK : end - first * _BLOCK]
