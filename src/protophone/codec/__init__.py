"""The codec: a recording's units in a few hundred bits a second, and back."""

from protophone.codec.container import describe, pack, read_packed, unpack
from protophone.codec.entropy import EntropyModel, fit_entropy, read_entropy
from protophone.codec.learning import ContextConfig
from protophone.codec.voices import check_name

__all__ = [
    "ContextConfig",
    "EntropyModel",
    "check_name",
    "describe",
    "fit_entropy",
    "pack",
    "read_entropy",
    "read_packed",
    "unpack",
]
