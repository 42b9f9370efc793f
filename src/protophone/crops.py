"""Random crops of packed recordings: the batches that training reads, a function of the seed and the step alone."""

import hashlib
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from protophone.data import Pack
from protophone.types import NOBODY

__all__ = ["CropSampler", "Crops"]


@dataclass(frozen=True)
class Crops:
    """A training batch.

    ``frames`` float32 ``[batch, context + crop + context, dim]``, ``target`` ``[batch, crop, dim]``, ``mask`` float32
    ``[batch, crop]`` (1 where the recording is), ``speakers`` int64 ``[batch]``. Where they are wanted, ``pitch``
    float32 ``[batch, crop, k]``, one pitch code or the values of a contour in Hz for each step of a crop of units, and
    ``embeddings`` float32 ``[batch, dim]`` of the voices.
    """

    frames: Tensor
    target: Tensor
    mask: Tensor
    speakers: Tensor
    pitch: Tensor | None = None
    embeddings: Tensor | None = None

    def to(self, device: torch.device | str) -> "Crops":
        """The same batch on another device."""
        return Crops(
            self.frames.to(device),
            self.target.to(device),
            self.mask.to(device),
            self.speakers.to(device),
            pitch=None if self.pitch is None else self.pitch.to(device),
            embeddings=None if self.embeddings is None else self.embeddings.to(device),
        )


class CropSampler:
    """Random crops of a pack of input frames and one of targets (the same where they are the same features).

    A recording is drawn in proportion to its length; crops of shorter ones are filled up with zeros, unmasked. A step
    of ``frames`` is ``scale`` steps of ``target`` (samples, where frames are units). ``pitch`` has a row of values for
    each step of ``frames``, ``embeddings`` float32 ``[recording, dim]`` the voice of each recording.
    """

    def __init__(
        self,
        frames: Pack,
        target: Pack,
        *,
        crop: int,
        context: int,
        batch: int,
        seed: int,
        speakers: Sequence[str],
        scale: int = 1,
        pitch: Pack | None = None,
        embeddings: np.ndarray | None = None,
    ) -> None:
        self.frames, self.target, self.scale = frames, target, scale
        self.pitch, self.embeddings = pitch, embeddings
        self.crop, self.context, self.batch, self.seed = crop, context, batch, seed
        self.speaker = np.array([speakers.index(row.speaker or NOBODY) for row in frames.rows])
        weights = np.array([row.length for row in frames.rows], np.float64)
        self.cumulative = np.cumsum(weights) / weights.sum()

    def few(self, rows: int) -> "CropSampler":
        """Return a sampler of batches of so many ``rows``."""
        other = copy(self)
        other.batch = rows
        return other

    @property
    def nbytes(self) -> int:
        """Bytes of a batch."""
        frames = (self.crop + 2 * self.context) * self.frames.array.shape[1]
        pitch = 0 if self.pitch is None else self.pitch.array.shape[1]
        voice = 0 if self.embeddings is None else self.embeddings.shape[1]
        target = self.scale * self.target.array.shape[1]
        return self.batch * (4 * (frames + self.crop * (target + pitch + 1) + voice) + 8)

    @property
    def digest(self) -> str:
        """Tells apart what batches are cut from."""
        packs = [self.frames, self.target, *([] if self.pitch is None else [self.pitch])]
        heard = [] if self.embeddings is None else [hashlib.sha256(self.embeddings.tobytes()).hexdigest()[:16]]
        return "-".join([*(pack.digest for pack in packs), *heard])

    def __call__(self, step: int) -> Crops:
        """The batch of ``step``."""
        random = np.random.default_rng((self.seed, step))
        chosen = np.searchsorted(self.cumulative, random.random(self.batch), side="right")
        full = self.crop + 2 * self.context
        frames = np.zeros((self.batch, full, self.frames.array.shape[1]), np.float32)
        target = np.zeros((self.batch, self.crop * self.scale, self.target.array.shape[1]), np.float32)
        mask = np.zeros((self.batch, self.crop), np.float32)
        starts = []
        for row, index in enumerate(chosen):
            source, wanted = self.frames[index], self.target[index]
            start = int(random.integers(max(1, len(source) - self.crop + 1)))
            starts.append(start)
            low = max(0, start - self.context)
            part = source[low : start + self.crop + self.context]
            at = low - (start - self.context)
            frames[row, at : at + len(part)] = part
            part = wanted[start * self.scale : (start + self.crop) * self.scale]
            target[row, : len(part)] = part
            mask[row, : len(source) - start] = 1
        return Crops(
            frames=torch.from_numpy(frames),
            target=torch.from_numpy(target),
            mask=torch.from_numpy(mask),
            speakers=torch.from_numpy(self.speaker[chosen]),
            pitch=self._pitch(chosen, starts),
            embeddings=None if self.embeddings is None else torch.from_numpy(self.embeddings[chosen]),
        )

    def _pitch(self, chosen: np.ndarray, starts: list[int]) -> Tensor | None:
        """The pitch beside crops; past a recording's end its last value goes on, so that a contour has no gap."""
        if self.pitch is None:
            return None
        pitch = np.zeros((self.batch, self.crop, self.pitch.array.shape[1]), np.float32)
        for row, (index, start) in enumerate(zip(chosen, starts, strict=True)):
            part = self.pitch[index][start : start + self.crop]
            pitch[row, : len(part)] = part
            pitch[row, len(part) :] = part[-1:]
        return torch.from_numpy(pitch)
