"""Networks as the parts of a bundle, and back."""

from torch import Tensor

from protophone.bundle import Part
from protophone.config import dump
from protophone.encoders.base import Encoder
from protophone.encoders.pitch import PitchVQVAE
from protophone.features.speaker import SpeakerEmbedder
from protophone.vocoders.base import Vocoder

__all__ = ["encoder_part", "voice_part"]


def encoder_part(encoder: Encoder, speakers: tuple[str, ...]) -> Part:
    """What a bundle keeps of an encoder: not what only its training needs."""
    grid = encoder.grid
    facts = {
        "kind": encoder.config.kind,
        "sample_rate": encoder.sample_rate,
        "hop": grid.hop,
        "offset": grid.offset,
        "context": list(encoder.context),
        "level": encoder.level,
        "lookahead": encoder.lookahead,
        "normalization": encoder.normalization,
        "sizes": list(encoder.sizes),
        "codebook": encoder.codebook.hash,
        "speakers": list(speakers),
    }
    return Part(dump(encoder.config), _kept(encoder), facts)


def voice_part(vocoder: Vocoder, embedder: SpeakerEmbedder | None = None, pitch: PitchVQVAE | None = None) -> Part:
    """What a bundle keeps of a vocoder; the discriminators that trained it stay behind.

    ``embedder`` made the embeddings of voices that it learned to take, ``pitch`` the pitch units that it may be told.
    """
    told = pitch.codebook.hash if pitch is not None and vocoder.pitch_input == "units" else None
    facts = {
        "speakers": list(vocoder.voices),
        "codebook": vocoder.codebook,
        "pitch": vocoder.pitch_input,
        "pitch_codebook": told,
        "embedder": None if embedder is None else embedder.settings,
    }
    return Part(dump(vocoder.config), _kept(vocoder), facts)


def _kept(module: Encoder | Vocoder) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in module.state_dict().items() if not name.startswith(module.spare)}
