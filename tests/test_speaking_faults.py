"""What cannot be spoken is refused: voices that are not there, melodies that are not, units of another recording."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from protophone import audio
from protophone.bundle import Bundle, add_part, add_voice, write_bundle
from protophone.delivery import Delivery
from protophone.encoders.pitch import pitch_part
from protophone.errors import AudioError, BundleError, InputError, UnitsError
from protophone.model import load
from protophone.parts import encoder_part, voice_part
from protophone.vocoders.hifigan import HiFiGANConfig
from tests.conftest import babble
from tests.speakers import NAMES, NARROW, RATE, content, write_speaking
from tests.test_pitch_units import SMALL, started


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_speaking(tmp_path_factory.mktemp("speaking") / "bundle")


@pytest.fixture(scope="module")
def model(bundle):
    return load(bundle, vocoder="vocos")


@pytest.fixture(scope="module")
def sound():
    return babble(3.1, seed=4, pitch=200.0)


def test_content_pitch_and_samples_are_of_one_recording(model, sound):
    units = model.encode(sound, "ana")
    one = replace(units.pitch, codes=units.pitch.codes[..., :1], lengths=torch.tensor([1]))
    for wrong in (replace(units, num_samples=10 * units.num_samples), replace(units, pitch=one)):
        with pytest.raises(UnitsError, match="give content, pitch and number of samples of one recording"):
            model.decode(wrong)


def test_a_bundle_without_pitch_units_says_so_before_the_work(bundle, tmp_path, sound, monkeypatch):
    folder = tmp_path / "bundle"
    encoder = content()
    write_bundle(folder, encoder_part(encoder, NAMES), {}, "")
    add_voice(folder, "vocos", Bundle(bundle).voice("vocos"))
    monkeypatch.setattr("protophone.model.Model.encode", lambda *_: pytest.fail("it was encoded"))
    with pytest.raises(UnitsError, match="the bundle has no pitch units"):
        load(folder).convert(sound, "ana")


def test_pitch_units_of_another_rate_are_refused(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    other = started(replace(SMALL, tracker=replace(SMALL.tracker, sample_rate=8000)))
    add_part(folder, "pitch", pitch_part(other))
    with pytest.raises(BundleError, match="pitch units are of sound at 8000 Hz, its encoder takes 16000 Hz"):
        load(folder)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "v" * 300])
def test_vocoders_are_called_what_folders_can_be(bundle, tmp_path, name):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    with pytest.raises(InputError, match="vocoder .*"):
        add_voice(folder, name, Bundle(bundle).voice("vocos"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


def test_what_cannot_be_sung_is_refused(bundle, model, sound):
    guessing = load(bundle, vocoder="guessing")
    units = guessing.encode(sound, "ana")
    assert guessing.decode(units, "bo").samples.shape == (1, len(sound))
    with pytest.raises(InputError, match="pitch 'flat': this vocoder is told no melody"):
        guessing.decode(units, "bo", Delivery("flat"))
    with pytest.raises(UnitsError, match="must be told the melody, and these units have none"):
        model.decode(replace(units, pitch=None), "bo")
    with pytest.raises(InputError, match="no voice 'eve'.*ana, bo"):
        model.decode(units, "eve")


def test_names_that_are_not_known_are_refused(model, sound):
    with pytest.raises(InputError, match="no speaker 'eve' whose register .* knows; these are: ana, bo"):
        model.convert(sound, "bo", speaker="eve")
    with pytest.raises(InputError, match="no voice ''"):
        model.convert(sound, "")
    with pytest.raises(InputError, match="no voice ''"):
        model.decode(model.encode(sound), "")


def test_a_vocoder_is_told_the_pitch_units_it_learned_only(bundle, tmp_path, sound):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    model = load(folder, vocoder="hifigan")
    assert model.convert(sound, "bo").samples.shape == (1, len(sound))
    units = model.encode(sound, "ana")
    with pytest.raises(UnitsError, match="units of codebook deadbeef, .* this bundle's pitch units are those of"):
        model.decode(replace(units, pitch=replace(units.pitch, codebook="deadbeef")))
    vocoder = HiFiGANConfig(channels=32, dim=8, discriminators=NARROW["discriminators"]).build(
        model.encoder.codebook, model.encoder.grid, NAMES
    )
    add_voice(folder, "published", voice_part(vocoder))  # which says not whose pitch units it was told
    with pytest.raises(UnitsError, match="is told pitch units of codebook unknown, this bundle's are of"):
        load(folder, vocoder="published").convert(sound, "bo")
    other = started()
    with torch.no_grad():
        other.quantizer.vectors += 1
    add_part(folder, "pitch", pitch_part(other))
    with pytest.raises(UnitsError, match="is told pitch units of codebook .*, this bundle's are of"):
        load(folder, vocoder="hifigan").convert(sound, "bo")


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(16000, np.float32), "like.wav: digital silence"),
        (babble(0.5), r"like.wav: 0\.\d+ s of voice in its first minute; to know a voice takes 1 s"),
        (0.1 * np.random.default_rng(0).standard_normal(48000), r"like.wav: 0\.\d+ s of voice"),
    ],
    ids=["silence", "short", "noise"],
)
def test_what_is_no_voice_cannot_be_imitated(bundle, tmp_path, samples, said):
    audio.write(tmp_path / "like.wav", samples, RATE)
    with pytest.raises(AudioError, match=said):
        load(bundle, vocoder="heard").heard(tmp_path / "like.wav")
