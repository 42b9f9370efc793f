"""Convolutions that know their context: without padding, so that what lies outside is the caller's to say."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Downsampler", "Residual", "Upsampler"]

_SLOPE = 0.1  # of LeakyReLU on the negative side


def _activated(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm1d(channels), nn.LeakyReLU(_SLOPE))


class Residual(nn.Module):
    """A kernel of 3 and one of 1 beside a shortcut; takes one step from each side."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.context = dilation
        self.layers = nn.Sequential(
            _activated(channels),
            nn.Conv1d(channels, channels, 3, dilation=dilation),
            _activated(channels),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, channel, time + 2 * context]`` to ``[batch, channel, time]``."""
        return x[..., self.context : -self.context] + self.layers(x)


@dataclass(frozen=True)
class _Step:
    pad: int
    stride: int


class Downsampler(nn.Module):
    """Frames to latents, one for every ``reduction`` frames (a power of two); ``context`` frames on each side."""

    def __init__(self, inputs: int, channels: int, outputs: int, reduction: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(inputs, channels, 3)]
        steps = [_Step(1, 1)]
        for _ in range(reduction.bit_length() - 1):
            layers += [_activated(channels), nn.Conv1d(channels, channels, 4, stride=2)]
            steps.append(_Step(1, 2))
        for _ in range(blocks):
            layers.append(Residual(channels))
            steps.append(_Step(1, 1))
        layers += [_activated(channels), nn.Conv1d(channels, outputs, 1)]
        self.layers = nn.Sequential(*layers)
        self.context, jump = 0, 1
        for step in steps:
            self.context += step.pad * jump
            jump *= step.stride

    def forward(self, frames: Tensor) -> Tensor:
        """``[batch, context + latent * reduction + context, inputs]`` to ``[batch, latent, outputs]``."""
        return self.layers(frames.transpose(1, 2)).transpose(1, 2)


class Upsampler(nn.Module):
    """Latents to frames, ``reduction`` for each; beyond the ends the latents are zero."""

    def __init__(self, inputs: int, channels: int, outputs: int, reduction: int) -> None:
        super().__init__()
        self.reduction = reduction
        self.coarse = nn.Sequential(nn.Conv1d(inputs, channels, 3), Residual(channels), _activated(channels))
        self.fine = nn.Sequential(
            nn.Conv1d(channels, channels, 5), _activated(channels), nn.Conv1d(channels, outputs, 3)
        )
        self.coarse_context, self.fine_context = 2, 3
        # Latents that the frames at either end look at beyond their own.
        self.context = self.coarse_context + -(-self.fine_context // reduction)

    def forward(self, latents: Tensor) -> Tensor:
        """``[batch, latent, inputs]`` to ``[batch, latent * reduction, outputs]``."""
        padded = F.pad(latents.transpose(1, 2), (self.context, self.context))
        coarse = self.coarse(padded).repeat_interleave(self.reduction, dim=2)
        surplus = (self.context - self.coarse_context) * self.reduction - self.fine_context
        return self.fine(coarse[..., surplus : coarse.shape[2] - surplus]).transpose(1, 2)

    def masked(self, latents: Tensor, lengths: Tensor) -> Tensor:
        """Like ``forward`` for rows of different ``lengths``: what lies past a row's end counts as zero."""
        real = torch.arange(latents.shape[1], device=latents.device) < lengths.to(latents.device)[:, None]
        return self(latents * real.unsqueeze(-1))
