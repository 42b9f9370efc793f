"""Quantizers: from frames to codes. A new kind is one file and one line in ``QuantizerConfig``."""

from typing import Annotated

from protophone.config import KIND
from protophone.quantizers.base import Quantizer
from protophone.quantizers.kmeans import KMeans, KMeansConfig
from protophone.quantizers.mixture import DPGMM, GMM, DPGMMConfig, GMMConfig, Mixture
from protophone.quantizers.vq import VectorQuantizer, VQConfig

__all__ = [
    "DPGMM",
    "GMM",
    "DPGMMConfig",
    "GMMConfig",
    "KMeans",
    "KMeansConfig",
    "Mixture",
    "Quantizer",
    "QuantizerConfig",
    "VQConfig",
    "VectorQuantizer",
]

# Those that are fitted to frames; ``VQConfig`` is learned inside a network.
QuantizerConfig = Annotated[KMeansConfig | GMMConfig | DPGMMConfig, KIND]
