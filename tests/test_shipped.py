"""The bundle that is shipped, on recordings it was not trained on: size, bits, melody, voices."""

import re
from pathlib import Path

import numpy as np
import pytest

from protophone import audio
from protophone.bundle import Bundle
from protophone.cli.info import info
from protophone.codec import pack, read_entropy, unpack
from protophone.delivery import Delivery
from protophone.features.pitch import PitchConfig
from protophone.manifest import read
from protophone.metrics.f0 import f0_frame_error
from protophone.model import DEFAULT_BUNDLE, load
from protophone.store import read_units
from protophone.types import AudioBatch
from tests.packing import assert_same

RECORDINGS = Path(__file__).resolve().parents[1] / "examples" / "recordings" / "manifest.jsonl"


@pytest.fixture(scope="module")
def model():
    return load()


@pytest.fixture(scope="module")
def recordings():
    return list(read(RECORDINGS))


def _f0(samples):
    return PitchConfig().build().track(AudioBatch.from_arrays([samples], 16000)).f0_hz[0].numpy()


def test_it_is_small_and_says_what_it_is():
    files = [path for path in DEFAULT_BUNDLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20e6
    bundle = Bundle(DEFAULT_BUNDLE)
    assert set(bundle.parts) == {"pitch", "entropy"}
    card = (DEFAULT_BUNDLE / "card.md").read_text(encoding="utf-8")
    for name, value in bundle.facts["figures"].items():
        assert f"{name}: {value}" in card
    for said in ("CC BY-SA 3.0", "Allison Smith", "June Wallack", "Carlo Flora", "Maxim Topal", "real people's"):
        assert said in card
    assert bundle.facts["training"]["recordings"] > 2000


def test_its_look_ahead_is_told_in_seconds(capsys):
    info()
    told = capsys.readouterr().out
    assert re.search("look-ahead, content +│ 0.52 s from a unit's beginning", told)
    assert re.search("look-ahead, pitch +│ 61.3 s from a unit's beginning", told)


def test_recordings_fit_into_a_few_hundred_bits_a_second(model, recordings):
    entropy = read_entropy(model.bundle)
    packed = {}
    for recording in recordings:
        units = model.encode(recording)
        packed[recording.id] = pack(units, entropy)
        found = unpack(packed[recording.id], entropy)
        assert_same(found, units)
        assert found.voice == recording.speaker
    infos = [audio.probe(recording.path) for recording in recordings]
    seconds = sum(info.num_samples / info.sample_rate for info in infos)
    assert 8 * sum(map(len, packed.values())) / seconds < 330  # four clips


def test_the_melody_is_kept_and_another_voice_sings_it_in_its_own_register(model, recordings):
    wrong = frames = 0.0
    for recording in recordings:
        samples = audio.read(recording, model.sample_rate)
        units = model.encode(recording)
        meant, made = _f0(samples), _f0(model.decode(units)[0])
        wrong += f0_frame_error(meant, made) * len(meant)
        frames += len(meant)
        for voice, lies in model.pitch.voices.items():
            heard = _f0(model.decode(units, voice, Delivery("flat"))[0])
            assert np.median(heard[heard > 0]) == pytest.approx(np.exp(lies.mean), rel=0.03)
    assert wrong / frames < 0.15


def test_units_of_what_is_said_come_back(model):
    same = total = 0
    for record in list(read_units(DEFAULT_BUNDLE.parent / "sayings.jsonl"))[:4]:
        again = model.encode(model.decode(record.to_utterance())[0]).content.codes[0, 0].numpy()
        same += int((again == record.codes[0]).sum())
        total += record.codes.shape[1]
    assert same / total > 0.2  # by chance one of some hundreds would
