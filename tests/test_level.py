"""Speech level: it follows the gain and nothing else, and a bundle's units do not follow it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone import audio
from protophone.level import SPEECH_LEVEL, speech_gain, speech_level
from protophone.model import load
from protophone.types import Recording
from tests.conftest import babble, corpus

RATES = (8000, 16000, 22050, 44100)
GAINS = (-40.0, -26.0, -12.0, -6.0, 6.0)


def spoken(seed: int, sample_rate: int = 16000) -> np.ndarray:
    """Two stretches of babble with a soft noise around them: float32 ``[sample]``."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1e-4, 4 * sample_rate)
    for start in (0.5, 2.2):
        first = int(start * sample_rate)
        part = babble(1.2, seed=seed + int(start), sample_rate=sample_rate)
        noise[first : first + len(part)] += 0.1 * part / np.abs(part).max()
    return noise.astype(np.float32)


def amplified(sound: np.ndarray, gain: float) -> np.ndarray:
    return (sound * 10 ** (gain / 20)).astype(np.float32)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 5), st.sampled_from(RATES), st.floats(-40, 6))
def test_level_follows_the_gain(seed, rate, gain):
    sound = spoken(seed, rate)
    level = speech_level([sound], rate)
    assert speech_level([amplified(sound, gain)], rate) == pytest.approx(level + gain, abs=0.05)
    assert speech_level([sound * speech_gain([sound], rate, -20.0)], rate) == pytest.approx(-20.0, abs=0.05)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 30000), min_size=1, max_size=8))
def test_level_does_not_depend_on_the_blocks(sizes):
    sound = spoken(1)
    cuts = np.cumsum(sizes)
    assert speech_level(np.split(sound, cuts[cuts < len(sound)]), 16000) == speech_level([sound], 16000)


def test_pauses_and_single_loud_sounds_leave_the_level():
    sound, rng = spoken(2), np.random.default_rng(0)
    level = speech_level([sound], 16000)
    quiet = rng.normal(0, 1e-4, 60 * 16000).astype(np.float32)
    assert speech_level([quiet, sound, quiet], 16000) == pytest.approx(level, abs=1.5)
    slammed = sound.copy()
    slammed[30000:31600] += rng.normal(0, 0.3, 1600).astype(np.float32)  # 100 ms, 20 dB above the speech
    assert speech_level([slammed], 16000) == pytest.approx(level, abs=2.0)


@pytest.mark.parametrize(
    "sound", [np.zeros(16000), np.zeros(0), np.ones(100), 0.1 * np.random.default_rng(0).standard_normal(32000)]
)
def test_sound_without_speech_has_no_level(sound):
    sound = sound.astype(np.float32)
    assert speech_level([sound], 16000) is None
    assert speech_gain([sound], 16000, SPEECH_LEVEL) == 1


@pytest.mark.parametrize("gain", GAINS)
def test_shipped_units_do_not_follow_the_level(gain):
    """Of 16-bit files as they are written: rounded and clipped."""
    folder = corpus("prompts")
    model = load()
    changed = []
    for name in ("en-agent-pass", "fr-transfer", "ru-agent-pass"):
        path = next(folder.glob(f"*/*/*{name.split('-', 1)[1]}*"), None) or next(folder.rglob("*.flac"))
        sound = audio.read(path)
        levels = np.clip(np.rint(amplified(sound, gain) * 2**15), -(2**15), 2**15 - 1)
        units, other = (model.encode(each).content.codes for each in (sound, (levels / 2**15).astype(np.float32)))
        changed.append(float((units != other).float().mean()))
    assert np.mean(changed) < 0.25, changed


def test_a_long_file_is_brought_to_the_same_level(tmp_path):
    model = load()
    sound = np.tile(spoken(3), 16)  # above a minute: encoded in blocks
    audio.write(tmp_path / "a.wav", amplified(sound, -20), 16000)
    audio.write(tmp_path / "b.wav", amplified(sound, -6), 16000)
    one, other = (model.encode(Recording(id=name, path=tmp_path / name)).content.codes for name in ("a.wav", "b.wav"))
    assert float((one != other).float().mean()) < 0.05
