"""The inverse-STFT vocoder: pulses at the pitch asked for, noise by place, and learning from a few seconds."""

import math

import numpy as np
import pytest
import torch

from protophone import train as training
from protophone.crops import Crops
from protophone.features.contour import PitchBatch
from protophone.features.pitch import PitchConfig
from protophone.spectral import stft
from protophone.spectral.fourier import power_of
from protophone.types import AudioBatch, Codebook, FrameGrid, UnitBatch
from protophone.vocoders.adversarial import DiscriminatorsConfig
from protophone.vocoders.excitation import breath, pulses, turns_before
from protophone.vocoders.vocos import VocosConfig
from tests.conftest import babble

RATE, HOP = 16000, 640
GRID = FrameGrid(RATE, HOP, 240)


def test_pulses_are_the_sum_of_all_harmonics():
    f0 = torch.full((1, 40), 210.0)
    train = pulses(f0, turns_before(f0, 80, RATE), 80, RATE)[0]
    time = np.arange(1, 40 * 80 + 1) / RATE
    count = math.floor(RATE / 2 / 210)
    wanted = sum(np.cos(2 * np.pi * 210 * k * time) for k in range(1, count + 1)) * math.sqrt(2 / count)
    assert np.allclose(train.numpy(), wanted, atol=2e-3 * count)
    assert float(train.square().mean()) == pytest.approx(1, rel=0.05)


def test_pulses_follow_a_contour_whatever_the_parts():
    f0 = 100 * 2 ** torch.linspace(0, 1, 400)[None]
    turns = turns_before(f0, 80, RATE)
    whole = pulses(f0, turns, 80, RATE)
    parts = [pulses(f0[:, a : a + 57], turns[:, a : a + 57], 80, RATE) for a in range(0, 400, 57)]
    assert torch.equal(whole, torch.cat(parts, 1))
    heard = PitchConfig().build().track(AudioBatch(whole / 10, torch.tensor([whole.shape[1]]), RATE)).f0_hz[0]
    assert torch.allclose(heard[20:-20].log(), f0[0, 20:-20].log(), atol=0.02)


def test_breath_depends_on_place_alone():
    whole = breath(0, 60_000)
    assert torch.equal(breath(12_345, 50_001), whole[12_345:50_001])
    assert not torch.equal(whole[2**14 : 2**14 + 100], whole[:100])
    assert float(whole.std()) == pytest.approx(1, abs=0.02)
    assert float(whole.mean()) == pytest.approx(0, abs=0.02)
    assert len(breath(7, 7)) == 0


def _small(**changes):
    settings = {
        "channels": 48,
        "blocks": 2,
        "fine_channels": 48,
        "fine_blocks": 1,
        "discriminators": DiscriminatorsConfig(kinds=()),
    }
    return VocosConfig(**settings | changes)


def _crops(seconds=3):
    """A vowel-like sound whose unit says which of two vowels it is, with its melody."""
    units = seconds * RATE // HOP
    codes = (torch.arange(units) // 5 % 2)[None, :, None].float()
    contour = (120 + 30 * torch.sin(torch.arange(units * 8) / 40))[None]
    train = pulses(contour, turns_before(contour, 80, RATE), 80, RATE)[0].numpy()
    gate = np.repeat(codes[0, :, 0].numpy(), HOP)
    smooth = np.convolve(train, np.hanning(9) / 4, mode="same")
    sound = 0.1 * np.where(gate > 0, smooth, train)
    target = torch.from_numpy((sound * 32767).astype(np.float32))[None, :, None]
    return Crops(codes, target, torch.ones(1, units), torch.tensor([0]), contour.view(1, units, 8))


@pytest.mark.parametrize("pitch", ["contour", "none"])
def test_learns_two_vowels_and_sings_them(pitch):
    torch.manual_seed(0)
    book = Codebook(torch.randn(1, 2, 8))
    vocoder = _small(pitch=pitch).build(book, GRID, ("abi",))
    optimizer = torch.optim.AdamW(vocoder.parameters(), lr=3e-3)
    batch, history = _crops(), []
    for _ in range(120):
        for _, loss in vocoder.losses(batch):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        history.append(float(vocoder.figures["mel"]))
    assert np.mean(history[-5:]) < 0.35 * np.mean(history[:5])
    units = UnitBatch.from_arrays([batch.frames[0].T.long().numpy()], (2,), GRID, book.hash)
    contour = PitchBatch(batch.pitch.flatten(1), torch.tensor([batch.pitch[0].numel()]), FrameGrid(RATE, 80))
    told = contour if pitch == "contour" else None
    sound = vocoder.eval().synthesize(units, told, "abi")
    heard = PitchConfig().build().track(sound).f0_hz[0]
    voiced = heard > 0
    off = (heard[voiced] / contour.f0_hz[0][voiced]).log2().abs()
    assert float(voiced.float().mean()) > 0.7
    if pitch == "contour":
        assert float((off > 0.1).float().mean()) < 0.1
    else:  # nothing in the units tells the melody, which swings by a third of an octave: its middle is the best guess
        assert float(off.median()) < 0.45


def test_the_pitch_asked_for_is_the_pitch_heard():
    """Whatever it has learned: the gains do not move the pulses."""
    torch.manual_seed(1)
    book = Codebook(torch.randn(1, 2, 8))
    vocoder = _small().build(book, GRID, ("abi",)).eval()
    with torch.no_grad():
        vocoder.head[1].bias[641 // 2 : 321] = -4.0  # voiced as it begins
        vocoder.head[1].bias[321:642] = -12.0  # and no breath
    units = UnitBatch.from_arrays([np.zeros((1, 50), np.int64)], (2,), GRID, book.hash)
    for hertz in (90.0, 180.0, 300.0):
        contour = PitchBatch(torch.full((1, 400), hertz), torch.tensor([400]), FrameGrid(RATE, 80))
        sound = vocoder.synthesize(units, contour, None)
        heard = PitchConfig().build().track(sound).f0_hz[0, 20:-20]
        assert torch.allclose(heard, torch.tensor(hertz), rtol=0.02)


def test_discriminators_join_when_the_config_says():
    torch.manual_seed(0)
    discriminators = DiscriminatorsConfig(kinds=("resolution",), width=0.1, from_step=2)
    vocoder = _small(discriminators=discriminators).build(Codebook(torch.randn(1, 2, 8)), GRID, ("abi",))
    names = [[name for name, loss in vocoder.losses(_crops(1)) if loss.backward() is None] for _ in range(3)]
    assert names == [["vocoder"], ["vocoder"], ["discriminator", "vocoder"]]
    assert set(vocoder.parameter_groups()) == {"discriminator", "vocoder"}


def test_melody_goes_on_through_silence():
    f0 = torch.tensor([[0.0, 100.0, 0.0, 0.0, 400.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    filled = PitchBatch(f0, torch.tensor([6, 4]), FrameGrid(RATE, 80)).continued(150.0)
    step = 4 ** (1 / 3)
    assert torch.allclose(filled.f0_hz[0], torch.tensor([100, 100, 100 * step, 100 * step**2, 400, 400.0]))
    assert filled.f0_hz[1, :4].tolist() == [150.0] * 4


def test_babble_is_spoken_without_overflow():
    """Loud gains stay finite: the head's output is bounded before its exponential."""
    vocoder = _small().build(Codebook(torch.randn(1, 2, 8)), GRID, ("abi",)).eval()
    raw = torch.full((1, 8, 963), 1e4)
    sound = vocoder.sound(raw, torch.from_numpy(babble(0.08, seed=1))[None, :1280], torch.randn(1, 1280))
    assert bool(sound.isfinite().all())


def test_a_budget_in_minutes_knows_that_judged_steps_take_longer(tmp_path, monkeypatch):
    """Two steps alone at one second, then judged ones at four: ten seconds are two and two."""
    clock = iter(np.cumsum([*([0.0, 1.0] * 8), *([0.0, 4.0] * 8)]))
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))
    discriminators = DiscriminatorsConfig(kinds=("resolution",), width=0.1, from_step=2)
    vocoder = _small(discriminators=discriminators).build(Codebook(torch.randn(1, 2, 8)), GRID, ("abi",))
    settings = training.TrainConfig(minutes=10 / 60, device="cpu", precision="32-true")
    steps = training._budget(vocoder, lambda _: _crops(1), settings, tmp_path)
    assert steps == 4
    assert int(vocoder.discriminator.steps_done) == 0


def test_it_begins_with_the_mean_spectrum():
    torch.manual_seed(0)
    vocoder = _small().build(Codebook(torch.randn(1, 2, 4)), GRID, ("a",)).eval()
    samples = torch.from_numpy(0.2 * babble(2.0)).float()[None]
    vocoder.calibrate(samples)
    units = 2 * RATE // HOP
    content = UnitBatch.from_arrays([np.zeros(units)], (2,), GRID, vocoder.codebook)
    melody = PitchBatch(torch.full((1, units * 8), 120.0), torch.tensor([units * 8]), FrameGrid(RATE, 80))
    said = vocoder.synthesize(content, melody, "a").samples
    meant, made = (power_of(stft(x, 640, 160, 640)).clamp_min(1e-5).log().mean(1)[0] / 2 for x in (samples, said))
    smooth = torch.ones(1, 1, 9) / 9  # over the harmonics
    apart = torch.nn.functional.conv1d((meant - made)[None, None], smooth)[0, 0]
    assert float(apart.abs().mean()) < 0.5
    assert float((made - meant).mean().abs()) < 0.5
