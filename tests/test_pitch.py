"""The pitch tracker: tones whose pitch is known, what must not change it, and what Praat finds."""

import itertools
import sys

import numpy as np
import pytest
import torch

from protophone import audio, manifest
from protophone.config import dump, parse
from protophone.errors import AudioError, ConfigError, InputError
from protophone.features.contour import PitchBatch
from protophone.features.pitch import PitchConfig
from protophone.features.praat import PraatConfig
from protophone.types import AudioBatch, FrameGrid
from tests.conftest import babble, corpus

RATE = 16000
TRACKER = PitchConfig().build()


def tone(f0, rate=RATE, harmonics=20, seed=0):
    """A voice of harmonics below 45 % of the rate whose pitch is ``f0`` ``[sample]``, of random phases."""
    phase = 2 * np.pi * np.cumsum(f0) / rate
    rng = np.random.default_rng(seed)
    sound = np.zeros(len(f0))
    for k in range(1, harmonics + 1):
        if k * np.max(f0) < 0.45 * rate:
            sound += np.sin(k * phase + rng.uniform(0, 6)) / k
    return (0.4 * sound / np.abs(sound).max()).astype(np.float32)


def track(sound, tracker=TRACKER):
    return tracker.track(AudioBatch.from_arrays([sound], tracker.sample_rate))[0]


def agreement(ours, praat):
    """Share of frames whose voicing is the same; of frames voiced in both, the share whose pitch is within 5 %."""
    both = (ours > 0) & (praat > 0)
    return np.mean((ours > 0) == (praat > 0)), np.mean(np.abs(ours[both] / praat[both] - 1) < 0.05)


@pytest.mark.parametrize("f0", [61.0, 75.5, 100.0, 123.4, 200.0, 311.1, 440.0, 497.0])
def test_a_steady_tone_has_its_pitch(f0):
    found = track(tone(np.full(RATE, f0)))[6:-6]  # the windows of the rest reach beyond the sound
    assert np.abs(found / f0 - 1).max() < 3e-4  # half a cent


def test_a_missing_fundamental_is_heard():
    t = np.arange(RATE) / RATE
    sound = sum(np.sin(2 * np.pi * 150 * k * t + k) for k in (4, 5, 6, 7)).astype(np.float32)
    assert np.abs(track(sound)[6:-6] / 150 - 1).max() < 1e-3


@pytest.mark.parametrize(("start", "stop"), [(90, 260), (400, 110)])
def test_a_glide_is_followed(start, stop):
    f0 = np.geomspace(start, stop, 2 * RATE)
    found = track(tone(f0, harmonics=8))
    assert np.abs(found[6:-6] / f0[::80][6:-6] - 1).max() < 0.01


def test_noise_15_db_below_moves_pitch_by_little():
    sound = tone(np.full(2 * RATE, 130.0))
    noise = np.random.default_rng(0).standard_normal(len(sound)) * sound.std() * 10 ** (-15 / 20)
    found = track((sound + noise).astype(np.float32))
    assert (found > 0).mean() > 0.99
    assert np.abs(found[found > 0] / 130 - 1).max() < 0.02


def test_noise_alone_has_hardly_any_pitch():
    noise = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32)
    assert (track(0.1 * noise) > 0).mean() < 0.02


def test_voice_begins_and_ends_where_it_does():
    """0.5 s of tone between noise 50 dB below it: frames on either side, 15 ms aside, are told apart."""
    sound = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32) * 1e-3
    sound[8000:16000] += tone(np.full(8000, 180.0))
    voiced = track(sound) > 0
    assert voiced[103:197].all()
    assert not voiced[:94].any()
    assert not voiced[206:].any()


@pytest.mark.parametrize("rate", [4000, 8000, 22050, 48000])
def test_other_rates(rate):
    tracker = PitchConfig(sample_rate=rate, hop=rate // 200).build()
    found = track(tone(np.full(rate, 143.0), rate), tracker)
    assert len(found) == tracker.grid.num_frames(rate)
    assert np.abs(found[6:-6] / 143 - 1).max() < 1e-3


def test_a_row_gives_in_a_batch_what_it_gives_alone():
    sounds = [babble(seconds, seed, pitch=90.0 + 40 * seed) for seed, seconds in enumerate((1.3, 0.3777, 0.02, 2.0))]
    batch = AudioBatch.from_arrays(sounds, RATE)
    batch.samples[1, len(sounds[1]) :] = 0.9  # padding is not looked at
    made = TRACKER.track(batch)
    assert made.f0_hz.dtype == torch.float32
    assert made.grid == FrameGrid(RATE, 80)
    assert torch.equal(made.voiced, made.f0_hz > 0)
    for index, sound in enumerate(sounds):
        np.testing.assert_array_equal(made[index], track(sound))
        assert not made.f0_hz[index, int(made.lengths[index]) :].any()


@pytest.mark.parametrize("factor", [2.0**-20, 0.25, 0.1, 3.0])
def test_loudness_changes_nothing(factor):
    sound = babble(1.0, 2)
    np.testing.assert_allclose(track(factor * sound), track(sound), rtol=1e-4)


def test_an_offset_changes_nothing():
    sound = babble(1.0, 4)
    ours = track(sound + np.float32(0.2))
    assert (np.abs(ours - track(sound)) < 0.1).mean() > 0.99  # frames at the ends see the step


@pytest.mark.parametrize("size", [0, 1, 79, 80, 81, 400, 798, 799, 801])
def test_short_recordings_have_their_frames(size):
    found = track(tone(np.full(RATE, 200.0))[:size])
    assert len(found) == -(-size // 80)
    assert size > 798 or not found.any()


@pytest.mark.parametrize("level", [0.0, 0.3, -1.0])
def test_silence_has_no_pitch(level):
    assert not track(np.full(RATE, level, np.float32)).any()


def test_an_empty_batch():
    made = TRACKER.track(AudioBatch.from_arrays([], RATE))
    assert made.f0_hz.shape == (0, 0)


def test_blocks_are_not_heard(monkeypatch):
    """However many frames are worked on at once."""
    sound = babble(1.0, 5)
    whole = track(sound)
    monkeypatch.setattr("protophone.features.pitch._BLOCK", 1)
    np.testing.assert_allclose(track(sound), whole, rtol=1e-5)


def test_the_best_path_is_that_of_trying_all():
    from protophone.features.pitch import _best_path

    rng = np.random.default_rng(0)
    for _ in range(40):
        counts = rng.integers(0, 4, 6)
        f0, strength = rng.uniform([[60], [0]], [[500], [1]], (2, counts.sum())).astype(np.float32)
        unvoiced = rng.uniform(0.3, 0.8, 6).astype(np.float32)
        jump, voicing = rng.uniform(0, 0.7, 2)
        rows = np.split(np.arange(counts.sum()), np.cumsum(counts)[:-1])
        best = {}
        for path in itertools.product(*([-1, *row] for row in rows)):
            total = sum(unvoiced[t] if c < 0 else strength[c] for t, c in enumerate(path))
            for one, other in itertools.pairwise(path):
                if one >= 0 and other >= 0:
                    total -= jump * abs(np.log2(f0[one] / f0[other]))
                elif (one < 0) != (other < 0):
                    total -= voicing
            best[path] = total
        wanted = [0 if c < 0 else f0[c] for c in max(best, key=best.get)]
        found = _best_path(np.cumsum(counts), unvoiced, f0, strength, jump, voicing)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_faults_are_named():
    with pytest.raises(AudioError, match="8000 Hz"):
        TRACKER.track(AudioBatch.from_arrays([babble(0.1)], 8000))
    with pytest.raises(AudioError, match="row 1 .* not finite"):
        TRACKER.track(AudioBatch.from_arrays([babble(0.1), np.full(900, np.nan)], RATE))
    for wrong in (
        {"floor_hz": 500.0},
        {"ceiling_hz": 2100.0},
        {"floor_hz": 0.5},
        {"sample_rate": 4000, "ceiling_hz": 1100.0},
    ):
        with pytest.raises(ConfigError, match="the floor must lie below"):
            PitchConfig(**wrong)
    with pytest.raises(ConfigError, match="the floor must lie below"):
        PraatConfig(ceiling_hz=9000.0)
    with pytest.raises(ValueError, match="a length for each row"):
        PitchBatch(torch.zeros(2, 3), torch.tensor([3, 4]), TRACKER.grid)


@pytest.mark.parametrize("config", [PitchConfig(floor_hz=75.0), PraatConfig(ceiling_hz=600.0)])
def test_configs_survive_being_written(config):
    assert parse(type(config), dump(config)) == config


def test_without_parselmouth_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "parselmouth", None)
    with pytest.raises(InputError, match=r"pip install 'protophone\[praat\]'"):
        PraatConfig().build()


@pytest.fixture(scope="module")
def praat():
    pytest.importorskip("parselmouth", reason="Praat's pitch needs parselmouth")
    return PraatConfig().build()


class TestPraat:
    """Beside Praat itself."""

    def test_its_frames_lie_where_ours_do(self, praat):
        """A glide gives the time away: half a hop of delay would show as 0.2 %."""
        f0 = np.geomspace(100, 200, RATE)
        found = track(tone(f0, harmonics=8), praat)
        assert len(found) == 200
        assert not found[:5].any()
        assert np.abs(found[6:-6] / f0[::80][6:-6] - 1).max() < 0.003
        assert praat.settings["praat"]

    def test_frames_are_the_nearest_of_its_own(self, praat):
        import parselmouth

        sound = babble(1.0, 3)[:15983]
        own = parselmouth.Sound(sound.astype(np.float64), RATE).to_pitch_ac(
            time_step=0.005, pitch_floor=60.0, pitch_ceiling=500.0
        )
        for t, f0 in enumerate(track(sound, praat)):
            apart = np.abs(own.xs() - (80 * t + 0.5) / RATE)
            wanted = own.selected_array["frequency"][apart.argmin()] if apart.min() <= 0.0025 else 0
            assert f0 == pytest.approx(wanted, rel=1e-6)

    @pytest.mark.parametrize("size", [0, 1, 799, 800, 801])
    def test_short_and_silent_recordings(self, praat, size):
        assert len(track(babble(1.0)[:size], praat)) == -(-size // 80)
        assert not track(np.zeros(size, np.float32), praat).any()

    def test_ours_agrees_on_vowels(self, praat):
        sound = np.concatenate([babble(1.5, seed, pitch=80.0 + 60 * seed) for seed in range(4)])
        ours, theirs = track(sound), track(sound, praat)
        voicing, pitch = agreement(ours[6:-6], theirs[6:-6])
        assert voicing > 0.98
        assert pitch > 0.99

    @pytest.mark.parametrize("name", ["prompts", "mboshi"])
    def test_ours_agrees_on_recordings(self, praat, name):
        recordings = [each for each in manifest.read(corpus(name) / "manifest.jsonl") if each.split == "dev"]
        sounds = [audio.read(recording) for recording in recordings[::20]]
        ours, theirs = (np.concatenate([track(sound, one) for sound in sounds]) for one in (TRACKER, praat))
        voicing, pitch = agreement(ours, theirs)
        assert voicing > 0.98
        assert pitch > 0.99


def test_long_recordings_are_tracked_minute_by_minute(monkeypatch):
    monkeypatch.setattr("protophone.features.pitch._WINDOW", 400)
    monkeypatch.setattr("protophone.features.pitch._MARGIN", 40)
    tracker = PitchConfig().build()
    sound = babble(7.013, seed=3)
    whole = tracker.track(AudioBatch.from_arrays([sound], 16000))
    assert whole.f0_hz.shape[1] == tracker.grid.num_frames(len(sound))
    for size in (997, 16000, 60_000, len(sound)):
        blocks = (sound[at : at + size] for at in range(0, len(sound), size))
        assert torch.equal(tracker.track_blocks(blocks).f0_hz, whole.f0_hz)
    monkeypatch.undo()
    unbroken = tracker.track(AudioBatch.from_arrays([sound], 16000))
    assert float((whole.f0_hz - unbroken.f0_hz).abs().gt(1).float().mean()) < 0.02
