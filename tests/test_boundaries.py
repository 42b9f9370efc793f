import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import InputError
from protophone.metrics.boundaries import boundary_fit, matches, phone_boundaries, r_value, unit_boundaries
from protophone.metrics.interval import weights_of
from tests.reference import boundaries as slow

SEGMENTS = [
    (0.0, 0.3, "SIL"),
    (0.3, 0.4, "a"),
    (0.4, 0.55, "b"),
    (0.55, 0.7, "SPN"),
    (0.7, 0.8, "SIL"),
    (0.8, 1.0, "c"),
]
times = st.lists(st.integers(0, 60), unique=True, max_size=14).map(lambda found: np.sort(np.array(found, float)) / 200)


def test_boundaries_of_units_lie_midway():
    codes = np.array([4, 4, 1, 1, 4])
    centres = 0.015 + 0.04 * np.arange(5)
    np.testing.assert_allclose(unit_boundaries(codes, centres), [0.075, 0.155])
    pairs = np.array([[0, 0], [0, 1], [0, 1], [2, 1]])
    np.testing.assert_allclose(unit_boundaries(pairs, centres[:4]), [0.035, 0.115])
    assert len(unit_boundaries(np.array([], int), np.array([]))) == 0


def test_boundaries_of_phones():
    # not the ends, nor SPN|SIL
    np.testing.assert_allclose(phone_boundaries(SEGMENTS), [0.3, 0.4, 0.55, 0.8])
    np.testing.assert_allclose(phone_boundaries(SEGMENTS, ignore=()), [0.3, 0.4, 0.55, 0.7, 0.8])
    # both ends of a gap; one where decimals leave a difference, and where rounding leaves a millisecond
    gaps = [(0.1, 0.2, "a"), (0.3, 0.3 + 0.03, "b"), (0.33, 0.4, "c"), (0.4005, 0.5, "d")]
    np.testing.assert_allclose(phone_boundaries(gaps), [0.2, 0.3, 0.33, 0.4])
    assert len(phone_boundaries([])) == len(phone_boundaries([(0.0, 1.0, "a")])) == 0


@settings(max_examples=200, deadline=None)
@given(times, times, st.sampled_from([0.0, 0.01, 0.02, 0.05]))
def test_as_many_pairs_as_there_can_be(one, other, tolerance):
    found = matches(one, other, tolerance)
    assert found == slow.matches(one.tolist(), other.tolist(), tolerance)
    assert found == matches(other, one, tolerance)
    assert matches(one, one, tolerance) == len(one)
    assert found <= matches(one, other, 2 * tolerance) <= min(len(one), len(other))


def test_no_boundary_is_credited_twice():
    assert matches(np.array([0.09, 0.1, 0.11]), np.array([0.1])) == 1
    assert matches(np.array([0.35]), np.array([0.33])) == 1  # 0.35 - 0.33 is a little more than 0.02
    assert matches(np.array([0.351]), np.array([0.33])) == 0


def test_r_value_as_published():
    assert r_value(np.array(1.0), np.array(0.0)) == 1
    for hits, found, there in ((40, 50, 60), (55, 120, 60), (0, 10, 60), (60, 60, 60)):
        here = r_value(np.array(hits / there), np.array(found / there - 1))
        assert here == pytest.approx(slow.r_value(hits, found, there))
    # the paper's point: at an F1 that hardly falls, boundaries thrown in at random are paid for
    assert r_value(np.array(1.0), np.array(1.0)) == pytest.approx(1 - (1 + 1 / np.sqrt(2)) / 2)


def fit(hits, **options):
    """One recording of frames of 10 ms whose unit changes at ``hits`` seconds."""
    centres = 0.005 + 0.01 * np.arange(100)
    codes = np.searchsorted(np.sort(hits), centres)
    return boundary_fit([codes], [centres], [SEGMENTS], ["r"], draws=5, **options)


def test_perfect_units():
    found = fit([0.3, 0.4, 0.55, 0.8])
    assert found.precision.value == found.recall.value == found.f1.value == found.r_value.value == 1
    assert found.over_segmentation.value == 0
    assert (found.units, found.phones, found.matched, found.left_out) == (4, 4, 4, 0)
    assert (found.recordings, found.without, found.tolerance, found.ignored) == (1, 0, 0.02, ("SIL", "SPN"))


def test_where_no_phone_is_known_units_may_change():
    # in silence, in SPN, between the two, near an end; but 20 ms into silence, a second boundary is a false alarm
    found = fit([0.1, 0.3, 0.4, 0.55, 0.62, 0.7, 0.8, 0.98])
    assert (found.units, found.left_out, found.f1.value) == (4, 4, 1)
    found = fit([0.28, 0.3, 0.4, 0.55, 0.8])
    assert (found.units, found.matched, found.precision.value) == (5, 4, 0.8)
    strict = fit([0.1, 0.3, 0.4, 0.55, 0.62, 0.7, 0.8, 0.98], ignore=())
    assert (strict.units, strict.phones, strict.matched, strict.left_out) == (7, 5, 5, 1)


def test_units_that_change_at_each_frame_do_not_pay():
    found = fit(0.01 * np.arange(1, 100))
    assert found.recall.value == 1
    assert found.precision.value < 0.15
    assert found.r_value.value < -3


def corpus_of(seed, recordings=6):
    rng = np.random.default_rng(seed)
    codes, centres, segments = [], [], []
    for _ in range(recordings):
        edges = np.round(np.cumsum(rng.uniform(0.03, 0.12, 12)), 2)
        labels = rng.choice(["a", "b", "SIL", "SPN"], 11, p=[0.4, 0.4, 0.1, 0.1])
        segments.append([(float(a), float(b), str(c)) for a, b, c in zip(edges, edges[1:], labels, strict=False)])
        frames = int(edges[-1] / 0.02) + 2
        centres.append(0.01 + 0.02 * np.arange(frames))
        codes.append(rng.integers(0, 3, frames))
    return codes, centres, segments, [f"r{index}" for index in range(recordings)]


@pytest.mark.parametrize("seed", range(3))
def test_draws_are_those_of_the_counts(seed):
    codes, centres, segments, names = corpus_of(seed)
    found = boundary_fit(codes, centres, segments, names, draws=20, seed=2)
    each = [
        boundary_fit([code], [centre], [segment], [name], draws=2)
        for code, centre, segment, name in zip(codes, centres, segments, names, strict=True)
    ]
    counts = np.array([(one.matched, one.units, one.phones) for one in each], float)
    for estimate_of, hits, units, phones in zip(
        range(20), *(weights_of(names, draws=20, seed=2) @ counts).T, strict=True
    ):
        assert found.precision.draws[estimate_of] == pytest.approx(hits / units)
        assert found.recall.draws[estimate_of] == pytest.approx(hits / phones)
        precision, recall = hits / units, hits / phones
        assert found.f1.draws[estimate_of] == pytest.approx(2 * precision * recall / (precision + recall))
        assert found.over_segmentation.draws[estimate_of] == pytest.approx(recall / precision - 1)
        assert found.r_value.draws[estimate_of] == pytest.approx(slow.r_value(hits, units, phones))
    assert (found.matched, found.units, found.phones) == tuple(counts.sum(axis=0))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(6)), st.permutations(range(3)))
def test_order_of_recordings_and_names_of_units_change_nothing(seed, order, new):
    rows = corpus_of(seed)
    codes, centres, segments, names = ([row[index] for index in order] for row in rows)
    one = boundary_fit(*rows, draws=10)
    other = boundary_fit([np.array(new)[row] for row in codes], centres, segments, names, draws=10)
    for name in ("precision", "recall", "f1", "over_segmentation", "r_value"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value)
        np.testing.assert_allclose(getattr(one, name).draws, getattr(other, name).draws)
    assert one.left_out == other.left_out


def test_recordings_without_phones_are_counted():
    codes, centres, segments, names = corpus_of(4)
    whole = boundary_fit(codes[1:], centres[1:], segments[1:], names[1:], draws=5)
    for nothing in ([], [(0.0, 5.0, "a")], [(0.0, 0.5, "SIL"), (0.5, 1.0, "SPN")]):
        found = boundary_fit(codes, centres, [nothing, *segments[1:]], names, draws=5)
        assert (found.recordings, found.without) == (5, 1)
        assert found.left_out == whole.left_out + len(unit_boundaries(codes[0], centres[0]))
        assert (found.f1.value, found.units) == (whole.f1.value, whole.units)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": [np.zeros(100, int)]}, "no unit boundary to score in 1 recordings"),
        ({"segments": [[]]}, "no unit boundary to score in 1 recordings .99 unit"),
        ({"segments": [[(0.0, 0.5, "a"), (0.4, 1.0, "b")]]}, "overlaps"),
        ({"centres": [np.arange(99)]}, "99 centres of 100 frames"),
        ({"centres": [np.zeros(100)]}, "one after another"),
        ({"names": []}, "codes of 1 recordings, names of 0"),
        ({"tolerance": -0.1}, "tolerance of -0.1"),
    ],
)
def test_faults_are_named(change, message):
    given_ = {
        "codes": [np.arange(100)],
        "centres": [0.005 + 0.01 * np.arange(100)],
        "segments": [SEGMENTS],
        "names": ["r"],
    }
    with pytest.raises(InputError, match=message):
        boundary_fit(**(given_ | change), draws=3)
