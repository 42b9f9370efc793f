"""Fitting a context model: the same network in floats, on a sample of recordings, kept where held-out codes cost least.

All lags of a codebook share one table of vectors, which begin as alike as the code vectors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from protophone.codec.context import ContextModel
from protophone.config import Batch, Count, Depth, Positive, Seed, Share, Steps, Weight, Width, config
from protophone.errors import ConfigError, InputError
from protophone.progress import Advance

__all__ = ["ContextConfig", "Examples", "learn", "steps_of"]

_HELD_OUT = 20  # of so many recordings, one is kept to see how far to go
_LOOKS = 8  # times that is looked at
_AT_ONCE = 4096


@config
class ContextConfig:
    """How far back a code's contexts reach, how wide the hidden layer is, and how long it learns.

    ``lags`` and ``pitch_lags`` count frames before the one to be coded. Learning goes ``passes`` times through the
    codes, but no further than ``steps`` batches.
    """

    kind: Literal["context"] = "context"
    lags: Depth = 10
    pitch_lags: Depth = 6
    hidden: Width = 192
    dim: Width = 48
    passes: Count = 8
    steps: Steps = 8000
    batch: Batch = 512
    rate: Positive = 0.003
    decay: Weight = 0.05
    dropout: Share = 0.15
    blank: Share = 0.05
    seed: Seed = 0

    def __post_init__(self) -> None:
        for name in ("dropout", "blank"):
            if getattr(self, name) == 1:
                raise ConfigError(f"entropy.{name} 1 leaves nothing to learn from; write a smaller share")


@dataclass(frozen=True)
class Examples:
    """What a model learns from: ``symbols`` int64 ``[symbol]``, ``contexts`` int32 ``[symbol, context]``.

    ``recordings`` int64 ``[symbol]`` says of which recording each is. Context ``c`` takes ``sizes[c]`` values, and
    shares its vectors with the contexts of the same ``groups[c]``; the first is the voice, whose last value means that
    it is not known. ``vectors`` float ``[code, dim]`` of a group say which codes are alike, where that is known.
    """

    symbols: np.ndarray
    contexts: np.ndarray
    recordings: np.ndarray
    size: int
    sizes: tuple[int, ...]
    groups: tuple[str, ...]
    vectors: Mapping[str, Tensor]


class _Network(nn.Module):
    """The context model in floats."""

    def __init__(self, examples: Examples, settings: ContextConfig) -> None:
        super().__init__()
        self.groups = examples.groups
        self.blank = settings.blank
        sizes = dict(zip(examples.groups, examples.sizes, strict=True))
        self.vectors = nn.ParameterDict(
            {group: _beginning(size, settings.dim, examples.vectors.get(group)) for group, size in sizes.items()}
        )
        self.first = nn.Linear(settings.dim * len(examples.groups), settings.hidden)
        self.second = nn.Linear(settings.hidden, examples.size)
        self.direct = nn.Parameter(torch.zeros(examples.sizes[0], examples.size))
        self.dropout = nn.Dropout(settings.dropout)
        counts = np.bincount(examples.symbols, minlength=examples.size) + 1.0
        with torch.no_grad():
            self.second.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))

    def forward(self, contexts: Tensor) -> Tensor:
        """Logarithmic weights ``[symbol, size]``."""
        vectors = torch.stack([F.embedding(contexts[:, c], self.vectors[g]) for c, g in enumerate(self.groups)], 1)
        if self.training:
            vectors = vectors * (torch.rand(vectors.shape[:2]) >= self.blank)[..., None] / (1 - self.blank)
        hidden = self.first(self.dropout(vectors.flatten(1))).relu()
        return self.second(self.dropout(hidden)) + self.dropout(F.embedding(contexts[:, 0], self.direct))

    def tables(self) -> dict[str, Tensor]:
        """What the integer model holds, in floats."""
        bias = self.second.bias - self.second.bias.mean()
        return {
            "vectors": torch.cat([self.vectors[group] for group in dict.fromkeys(self.groups)]),
            "first": self.first.weight.T,
            "first_bias": self.first.bias,
            "second": self.second.weight.T,
            "direct": self.direct,
            "bias": bias,
        }


def learn(examples: Examples, settings: ContextConfig, advance: Advance) -> tuple[ContextModel, float | None]:
    """The model, and the bits a symbol of the held-out recordings takes under it; None where there are too few.

    ``advance`` is told of ``steps_of(examples, settings)`` steps.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    torch.manual_seed(settings.seed)
    network = _Network(examples, settings)
    symbols, contexts = torch.from_numpy(examples.symbols), torch.from_numpy(examples.contexts)
    held = torch.from_numpy(examples.recordings % _HELD_OUT == _HELD_OUT - 1)
    heard, unheard = torch.nonzero(~held)[:, 0], torch.nonzero(held)[:, 0]
    steps = steps_of(examples, settings)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps))
    best = (math.inf, network.tables())
    for step in range(steps):
        network.train()
        rows = heard[torch.randint(len(heard), (settings.batch,), generator=generator)]
        told = contexts[rows]
        unnamed = torch.rand(len(rows), generator=generator) < settings.blank
        told[:, 0] = torch.where(unnamed, examples.sizes[0] - 1, told[:, 0])
        loss = F.cross_entropy(network(told), symbols[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % -(-steps // _LOOKS) == 0 or step + 1 == steps:
            found = _bits(network, contexts[unheard], symbols[unheard]) if len(unheard) else -float(step)
            if not math.isfinite(found + loss.item()):
                raise InputError(
                    f"the entropy model's loss is no number at step {step}; fit it with a smaller rate, for example "
                    f"--set 'entropy.rate = {settings.rate / 3:.1g}'"
                )
            if found < best[0]:
                best = found, {name: table.detach().clone() for name, table in network.tables().items()}
        advance(1, note=f"{loss.item() / math.log(2):.2f} bits a code")
    return ContextModel.from_floats(examples.sizes, examples.groups, best[1]), best[0] if len(unheard) else None


def _beginning(size: int, dim: int, known: Tensor | None) -> Tensor:
    """Vectors ``[size, dim]`` to begin with: drawn at random, or known ones along the directions they vary most in."""
    vectors = 0.5 * torch.randn(size, dim)
    if known is not None and len(known) > 1:
        known = known.detach().cpu().float()
        left, strengths, _ = torch.linalg.svd(known - known.mean(0), full_matrices=False)
        main = (left * strengths)[:, :dim]
        vectors[: len(known), : main.shape[1]] = 0.5 * main / main.std().clamp_min(1e-6)
    return vectors


def steps_of(examples: Examples, settings: ContextConfig) -> int:
    """How many steps ``learn`` takes."""
    return min(settings.steps, -(-settings.passes * len(examples.symbols) // settings.batch))


def _rate(done: float) -> float:
    """Share of the rate: up within the first tenth, then down along a cosine."""
    return min(done * 10, 0.5 + 0.5 * math.cos(math.pi * done)) + 1e-4


@torch.no_grad()
def _bits(network: _Network, contexts: Tensor, symbols: Tensor) -> float:
    """Bits a symbol."""
    network.eval()
    parts = zip(contexts.split(_AT_ONCE), symbols.split(_AT_ONCE), strict=True)
    total = sum(float(F.cross_entropy(network(told), wanted, reduction="sum")) for told, wanted in parts)
    return total / len(symbols) / math.log(2)
