"""Spectral distances against loops over librosa's spectra, and what must hold of any distance."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import AudioError, InputError
from protophone.metrics.distortion import (
    _warp,
    aligned,
    log_spectral_distance,
    mel_cepstra,
    mel_cepstral_distortion,
    stft_distance,
)
from protophone.spectral import mel_power
from tests.conftest import babble

RATE = 16000
DISTANCES = [mel_cepstral_distortion, log_spectral_distance, lambda *pair: stft_distance(*pair).magnitude]


@pytest.fixture(scope="module")
def slow():
    pytest.importorskip("librosa", reason="librosa is not installed")
    from tests.reference import quality

    return quality


def test_mel_cepstral_distortion_is_that_of_the_formula(slow):
    one, other = babble(0.4, seed=1), babble(0.33, seed=2, pitch=180.0)
    assert mel_cepstral_distortion(one, other, RATE) == pytest.approx(
        slow.mel_cepstral_distortion(one, other), abs=1e-3
    )


def test_frame_by_frame_distances_are_those_of_the_formulas(slow):
    one, other = babble(0.5, seed=1), 0.2 * babble(0.5, seed=2, pitch=180.0)
    assert tuple(stft_distance(one, other, RATE)) == pytest.approx(slow.stft_distance(one, other), rel=1e-4)
    assert log_spectral_distance(one, other, RATE) == pytest.approx(slow.log_spectral_distance(one, other), rel=1e-4)


def test_pinned():
    one, other = babble(1.0, seed=1), babble(1.0, seed=2, pitch=180.0)
    assert mel_cepstral_distortion(one, other, RATE) == pytest.approx(7.144, abs=0.002)
    assert tuple(stft_distance(one, other, RATE)) == pytest.approx((1.2366, 1.4129), abs=0.001)
    assert log_spectral_distance(one, other, RATE) == pytest.approx(14.522, abs=0.002)


def test_cepstra_are_decibels_of_smooth_spectra(monkeypatch):
    """With every cepstrum, the distance of frames is the root mean square of the bands' decibels, levels apart."""
    monkeypatch.setattr("protophone.metrics.distortion.ORDER", 79)
    one, other = babble(0.3, seed=1), babble(0.3, seed=2)
    bands = mel_power(torch.from_numpy(np.stack([one, other])), RATE, 1024, 80, 400, 80).clamp_min(1e-10)
    apart = 10 * (bands[0].log10() - bands[1].log10())
    wanted = (apart - apart.mean(1, keepdim=True)).square().mean(1).sqrt()
    difference = mel_cepstra(one) - mel_cepstra(other)
    found = 10 / math.log(10) * np.sqrt(2 * np.square(difference).sum(1))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_zero_to_oneself_symmetric_and_grow_with_noise(distance):
    sound = babble(0.6)
    assert distance(sound, sound, RATE) == pytest.approx(0, abs=1e-6)
    noise = np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    found = [distance(sound, sound + level * noise, RATE) for level in (0.001, 0.01, 0.1)]
    assert found == sorted(found)
    assert found[0] > 0
    other = babble(0.6, seed=3)
    assert distance(sound, other, RATE) == pytest.approx(distance(other, sound, RATE), rel=1e-6)


def test_spectral_convergence_is_relative_to_the_original():
    sound = babble(0.6)
    assert stft_distance(sound, sound, RATE).convergence == 0
    assert stft_distance(sound, 3 * sound, RATE).convergence == pytest.approx(2, rel=1e-3)
    assert stft_distance(3 * sound, sound, RATE).convergence == pytest.approx(2 / 3, rel=1e-3)


def test_mel_cepstral_distortion_is_blind_to_level_and_the_others_are_not():
    sound, other = babble(0.6), babble(0.6, seed=1)
    assert mel_cepstral_distortion(sound, 0.3 * other, RATE) == pytest.approx(
        mel_cepstral_distortion(sound, other, RATE), rel=0.01
    )
    assert log_spectral_distance(sound, 0.1 * sound, RATE) == pytest.approx(20, rel=0.01)


def test_warping_follows_a_slower_voice():
    frames = np.random.default_rng(0).standard_normal((30, 24))
    slower = np.repeat(frames, 3, axis=0)
    assert _warp(frames, np.ascontiguousarray(slower.T)) == (0, 90)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9))
def test_the_path_is_the_cheapest_and_then_the_shortest(seed, n, m):
    # distances of 0 and 1 make many paths of one sum
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 2, (n, 1)).astype(float), rng.integers(0, 2, (m, 1)).astype(float)
    apart = np.abs(one - other.T)

    def best(i: int, j: int) -> tuple[float, int]:
        if i < 0 or j < 0:
            return (0.0, 0) if i == j == -1 else (math.inf, 0)
        total, steps = min(best(i - 1, j - 1), best(i - 1, j), best(i, j - 1))
        return total + apart[i, j], steps + 1

    if n * m <= 25:
        assert _warp(one, np.ascontiguousarray(other.T)) == best(n - 1, m - 1)
    assert _warp(one, np.ascontiguousarray(other.T)) == _warp(other, np.ascontiguousarray(one.T))


def test_lengths_that_nearly_match_are_cut_to_the_shorter():
    sound = babble(1.0)
    original, made = aligned(sound, sound[:-800], RATE)
    assert len(original) == len(made) == 15200
    assert log_spectral_distance(sound, sound[:-800], RATE) < 1e-6
    with pytest.raises(AudioError, match=r"1.000 and 0.950 s: lengths 50 ms apart"):
        aligned(sound, sound[:-801], RATE)
    assert mel_cepstral_distortion(sound, sound[: len(sound) // 2], RATE) > 0


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_silent_resynthesis_is_measured_and_a_silent_original_is_not(distance):
    sound = babble(0.5)
    found = distance(sound, np.zeros_like(sound), RATE)
    assert math.isfinite(found)
    assert found > distance(sound, sound + 0.01, RATE)
    with pytest.raises(AudioError, match="the original: digital silence"):
        distance(np.zeros_like(sound), sound, RATE)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(
    ("made", "rate", "said"),
    [
        (babble(0.5), 22050, "22050 Hz"),
        (np.full(8000, np.nan, np.float32), RATE, "finite"),
        (np.zeros((8000, 2), np.float32), RATE, r"\(8000, 2\)"),
        (np.zeros(8000, np.int16), RATE, "int16"),
    ],
)
def test_what_is_not_sound_at_16_khz_is_refused(distance, made, rate, said):
    with pytest.raises(InputError, match=said) as caught:
        distance(babble(0.5), made, rate)
    assert not isinstance(caught.value, AudioError)  # a fault of the call, not of one recording


@pytest.mark.parametrize("length", [0, 399])
def test_a_resynthesis_shorter_than_a_window_is_refused(length):
    with pytest.raises(AudioError, match="the resynthesis: too short"):
        mel_cepstral_distortion(babble(0.5), babble(0.5)[:length], RATE)
