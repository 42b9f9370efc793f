"""A bundle of content, pitch units and vocoders that were never trained, and the pitch of what it says."""

import torch

from protophone.bundle import add_part, add_voice, write_bundle
from protophone.encoders import ContentVQVAEConfig
from protophone.encoders.pitch import pitch_part
from protophone.features import LogMelConfig
from protophone.features.pitch import PitchConfig
from protophone.features.speaker import load_embedder
from protophone.parts import encoder_part, voice_part
from protophone.quantizers.vq import VQConfig
from protophone.types import AudioBatch
from protophone.vocoders.adversarial import DiscriminatorsConfig
from protophone.vocoders.hifigan import HiFiGANConfig
from protophone.vocoders.vocos import VocosConfig
from tests.conftest import babble
from tests.test_pitch_units import started

RATE, NAMES = 16000, ("ana", "bo")  # whose pitch lies at 200 and 110 Hz
_ALONE = DiscriminatorsConfig(kinds=())
NARROW = {"channels": 24, "blocks": 1, "fine_channels": 16, "fine_blocks": 1, "discriminators": _ALONE}


def content():
    torch.manual_seed(2)
    config = ContentVQVAEConfig(
        features=LogMelConfig(n_mels=20),
        time_reduction=4,
        quantizer=VQConfig(num_units=16, dim=8),
        channels=24,
        encoder_blocks=1,
        decoder_blocks=1,
        fine_channels=8,
        fine_blocks=1,
        represent="codes",
    )
    encoder = config.build(NAMES).train()
    with torch.no_grad():
        encoder.quantizer(encoder.latents_of(encoder.framed(AudioBatch.from_arrays([babble(6, seed=1)], RATE))[0]))
    return encoder.eval()


def voiced(vocoder):
    """As it begins, but with pulses alone, so that its pitch can be tracked."""
    bins = vocoder.head[1].bias.numel() // 3
    with torch.no_grad():
        vocoder.head[1].bias[bins : 2 * bins] = -14.0
    return vocoder


def write_speaking(folder):
    """A bundle of content and pitch units with vocoders of every kind."""
    encoder = content()
    write_bundle(folder, encoder_part(encoder, NAMES), {}, "")
    pitch = started()
    add_part(folder, "pitch", pitch_part(pitch))
    torch.manual_seed(3)
    shape = (encoder.codebook, encoder.grid, NAMES)
    add_voice(folder, "vocos", voice_part(voiced(VocosConfig(**NARROW).build(*shape))))
    add_voice(folder, "guessing", voice_part(VocosConfig(**NARROW, pitch="none").build(*shape)))
    hifigan = HiFiGANConfig(channels=32, dim=8, discriminators=_ALONE).build(*shape)
    add_voice(folder, "hifigan", voice_part(hifigan, None, pitch))
    heard = voiced(VocosConfig(**NARROW, embedding_dim=4).build(*shape))
    add_voice(folder, "heard", voice_part(heard, load_embedder("resemblyzer")))
    return folder


def heard_hz(sound):
    f0 = PitchConfig().build().track(sound).f0_hz[0]
    return f0[f0 > 0]
