"""The network of HiFi-GAN: vectors at a low rate to samples, in steps (Kong et al. 2020, arXiv 2010.05646).

Each step is a transposed convolution that raises the rate and halves the channels, and residual blocks with several
kernels side by side, whose mean goes on (the paper's multi-receptive field fusion).
"""

from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

__all__ = ["Upsampler"]

_SLOPE, _LAST_SLOPE = 0.1, 0.01  # of the rectifiers; the last one's is the other, as published
_EDGE = 7  # kernel of the first and last layer


class _Residual(nn.Module):
    """For each dilation two convolutions, the first dilated, beside a shortcut."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()

        def layers(spread: tuple[int, ...]) -> nn.ModuleList:
            return nn.ModuleList(
                weight_norm(nn.Conv1d(channels, channels, kernel, padding=kernel // 2 * each, dilation=each))
                for each in spread
            )

        self.dilated = layers(dilations)
        self.plain = layers((1,) * len(dilations))

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, _SLOPE)), _SLOPE))
        return x


class _Fused(nn.ModuleList):
    """Modules side by side, and their mean."""

    def forward(self, x: Tensor) -> Tensor:
        return reduce(torch.add, (module(x) for module in self)) / len(self)


class Upsampler(nn.Module):
    """``rates`` and ``kernels`` are of the transposed convolutions; ``channels`` come out of the first layer."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        rates: tuple[int, ...],
        kernels: tuple[int, ...],
        block_kernels: tuple[int, ...],
        dilations: tuple[int, ...],
    ) -> None:
        super().__init__()
        widths = [channels // 2**step for step in range(len(rates) + 1)]
        self.first = weight_norm(nn.Conv1d(inputs, channels, _EDGE, padding=_EDGE // 2))
        self.raise_rate = nn.ModuleList(
            weight_norm(nn.ConvTranspose1d(wide, narrow, kernel, rate, (kernel - rate) // 2))
            for (wide, narrow), rate, kernel in zip(pairwise(widths), rates, kernels, strict=True)
        )
        self.blocks = nn.ModuleList(
            _Fused(_Residual(width, kernel, dilations) for kernel in block_kernels) for width in widths[1:]
        )
        self.last = weight_norm(nn.Conv1d(widths[-1], 1, _EDGE, padding=_EDGE // 2))
        reach = _EDGE // 2
        for rate, kernel in zip(reversed(rates), reversed(kernels), strict=True):
            reach += max(block_kernels) // 2 * sum(each + 1 for each in dilations)
            reach = -(-(reach + (kernel + rate) // 2) // rate)
        self.context = reach + _EDGE // 2
        """Vectors on each side that a sample depends on, at most."""

    def forward(self, x: Tensor) -> Tensor:
        """Sound ``[batch, time * product of rates]`` of ``x`` ``[batch, inputs, time]``."""
        x = self.first(x)
        for raise_rate, blocks in zip(self.raise_rate, self.blocks, strict=True):
            x = blocks(raise_rate(F.leaky_relu(x, _SLOPE)))
        return torch.tanh(self.last(F.leaky_relu(x, _LAST_SLOPE)))[:, 0]
