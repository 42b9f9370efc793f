"""Learning pitch units: a melody and its voicing come back, voices lie where numpy says, a killed training goes on."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from protophone import melody
from protophone.bundle import Bundle, add_part
from protophone.encoders.pitch import PitchVQVAEConfig, pitch_part, read_pitch
from protophone.errors import InputError
from protophone.features.pitch import PitchBatch, PitchConfig
from protophone.metrics.f0 import gross_pitch_error, rmse_cents
from protophone.quantizers.chained import ChainedConfig
from protophone.train import TrainConfig
from protophone.types import Recording
from protophone.vad import Segment

TRACKER = PitchConfig().build()
SMALL = PitchVQVAEConfig(channels=12, quantizer=ChainedConfig(dim=8))


def hum(path: Path, seed: int, middle: float):
    """Three seconds of a buzzing voice that wanders about ``middle`` Hz, with pauses."""
    rng = np.random.default_rng(seed)
    knots = middle * np.exp(0.25 * rng.standard_normal(9))
    f0 = np.interp(np.arange(48000), np.linspace(0, 48000, 9), knots)
    phase = 2 * np.pi * np.cumsum(f0) / 16000
    sound = sum(np.sin(k * phase) / k for k in range(1, 9)) * (np.sin(np.arange(48000) / 2500 + seed) > -0.7)
    soundfile.write(path, 0.2 * sound + 0.001 * rng.standard_normal(48000), 16000)


@pytest.fixture(scope="module")
def hummed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hummed")
    found = []
    for seed in range(6):
        speaker, middle = (("ana", 220.0), ("bo", 120.0))[seed % 2]
        hum(folder / f"{seed}.wav", seed, middle)
        found.append(Recording(id=str(seed), path=folder / f"{seed}.wav", speaker=speaker))
    return found


LEARN = TrainConfig(steps=300, batch=16, crop=128, learning_rate=4e-3, clip=1.0, device="cpu", precision="32-true")
HUM = PitchVQVAEConfig(channels=16, quantizer=ChainedConfig(dim=8, price=1e-4), silence=1.0, voicing=0.4)


@pytest.fixture(scope="module")
def learned(hummed, tmp_path_factory):
    return melody.fit_pitch(hummed, HUM, LEARN, tmp_path_factory.mktemp("run"))[0]


def test_it_learns_melodies_and_where_there_is_a_voice(learned, hummed):
    pack = melody.pack_pitch(hummed[0].path.parent / "pack", hummed, TRACKER)
    errors, cents, voicing = [], [], []
    for row, tracked in zip(pack.rows, pack, strict=True):
        pitch = PitchBatch(torch.tensor(tracked[None, :, 0]), torch.tensor([len(tracked)]), TRACKER.grid)
        voice = learned.statistics(pitch, [row.speaker])
        units = learned.encode(pitch, voice)
        made = learned.contour(units, voice), learned.decode(units, voice)
        contour, decoded = (found[0][: len(tracked)] for found in made)
        errors.append(gross_pitch_error(tracked[:, 0], contour))
        cents.append(rmse_cents(tracked[:, 0], contour))
        voicing.append(np.mean((decoded > 0) != (tracked[:, 0] > 0)))
    assert np.mean(errors) < 0.05
    assert np.mean(cents) < 150  # of melodies whose deviation is 400 cents
    assert np.mean(voicing) < 0.1


def test_voices_lie_where_numpy_says(learned, hummed, tmp_path):
    pack = melody.pack_pitch(tmp_path, hummed, TRACKER)
    everything = []
    for name in ("ana", "bo"):
        f0 = np.concatenate([track[:, 0] for row, track in zip(pack.rows, pack, strict=True) if row.speaker == name])
        logs = np.log(f0[f0 > 0].astype(np.float64))
        everything.append(logs)
        np.testing.assert_allclose(learned.voices[name], (logs.mean(), logs.std()), rtol=1e-6)
    logs = np.concatenate(everything)
    np.testing.assert_allclose(learned.pooled, (logs.mean(), logs.std()), rtol=1e-6)


def test_a_killed_training_ends_in_the_same_units(hummed, tmp_path):
    settings = TrainConfig(steps=30, batch=4, crop=80, save_every=7, device="cpu", precision="32-true")
    unbroken, _ = melody.fit_pitch(hummed, SMALL, settings, tmp_path / "unbroken")

    @contextmanager
    def killed(title, total, unit="steps"):
        def advance(count, *, note=""):
            if title == "learning pitch units" and count > 1:
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        melody.fit_pitch(hummed, SMALL, settings, tmp_path / "broken", stage=killed)
    again, run = melody.fit_pitch(hummed, SMALL, settings, tmp_path / "broken")
    for key, value in unbroken.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert set(run.history) == {"melody", "voicing", "quantizer", "bits"}


def test_a_voice_hardly_heard_has_the_pooled_statistics(hummed, tmp_path):
    hum(tmp_path / "all.wav", 9, 300)
    sound, _ = soundfile.read(tmp_path / "all.wav")
    soundfile.write(tmp_path / "eve.wav", sound[:8000], 16000)
    soundfile.write(tmp_path / "noise.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    eve = Recording(id="eve", path=tmp_path / "eve.wav", speaker="eve")
    noise = Recording(id="noise", path=tmp_path / "noise.wav")
    pack = melody.pack_pitch(tmp_path / "pack", [*hummed, eve, noise], TRACKER)
    voices, pooled = melody.pitch_of_voices(pack)
    assert list(voices) == ["ana", "bo", "eve", "speaker"]
    assert voices["eve"] == voices["speaker"] == pooled != voices["ana"]
    assert not pack[7].any()
    with pytest.raises(InputError, match="no voice in any of 1 recordings"):
        melody.pitch_of_voices(melody.pack_pitch(tmp_path / "none", [noise], TRACKER))


def test_segments_alone_are_learned_from(hummed, tmp_path):
    segments = {recording.id: [Segment(0, 16000)] for recording in hummed}
    settings = TrainConfig(steps=1, batch=2, crop=80, device="cpu", precision="32-true")
    _, run = melody.fit_pitch(hummed, SMALL, settings, tmp_path, segments=segments)
    _, whole = melody.fit_pitch(hummed, SMALL, settings, tmp_path / "whole")
    assert run.settings["data"] != whole.settings["data"]


def test_a_bundle_keeps_it(learned, hummed, tiny_bundle, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    add_part(folder, "pitch", pitch_part(learned))
    bundle = Bundle(folder)
    facts = bundle.parts["pitch"]
    assert (facts["kind"], facts["hop"], facts["sizes"]) == ("pitch-vqvae", 1280, [20])
    again = read_pitch(bundle.part("pitch"), folder / "pitch")
    assert (again.voices, again.pooled) == (learned.voices, learned.pooled)
    f0 = torch.tensor(np.array(melody.pack_pitch(tmp_path / "pack", hummed[:1], TRACKER)[0][None, :, 0]))
    pitch = PitchBatch(f0, torch.tensor([f0.shape[1]]), TRACKER.grid)
    voice = learned.statistics(pitch, ["ana"])
    units = learned.encode(pitch, voice)
    np.testing.assert_array_equal(again.encode(pitch, voice)[0], units[0])
    np.testing.assert_array_equal(again.decode(units, voice)[0], learned.decode(units, voice)[0])
