"""Units to waveform: every vocoder there is, told apart by its config's ``kind``."""

from protophone.vocoders.code2spec import Code2SpecConfig

__all__ = ["VocoderConfig"]

VocoderConfig = Code2SpecConfig
