from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import InputError, UnitsError
from protophone.metrics.bitrate import (
    BitRates,
    bit_rates,
    collapsed_bitrate,
    estimate_bit_rates,
    estimate_measured,
    estimate_zerospeech,
    measured_bitrate,
    nominal_bitrate,
    num_bytes,
    polyak_bitrate,
    run_length_bitrate,
    zerospeech_bitrate,
)
from protophone.metrics.interval import weights_of
from tests.reference.units import charged, frames, runs

# eight frames in two recordings: 4 x 0, 2 x 1, 2 x 2 (1.5 bits); five runs
CODES = [np.array([0, 0, 1, 1, 0]), np.array([0, 2, 2])]


def test_zerospeech_by_hand():
    assert zerospeech_bitrate(CODES, 2.0) == pytest.approx(8 / 2 * 1.5)
    assert zerospeech_bitrate([np.zeros(10, int)], 1.0) == 0


def test_runs_by_hand():
    # runs (0, 2) (1, 2) (0, 1) | (0, 1) (2, 2): a run does not cross recordings
    units = -(3 / 5 * np.log2(3 / 5) + 2 / 5 * np.log2(1 / 5))
    lengths = -(3 / 5 * np.log2(3 / 5) + 2 / 5 * np.log2(2 / 5))
    assert collapsed_bitrate(CODES, 2.0) == pytest.approx(5 / 2 * units)
    assert run_length_bitrate(CODES, 2.0) == pytest.approx(5 / 2 * (units + lengths))


def test_recordings_without_frames_change_nothing():
    padded = [np.array([], int), CODES[0], np.array([], int), CODES[1], np.array([], int)]
    for rate in (zerospeech_bitrate, run_length_bitrate, collapsed_bitrate):
        assert rate(padded, 2.0) == rate(CODES, 2.0)


def test_nominal_by_hand():
    assert nominal_bitrate(25, [256]) == 200
    assert nominal_bitrate(Fraction(16000, 320), [320, 320]) == pytest.approx(100 * np.log2(320))


def test_several_codebooks_are_charged_as_tuples():
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 4, (500, 2))
    joint = pairs[:, 0] * 4 + pairs[:, 1]
    for rate in (zerospeech_bitrate, run_length_bitrate, collapsed_bitrate):
        assert rate([pairs], 5.0) == pytest.approx(rate([joint], 5.0))


def test_continuous_vectors_cost_log2_of_their_number():
    """ZeroSpeech 2019's own figure for MFCC: 170,869 distinct lines at 100 Hz, 1737 to 1738 bit/s."""
    vectors = np.random.default_rng(0).standard_normal((170_869, 2))
    rate = zerospeech_bitrate(np.array_split(vectors, 252), 1708.69)
    assert rate == pytest.approx(100 * np.log2(170_869))
    assert 1737 < rate < 1739


@pytest.mark.parametrize("seed", range(5))
def test_bounds(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 50))
    codes = [rng.integers(0, size, rng.integers(1, 80)) ** 2 % size for _ in range(9)]
    seconds = sum(map(len, codes)) / 50
    rates = bit_rates(codes, seconds, frame_rate=50, sizes=[size])
    assert rates.zerospeech <= rates.nominal + 1e-9
    assert rates.collapsed <= rates.run_length
    assert rates.run_length <= 2 * rates.nominal + 50 * np.log2(80)
    relabelled = [np.random.default_rng(1).permutation(size)[row] for row in codes]
    assert bit_rates(relabelled, seconds, frame_rate=50, sizes=[size]).as_dict() == pytest.approx(rates.as_dict())


def test_long_runs_are_cheaper_as_runs():
    codes = [np.repeat(np.random.default_rng(0).integers(0, 16, 300), 6)]
    rates = bit_rates(codes, 18.0, frame_rate=100, sizes=[16])
    assert rates.collapsed < rates.run_length < rates.zerospeech / 2
    assert rates.as_dict() == BitRates(**rates.as_dict()).as_dict()


@pytest.mark.parametrize(
    ("sequences", "seconds", "message"),
    [
        (CODES, 0.0, "0.0 seconds"),
        (CODES, float("nan"), "nan seconds"),
        ([], 1.0, "sequences of shapes"),
        ([np.array([], int)], 1.0, "1 sequences without a frame"),
        ([np.zeros((3, 2)), np.zeros((3, 4))], 1.0, r"\(3, 2\).*\(3, 4\)"),
        ([np.zeros((3, 2, 2))], 1.0, "must be"),
    ],
)
def test_faults_are_named(sequences, seconds, message):
    for rate in (zerospeech_bitrate, run_length_bitrate, collapsed_bitrate):
        with pytest.raises(InputError, match=message):
            rate(sequences, seconds)


def test_nominal_refuses_sizes_that_are_none():
    for bitrate in (nominal_bitrate, polyak_bitrate):
        for rate, sizes in ((0, [4]), (50, []), (50, [0])):
            with pytest.raises(InputError, match="positive"):
                bitrate(rate, sizes)


def test_polyak_charges_whole_bits():
    assert polyak_bitrate(50, [100]) == 350  # what the paper says of 100 HuBERT units
    assert polyak_bitrate(Fraction(25), [256]) == nominal_bitrate(25, [256]) == 200
    assert polyak_bitrate(25, [257, 1]) == 25 * 9


RAGGED = [np.array(row) for row in ([3, 3, 1, 1, 1, 0, 3], [2], [0, 0, 0, 2, 2, 1], [1, 1, 3])]
LASTS = [7 / 25, 1 / 25, 6 / 25, 3 / 25]
NAMES = ["a", "b", "c", "d"]


def test_estimates_are_those_of_counting_one_by_one():
    found = estimate_bit_rates(RAGGED, LASTS, NAMES, frame_rate=25, sizes=[4], draws=30, seed=3)
    assert (found.recordings, found.empty, found.frames, found.runs) == (4, 0, 17, 10)
    assert found.seconds == pytest.approx(17 / 25)
    weights = weights_of(NAMES, draws=30, seed=3)
    for name, symbols in (
        ("zerospeech", frames),
        ("run_length", runs),
        ("collapsed", lambda sequence: [run[:1] for run in runs(sequence)]),
    ):
        one = getattr(found, name)
        assert one.value == pytest.approx(charged(RAGGED, LASTS, np.ones(4), symbols))
        slow = np.array([charged(RAGGED, LASTS, row, symbols) for row in weights])
        np.testing.assert_allclose(one.draws, slow - slow.mean() + one.value)
    assert found.rates == bit_rates(RAGGED, 17 / 25, frame_rate=25, sizes=[4])
    alone = estimate_zerospeech(RAGGED, LASTS, NAMES, draws=30, seed=3)
    np.testing.assert_array_equal(alone.draws, found.zerospeech.draws)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=12), min_size=1, max_size=8), st.randoms())
def test_order_and_names_of_units_change_nothing(rows, random):
    codes = [np.array(row) for row in rows]
    names = [str(index) for index in range(len(codes))]
    lasts = [len(row) / 50 for row in codes]
    new = list(range(6))
    random.shuffle(new)
    order = list(range(len(codes)))
    random.shuffle(order)
    one = estimate_bit_rates(codes, lasts, names, frame_rate=50, sizes=[6], draws=20)
    other = estimate_bit_rates(
        [np.array(new)[codes[index]] for index in order],
        [lasts[index] for index in order],
        [names[index] for index in order],
        frame_rate=50,
        sizes=[6],
        draws=20,
    )
    assert one.rates.as_dict() == pytest.approx(other.rates.as_dict(), abs=1e-9)
    for name in ("zerospeech", "run_length", "collapsed"):
        np.testing.assert_allclose(getattr(one, name).draws, getattr(other, name).draws, atol=1e-9)
    assert one.zerospeech.value <= one.nominal + 1e-9 <= one.polyak + 2e-9


def test_a_figure_lies_in_its_own_interval():
    """Few frames of many units: each draw loses entropy, and uncorrected all draws would lie below the figure."""
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, 256, 20) for _ in range(40)]
    found = estimate_zerospeech(codes, [0.4] * 40, [str(index) for index in range(40)])
    low, high = found.interval
    assert low < found.value < high
    assert high - low < 0.05 * found.value


def test_recordings_without_frames_are_counted():
    found = estimate_bit_rates([np.array([], int), *RAGGED], [0.0, *LASTS], ["e", *NAMES], frame_rate=25, sizes=[4])
    assert (found.recordings, found.empty) == (5, 1)
    assert found.rates == bit_rates(RAGGED, sum(LASTS), frame_rate=25, sizes=[4])


def test_bytes_of_files(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "one.bin").write_bytes(b"x" * 300)
    (tmp_path / "inner" / "two.bin").write_bytes(b"x" * 100)
    (tmp_path / "none.bin").write_bytes(b"")
    assert num_bytes(tmp_path / "one.bin") == 300
    assert num_bytes(str(tmp_path)) == 400
    assert measured_bitrate(num_bytes(tmp_path), 10.0) == 320
    found = estimate_measured([tmp_path / "one.bin", tmp_path / "inner"], [5.0, 5.0], ["a", "b"])
    assert found.value == 320
    assert 160 <= found.interval[0] < 320 < found.interval[1] <= 480
    for fault in ("none.bin", "absent.bin"):
        with pytest.raises(InputError, match=fault):
            num_bytes(tmp_path / fault)
    with pytest.raises(InputError, match="0 bytes"):
        measured_bitrate(0, 1.0)
    with pytest.raises(InputError, match="0.0 seconds"):
        measured_bitrate(1, 0.0)


@pytest.mark.parametrize(
    ("sequences", "seconds", "message"),
    [
        # what a decoder makes of units at 100 Hz; vectors as if codes; another codebook; runs without their durations
        ([np.zeros((100, 13))], 1.0, "not the vectors"),
        ([np.zeros(25)], 1.0, "not the vectors"),
        ([np.zeros((25, 2), int)], 1.0, "for 1 codebooks"),
        ([np.full(25, 8)], 1.0, "another codebook"),
        ([np.full(25, -1)], 1.0, "another codebook"),
        ([np.zeros(12, int)], 1.0, "12 frames in 1 seconds.*make 25"),
        ([np.zeros(100, int)], 1.0, "100 frames in 1 seconds"),
        ([np.zeros(25, int)], float("nan"), "nan seconds"),
        ([np.zeros(25, int)], -1.0, "-1.0 seconds"),
    ],
)
def test_what_is_no_unit_is_refused(sequences, seconds, message):
    with pytest.raises(InputError, match=message):
        bit_rates(sequences, seconds, frame_rate=25, sizes=[8])
    with pytest.raises(InputError, match=message):
        estimate_bit_rates(sequences, [seconds], ["a"], frame_rate=25, sizes=[8])


def test_values_and_names_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="1 frames hold"):
        zerospeech_bitrate([np.array([[1.0, np.nan], [0.0, 0.0]])], 1.0)
    with pytest.raises(InputError, match="seconds of 3 recordings, names of 4"):
        estimate_zerospeech(RAGGED, LASTS[:3], NAMES)
    assert issubclass(UnitsError, InputError)
