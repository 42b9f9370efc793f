import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import InputError, UnitsError
from protophone.metrics.interval import weights_of
from protophone.metrics.units import (
    order_units,
    perplexity,
    phone_fit,
    phone_purity,
    pnmi,
    run_durations,
    unit_purity,
    unit_usage,
)
from tests.reference.units import entropy, phone_figures, runs

# units in rows, phones in columns: 10 frames
COUNTS = np.array([[4, 0], [1, 1], [0, 0], [0, 4]])


def scene(seed, recordings=5, units=6, phones=("a", "b", "c", "SIL"), frames=(10, 40)):
    """Codes, centres, segments and names of recordings whose units know something of the phones."""
    rng = np.random.default_rng(seed)
    codes, centres, segments = [], [], []
    for _ in range(recordings):
        length = int(rng.integers(*frames))
        labels = rng.integers(0, len(phones), 8)
        edges = np.round(np.cumsum(rng.uniform(0.02, 0.08, 9)), 2)
        # a gap here and there
        row = [(float(edges[i]), float(edges[i + 1]), phones[labels[i]]) for i in range(8) if i != 3]
        times = 0.005 + 0.01 * np.arange(length)
        index = np.searchsorted(edges[:-1], times) - 1
        codes.append(np.where(rng.random(length) < 0.6, labels[index], rng.integers(0, units, length)))
        centres.append(times)
        segments.append(row)
    return codes, centres, segments, [f"r{i}" for i in range(recordings)]


def test_plain_figures_by_hand():
    assert phone_purity(COUNTS) == pytest.approx(0.9)
    assert unit_purity(COUNTS) == pytest.approx(0.8)
    # one bit of phone; a fifth of the frames, whose unit leaves it open, tell none of it
    assert pnmi(COUNTS) == pytest.approx(0.8)
    assert perplexity(np.array([2, 2, 0, 2, 2])) == pytest.approx(4)
    assert perplexity(np.array([7])) == 1


def test_perfect_and_independent_units():
    perfect = np.diag([3, 5, 9])
    assert phone_purity(perfect) == unit_purity(perfect) == 1
    assert pnmi(perfect) == pytest.approx(1)
    split = np.array([[3, 0], [2, 0], [0, 5]])  # two units of one phone lose nothing of it
    assert pnmi(split) == pytest.approx(1)
    assert phone_purity(split) == 1
    assert unit_purity(split) == 0.8
    independent = np.outer([1, 2, 3, 4], [5, 1, 2])
    assert pnmi(independent) == pytest.approx(0, abs=1e-12)
    assert phone_purity(independent) == pytest.approx(5 / 8)
    assert unit_purity(independent) == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(3))
def test_phone_fit_is_that_of_counting_one_by_one(seed):
    codes, centres, segments, names = scene(seed)
    found = phone_fit(codes, centres, segments, names, size=6, draws=25, seed=7)
    weights = [np.ones(len(names)), *weights_of(names, draws=25, seed=7)]
    slow = [phone_figures(codes, centres, segments, row, ("SIL", "SPN")) for row in weights]
    for position, one in enumerate((found.phone_purity, found.unit_purity, found.pnmi)):
        assert one.value == pytest.approx(slow[0][position])
        draws = np.array([row[position] for row in slow[1:]])
        np.testing.assert_allclose(one.draws, draws - draws.mean() + one.value)
    assert found.left_out == slow[0][3]
    assert found.frames == found.counts.sum() == sum(map(len, codes)) - sum(found.left_out.values())
    assert found.phones == ("a", "b", "c")
    assert found.pnmi.value == pytest.approx(pnmi(found.counts))
    assert found.phone_purity.value == pytest.approx(phone_purity(found.counts))
    assert found.unit_purity.value == pytest.approx(unit_purity(found.counts))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.randoms())
def test_order_of_recordings_and_names_of_units_change_nothing(seed, random):
    rows = scene(seed)
    order = list(range(5))
    random.shuffle(order)
    new = list(range(6))
    random.shuffle(new)
    codes, centres, segments, names = ([row[index] for index in order] for row in rows)
    codes = [np.array(new)[row] for row in codes]
    one = phone_fit(*rows, size=6, draws=20)
    other = phone_fit(codes, centres, segments, names, size=6, draws=20)
    for name in ("phone_purity", "unit_purity", "pnmi"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value)
        np.testing.assert_allclose(getattr(one, name).draws, getattr(other, name).draws)
    np.testing.assert_array_equal(one.counts, other.counts[new])
    usage, again = (unit_usage(a, b, size=6, draws=20) for a, b in ((rows[0], rows[3]), (codes, names)))
    np.testing.assert_allclose(usage.perplexity.draws, again.perplexity.draws)


def test_a_frame_counts_for_the_phone_that_holds_its_centre():
    """Edges are floats of decimals: 0.3 + 0.03 is a little less than 0.33, and no frame may fall between two phones."""
    segments = [[(0.3, 0.3 + 0.03, "a"), (0.33, 0.33 + 0.04, "b"), (0.4, 0.4, "c")]]
    centres = [np.array([0.29, 0.30, 0.32, 0.33, 0.36, 0.37, 0.40])]
    found = phone_fit([np.arange(7)], centres, segments, ["r"], size=7, draws=5)
    assert found.counts.T.tolist() == [[0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0]]
    assert found.left_out == {"": 3}


def test_what_is_left_out_is_counted():
    codes, centres, segments, names = scene(1, frames=(60, 80))
    segments[2] = []
    found = phone_fit(codes, centres, segments, names, size=6, ignore=["SIL", "b"], draws=5)
    assert (found.recordings, found.without) == (4, 1)
    assert found.phones == ("a", "c")
    assert found.ignored == ("SIL", "b")
    assert set(found.left_out) == {"", "SIL", "b"}
    assert found.left_out[""] >= len(codes[2])
    # a gap that a format fills with an empty label is no phone
    filled = [[*row, (9.0, 9.5, "")] for row in segments]
    assert phone_fit(codes, centres, filled, names, size=6, ignore=["SIL", "b"], draws=5).left_out == found.left_out
    # with nothing ignored, silence is a phone like others
    assert "SIL" in phone_fit(codes, centres, segments, names, size=6, ignore=(), draws=5).phones


def test_figures_lie_in_their_intervals():
    """Uncorrected, each draw of unequal weights looks purer than the whole, and its interval excludes the figure."""
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, 200, 30) for _ in range(30)]
    segments = [[(i * 0.1, i * 0.1 + 0.1, "abcdef"[rng.integers(6)]) for i in range(3)] for _ in range(30)]
    found = phone_fit(codes, [0.005 + 0.01 * np.arange(30)] * 30, segments, [f"r{i}" for i in range(30)], size=200)
    for one in (found.phone_purity, found.unit_purity, found.pnmi):
        low, high = one.interval
        assert low < one.value < high
    assert found.pnmi.value > 0.2  # though the units know nothing: the trap the module tells of


def test_usage_by_hand():
    codes = [np.array([0, 0, 3]), np.array([], int), np.array([3, 1])]
    found = unit_usage(codes, ["a", "b", "c"], size=5, draws=10, seed=1)
    assert found.counts.tolist() == [2, 1, 0, 2, 0]
    assert (found.used, found.share_used, found.recordings, found.frames) == (3, 0.6, 3, 5)
    assert found.perplexity.value == pytest.approx(2 ** entropy({0: 2, 1: 1, 3: 2}))
    slow = np.array(
        [2 ** entropy({0: 2 * a, 1: c, 3: a + c}) for a, _, c in weights_of(["a", "b", "c"], draws=10, seed=1)]
    )
    np.testing.assert_allclose(found.perplexity.draws, slow - slow.mean() + found.perplexity.value)


def test_durations_by_hand():
    codes = [np.array([0, 0, 1, 1, 1, 0]), np.array([0, 2])]
    found = run_durations(codes, ["a", "b"], size=3, frame_seconds=0.04, draws=50)
    assert found.lengths == {1: 3, 2: 1, 3: 1}
    assert found.mean_ms.value == pytest.approx(8 / 5 * 40)
    assert found.median_ms == pytest.approx(40)
    assert (found.runs, found.recordings) == (5, 2)
    # between all weight on either recording
    assert (found.mean_ms.draws > 40).all()
    assert (found.mean_ms.draws < 80).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), max_size=15), min_size=1, max_size=6).filter(any))
def test_durations_add_up(rows):
    codes = [np.array(row, int) for row in rows]
    found = run_durations(codes, [str(i) for i in range(len(rows))], size=3, frame_seconds=0.01, draws=5)
    assert sum(length * count for length, count in found.lengths.items()) == sum(map(len, rows))
    assert sorted(n for row in rows for _, n in runs(row)) == sorted(
        n for n, count in found.lengths.items() for _ in range(count)
    )


def test_heat_map_shows_a_diagonal():
    counts = np.array([[0, 5, 1], [0, 0, 0], [9, 0, 0], [1, 3, 0], [0, 0, 2], [3, 1, 0]])
    order = order_units(counts)
    assert order.tolist() == [2, 5, 0, 3, 4]
    likeliest = counts[order].argmax(axis=1)
    assert (np.diff(likeliest) >= 0).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"codes": [np.array([0, 6])]}, UnitsError, "codes from 0 to 6, outside 0 to 5"),
        ({"codes": [np.array([0.0, 1.0])]}, InputError, "float64"),
        ({"codes": [np.array([[0, 1]])]}, InputError, r"\(1, 2\)"),
        ({"codes": [np.array([], int)], "centres": [np.array([])]}, InputError, "hold no frame"),
        ({"centres": [np.array([0.0])]}, InputError, r"\(1,\) centres of \(2,\) frames"),
        ({"segments": [[]]}, InputError, "0 phones on the 2 frames of 1 recordings"),
        ({"segments": [[(0.0, 1.0, "a")]]}, InputError, "1 phones"),
        ({"segments": [[(0.0, 1.0, "a"), (0.5, 2.0, "b")]]}, InputError, "'b' from 0.5 s overlaps 'a'"),
        ({"segments": [[(1.0, 0.0, "a")]]}, InputError, "'a' from 1.0 to 0.0"),
        ({"segments": [[(0.0, float("nan"), "a")]]}, InputError, "'a' from 0.0 to nan"),
        ({"names": ["a", "b"]}, InputError, "centres of 1 recordings, names of 2"),
    ],
)
def test_faults_are_named(change, error, message):
    given_ = {
        "codes": [np.array([0, 1])],
        "centres": [np.array([0.0, 0.6])],
        "segments": [[(0.0, 0.5, "a"), (0.5, 1.0, "b")]],
        "names": ["r"],
    }
    phone_fit(**given_, size=6, draws=3)
    with pytest.raises(error, match=message):
        phone_fit(**(given_ | change), size=6, draws=3)


def test_plain_faults_are_named():
    for counts in (np.zeros((2, 2)), np.array([[-1, 2], [1, 1]]), np.ones(3)):
        with pytest.raises(InputError, match="counts of shape"):
            phone_purity(counts)
    with pytest.raises(InputError, match="one phone alone"):
        pnmi(np.array([[1, 0], [2, 0]]))
    with pytest.raises(InputError, match="counts of shape"):
        perplexity(np.zeros(4))
    with pytest.raises(InputError, match="frames 0 seconds apart"):
        run_durations([np.array([1])], ["a"], size=2, frame_seconds=0)
    with pytest.raises(InputError, match="codes of 1 recordings, names of 0"):
        unit_usage([np.array([1])], [], size=2)
