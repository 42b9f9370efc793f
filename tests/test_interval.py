"""Intervals: how often they hold the truth, that systems on the same recordings are paired, what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from protophone.errors import InputError
from protophone.metrics.interval import (
    DRAWS,
    LEAST_PAIRED,
    LEAST_SPEAKERS,
    Estimate,
    difference,
    estimate,
    ratio,
    speakers_of,
    weights_of,
)


def named(count):
    return [f"r{number}" for number in range(count)]


def mean(values, names=None, **options):
    return estimate(ratio(values, np.ones(len(values))), names or named(len(values)), **options)


def test_weights_are_of_the_name_and_the_seed_alone():
    weights = weights_of(["a", "b", "a", "c"])
    assert weights.shape == (DRAWS, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights_of(["c", "x", "a"])[:, [2, 0]], weights[:, [0, 3]])
    assert not np.array_equal(weights_of(["a"], seed=1)[:, 0], weights[:, 0])
    assert weights.min() > 0
    # the same on every machine and in every version, or figures kept on disk would no longer be paired
    assert weights[:3, 0] == pytest.approx([1.11243985, 0.13305949, 0.95717211], abs=5e-9)
    assert weights_of([]).shape == (DRAWS, 0)


def test_weights_are_exponential_and_independent():
    weights = weights_of(named(200))
    assert stats.kstest(weights.ravel(), "expon").pvalue > 1e-3
    apart = np.corrcoef(weights.T)[np.triu_indices(200, 1)]
    assert abs(apart.mean()) < 0.003
    assert apart.std() == pytest.approx(DRAWS**-0.5, rel=0.05)


def test_a_ratio_is_the_pooled_rate_in_every_draw():
    errors, words = np.array([1.0, 0, 4]), np.array([10.0, 5, 8])
    found = estimate(ratio(errors, words), ["a", "b", "c"])
    assert found.value == pytest.approx(5 / 23)
    for draw, (a, b, c) in zip(found.draws[:20], weights_of(["a", "b", "c"])[:20], strict=True):
        assert draw == pytest.approx((a + 4 * c) / (10 * a + 5 * b + 8 * c))
    low, high = found.interval
    assert (found.draws < low).sum() in {24, 25}
    assert (found.draws > high).sum() in {24, 25}


def test_intervals_hold_the_truth_about_95_times_of_a_hundred():
    rng, covered, runs = np.random.default_rng(1), 0, 300
    for _ in range(runs):
        words = rng.integers(3, 30, 60)
        errors = rng.binomial(words, rng.beta(2, 8, 60))  # recordings differ in how hard they are: the rate is 0.2
        low, high = estimate(ratio(errors, words), named(60), draws=400).interval
        covered += low <= 0.2 <= high
    assert 0.90 <= covered / runs <= 0.99


def test_the_order_of_recordings_changes_nothing():
    rng = np.random.default_rng(0)
    over, under, names = rng.random(30), rng.random(30) + 1, named(30)
    order = rng.permutation(30)
    one = estimate(ratio(over, under), names)
    other = estimate(ratio(over[order], under[order]), [names[index] for index in order])
    assert other.value == pytest.approx(one.value, rel=1e-12)
    np.testing.assert_allclose(other.draws, one.draws, rtol=1e-12)


def test_over_speakers_all_that_one_said_weighs_alike():
    rng = np.random.default_rng(0)
    over, under = rng.random(50), rng.random(50) + 1
    who = [f"s{index % 25}" for index in range(50)]
    by_recording = estimate(ratio(over, under), speakers_of(who))
    added = [np.bincount(np.arange(50) % 25, values) for values in (over, under)]
    by_speaker = estimate(ratio(*added), named(25) and [f"s{index}" for index in range(25)])
    np.testing.assert_allclose(by_recording.draws, by_speaker.draws, rtol=1e-12)
    assert by_recording.names == by_speaker.names


def test_few_speakers_are_refused():
    assert speakers_of(named(LEAST_SPEAKERS)) == named(LEAST_SPEAKERS)
    with pytest.raises(InputError, match="19 speakers: an interval over speakers needs 20"):
        speakers_of(named(LEAST_SPEAKERS - 1) * 5)


def test_what_is_no_number_is_refused():
    with pytest.raises(InputError, match="no recordings"):
        mean(np.array([]), [])
    with pytest.raises(InputError, match="2 recordings is no number"):
        estimate(ratio(np.zeros(2), np.zeros(2)), ["a", "b"])
    with pytest.raises(InputError, match="no number in 1 of 1000 draws"):
        estimate(lambda weights: np.where(np.arange(len(weights)) == 3, np.nan, 1.0), ["a"])
    for shapes in ((3, 2), ((2, 2), (2, 2))):
        with pytest.raises(InputError, match="one number a recording"):
            ratio(*map(np.ones, shapes))


def test_a_system_differs_from_itself_by_exactly_nothing():
    rng = np.random.default_rng(0)
    values = rng.random(20)
    found = difference(mean(values), mean(values.copy()))
    assert (found.value, found.interval) == (0, (0, 0))
    assert not found.draws.any()


def test_pairing_makes_intervals_of_systems_that_are_alike_narrow():
    rng = np.random.default_rng(0)
    hard = rng.normal(0.3, 0.1, 50)
    one, other = hard + rng.normal(0, 0.01, 50), hard + rng.normal(0, 0.01, 50)
    paired = difference(mean(one), mean(other))
    unpaired = difference(mean(one), mean(other, seed=1))
    assert np.ptp(paired.interval) < np.ptp(unpaired.interval) / 4


def test_of_even_differences_the_interval_is_student_s():
    """Few recordings without outliers: the textbook's interval is right there."""
    rng = np.random.default_rng(0)
    for count in (6, 12, 40):
        widths = []
        for _ in range(30):
            apart = rng.normal(0, 1, count)
            expected = stats.t.ppf(0.975, count - 1) * apart.std(ddof=1) / np.sqrt(count)
            found = difference(mean(apart), mean(np.zeros(count)))
            low, high = found.interval
            assert (low + high) / 2 == pytest.approx(found.value)
            widths.append((high - low) / 2 / expected)
        assert np.mean(widths) == pytest.approx(1.05, abs=0.09)


@pytest.mark.parametrize("kind", ["common", "rare"])
def test_equal_systems_are_seldom_called_different(kind):
    """Differences on few recordings of many are those that positive weights would always call real."""
    rng, names, runs = np.random.default_rng(0), named(30), 300
    weights = weights_of(names)
    real = 0
    for _ in range(runs):
        apart = rng.normal(0, 1, 30) if kind == "common" else rng.choice([-1.0, 0, 1], 30, p=[0.03, 0.94, 0.03])
        zero = Estimate(0.0, np.zeros(DRAWS), tuple(names))
        low, high = difference(Estimate(apart.mean(), weights @ apart / weights.sum(1), tuple(names)), zero).interval
        real += low > 0 or high < 0
    assert real / runs <= 0.08
    if kind == "common":
        assert real / runs >= 0.015


def test_it_takes_six_recordings_that_differ_alike_as_in_a_sign_test():
    for count, real in ((1, False), (4, False), (5, False), (7, True), (12, True)):
        better = np.zeros(100)
        better[:count] = -1
        low, high = difference(mean(better), mean(np.zeros(100))).interval
        assert (high < 0) == real, count
        assert low < 0


def test_figures_that_cannot_be_compared_are_refused():
    one = mean(np.arange(8.0))
    with pytest.raises(InputError, match="8 and 9 recordings that are not the same"):
        difference(one, mean(np.arange(9.0)))
    with pytest.raises(InputError, match="not the same"):
        difference(one, mean(np.arange(8.0), [f"x{name}" for name in named(8)]))
    with pytest.raises(InputError, match="not the same"):
        difference(one, mean(np.arange(8.0), draws=10))
    few = mean(np.arange(LEAST_PAIRED - 1.0))
    with pytest.raises(InputError, match="figures on 5 recordings: whether a difference is real takes 6"):
        difference(few, few)


COUNTS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=6, max_size=15)


@settings(max_examples=30, deadline=None)
@given(COUNTS, COUNTS, st.floats(0.1, 100))
def test_properties(one, other, scale):
    names = named(min(len(one), len(other)))
    (a, b), (c, d) = (np.array(rows[: len(names)], float).T for rows in (one, other))
    first, second = estimate(ratio(a, b), names, draws=40), estimate(ratio(c, d), names, draws=40)
    assert (first.draws >= (a / b).min() - 1e-9).all()
    assert (first.draws <= (a / b).max() + 1e-9).all()
    np.testing.assert_allclose(estimate(ratio(scale * a, b), names, draws=40).draws, scale * first.draws)
    apart, back = difference(first, second), difference(second, first)
    assert apart.value == -back.value
    assert apart.interval == pytest.approx(tuple(-bound for bound in reversed(back.interval)))
    low, high = apart.interval
    inner = Estimate(apart.value, apart.draws, apart.names).interval
    assert low <= inner[0] + 1e-12
    assert high >= inner[1] - 1e-12
