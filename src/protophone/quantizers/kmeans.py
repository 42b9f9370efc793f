"""k-means units: each frame is written as the nearest of K centroids."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from sklearn.cluster import KMeans as LloydKMeans
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from protophone.checkpoints import read_kmeans
from protophone.config import Units, config
from protophone.errors import InputError
from protophone.quantizers.base import Quantizer
from protophone.quantizers.sample import sample_frames
from protophone.types import Codebook

__all__ = ["KMeans", "KMeansConfig"]

_SAMPLE = 1_000_000  # frames learned from at most: 160 MB of 39-dimensional ones, almost three hours of speech
_VALUES = 1 << 28  # and numbers: 1 GB, or 350,000 frames of 768 numbers, two hours at 50 a second
_BATCH = 10_000
_PASSES = 20
_SETTLING = 10
_ROUNDS = 100  # of Lloyd's algorithm on a GPU
_TRIALS = 8  # candidates for each centroid it begins with
_BLOCK = 1 << 20  # similarities held at a time


@config
class KMeansConfig:
    """Options of k-means: ``num_units`` centroids, learned, or taken from the file ``centroids``.

    That is a fitted k-means of scikit-learn that joblib or pickle wrote (published ones end in ``.bin``), or an array
    in ``.npy``; nothing in it is run. A bundle holds the centroids themselves.
    """

    kind: Literal["kmeans"] = "kmeans"
    num_units: Units = 256
    centroids: str | None = None

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
        """k-means of a sample of ``frames``: one array ``[frame, dim]``, maybe memory-mapped, or several.

        At most a million frames and a gigabyte of them are held. Computed where the centroids lie: by scikit-learn's
        mini-batches, or on a GPU by Lloyd's algorithm. Raises ``InputError`` for fewer frames than units.
        """
        sample = sample_frames(frames, min(_SAMPLE, _VALUES // self.dim), seed)
        check_sample(sample, self.dim, self.config.num_units)
        if self.centroids.device.type != "cpu":
            found = lloyd(torch.from_numpy(sample).to(self.centroids.device), self.config.num_units, seed)
            self.centroids.copy_(found)
            return
        # Mini-batches leave centroids among where they have been; a few passes over everything settle them.
        start = cluster(sample, self.config.num_units, seed)
        settled = LloydKMeans(len(start), init=start, n_init=1, max_iter=_SETTLING, tol=0.0).fit(sample)
        self.centroids.copy_(torch.from_numpy(settled.cluster_centers_))

    def take(self) -> bool:
        """Takes over the centroids in the file that the config names; False where it names none.

        ``InputError`` where it cannot be read, or holds centroids of another number or dimension.
        """
        if self.config.centroids is None:
            return False
        found = torch.from_numpy(read_kmeans(self.config.centroids))
        if found.shape != self.centroids.shape:
            raise InputError(
                f"{self.config.centroids}: {len(found)} centroids of {found.shape[1]} numbers, where "
                f"{self.config.num_units} units of features of {self.dim} are wanted; set encoder.quantizer.num_units, "
                "or take the layer and model that they are of"
            )
        self.centroids.copy_(found)
        return True

    def encode(self, frames: Tensor) -> Tensor:
        """Codes int64 ``[batch, 1, frame]``."""
        return _nearest(frames.reshape(-1, self.dim), self.centroids)[0].view(len(frames), 1, -1)


def lloyd(sample: Tensor, num_units: int, seed: int) -> Tensor:
    """Centroids float32 ``[num_units, dim]`` of ``sample`` ``[frame, dim]`` by Lloyd's algorithm, where it lies.

    Begun by greedy k-means++ (Arthur and Vassilvitskii 2007); a centroid that nothing is nearest to moves to the frame
    that is farthest from its own.
    """
    random = np.random.default_rng(seed)
    centroids = sample[int(random.integers(len(sample)))][None].clone()
    far = _squares(sample, centroids)[0]
    while len(centroids) < num_units:
        # The next is one of a few drawn in proportion to the squared distance from those there are: the best of them.
        share = far.double().cumsum(0)
        draws = torch.from_numpy(random.random(_TRIALS)).to(share) * share[-1]
        drawn = sample[torch.searchsorted(share, draws, right=True).clamp(max=len(sample) - 1)]
        then = torch.minimum(far, _squares(sample, drawn))
        best = int(then.sum(1).argmin())
        centroids, far = torch.cat([centroids, drawn[best : best + 1]]), then[best]
    before = None
    for _ in range(_ROUNDS):
        codes, far = _nearest(sample, centroids)
        if before is not None and torch.equal(codes, before):
            break
        total, count = torch.zeros_like(centroids), torch.zeros(num_units, device=sample.device)
        for rows, own in zip(sample.split(_BLOCK // num_units + 1), codes.split(_BLOCK // num_units + 1), strict=True):
            # a matrix product, which adds in the same order each time, as scattered sums on a GPU do not
            chosen = torch.nn.functional.one_hot(own, num_units).to(rows.dtype)
            total, count = total + chosen.T @ rows, count + chosen.sum(0)
        empty = count == 0
        centroids = torch.where(empty[:, None], centroids, total / count.clamp_min(1)[:, None])
        centroids[empty] = sample[far.topk(int(empty.sum())).indices]
        before = codes
    return centroids


def _squares(frames: Tensor, points: Tensor) -> Tensor:
    """Squared distances ``[point, frame]``."""
    return (frames.square().sum(1) - 2 * points @ frames.T + points.square().sum(1)[:, None]).clamp_min(0)


def _nearest(frames: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """For each frame ``[frame, dim]`` the nearest centroid, int64, and the squared distance to it."""
    # |x - c|^2 is least where x . c - |c|^2 / 2 is greatest: one matrix product.
    bias = -centroids.square().sum(1) / 2
    best = [torch.addmm(bias, rows, centroids.T).max(1) for rows in frames.split(max(1, _BLOCK // len(centroids)))]
    likeness, codes = (torch.cat(parts) for parts in zip(*best, strict=True))
    return codes, (frames.square().sum(1) - 2 * likeness).clamp_min(0)


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
