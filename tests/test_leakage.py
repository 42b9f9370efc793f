import numpy as np
import pytest

from protophone.errors import InputError
from protophone.metrics.leakage import speaker_leakage, unit_shares


def voices(apart, counts=(20, 12, 8), dim=6, seed=0):
    """Features of recordings, their speakers and names; ``apart`` says how far speakers' means are from another's."""
    rng = np.random.default_rng(seed)
    speakers = [f"s{who}" for who, count in enumerate(counts) for _ in range(count)]
    means = apart * rng.standard_normal((len(counts), dim))
    features = np.stack([means[int(who[1:])] + rng.standard_normal(dim) for who in speakers])
    return features, speakers, [f"r{index:02}" for index in range(len(speakers))]


def test_speakers_far_apart_are_all_found():
    found = speaker_leakage(*voices(20.0))
    assert found.accuracy.value == 1
    assert found.accuracy.interval == (1, 1)
    assert found.majority.value == 0.5
    assert found.above_majority.value == 0.5
    assert found.chance == pytest.approx(1 / 3)
    assert found.speakers == {"s0": 20, "s1": 12, "s2": 8}
    assert (found.left_out, found.folds) == ({}, 5)


def test_nothing_leaks_from_noise():
    """More dimensions than recordings: the probe knows each it was trained on, and none it was not."""
    features, speakers, names = voices(0.0, counts=(30, 30), dim=200)
    found = speaker_leakage(features, speakers, names)
    assert 0.3 < found.accuracy.value < 0.7
    low, high = found.above_majority.interval
    assert low < 0 < high


def test_the_probe_is_the_one_of_each_fold():
    """The accuracy again, from folds and standardisation written out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    features, speakers, names = voices(1.0)
    who = np.array(speakers)
    right = np.zeros(len(who))
    for train, test in StratifiedKFold(4, shuffle=True, random_state=5).split(features, who):
        mean, spread = features[train].mean(axis=0), features[train].std(axis=0)
        probe = LogisticRegression(max_iter=1000).fit((features[train] - mean) / spread, who[train])
        right[test] = probe.predict((features[test] - mean) / spread) == who[test]
    found = speaker_leakage(features, speakers, names, folds=4, seed=5)
    assert found.accuracy.value == right.mean()
    assert 0.6 < found.accuracy.value < 1
    assert found.accuracy.interval[0] < found.accuracy.value < found.accuracy.interval[1]


def test_order_scale_and_names_of_speakers_change_nothing():
    features, speakers, names = voices(0.7)
    one = speaker_leakage(features, speakers, names, draws=50)
    order = np.random.default_rng(3).permutation(len(names))
    renamed = {"s0": "u0", "s1": "u1", "s2": "u2"}
    other = speaker_leakage(
        100 * features[order] - 7, [renamed[speakers[i]] for i in order], [names[i] for i in order], draws=50
    )
    assert one.accuracy.value == other.accuracy.value
    np.testing.assert_allclose(one.accuracy.draws, other.accuracy.draws)


def test_speakers_of_too_few_recordings_are_counted():
    features, speakers, names = voices(3.0, counts=(12, 10, 4, 1))
    found = speaker_leakage(features, speakers, names, draws=50)
    assert found.left_out == {"s2": 4, "s3": 1}
    assert found.speakers == {"s0": 12, "s1": 10}
    assert found.chance == 0.5
    again = speaker_leakage(features[:22], speakers[:22], names[:22], draws=50)
    np.testing.assert_array_equal(found.accuracy.draws, again.accuracy.draws)
    assert len(found.accuracy.names) == 22


def test_shares_of_units():
    shares = unit_shares([np.array([0, 0, 2, 1]), np.array([2])], 4)
    np.testing.assert_allclose(shares, [[0.5, 0.25, 0.25, 0], [0, 0, 1, 0]])
    with pytest.raises(InputError, match="1 of 2 recordings hold no frame"):
        unit_shares([np.array([1]), np.array([], int)], 4)
    with pytest.raises(InputError, match="outside 0 to 3"):
        unit_shares([np.array([4])], 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speakers": ["s0"] * 40}, "1 speakers with 5 recordings or more, among {'s0': 40}"),
        ({"speakers": [f"s{index}" for index in range(40)]}, "0 speakers with 5"),
        ({"speakers": ["s0"]}, "speakers of 1 recordings, names of 40"),
        ({"features": np.full((40, 2), np.nan)}, "finite"),
        ({"features": np.zeros(40)}, r"shape \(40,\)"),
        ({"folds": 1}, "1 folds"),
    ],
)
def test_faults_are_named(change, message):
    features, speakers, names = voices(1.0)
    with pytest.raises(InputError, match=message):
        speaker_leakage(**({"features": features, "speakers": speakers, "names": names} | change), draws=5)
