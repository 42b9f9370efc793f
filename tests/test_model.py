"""A bundle in use: sound to units to sound, long and short, and what it refuses."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

import protophone
from protophone.bundle import Bundle, add_voice
from protophone.errors import AudioError, BundleError, InputError, UnitsError
from protophone.model import Model, load
from protophone.types import Recording, UnitBatch, Utterance
from tests.conftest import babble
from tests.tiny import environment


@pytest.fixture(scope="module")
def model(tiny_bundle):
    return protophone.load(tiny_bundle)


def test_importing_the_package_or_its_command_line_imports_nothing_heavy():
    heavy = "{'torch', 'numpy', 'scipy', 'sklearn', 'numba', 'matplotlib', 'pydantic', 'soundfile'} & set(sys.modules)"
    for package in ("protophone", "protophone.cli"):
        script = f"import sys, {package}; print({heavy}); assert not {heavy}"
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_public_names_are_there_when_asked_for():
    assert protophone.load is load
    assert protophone.Model is Model
    with pytest.raises(AttributeError, match="no attribute 'speak'"):
        _ = protophone.speak


def test_a_file_an_array_and_a_recording_give_the_same_units(model, tmp_path):
    sound = babble(1.3, seed=3)
    soundfile.write(tmp_path / "ŋ a.wav", sound, 16000, subtype="FLOAT")
    got = model.encode(tmp_path / "ŋ a.wav")
    assert (got.id, got.num_samples, got.content.codes.shape) == ("ŋ a", 20800, (1, 1, 33))
    assert model.encode(sound).content.codes.equal(got.content.codes)
    part = Recording(id="x/y", path=tmp_path / "ŋ a.wav", start=1000, num_samples=9000)
    assert model.encode(part).id == "x/y"
    assert model.encode(part).content.codes.equal(model.encode(sound[1000:10000]).content.codes)
    assert len(set(got.content[0][0])) > 1


def test_a_recording_of_more_than_a_minute_gives_the_units_it_gives_whole(model, tmp_path):
    sound = babble(64, seed=5)
    soundfile.write(tmp_path / "long.wav", sound, 16000, subtype="FLOAT")
    chunked = model.encode(tmp_path / "long.wav")
    whole = model.encode(sound)
    assert chunked.num_samples == len(sound)
    assert (chunked.content.codes == whole.content.codes).float().mean() > 0.999


def test_decoding_is_as_long_as_what_was_encoded_and_in_the_voice_asked_for(model):
    units = model.encode(babble(1.01))
    assert model.voices == ("ana", "bo")
    sounds = {voice: model.decode(units, voice) for voice in model.voices}
    for sound in sounds.values():
        assert sound.samples.shape == (1, 16160)
        assert sound.sample_rate == 16000
        assert torch.isfinite(sound.samples).all()
    assert not sounds["ana"].samples.equal(sounds["bo"].samples)
    assert model.decode(units).samples.equal(sounds["ana"].samples)
    own = Utterance(content=units.content, num_samples=units.num_samples, voice="bo")
    assert model.decode(own).samples.equal(sounds["bo"].samples)
    assert model.convert(babble(1.01), "bo").samples.equal(sounds["bo"].samples)


def test_collapsed_units_sound_as_those_they_were_collapsed_from(model):
    units = model.encode(babble(1))
    runs = Utterance(content=units.content.collapse(), num_samples=units.num_samples)
    assert runs.content.codes.shape[2] < units.content.codes.shape[2]
    assert model.decode(runs, "bo").samples.equal(model.decode(units, "bo").samples)


def test_what_abx_scores_depends_on_the_units_alone(model):
    sound = babble(1)
    vectors = model.represent(sound)
    again = model.encoder.vectors(model.encode(sound).content)
    assert vectors.frames.equal(again.frames)


def test_an_unknown_voice_lists_those_there_are(model):
    with pytest.raises(InputError, match=r"no voice 'cy' in .*; the voices are: ana, bo"):
        model.decode(model.encode(babble(1)), "cy")


def test_units_of_another_codebook_or_grid_are_refused_naming_both(model):
    units = model.encode(babble(1)).content
    hashes = (units.codebook, "deadbeef")
    other = UnitBatch(units.codes, units.lengths, units.sizes, units.grid, codebook="deadbeef")
    for use in (lambda u: model.decode(Utterance(content=u, num_samples=16000)), model.encoder.vectors):
        with pytest.raises(UnitsError) as caught:
            use(other)
        assert all(name in str(caught.value) for name in hashes)


def test_a_bundle_without_a_voice_says_how_to_get_one(model, tmp_path, tiny_bundle):
    part = Bundle(tiny_bundle).encoder()
    from protophone.bundle import write_bundle

    write_bundle(tmp_path / "b", part, {}, "")
    mute = load(tmp_path / "b")
    assert mute.voices == ()
    with pytest.raises(InputError, match="no voice; train one with protophone train"):
        mute.decode(model.encode(babble(1)))


def test_a_voice_of_another_codebook_is_refused(tmp_path, tiny_bundle, model):
    copy = shutil.copytree(tiny_bundle, tmp_path / "b")
    voice = Bundle(copy).voice("tiny")
    add_voice(copy, "tiny", type(voice)(voice.config, voice.weights, {**voice.facts, "codebook": "deadbeef"}))
    with pytest.raises(UnitsError, match=f"deadbeef.*{model.encoder.codebook.hash}.*train the voice"):
        load(copy).decode(model.encode(babble(1)))


@pytest.mark.parametrize(
    ("sound", "says"),
    [
        (np.zeros(0, np.float32), "too short: 0 samples"),
        (babble(1)[:10], "too short: 10 samples"),
        (np.zeros(16000, np.float32), "digital silence"),
        (np.full(16000, np.nan, np.float32), "sample 0 of the array is not a finite number"),
        (np.zeros((2, 16000), np.float32), "shape"),
        (np.zeros(16000, np.int16), "int16"),
    ],
)
def test_arrays_that_are_no_speech_are_refused(model, sound, says):
    with pytest.raises(InputError, match=says):
        model.encode(sound)


@pytest.mark.parametrize("seconds", [1, 61])
def test_files_of_digital_silence_are_refused_by_name_however_long(model, tmp_path, seconds):
    soundfile.write(tmp_path / "still.wav", np.zeros(16000 * seconds), 16000)
    with pytest.raises(AudioError, match=r"still\.wav: digital silence"):
        model.encode(tmp_path / "still.wav")


def test_a_device_that_is_not_there_is_said(tiny_bundle):
    for device in ("abacus", "cuda:99"):
        with pytest.raises(InputError, match=f"device '{device}' cannot be used here .*; use cpu"):
            load(tiny_bundle, device=device)


def test_a_bundle_that_is_not_there_is_said(tmp_path):
    with pytest.raises(BundleError, match="no bundle here"):
        load(tmp_path)
