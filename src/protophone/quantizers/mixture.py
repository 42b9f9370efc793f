"""Units of Gaussian mixtures: each frame is written as its likeliest component, or as the posteriors of them all.

A Gaussian mixture has as many components as asked for; a Dirichlet-process mixture (Blei and Jordan 2006) is cut off
at that many and keeps those that the data give weight to. Covariances are diagonal.
"""

import math
import warnings
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from torch import Tensor

from protophone.config import Units, config
from protophone.quantizers.base import Quantizer
from protophone.quantizers.kmeans import check_sample, cluster
from protophone.quantizers.sample import sample_frames
from protophone.types import Codebook

__all__ = ["DPGMM", "GMM", "DPGMMConfig", "GMMConfig", "Mixture"]

_SAMPLE = 100_000  # frames learned from at most
_STEPS = 100  # of expectation maximisation at most
_LEAST_VARIANCE = 1e-3  # of features whose own variance is about one
_NEGLIGIBLE = 1e-4  # share of the frames below which a component of the Dirichlet process is dropped
_BLOCK = 1 << 20  # posteriors worked on at a time


@config
class GMMConfig:
    """Options of the Gaussian mixture: ``num_units`` components."""

    kind: Literal["gmm"] = "gmm"
    num_units: Units = 256

    def build(self, dim: int) -> "GMM":
        """A quantizer of frames of ``dim`` numbers, to be fitted or loaded."""
        return GMM(self.num_units, dim)


@config
class DPGMMConfig:
    """Options of the Dirichlet-process mixture: at most ``num_units`` components, the truncation level."""

    kind: Literal["dpgmm"] = "dpgmm"
    num_units: Units = 256

    def build(self, dim: int) -> "DPGMM":
        """A quantizer of frames of ``dim`` numbers, to be fitted or loaded."""
        return DPGMM(self.num_units, dim)


class Mixture(Quantizer):
    """Diagonal Gaussians as plain arrays.

    ``means`` and ``precisions`` are float32 ``[component, dim]``; ``log_weights`` float32 ``[component]`` is the
    logarithm of a component's weight, up to a constant that they share.
    """

    means: Tensor
    precisions: Tensor
    log_weights: Tensor

    def __init__(self, num_units: int, dim: int) -> None:
        super().__init__()
        self.num_units = num_units
        self.dim = dim
        self._hold(torch.zeros(num_units, dim), torch.ones(num_units, dim), torch.zeros(num_units))

    @property
    def codebook(self) -> Codebook:
        """The means, float32 ``[1, component, dim]``."""
        return Codebook(self.means[None])

    def fit(self, frames: np.ndarray | Iterable[np.ndarray], seed: int = 0) -> None:
        """The mixture of a sample of ``frames``: one array ``[frame, dim]``, maybe memory-mapped, or several.

        Raises ``InputError`` for fewer frames than components.
        """
        sample = sample_frames(frames, _SAMPLE, seed)
        check_sample(sample, self.dim, self.num_units)
        with warnings.catch_warnings():
            # Likelihoods still creep up after a hundred steps, and the units no longer change.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = self._fitted(sample, seed)
        self._hold(*(torch.from_numpy(np.asarray(part, np.float32)).to(self.means.device) for part in fitted))

    def posteriors(self, frames: Tensor) -> Tensor:
        """Probabilities float32 ``[batch, frame, component]`` of ``frames`` float32 ``[batch, frame, dim]``."""
        rows = frames.reshape(-1, self.dim).split(max(1, _BLOCK // len(self.means)))
        found = [self._log_joint(block).softmax(1).float() for block in rows]
        return torch.cat(found).view(*frames.shape[:2], len(self.means))

    def encode(self, frames: Tensor) -> Tensor:
        """Codes int64 ``[batch, 1, frame]``: the likeliest components."""
        rows = frames.reshape(-1, self.dim).split(max(1, _BLOCK // len(self.means)))
        return torch.cat([self._log_joint(block).argmax(1) for block in rows]).view(len(frames), 1, -1)

    def _log_joint(self, frames: Tensor) -> Tensor:
        """Log of weight times density, up to a constant: ``[frame, component]``."""
        # In double precision: the squares are opened for the sake of matrix products, and their differences are small.
        x, means, precisions = frames.double(), self.means.double(), self.precisions.double()
        weighted = means * precisions
        constant = self.log_weights.double() + precisions.log().sum(1) / 2 - (means * weighted).sum(1) / 2
        return constant + x @ weighted.T - x.square() @ precisions.T / 2

    @abstractmethod
    def _fitted(self, sample: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means, precisions and log weights of ``sample`` ``[frame, dim]``."""

    def _hold(self, means: Tensor, precisions: Tensor, log_weights: Tensor) -> None:
        self.register_buffer("means", means)
        self.register_buffer("precisions", precisions)
        self.register_buffer("log_weights", log_weights)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Takes as many components as were saved: pruning leaves fewer than the config allows."""
        saved = state_dict.get(f"{prefix}means")
        if saved is not None and saved.ndim == 2 and 0 < len(saved) <= self.num_units:
            components = len(saved)
            self._hold(*(part[:1].expand(components, *part.shape[1:]).clone() for part in self.buffers()))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class GMM(Mixture):
    """Gaussian mixture by expectation maximisation, begun from k-means."""

    def _fitted(self, sample: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        centroids = cluster(sample, self.num_units, seed)
        model = GaussianMixture(
            self.num_units,
            covariance_type="diag",
            reg_covar=_LEAST_VARIANCE,
            max_iter=_STEPS,
            weights_init=np.full(self.num_units, 1 / self.num_units),
            means_init=centroids,
            precisions_init=_precisions(sample, centroids),
            random_state=seed,
        ).fit(sample)
        return model.means_, model.precisions_, np.log(model.weights_)


class DPGMM(Mixture):
    """Dirichlet-process mixture by variational inference; components of negligible weight are dropped."""

    def _fitted(self, sample: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        model = BayesianGaussianMixture(
            n_components=self.num_units,
            covariance_type="diag",
            weight_concentration_prior_type="dirichlet_process",
            reg_covar=_LEAST_VARIANCE,
            max_iter=_STEPS,
            init_params="kmeans",
            random_state=seed,
        ).fit(sample)
        keep = model.weights_ >= min(_NEGLIGIBLE, float(model.weights_.max()))
        return model.means_[keep], model.precisions_[keep], expected_log_weights(model)[keep]


def expected_log_weights(model: BayesianGaussianMixture) -> np.ndarray:
    """What a fitted diagonal Dirichlet-process mixture adds to a component's log density, ``[component]``.

    The expectation of the log weight under stick breaking, and what the uncertainty of mean and precision takes from
    the expected log density (Bishop 2006, equations 10.64 to 10.66, one gamma for each dimension's precision).
    """
    first, second = (torch.from_numpy(np.asarray(part, np.float64)) for part in model.weight_concentration_)
    taken = torch.digamma(first) - torch.digamma(first + second)
    left = torch.digamma(second) - torch.digamma(first + second)
    stick = taken + torch.cat([torch.zeros(1, dtype=torch.float64), left.cumsum(0)[:-1]])
    dim = model.means_.shape[1]
    freedom = torch.from_numpy(np.asarray(model.degrees_of_freedom_, np.float64))
    orders = torch.arange(dim, dtype=torch.float64)[:, None]
    spread = dim * math.log(2) + torch.digamma((freedom - orders) / 2).sum(0) - dim * freedom.log()
    unsure = dim / torch.from_numpy(np.asarray(model.mean_precision_, np.float64))
    return (stick + (spread - unsure) / 2).numpy()


def _precisions(sample: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """One over the variance around the nearest centroid, the same for every component: ``[component, dim]``."""
    error = np.zeros(sample.shape[1])
    bias = (centroids**2).sum(1) / 2
    for at in range(0, len(sample), 1 << 14):
        block = sample[at : at + (1 << 14)]
        error += np.square(block - centroids[(block @ centroids.T - bias).argmax(1)], dtype=np.float64).sum(0)
    return np.tile(1 / (error / len(sample) + _LEAST_VARIANCE), (len(centroids), 1)).astype(np.float32)
