"""Content units: what the decoder is told need not be in the codes, and a few seconds of sound are learned."""

import pytest
import torch

from protophone.crops import Crops
from protophone.encoders import ContentVQVAEConfig
from protophone.encoders.augment import AugmentConfig
from protophone.errors import UnitsError
from protophone.features import LogMelConfig
from protophone.quantizers import VQConfig


def _small(**changes):
    settings = {
        "features": LogMelConfig(n_mels=20),
        "quantizer": VQConfig(num_units=8, dim=8),
        "channels": 32,
        "encoder_blocks": 1,
        "decoder_blocks": 1,
        "fine_channels": 16,
        "fine_blocks": 1,
        "speaker_dim": 8,
        "augment": AugmentConfig(),
    }
    return ContentVQVAEConfig(**settings | changes)


def _crops(model, *, melody, seed=0):
    """Bands that are the sum of what one of eight sounds says, of who speaks, and of the melody."""
    random = torch.Generator().manual_seed(seed)
    batch, units, reach = 16, 12, model.context[0]
    book = torch.randn(8, 20, generator=torch.Generator().manual_seed(7))
    voices = torch.randn(2, 20, generator=torch.Generator().manual_seed(8))
    sounds = torch.randint(8, (batch, units), generator=random).repeat_interleave(4, 1)
    speakers = torch.randint(2, (batch,), generator=random)
    hertz = 150 * torch.exp(0.5 * torch.randn(batch, units, generator=random)).repeat_interleave(4, 1)
    sung = (hertz / 150).log()[..., None] * torch.linspace(-1, 1, 20) * melody
    target = book[sounds] + voices[speakers][:, None] + sung
    frames = torch.nn.functional.pad(target, (0, 0, reach, reach))
    return Crops(frames, target, torch.ones(batch, 48), speakers, hertz[..., None].repeat(1, 1, 2))


def _trained(steps=250, **changes):
    torch.manual_seed(0)
    model = _small(**changes).build(("ana", "bo"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for step in range(steps):
        for _, loss in model.losses(_crops(model, melody=2.0, seed=step)):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def test_it_rebuilds_what_no_eight_codes_could_say():
    """Two voices and any melody: told beside the codes, they cost none."""
    model = _trained()
    error = float(model.figures["reconstruction"])
    batch = _crops(model, melody=2.0, seed=999)
    spread = float((batch.target - batch.target.mean((0, 1))).square().mean())
    assert error < 0.3 * spread


def test_a_melody_is_wanted():
    model = _small().build(("ana", "bo"))
    crops = _crops(model, melody=0.0)
    deaf = Crops(crops.frames, crops.target, crops.mask, crops.speakers)
    with pytest.raises(UnitsError, match="without a melody"):
        next(model.losses(deaf))


def test_what_lies_past_a_recording_teaches_nothing():
    model = _small().build(("ana", "bo")).eval()
    crops = _crops(model, melody=1.0)
    mask = crops.mask.clone()
    mask[:, 24:] = 0
    other = crops.target.clone()
    other[:, 24:] = 1e3
    first, second = (
        next(model.losses(Crops(crops.frames, target, mask, crops.speakers, crops.pitch)))[1].item()
        for target in (crops.target, other)
    )
    assert first == second
