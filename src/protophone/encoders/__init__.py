"""Encoders: from sound to units. A new kind is one file and one line in ``EncoderConfig``."""

from typing import Annotated

from protophone.config import KIND
from protophone.encoders.base import Encoder, Moments, Normalization
from protophone.encoders.content import ContentVQVAE, ContentVQVAEConfig
from protophone.encoders.pipeline import Pipeline, PipelineConfig
from protophone.encoders.vqvae import VQVAE, VQVAEConfig

__all__ = [
    "VQVAE",
    "ContentVQVAE",
    "ContentVQVAEConfig",
    "Encoder",
    "EncoderConfig",
    "EncoderSettings",
    "Moments",
    "Normalization",
    "Pipeline",
    "PipelineConfig",
    "VQVAEConfig",
]

EncoderSettings = ContentVQVAEConfig | VQVAEConfig | PipelineConfig
EncoderConfig = Annotated[EncoderSettings, KIND]
