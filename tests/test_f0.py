"""Pitch errors: beside a loop over frames, by hand, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import InputError
from protophone.metrics.f0 import (
    f0_correlation,
    f0_frame_error,
    f0_scores,
    gross_pitch_error,
    rmse_cents,
    rmse_hz,
    voicing_decision_error,
)
from protophone.metrics.interval import difference
from tests.reference import f0 as oracle

MEASURES = ("gpe", "vde", "ffe", "rmse_hz", "rmse_cents", "correlation", "contour_correlation")
TRACKS = st.lists(
    st.lists(st.tuples(st.sampled_from([0, 0, 1]), st.floats(60, 500), st.floats(0.5, 2)), min_size=1, max_size=30),
    min_size=1,
    max_size=6,
)


def track(rng, frames, mean=150.0):
    """A pitch that wanders, with pauses."""
    f0 = mean * np.exp(np.cumsum(rng.normal(0, 0.01, frames)))
    return np.where(np.sin(np.arange(frames) / 9 + rng.uniform(0, 6)) > -0.3, f0, 0).astype(np.float32)


def pairs(seed=0, recordings=7):
    """Tracks of recordings, and noisy copies: octave errors, lost and invented voicing."""
    rng = np.random.default_rng(seed)
    references = [track(rng, int(rng.integers(40, 200)), rng.choice([100.0, 220.0])) for _ in range(recordings)]
    estimates = []
    for reference in references:
        estimate = reference * np.exp(rng.normal(0, 0.02, len(reference)))
        estimate *= rng.choice([1, 1, 1, 1, 1, 0.5, 2], len(reference))
        estimates.append(np.where(rng.random(len(reference)) < 0.1, np.where(estimate > 0, 0, 130), estimate))
    return references, estimates, [f"r{n}" for n in range(recordings)]


def values(scores):
    return {name: getattr(scores, name) and getattr(scores, name).value for name in MEASURES}


@pytest.mark.parametrize("seed", range(4))
def test_measures_are_those_of_a_loop_over_frames(seed):
    references, estimates, names = pairs(seed)
    both = list(zip(references, estimates, strict=True))
    wanted = oracle.errors(both) | {
        "correlation": oracle.correlation(both, contour=False),
        "contour_correlation": oracle.correlation(both, contour=True),
    }
    scores = f0_scores(references, estimates, names)
    assert values(scores) == pytest.approx(wanted, rel=1e-9)
    assert scores.frames == sum(map(len, references))
    for name in MEASURES:
        low, high = getattr(scores, name).interval
        assert low < wanted[name] < high


def test_one_recording_alone():
    references, estimates, _ = pairs(3)
    pair = references[0], estimates[0]
    wanted = oracle.errors([pair])
    assert gross_pitch_error(*pair) == pytest.approx(wanted["gpe"])
    assert voicing_decision_error(*pair) == pytest.approx(wanted["vde"])
    assert f0_frame_error(*pair) == pytest.approx(wanted["ffe"])
    assert rmse_hz(*pair) == pytest.approx(wanted["rmse_hz"])
    assert rmse_cents(*pair) == pytest.approx(wanted["rmse_cents"])
    assert f0_correlation(*pair) == pytest.approx(oracle.correlation([pair], contour=False))


def test_by_hand():
    """Ten frames: five voiced in both, one of them an octave too high and one just at 20 %; two voicing errors."""
    reference = np.array([0, 100, 100, 200, 200, 100, 150, 0, 0, 0.0])
    estimate = np.array([0, 100, 120, 400, 200, 100, 0, 90, 0, 0.0])
    assert gross_pitch_error(reference, estimate) == 1 / 5
    assert voicing_decision_error(reference, estimate) == 2 / 10
    assert f0_frame_error(reference, estimate) == 3 / 10
    assert rmse_hz(reference, estimate) == pytest.approx(np.sqrt((20**2 + 200**2) / 5))
    assert rmse_cents(reference, estimate) == pytest.approx(np.sqrt((1200**2 + 315.641287**2) / 5))


def test_frames_are_pooled_not_recordings():
    long, short = np.full(90, 100.0), np.full(10, 100.0)
    scores = f0_scores([long, short], [long, np.zeros(10)], ["a", "b"])
    assert scores.vde.value == 0.1
    assert (scores.without_pitch, scores.voiced_in_both) == (1, 90)


def test_voices_of_two_heights_correlate_though_no_contour_does():
    rng = np.random.default_rng(0)
    heights = np.repeat([100.0, 200.0], 20)
    references = [height * np.exp(rng.normal(0, 0.05, 100)) for height in heights]
    estimates = [height * np.exp(rng.normal(0, 0.05, 100)) for height in heights]
    scores = f0_scores(references, estimates, [str(n) for n in range(40)])
    assert scores.correlation.value > 0.95
    assert abs(scores.contour_correlation.value) < 0.05


def test_what_cannot_be_computed_is_left_out_and_counted():
    reference = track(np.random.default_rng(0), 100)
    whispered = f0_scores([reference], [np.zeros(100)], ["a"])
    assert whispered.vde.value == whispered.ffe.value == np.mean(reference > 0)
    assert [name for name in MEASURES if getattr(whispered, name) is None] == [
        "gpe",
        "rmse_hz",
        "rmse_cents",
        "correlation",
        "contour_correlation",
    ]
    flat = f0_scores([reference], [np.where(reference > 0, 131.7, 0)], ["a"])
    assert flat.correlation is None
    assert flat.contour_correlation is None
    assert flat.vde.value == 0
    heights = f0_scores([np.full(9, 100.0), np.full(9, 200.0)], [np.full(9, 101.0), np.full(9, 190.0)], ["a", "b"])
    assert heights.correlation.value == pytest.approx(1)
    assert heights.contour_correlation is None


def test_up_to_two_frames_more_are_cut():
    reference = track(np.random.default_rng(0), 100)
    scores = f0_scores([reference, reference[:98]], [reference[:99], reference], ["a", "b"])
    assert scores.ffe.value == 0
    assert (scores.cut_frames, scores.frames) == (3, 197)
    with pytest.raises(InputError, match="b: tracks of 97 and 100 frames"):
        f0_scores([reference, reference[:97]], [reference, reference], ["a", "b"])


def test_faults_are_named():
    with pytest.raises(InputError, match="1 reference tracks, 2 estimates"):
        f0_scores([np.ones(3)], [np.ones(3)] * 2, ["a"])
    for wrong in (np.array([1.0, np.nan]), np.array([1.0, -1.0]), np.ones((2, 1)), np.array([np.inf, 1])):
        with pytest.raises(InputError, match="a: a pitch track"):
            f0_scores([np.ones(2)], [wrong], ["a"])
    for references in ([], [np.zeros(0)]):
        with pytest.raises(InputError, match="without a frame"):
            f0_scores(references, references, ["a"][: len(references)])
    with pytest.raises(InputError, match="without a frame"):
        voicing_decision_error(np.zeros(0), np.zeros(0))
    with pytest.raises(InputError, match="no frame of 5 is voiced in both"):
        gross_pitch_error(np.zeros(5), np.ones(5))
    with pytest.raises(InputError, match="stays the same over 5"):
        f0_correlation(np.full(5, 123.4), np.arange(1.0, 6))


@settings(max_examples=60, deadline=None)
@given(TRACKS)
def test_a_track_has_no_error_to_itself(rows):
    tracks = [np.array([voiced * hz for voiced, hz, _ in row]) for row in rows]
    scores = f0_scores(tracks, tracks, [str(n) for n in range(len(tracks))], draws=10)
    assert scores.vde.value == scores.ffe.value == 0
    if scores.voiced_in_both:
        assert scores.gpe.value == scores.rmse_hz.value == scores.rmse_cents.value == 0
    for correlation in (scores.correlation, scores.contour_correlation):
        assert correlation is None or correlation.value == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(TRACKS, st.randoms(use_true_random=False))
def test_order_and_units_change_nothing(rows, random):
    references = [np.array([voiced * hz for voiced, hz, _ in row]) for row in rows]
    estimates = [
        np.array([(1 - voiced * (n % 5 == 0)) * hz * off for n, (voiced, hz, off) in enumerate(row)]) for row in rows
    ]
    names = [str(n) for n in range(len(rows))]
    scores = f0_scores(references, estimates, names, draws=20)
    order = random.sample(range(len(rows)), len(rows))
    shuffled = f0_scores(*([column[n] for n in order] for column in (references, estimates, names)), draws=20)
    octave_up = f0_scores([2 * r for r in references], [2 * e for e in estimates], names, draws=20)
    for name in MEASURES:
        one = getattr(scores, name)
        for other, factor in ((getattr(shuffled, name), 1), (getattr(octave_up, name), 2 if name == "rmse_hz" else 1)):
            assert (one is None) == (other is None)
            if one is not None:
                assert np.isfinite(one.draws).all()
                assert other.draws == pytest.approx(factor * one.draws, rel=1e-6, abs=1e-9)
    assert scores.ffe.value >= scores.vde.value


@settings(max_examples=30, deadline=None)
@given(TRACKS)
def test_voicing_error_and_cents_are_symmetric(rows):
    references = [np.array([voiced * hz for voiced, hz, _ in row]) for row in rows]
    estimates = [np.array([hz * off for _, hz, off in row]) for row in rows]
    names = [str(n) for n in range(len(rows))]
    one, other = f0_scores(references, estimates, names, draws=5), f0_scores(estimates, references, names, draws=5)
    for name in ("vde", "rmse_hz", "rmse_cents", "correlation"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        assert a is None or a.value == pytest.approx(b.value)


def test_two_systems_are_paired():
    references, estimates, names = pairs(1)
    worse = [np.where(np.arange(len(e)) % 9 == 0, 0, e) for e in estimates]
    low, high = difference(
        f0_scores(references, worse, names).vde, f0_scores(references, estimates, names).vde
    ).interval
    assert 0 < low < high
