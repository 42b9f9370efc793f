"""What every vocoder promises, over every member of the union: lengths, batches, parts, voices, refusals, saving."""

from functools import cache

import pytest
import torch
from safetensors.torch import load_file, save_file

from protophone.config import dump, parse
from protophone.errors import InputError, UnitsError
from protophone.features.contour import PitchBatch
from protophone.types import Codebook, FrameGrid, UnitBatch
from protophone.vocoders import VocoderConfig, code2spec, hifigan, vocos
from protophone.vocoders.adversarial import DiscriminatorsConfig
from protophone.vocoders.code2spec import Code2SpecConfig
from protophone.vocoders.hifigan import HiFiGANConfig
from protophone.vocoders.vocos import VocosConfig

HOP, RATE, VOICES = 640, 16000, ("abi", "kou")
GRID = FrameGrid(RATE, HOP, 240)
BOOK = Codebook(torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(3)))
_SMALL = {"channels": 24, "blocks": 2, "fine_channels": 16, "fine_blocks": 1, "speaker_dim": 8}
_NO_DISCRIMINATORS = DiscriminatorsConfig(kinds=())
CONFIGS = {
    "code2spec": Code2SpecConfig(channels=16, layers=2, iterations=3, speaker_dim=8),
    "hifigan-units": HiFiGANConfig(channels=32, dim=8, discriminators=_NO_DISCRIMINATORS),
    "hifigan-none": HiFiGANConfig(channels=32, dim=8, pitch="none", embedding_dim=5, discriminators=_NO_DISCRIMINATORS),
    "vocos-contour": VocosConfig(**_SMALL, discriminators=_NO_DISCRIMINATORS),
    "vocos-none": VocosConfig(**_SMALL, pitch="none", embedding_dim=5, discriminators=_NO_DISCRIMINATORS),
}
PARTS = {"code2spec": code2spec, "hifigan": hifigan, "vocos": vocos}  # where the length of a part stands
every = pytest.mark.parametrize("name", CONFIGS)
# Code2Spec finds the phases of a stretch together, so where it is cut is heard a little.
cut = pytest.mark.parametrize("name", [name for name in CONFIGS if name != "code2spec"])


@cache
def _vocoder(name):
    torch.manual_seed(5)
    return CONFIGS[name].build(BOOK, GRID, VOICES).eval()


def _units(*counts, seed=0):
    random = torch.Generator().manual_seed(seed)
    rows = [torch.randint(16, (1, count), generator=random).numpy() for count in counts]
    return UnitBatch.from_arrays(rows, (16,), GRID, BOOK.hash)


def _pitch(vocoder, content, seed=0):
    """What the vocoder wants to be told, for each row of ``content``."""
    random = torch.Generator().manual_seed(seed)
    longest = int(content.lengths.max())
    if vocoder.pitch_input == "units":
        codes = torch.randint(20, (len(content), 1, -(-longest // 2)), generator=random)
        return UnitBatch(codes, -(-content.lengths // 2), (20,), FrameGrid(RATE, 2 * HOP))
    if vocoder.pitch_input == "contour":
        steps = HOP // 80
        f0_hz = 100 + 80 * torch.rand(len(content), longest * steps, generator=random)
        return PitchBatch(f0_hz, content.lengths * steps, FrameGrid(RATE, 80))
    return None


def _sound(vocoder, content, voice=None):
    return vocoder.synthesize(content, _pitch(vocoder, content), voice)


@every
def test_as_many_samples_as_frames_times_hop(name):
    vocoder = _vocoder(name)
    for count in (1, 2, 7):
        sound = _sound(vocoder, _units(count))
        assert sound.samples.shape == (1, count * HOP)
        assert sound.sample_rate == RATE
        assert bool(sound.samples.isfinite().all())


@every
def test_a_row_of_a_batch_is_the_row_alone(name):
    vocoder = _vocoder(name)
    content = _units(9, 4, 1)
    pitch = _pitch(vocoder, content)
    both = vocoder.synthesize(content, pitch, "kou")
    for row in range(3):
        alone = vocoder.synthesize(content.row(row), None if pitch is None else pitch.row(row), "kou")
        assert torch.equal(torch.from_numpy(both[row]), torch.from_numpy(alone[0]))


@cut
def test_parts_are_cut_from_the_whole(name, monkeypatch):
    vocoder = _vocoder(name)
    content = _units(61)
    pitch = _pitch(vocoder, content)
    whole = torch.cat(list(vocoder.stream(content, pitch, "abi")))
    module = PARTS[name.partition("-")[0]]
    monkeypatch.setattr(module, "_PART", 13 * HOP if module is hifigan else 13)
    parts = list(vocoder.stream(content, pitch, "abi"))
    assert [len(part) for part in parts] == [13 * HOP] * 4 + [9 * HOP]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


@every
def test_voices_differ_and_strangers_are_refused(name):
    vocoder = _vocoder(name)
    content = _units(5)
    assert not torch.equal(_sound(vocoder, content, "abi").samples, _sound(vocoder, content, "kou").samples)
    assert torch.equal(_sound(vocoder, content).samples, _sound(vocoder, content, "abi").samples)
    with pytest.raises(InputError, match="no voice 'eve' here; the voices are: abi, kou"):
        _sound(vocoder, content, "eve")


@every
def test_an_embedding_is_a_voice_where_it_was_learned(name):
    vocoder = _vocoder(name)
    content = _units(5)
    embedding = torch.tensor([0.1, 0.5, 0.2, 0.0, 0.3])
    if CONFIGS[name].__dict__.get("embedding_dim"):
        said = _sound(vocoder, content, embedding)
        assert not torch.equal(said.samples, _sound(vocoder, content, -embedding).samples)
    else:
        with pytest.raises(InputError, match="embedding"):
            _sound(vocoder, content, embedding)


@every
def test_units_of_another_codebook_are_refused(name):
    content = UnitBatch(_units(5).codes, torch.tensor([5]), (16,), GRID, codebook="deadbeef")
    with pytest.raises(
        UnitsError, match=f"units of codebook deadbeef, .*; this voice speaks those of codebook {BOOK.hash}"
    ):
        _sound(_vocoder(name), content)


@pytest.mark.parametrize("name", [name for name in CONFIGS if CONFIGS[name].__dict__.get("pitch", "none") != "none"])
def test_a_melody_is_asked_for(name):
    with pytest.raises(UnitsError, match="must be told the melody"):
        _vocoder(name).synthesize(_units(5), None, "abi")


@every
def test_survives_being_saved(name, tmp_path):
    vocoder = _vocoder(name)
    save_file(vocoder.state_dict(), tmp_path / "weights")
    again = parse(VocoderConfig, dump(CONFIGS[name])).build(BOOK, GRID, VOICES).eval()
    again.load_state_dict(load_file(tmp_path / "weights"))
    content = _units(6)
    assert torch.equal(_sound(vocoder, content, "kou").samples, _sound(again, content, "kou").samples)
    for key, value in vocoder.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
