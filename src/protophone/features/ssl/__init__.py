"""Layers of self-supervised models as features: HuBERT, wav2vec 2.0 and WavLM, with nothing of fairseq installed."""

from protophone.features.ssl.config import SSLConfig
from protophone.features.ssl.extractor import SelfSupervised

__all__ = ["SSLConfig", "SelfSupervised"]
