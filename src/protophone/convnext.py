"""The ConvNeXt block (Liu et al. 2022, arXiv 2201.03545) over time, for networks at the rate of frames."""

import torch
from torch import Tensor, nn

__all__ = ["ConvNeXt"]

_WIDER = 2  # times the channels, between the two layers


class ConvNeXt(nn.Module):
    """A wide kernel for each channel, then two layers over the channels, beside a shortcut that begins the stronger.

    Without ``padded`` the kernel stays inside, and ``reach`` steps on each side are lost.
    """

    def __init__(self, channels: int, kernel: int, *, padded: bool) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.lost = 0 if padded else self.reach
        padding = self.reach if padded else 0
        self.over_time = nn.Conv1d(channels, channels, kernel, padding=padding, groups=channels)
        self.over_channels = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, _WIDER * channels),
            nn.GELU(),
            nn.Linear(_WIDER * channels, channels),
        )
        self.scale = nn.Parameter(torch.full((channels,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, time, channel]`` to the same, or to ``time - 2 * reach``."""
        y = self.over_channels(self.over_time(x.transpose(1, 2)).transpose(1, 2))
        return x[:, self.lost : x.shape[1] - self.lost] + self.scale * y
