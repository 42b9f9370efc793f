"""Encoders: from sound to units. A new kind is one file and one line in ``EncoderConfig``."""

from typing import Annotated

from protophone.config import KIND
from protophone.encoders.base import Encoder, Moments, Normalization
from protophone.encoders.pipeline import Pipeline, PipelineConfig
from protophone.encoders.vqvae import VQVAE, VQVAEConfig

__all__ = ["VQVAE", "Encoder", "EncoderConfig", "Moments", "Normalization", "Pipeline", "PipelineConfig", "VQVAEConfig"]

EncoderConfig = Annotated[VQVAEConfig | PipelineConfig, KIND]
