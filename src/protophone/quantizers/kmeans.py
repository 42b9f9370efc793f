"""k-means units: each frame is written as the nearest of K centroids."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from sklearn.cluster import KMeans as LloydKMeans
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from protophone.config import config
from protophone.errors import ConfigError, InputError
from protophone.quantizers.base import Quantizer
from protophone.quantizers.sample import sample_frames
from protophone.types import Codebook

__all__ = ["KMeans", "KMeansConfig"]

_SAMPLE = 1_000_000  # frames learned from at most: 160 MB of 39-dimensional ones, almost three hours of speech
_BATCH = 10_000
_PASSES = 20
_SETTLING = 10
_BLOCK = 1 << 20  # similarities held at a time when encoding


@config
class KMeansConfig:
    """Options of k-means: ``num_units`` centroids."""

    kind: Literal["kmeans"] = "kmeans"
    num_units: int = 256

    def __post_init__(self) -> None:
        if self.num_units < 1:
            raise ConfigError(f"num_units {self.num_units} must be at least 1")

    def build(self, dim: int) -> "KMeans":
        """A quantizer of frames of ``dim`` numbers, to be fitted or loaded."""
        return KMeans(self, dim)


class KMeans(Quantizer):
    """Nearest centroid by Euclidean distance."""

    centroids: Tensor

    def __init__(self, config: KMeansConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.dim = dim
        self.register_buffer("centroids", torch.zeros(config.num_units, dim))

    @property
    def codebook(self) -> Codebook:
        """The centroids, float32 ``[1, num_units, dim]``."""
        return Codebook(self.centroids[None])

    def fit(self, frames: np.ndarray | Iterable[np.ndarray], seed: int = 0) -> None:
        """Mini-batch k-means of a sample of ``frames``: one array ``[frame, dim]``, maybe memory-mapped, or several.

        At most a million frames are held. Raises ``InputError`` for fewer frames than units.
        """
        sample = sample_frames(frames, _SAMPLE, seed)
        check_sample(sample, self.dim, self.config.num_units)
        # Mini-batches leave centroids among where they have been; a few passes over everything settle them.
        start = cluster(sample, self.config.num_units, seed)
        settled = LloydKMeans(len(start), init=start, n_init=1, max_iter=_SETTLING, tol=0.0).fit(sample)
        self.centroids.copy_(torch.from_numpy(settled.cluster_centers_))

    def encode(self, frames: Tensor) -> Tensor:
        """Codes int64 ``[batch, 1, frame]``."""
        # |x - c|^2 is least where x . c - |c|^2 / 2 is greatest: one matrix product.
        bias = -self.centroids.square().sum(1) / 2
        rows = frames.reshape(-1, self.dim).split(max(1, _BLOCK // len(self.centroids)))
        codes = [torch.addmm(bias, block, self.centroids.T).argmax(1) for block in rows]
        return torch.cat(codes).view(len(frames), 1, -1)


def cluster(sample: np.ndarray, num_units: int, seed: int) -> np.ndarray:
    """Centroids float32 ``[num_units, dim]`` of ``sample`` ``[frame, dim]`` by scikit-learn's mini-batch k-means."""
    # Stopping early, as scikit-learn does by itself, costs half a point of ABX error.
    model = MiniBatchKMeans(
        num_units, batch_size=_BATCH, n_init=1, max_iter=_PASSES, max_no_improvement=None, tol=0.0, random_state=seed
    )
    return model.fit(sample).cluster_centers_.astype(np.float32)


def check_sample(sample: np.ndarray, dim: int, num_units: int) -> None:
    """``InputError`` where ``sample`` ``[frame, dim]`` is of another dimension or smaller than ``num_units``."""
    if sample.shape[1] != dim:
        raise InputError(f"frames of {sample.shape[1]} numbers given to a quantizer of {dim}; use the same features")
    if len(sample) < num_units:
        raise InputError(
            f"{len(sample)} frames cannot make {num_units} units; give more recordings or fewer units "
            "(--units, or encoder.quantizer.num_units)"
        )
