"""Classical units: features, normalised, averaged over a few frames, each mean written as a code."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from protophone.config import Reduction, config
from protophone.encoders.base import Encoder, Normalization
from protophone.errors import ConfigError, InputError
from protophone.features import FeatureConfig, MfccConfig
from protophone.quantizers import KMeans, KMeansConfig, Mixture, QuantizerConfig
from protophone.types import AudioBatch, Codebook, FeatureBatch, UnitBatch

__all__ = ["Pipeline", "PipelineConfig"]


@config
class PipelineConfig:
    """Options of features with a quantizer fitted to them; a unit stands for the mean of ``time_reduction`` frames."""

    kind: Literal["pipeline"] = "pipeline"
    features: FeatureConfig = MfccConfig()
    quantizer: QuantizerConfig = KMeansConfig()
    normalization: Normalization | Literal["none"] = "recording"
    time_reduction: Reduction = 1

    def __post_init__(self) -> None:
        if self.normalization == "none" and self.time_reduction > 1:
            raise ConfigError(
                f"time_reduction {self.time_reduction} fills the last unit up with the mean of normalised frames; "
                'set normalization = "corpus", or time_reduction = 1'
            )

    def build(self, speakers: tuple[str, ...] = ()) -> "Pipeline":  # noqa: ARG002 - as every encoder's config
        """An encoder to be fitted or loaded; classical units know no speakers."""
        return Pipeline(self)


class Pipeline(Encoder):
    """Features, normalisation, means over time, quantizer.

    Where a recording ends within a group of frames, the group is filled up with zeros, the mean of normalised frames:
    its mean is drawn towards the middle rather than resting on fewer frames.
    """

    def __init__(self, config: PipelineConfig) -> None:
        super().__init__(config.features.build(), config.normalization)
        self.config = replace(config, features=self.features.config)  # completed with what a model's files say
        self.reduction = config.time_reduction
        self.context = (0, 0)
        self.quantizer = config.quantizer.build(self.features.dim)

    @property
    def codebook(self) -> Codebook:
        """The centroids or means, ``[1, unit, dim]``."""
        return self.quantizer.codebook

    def take(self) -> bool:
        """Takes over the published centroids that the config names; False where it names none, and there is to learn.

        Raises ``InputError`` where they cannot be read or are of another size.
        """
        return isinstance(self.quantizer, KMeans) and self.quantizer.take()

    def fit(self, recordings: Iterable[np.ndarray], seed: int = 0) -> None:
        """Fits the quantizer to normalised features ``[frame, dim]``, one array a recording, read once.

        Raises ``InputError`` for fewer frames than units.
        """
        self.quantizer.fit((self._pooled(part) for part in recordings), seed)

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Codes of the means of each ``time_reduction`` normalised frames."""
        return self.quantizer.encode(self.pool(frames))

    def pool(self, frames: Tensor) -> Tensor:
        """Means ``[batch, unit, dim]`` of frames ``[batch, unit * time_reduction, dim]``."""
        return frames.unflatten(1, (-1, self.reduction)).mean(2) if self.reduction > 1 else frames

    @torch.inference_mode()
    def vectors(self, units: UnitBatch) -> FeatureBatch:
        """The centroid or mean each code stands for, on the units' grid."""
        units = self.check_units(units)
        return FeatureBatch(self.quantizer.lookup(units.codes), units.lengths, self.grid)

    @torch.inference_mode()
    def posteriors(self, audio: AudioBatch) -> FeatureBatch:
        """How likely each component of the mixture is, ``[batch, frame, component]`` on the units' grid.

        More than the codes say: a representation of its own, compared by Kullback-Leibler divergence. Raises
        ``InputError`` where the quantizer is no mixture.
        """
        if not isinstance(self.quantizer, Mixture):
            raise InputError(f"{self.config.quantizer.kind} units have no posteriors; use gmm or dpgmm for these")
        frames, lengths = self.framed(audio)
        found = self.quantizer.posteriors(self.pool(frames))
        real = torch.arange(found.shape[1], device=found.device) < lengths[:, None]
        return FeatureBatch(found * real[:, :, None], lengths, self.grid)

    def _pooled(self, frames: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(np.array(frames, np.float32))
        return self.pool(F.pad(tensor, (0, 0, 0, -len(tensor) % self.reduction))[None])[0].numpy()
