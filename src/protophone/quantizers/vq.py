"""Vector quantization: the nearest code vector, learned while the network around it learns.

Two ways of moving the codebook: ``gradient``, equation 3 of Tjandra et al. 2019 (arXiv 1905.11449) with its codebook
and commitment terms, and ``ema``, moving averages of what each code was given (van den Oord et al. 2017, appendix A)
with a restart of codes that nothing chooses.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional as F

from protophone.config import Bits, Share, Units, Weight, Width, config
from protophone.errors import ConfigError
from protophone.quantizers.base import Quantizer
from protophone.types import Codebook

__all__ = ["Quantized", "VQConfig", "VectorQuantizer"]


# Of a bit, in units of the mean squared distance to the nearest code; a step moves it by the surplus entropy.
_PRICE_STEP, _HIGHEST_PRICE = 0.01, 2.0


@config
class VQConfig:
    """Options of vector quantization.

    ``commitment`` is gamma of equation 3. ``decay`` and ``restart_below`` concern ``ema`` alone: the memory of the
    averages, and the share of an even load under which a code is moved onto a frame of the batch. So does ``bits``, an
    entropy a unit is to have: while the codes' is above it, a price on a code's bits rises, and frequent codes are
    chosen from further away (entropy-constrained vector quantization, Chou et al. 1989).
    """

    kind: Literal["vq"] = "vq"
    num_units: Units = 256
    dim: Width = 64
    update: Literal["ema", "gradient"] = "ema"
    commitment: Weight = 0.25
    decay: Share = 0.99
    restart_below: Share = 0.03
    bits: Bits | None = None

    def __post_init__(self) -> None:
        if self.bits is not None and self.update == "gradient":
            raise ConfigError(f"bits {self.bits:g} need the averages of update 'ema'; write this, or leave bits out")

    def build(self) -> "VectorQuantizer":
        """A quantizer with an empty codebook, filled by k-means on the first batch it is trained on."""
        return VectorQuantizer(self)


@dataclass(frozen=True)
class Quantized:
    """``vectors`` carry the straight-through gradient; ``loss`` is what training adds for the quantizer's sake."""

    vectors: Tensor
    codes: Tensor
    loss: Tensor


class VectorQuantizer(Quantizer):
    """Nearest code vector by Euclidean distance (equation 1), straight-through gradient to the encoder."""

    started: Tensor
    vectors: Tensor
    load: Tensor
    total: Tensor
    spread: Tensor
    price: Tensor

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config = config
        self.dim = config.dim
        vectors = torch.zeros(config.num_units, config.dim)
        self.register_buffer("started", torch.tensor(False))
        if config.update == "ema":
            self.register_buffer("vectors", vectors)
            self.register_buffer("load", torch.ones(config.num_units))
            self.register_buffer("total", vectors.clone())
            self.register_buffer("spread", torch.tensor(1.0))
            self.register_buffer("price", torch.tensor(0.0))
        else:
            self.vectors = nn.Parameter(vectors)

    @property
    def codebook(self) -> Codebook:
        """The code vectors, float32 ``[1, num_units, dim]``."""
        return Codebook(self.vectors.detach()[None])

    def encode(self, frames: Tensor) -> Tensor:
        """Codes int64 ``[batch, 1, frame]``."""
        return self._nearest(frames)[:, None]

    def forward(self, frames: Tensor) -> Quantized:
        """One training step's quantization of ``frames`` float32 ``[batch, frame, dim]``."""
        flat = frames.reshape(-1, self.dim)
        if self.training and not self.started:
            self._start(flat.detach())
        codes = self._nearest(flat)
        if self.training and self.config.update == "ema":
            self._average(flat.detach(), codes)
            codes = self._nearest(flat)
        chosen = F.embedding(codes, self.vectors).view_as(frames)
        loss = self.config.commitment * F.mse_loss(frames, chosen.detach())
        if self.config.update == "gradient":
            loss = loss + F.mse_loss(chosen, frames.detach())
        straight = frames + (chosen - frames).detach()
        return Quantized(straight, codes.view(frames.shape[:-1])[:, None], loss)

    def _nearest(self, frames: Tensor) -> Tensor:
        distance = self.vectors.square().sum(-1) - 2 * frames @ self.vectors.T
        if self.config.bits is not None:
            share = (self.load / self.load.sum()).clamp_min(1e-9)
            distance = distance - self.price * self.spread * share.log2()
        return distance.argmin(-1)

    @torch.no_grad()
    def _start(self, frames: Tensor) -> None:
        """k-means of the first batch, so that no code is born dead."""
        sample = frames[: 16 * self.config.num_units * 8].cpu().numpy()
        if len(sample) >= self.config.num_units:
            seed = int(torch.randint(2**31 - 1, (1,)))
            centres = (
                KMeans(self.config.num_units, n_init=1, max_iter=15, random_state=seed).fit(sample).cluster_centers_
            )
            self.vectors.copy_(torch.as_tensor(centres))
        else:
            self.vectors.copy_(frames[torch.randint(len(frames), (self.config.num_units,))])
        if self.config.update == "ema":
            even = len(frames) / self.config.num_units
            self.load.fill_(even)
            self.spread.copy_(torch.cdist(frames, self.vectors).amin(1).square().mean())
            self.total.copy_(self.vectors * even)
        self.started.fill_(True)

    @torch.no_grad()
    def _average(self, frames: Tensor, codes: Tensor) -> None:
        keep = self.config.decay
        distance = (frames - self.vectors[codes]).square().sum(-1).mean()
        self.spread.mul_(keep).add_(distance, alpha=1 - keep)
        if self.config.bits is not None:
            share = (self.load / self.load.sum()).clamp_min(1e-9)
            surplus = -(share * share.log2()).sum() - self.config.bits
            self.price.add_(_PRICE_STEP * surplus).clamp_(0, _HIGHEST_PRICE)
        load = torch.bincount(codes, minlength=self.config.num_units).to(frames.dtype)
        total = torch.zeros_like(self.total).index_add_(0, codes, frames)
        self.load.mul_(keep).add_(load, alpha=1 - keep)
        self.total.mul_(keep).add_(total, alpha=1 - keep)
        even = len(frames) / self.config.num_units
        dead = self.load < self.config.restart_below * even
        self.vectors.copy_(self.total / self.load.clamp_min(1e-6)[:, None])
        if dead.any():
            chosen = frames[torch.randint(len(frames), (int(dead.sum()),), device=frames.device)]
            self.vectors[dead] = chosen
            self.load[dead] = even / 2
            self.total[dead] = chosen * even / 2
