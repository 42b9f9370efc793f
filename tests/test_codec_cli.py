"""``compress``, ``decompress`` and ``info``: a recording through a file of a few bytes."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from protophone import audio
from protophone.bundle import Bundle, add_part
from protophone.cli.codec import compress, decompress
from protophone.cli.info import info
from protophone.codec import ContextConfig, EntropyModel, fit_entropy, read_entropy, unpack
from protophone.errors import AudioError, InputError
from protophone.model import load
from tests.conftest import babble
from tests.packing import assert_same


@pytest.fixture(scope="module")
def packing(tiny_bundle, tmp_path_factory):
    """A copy of the tiny bundle with an entropy model."""
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("packing") / "bundle")
    model = load(folder)
    heard = [model.encode(babble(1.5, seed)) for seed in range(4)]
    vectors = dict(zip(["content0"], model.encoder.codebook.vectors, strict=True))
    settings = ContextConfig(lags=2, hidden=8, dim=4, steps=20, batch=64)
    add_part(folder, "entropy", fit_entropy(heard, model.voices, settings, vectors=vectors).part())
    return folder


@pytest.fixture
def recording(tmp_path):
    soundfile.write(tmp_path / "in.wav", babble(3.21, 5), 16000, subtype="PCM_16")
    return tmp_path / "in.wav"


def test_a_recording_there_and_back(packing, recording, tmp_path, capsys):
    out = tmp_path / "out.ppn"
    compress(recording, out, bundle=packing, voice="bo")
    size = out.stat().st_size
    assert capsys.readouterr().out == f"{out}: {size} bytes, {8 * size / 3.21:.0f} bit/s over 3.2 s\n"
    model = load(packing)
    units = model.encode(recording)
    found = unpack(out.read_bytes(), read_entropy(model.bundle))
    assert_same(found, units)
    assert found.voice == "bo"
    decompress(out, tmp_path / "out.wav", bundle=packing)
    assert soundfile.info(tmp_path / "out.wav").frames == 51_360
    audio.write(tmp_path / "whole.wav", model.decode(units, "bo")[0], 16000)
    assert (tmp_path / "out.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    decompress(out, tmp_path / "ana.flac", bundle=packing, voice="ana")
    assert soundfile.info(tmp_path / "ana.flac").frames == 51_360


def test_info_prints_the_bits_of_each_stream(packing, recording, tmp_path, capsys):
    out = tmp_path / "out.ppn"
    compress(recording, out, bundle=packing)
    capsys.readouterr()
    info(out, bundle=packing, json=True)
    told = json.loads(capsys.readouterr().out)
    assert sum(told["bits"].values()) == pytest.approx(8 * out.stat().st_size)
    assert min(told["bits"].values()) >= 0
    assert (told["voice"], told["seconds"]) == ("none", 3.21)
    info(out, bundle=packing)
    text = capsys.readouterr().out
    assert all(name in text for name in [*told["bits"], "all", "3.21 s, voice none"])
    info(packing)
    text = capsys.readouterr().out
    assert f".ppn files of bundle {told['bundle']}" in text
    assert "the whole recording, by whose statistics it is normalised" in " ".join(text.split())
    with pytest.raises(InputError, match="goes with a .ppn file"):
        info(packing, bundle=packing)


def test_a_long_recording_is_packed_as_a_short_one_would_be(packing, tmp_path):
    sound = np.tile(babble(13, 3), 5)  # more than a minute, which is read in blocks
    soundfile.write(tmp_path / "in.wav", sound, 16000, subtype="FLOAT")
    compress(tmp_path / "in.wav", tmp_path / "out.ppn", bundle=packing, voice="bo")
    found = unpack((tmp_path / "out.ppn").read_bytes(), read_entropy(Bundle(packing)))
    assert_same(found, load(packing).encode(sound))


def test_what_is_no_file_is_said(packing, tmp_path):
    for name in (tmp_path / "none.ppn", tmp_path):
        with pytest.raises(InputError, match="no such file; name one that protophone compress wrote"):
            decompress(name, tmp_path / "out.wav", bundle=packing)
    with pytest.raises(InputError, match="no such file; name one"):
        info(tmp_path / "none.ppn", bundle=packing)


def test_what_cannot_be_done_is_said_before_it_is_begun(packing, tiny_bundle, recording, tmp_path):
    out = tmp_path / "out.ppn"
    with pytest.raises(InputError, match=r"no entropy model.*fit one with protophone train"):
        compress(recording, out, bundle=tiny_bundle)
    with pytest.raises(InputError, match="no voice 'cy' among those that this bundle packs by name: ana, bo"):
        compress(recording, out, bundle=packing, voice="cy")
    with pytest.raises(InputError, match="--voice ana and --embed: a file says one or the other"):
        compress(recording, out, bundle=packing, voice="ana", embed=True)
    with pytest.raises(InputError, match="train one that takes embeddings"):
        compress(recording, out, bundle=packing, embed=True)
    with pytest.raises(InputError, match=r"packed units are written as \.ppn"):
        compress(recording, tmp_path / "out.zip", bundle=packing)
    with pytest.raises(AudioError, match="not there"):
        compress(tmp_path / "none.wav", out, bundle=packing)
    assert not out.exists()
    compress(recording, out, bundle=packing)
    with pytest.raises(InputError, match="exists already"):
        compress(recording, out, bundle=packing)
    with pytest.raises(InputError, match="exists already"):
        decompress(out, recording, bundle=packing)
    with pytest.raises(InputError, match="suffix"):
        decompress(out, tmp_path / "out.mp3", bundle=packing)
    named = tmp_path / "named.ppn"
    entropy = read_entropy(load(packing).bundle)
    other = EntropyModel(entropy.config, entropy.content, None, ("ana", "cy"), entropy.models, entropy.measured)
    add_part(shutil.copytree(packing, tmp_path / "cys"), "entropy", other.part())
    compress(recording, named, bundle=tmp_path / "cys", voice="cy")
    with pytest.raises(InputError, match=r"named\.ppn: to be spoken by cy, whom no vocoder of .* one of ana, bo"):
        decompress(named, tmp_path / "out.wav", bundle=tmp_path / "cys")
    out.write_bytes(out.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"out\.ppn: damaged or cut off"):
        decompress(out, tmp_path / "out.wav", bundle=packing)
    assert not (tmp_path / "out.wav").exists()


def test_a_sound_written_in_parts_is_the_one_written_whole(tmp_path):
    samples = 1.1 * babble(1.0)
    for suffix in ("wav", "flac"):
        audio.write(tmp_path / f"whole.{suffix}", samples, 16000)
        with audio.writing(tmp_path / f"parts.{suffix}", 16000) as add:
            for part in np.array_split(samples, 7):
                add(part)
        assert (tmp_path / f"parts.{suffix}").read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()
    with pytest.raises(AudioError, match="not all finite"), audio.writing(tmp_path / "bad.wav", 16000) as add:
        add(np.array([0.0, np.nan]))
    assert not (tmp_path / "bad.wav").exists()
