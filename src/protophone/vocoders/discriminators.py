"""Networks that tell recorded sound from made sound, each looking at it in another way.

Kong et al. 2020 (HiFi-GAN) fold it at several periods, and look at it at several scales; Jang et al. 2021 (UnivNet)
look at its magnitudes at several resolutions, which costs a CPU far less. Every network takes samples
``[batch, sample]`` and gives a ``Verdict``.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from protophone.spectral import stft

__all__ = ["PERIODS", "RESOLUTIONS", "SCALES", "ByPeriod", "ByResolution", "ByScale", "Verdict"]

PERIODS = (2, 3, 5, 7, 11)
SCALES = (0, 1, 2)  # how often the rate is halved
RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512))  # points of the transform, samples between frames
_SLOPE = 0.1
_GROUPED = 16  # channels are multiples of the most groups that share them


class Verdict(NamedTuple):
    """What a network says: ``scores`` ``[batch, place]``, near 1 for recorded sound, and what its layers saw."""

    scores: Tensor
    features: list[Tensor]


class ByPeriod(nn.Module):
    """Sees every ``period``-th sample beside the next ones: rhythms that do not divide each other, one a network."""

    def __init__(self, period: int, width: float = 1.0) -> None:
        super().__init__()
        self.period = period
        channels = [1, *(_scaled(count, width) for count in (32, 128, 512, 1024, 1024))]
        strides = (3, 3, 3, 3, 1)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv1d(a, b, 5, stride, 2))
            for (a, b), stride in zip(pairwise(channels), strides, strict=True)
        )
        self.last = weight_norm(nn.Conv1d(channels[-1], 1, 3, 1, 1))

    def forward(self, samples: Tensor) -> Verdict:
        """Verdict on ``samples`` float32 ``[batch, sample]``, at least ``period`` of them."""
        rows = len(samples)
        filled = F.pad(samples[:, None], (0, -samples.shape[1] % self.period), mode="reflect")
        # A two-dimensional convolution of height 1 over the columns, written as one over each column by itself.
        columns = filled.view(rows, -1, self.period).transpose(1, 2).reshape(rows * self.period, 1, -1)
        verdict = _through(columns, self.layers, self.last)
        return Verdict(verdict.scores.reshape(rows, -1), verdict.features)


class ByScale(nn.Module):
    """Sees the waveform itself, its rate halved ``halvings`` times; the whole rate with spectral normalisation."""

    def __init__(self, halvings: int, width: float = 1.0) -> None:
        super().__init__()
        self.halvings = halvings
        norm = weight_norm if halvings else spectral_norm
        channels = [1, *(_scaled(count, width) for count in (128, 128, 256, 512, 1024, 1024, 1024))]
        shapes = ((15, 1, 1), (41, 2, 4), (41, 2, 16), (41, 4, 16), (41, 4, 16), (41, 1, 16), (5, 1, 1))
        self.layers = nn.ModuleList(
            norm(nn.Conv1d(a, b, kernel, stride, kernel // 2, groups=groups))
            for (a, b), (kernel, stride, groups) in zip(pairwise(channels), shapes, strict=True)
        )
        self.last = norm(nn.Conv1d(channels[-1], 1, 3, 1, 1))

    def forward(self, samples: Tensor) -> Verdict:
        """Verdict on ``samples`` float32 ``[batch, sample]``."""
        x = samples[:, None]
        for _ in range(self.halvings):
            x = F.avg_pool1d(x, 4, 2, padding=2)
        return _through(x, self.layers, self.last)


class ByResolution(nn.Module):
    """Sees magnitudes of a transform of ``n_fft`` points every ``hop`` samples; strides in frequency."""

    def __init__(self, n_fft: int, hop: int, width: float = 1.0) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        channels = [1, *[_scaled(32, width)] * 5]
        shapes = (((3, 9), (1, 1)), *[((3, 9), (1, 2))] * 3, ((3, 3), (1, 1)))
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, kernel, stride, (kernel[0] // 2, kernel[1] // 2)))
            for (a, b), (kernel, stride) in zip(pairwise(channels), shapes, strict=True)
        )
        self.last = weight_norm(nn.Conv2d(channels[-1], 1, (3, 3), 1, (1, 1)))

    def forward(self, samples: Tensor) -> Verdict:
        """Verdict on ``samples`` float32 ``[batch, sample]``."""
        with torch.autocast(samples.device.type, enabled=False):
            magnitude = stft(samples.float(), self.n_fft, self.hop, self.n_fft).abs()
        return _through(magnitude[:, None], self.layers, self.last)


def _scaled(channels: int, width: float) -> int:
    """A share ``width`` of the published channels that groups can still divide."""
    return max(_GROUPED, round(channels * width / _GROUPED) * _GROUPED)


def _through(x: Tensor, layers: nn.ModuleList, last: nn.Module) -> Verdict:
    features = []
    for layer in layers:
        x = F.leaky_relu(layer(x), _SLOPE)
        features.append(x.float())
    x = last(x).float()
    return Verdict(x.flatten(1), [*features, x])
