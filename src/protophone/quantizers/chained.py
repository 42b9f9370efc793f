"""Vector quantization whose codes are chosen one after the other, each also for what it costs after the one before.

A code costs its distance to the frame, times the frame's weight, plus a price on its bits: those an ideal coder takes
that knows the code before. So a frame without weight gets the code that is cheapest to send, and what lies between two
codes the likelier one (conditional entropy-constrained vector quantization, Chou and Lookabaugh 1990, but greedy).
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from protophone.config import Positive, Share, Units, Width, config
from protophone.quantizers.vq import Quantized, VectorQuantizer, VQConfig

__all__ = ["ChainedConfig", "ChainedQuantizer"]

_SEEN = 1e-4  # times a pair is held to be seen in each batch, so that none is impossible


@config
class ChainedConfig:
    """Options of chained quantization.

    ``price`` is that of a bit, in units of the variance of frames: near 0, the nearest code is chosen. The others are
    as those of ``VQConfig``.
    """

    kind: Literal["chained"] = "chained"
    num_units: Units = 20
    dim: Width = 32
    price: Positive = 0.02
    commitment: Positive = 0.25
    decay: Share = 0.99
    restart_below: Share = 0.03

    def build(self) -> "ChainedQuantizer":
        """A quantizer with an empty codebook, filled by k-means on the first batch it is trained on."""
        return ChainedQuantizer(self)


class ChainedQuantizer(VectorQuantizer):
    """Code vectors that are moving averages, and how often each code followed each."""

    follows: Tensor
    scale: Tensor  # variance of frames; priced by their distances, bits would grow dearer by their own effect

    def __init__(self, config: ChainedConfig) -> None:
        super().__init__(
            VQConfig(
                num_units=config.num_units,
                dim=config.dim,
                commitment=config.commitment,
                decay=config.decay,
                restart_below=config.restart_below,
            )
        )
        self._price = config.price
        self.register_buffer("follows", torch.ones(config.num_units, config.num_units))
        self.register_buffer("scale", torch.tensor(1.0))

    def forward(self, frames: Tensor, weights: Tensor | None = None, mask: Tensor | None = None) -> Quantized:
        """One training step's quantization of ``frames`` float32 ``[batch, frame, dim]``.

        ``weights`` and ``mask`` are float32 ``[batch, frame]``, the latter 0 where a sequence has ended. Frames of
        weight 0 teach the codebook nothing, and no gradient passes through their codes.
        """
        mask = torch.ones(frames.shape[:2], device=frames.device) if mask is None else mask
        weights = mask if weights is None else weights * mask
        heard = weights > 0
        if self.training and heard.any():
            self._measure(frames.detach()[heard])
            codes = self.choose(frames.detach(), weights)
            self._average(frames.detach()[heard], codes[heard])
            self._count(codes, mask[:, 1:] > 0)
        codes = self.choose(frames.detach(), weights)
        chosen = F.embedding(codes, self.vectors)
        distance = (frames - chosen).square().mean(-1)
        loss = self.config.commitment * (distance * weights).sum() / weights.sum().clamp_min(1e-6)
        straight = frames + (chosen - frames).detach()
        return Quantized(torch.where(heard[..., None], straight, chosen), codes[:, None], loss)

    def encode(self, frames: Tensor, weights: Tensor | None = None) -> Tensor:
        """Codes int64 ``[batch, 1, frame]`` of whole sequences ``frames``, ``weights`` float32 ``[batch, frame]``."""
        weights = torch.ones(frames.shape[:2], device=frames.device) if weights is None else weights
        return self.choose(frames, weights)[:, None]

    @torch.no_grad()
    def choose(self, frames: Tensor, weights: Tensor) -> Tensor:
        """Codes int64 ``[batch, frame]``: from the first frame on, that of least cost after the one chosen before."""
        distance = self.vectors.square().sum(-1) - 2 * frames @ self.vectors.T
        cost = (distance * weights[..., None]).double().cpu().numpy()
        price = self._price * float(self.scale)
        first = price * -np.log2(_shares(self.load.double().cpu().numpy()))
        after = price * -np.log2(_shares(self.follows.double().cpu().numpy()))
        rows, length = weights.shape
        codes = np.zeros((rows, length), np.int64)
        before = np.broadcast_to(first, (rows, len(first)))
        for at in range(length):
            codes[:, at] = (cost[:, at] + before).argmin(-1)
            before = after[codes[:, at]]
        return torch.from_numpy(codes).to(frames.device)

    @torch.no_grad()
    def bits(self) -> float:
        """What a code costs given the one before it, as far as training has seen."""
        pairs = self.follows.double()
        joint = pairs / pairs.sum()
        return float(-(joint * (pairs / pairs.sum(1, keepdim=True)).log2()).sum())

    @torch.no_grad()
    def _measure(self, frames: Tensor) -> None:
        """Follows the variance of ``frames`` ``[frame, dim]``; the first fill the codebook."""
        variance = frames.var(0, correction=0).sum()
        self.scale.copy_(torch.lerp(variance, self.scale, self.config.decay) if self.started else variance)
        if not self.started:
            self._start(frames)

    @torch.no_grad()
    def _count(self, codes: Tensor, real: Tensor) -> None:
        """Takes a batch's pairs of codes ``[batch, frame]`` into account, where the second is ``real``."""
        keep, entries = self.config.decay, self.config.num_units
        pairs = torch.bincount((codes[:, :-1] * entries + codes[:, 1:])[real], minlength=entries**2)
        self.follows.mul_(keep).add_(pairs.view(entries, entries) * (1 - keep) + _SEEN)


def _shares(counts: np.ndarray) -> np.ndarray:
    """Counts ``[..., code]`` over their sum, none of them nothing."""
    return np.maximum(counts / counts.sum(-1, keepdims=True), 1e-9)
