from fractions import Fraction

import numpy as np
import pytest

from protophone.errors import InputError
from protophone.metrics.bitrate import (
    BitRates,
    bit_rates,
    collapsed_bitrate,
    nominal_bitrate,
    run_length_bitrate,
    zerospeech_bitrate,
)

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
    for rate, sizes in ((0, [4]), (50, []), (50, [0])):
        with pytest.raises(InputError, match="positive"):
            nominal_bitrate(rate, sizes)
