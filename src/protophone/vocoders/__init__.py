"""Units to waveform: every vocoder there is, told apart by its config's ``kind``."""

from typing import Annotated

from protophone.config import KIND
from protophone.vocoders.code2spec import Code2SpecConfig
from protophone.vocoders.hifigan import HiFiGANConfig
from protophone.vocoders.vocos import VocosConfig

__all__ = ["VocoderConfig", "VocoderSettings"]

VocoderSettings = VocosConfig | HiFiGANConfig | Code2SpecConfig
VocoderConfig = Annotated[VocoderSettings, KIND]
