"""STOI and DNSMOS through their packages, and what is left out of a mean."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone import audio, manifest
from protophone.errors import AudioError, InputError
from protophone.metrics import quality
from protophone.metrics.quality import DNSMOS, Scores, dnsmos, pair_scores, protocol, sound_scores, stoi, summarize
from tests.conftest import babble, corpus

RATE = 16000
PAIRED = {"mcd_db", "spectral_convergence", "log_stft_magnitude", "lsd_db", "stoi"}


@pytest.fixture
def pystoi():
    return pytest.importorskip("pystoi", reason="pystoi is not installed")


@pytest.fixture
def speechmos():
    return pytest.importorskip("speechmos.dnsmos", reason="speechmos is not installed", exc_type=ImportError)


def noisy(sound: np.ndarray, level: float) -> np.ndarray:
    return sound + level * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)


def test_stoi_is_one_of_itself_and_falls_with_noise(pystoi):
    sound = babble(2.0)
    assert stoi(sound, sound, RATE) == pytest.approx(1, abs=1e-6)
    assert stoi(sound, 0.1 * sound, RATE) == pytest.approx(1, abs=1e-6)
    found = [stoi(sound, noisy(sound, level), RATE) for level in (0.01, 0.1, 1.0)]
    assert found == sorted(found, reverse=True)
    assert stoi(sound, sound[:-500], RATE) == pytest.approx(1, abs=1e-6)


def test_stoi_is_pystois(pystoi):
    sound = babble(1.0).astype(np.float64)
    other = noisy(sound, 0.1)
    assert stoi(sound, other, RATE) == pytest.approx(pystoi.stoi(sound, other, RATE), abs=1e-5)


def test_stoi_of_too_little_speech_is_no_number(pystoi):
    with pytest.raises(AudioError, match=r"too short: 0.300 s"):
        stoi(babble(0.3), babble(0.3), RATE)
    mostly_silent = np.concatenate([babble(0.3), 1e-4 * babble(1.0)])
    with pytest.raises(AudioError, match="of the original are speech"):
        stoi(mostly_silent, babble(1.3), RATE)
    with pytest.raises(AudioError, match="ms apart"):
        stoi(babble(1.0), babble(1.1), RATE)
    assert stoi(babble(1.0), np.zeros(RATE, np.float32), RATE) == pytest.approx(0, abs=1e-6)


def test_dnsmos_is_the_packages_and_falls_with_noise(speechmos):
    recordings = manifest.read(corpus("prompts") / "manifest.jsonl")
    sound = audio.read(next(r for r in recordings if r.split == "dev"), RATE)[:76800]
    clean, rough = dnsmos(sound, RATE), dnsmos(noisy(sound, 0.05), RATE)
    assert all(1 < rough[name] < clean[name] < 5 for name in DNSMOS)
    theirs = speechmos.run(np.clip(sound, -1, 1), RATE)
    assert list(clean.values()) == pytest.approx([theirs[f"{name[7:]}_mos"] for name in DNSMOS], abs=1e-4)


def test_dnsmos_takes_loud_sound_as_a_file_would_hold_it(speechmos):
    sound = 5 * babble(1.2)
    assert dnsmos(sound, RATE) == pytest.approx(dnsmos(np.clip(sound, -1, 1), RATE), abs=1e-4)


@pytest.mark.parametrize(
    ("sound", "said"),
    [(np.zeros(RATE, np.float32), "digital silence"), (babble(0.3), "too short"), (babble(0.3)[:0], "too short")],
)
def test_dnsmos_of_no_speech_is_no_number(speechmos, sound, said):
    scores = sound_scores(sound, RATE)
    assert scores.values == {}
    assert set(scores.skipped) == set(DNSMOS)
    assert all(said in why for why in scores.skipped.values())
    with pytest.raises(InputError, match="8000 Hz"):
        sound_scores(babble(1.0), 8000)


def test_what_cannot_be_measured_is_skipped_with_its_reason(pystoi):
    sound = babble(0.6)
    whole, cut, silent = (
        pair_scores(*pair, RATE) for pair in [(sound, sound), (sound, sound[:-1600]), (0 * sound, sound)]
    )
    assert set(whole.values) == PAIRED
    assert whole.skipped == {}
    assert set(cut.values) == {"mcd_db"}
    assert set(cut.skipped) == PAIRED - {"mcd_db"}
    assert all("100 ms apart" in why for why in cut.skipped.values())
    assert silent.values == {}
    found = summarize([whole, cut, silent], ["a", "b", "c"])
    assert set(found) == PAIRED
    assert found["mcd_db"].kept.tolist() == [0, 1]
    assert found["mcd_db"].mean.names == ("a", "b")
    assert list(found["mcd_db"].skipped) == [2]
    assert list(found["stoi"].skipped) == [1, 2]
    assert found["stoi"].mean.value == pytest.approx(1)
    nothing = summarize([cut, silent], ["b", "c"])["stoi"]
    assert nothing.mean is None
    assert len(nothing.values) == 0
    assert list(nothing.skipped) == [0, 1]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=8), st.randoms())
def test_a_mean_is_blind_to_order(values, random):
    scores = [Scores({"lsd_db": value}, {}) for value in values]
    names = [f"r{i}" for i in range(len(values))]
    found = summarize(scores, names)["lsd_db"]
    assert found.mean.value == pytest.approx(np.mean(values), abs=1e-9)
    order = random.sample(range(len(values)), len(values))
    again = summarize([scores[i] for i in order], [names[i] for i in order])["lsd_db"]
    np.testing.assert_allclose(again.mean.draws, found.mean.draws, atol=1e-9)


def test_a_name_for_every_recording():
    with pytest.raises(InputError, match="1 names for the scores of 2"):
        summarize([Scores({}, {})] * 2, ["a"])
    assert summarize([], []) == {}


@pytest.mark.parametrize("package", ["pystoi", "speechmos.dnsmos"])
def test_missing_packages_say_what_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    measure = stoi if package == "pystoi" else lambda sound, _, rate: dnsmos(sound, rate)
    with pytest.raises(InputError, match=r"pip install 'protophone\[mos\]'"):
        measure(babble(1.0), babble(1.0), RATE)


def test_every_measure_states_its_settings(pystoi, speechmos):
    stated = {name: protocol(name) for name in [*PAIRED, *DNSMOS]}
    assert all(settings["sample_rate"] == RATE and len(settings) > 1 for settings in stated.values())
    assert {name for names in quality.MEASURES for name in names} == PAIRED
    assert stated["dnsmos_sig"]["weights"] != stated["dnsmos_p808"]["weights"]
    with pytest.raises(InputError, match=r"pesq: no measure of quality; known are mcd_db, .*dnsmos_p808"):
        protocol("pesq")
