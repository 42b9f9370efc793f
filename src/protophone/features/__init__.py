"""Features: from waveforms to frames. A new kind is one file and one line in ``FeatureConfig``."""

from typing import Annotated

from protophone.config import KIND
from protophone.features.base import FeatureExtractor
from protophone.features.filterbank import LogMel, LogMelConfig, Mfcc, MfccConfig
from protophone.features.ssl import SelfSupervised, SSLConfig

__all__ = [
    "FeatureConfig",
    "FeatureExtractor",
    "LogMel",
    "LogMelConfig",
    "Mfcc",
    "MfccConfig",
    "SSLConfig",
    "SelfSupervised",
]

FeatureConfig = Annotated[MfccConfig | LogMelConfig | SSLConfig, KIND]
