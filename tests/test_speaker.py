"""Measures of speaker embeddings: similarity, equal error rate, and which of two speakers is nearer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import InputError
from protophone.metrics.speaker import (
    centroids,
    cosines,
    equal_error_rate,
    pair_cosines,
    similarity,
    target_nearer,
)
from tests.reference.speaker import equal_error_rate as slow_rate


def cloud(people: int = 20, each: int = 5, spread: float = 0.9, seed: int = 0):
    """Vectors of some people's recordings, their speakers and names, and everyone's true place."""
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((people, 8))
    speakers = [f"s{i:02}" for i in range(people) for _ in range(each)]
    vectors = np.repeat(places, each, axis=0) + spread * rng.standard_normal((people * each, 8))
    enrolled = {f"s{i:02}": place for i, place in enumerate(places)}
    return vectors, speakers, [f"r{i}" for i in range(len(vectors))], enrolled


def test_similarity_is_the_mean_cosine():
    one = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    other = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(cosines(one, other), [1, 0, np.sqrt(0.5)], atol=1e-12)
    found = similarity(one, other, ["a", "b", "c"])
    assert found.value == pytest.approx((1 + np.sqrt(0.5)) / 3)
    assert found.interval[0] < found.value < found.interval[1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_similarity_is_symmetric_one_of_itself_and_blind_to_order(seed, count):
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((2, count, 4))
    names = [f"r{i}" for i in range(count)]
    assert similarity(one, 3 * one, names).value == pytest.approx(1, abs=1e-12)
    found, turned = similarity(one, other, names), similarity(other, one, names)
    assert found.value == turned.value
    order = rng.permutation(count)
    again = similarity(one[order], other[order], [names[i] for i in order])
    np.testing.assert_allclose(again.draws, found.draws, atol=1e-12)


@pytest.mark.parametrize(
    ("one", "other", "names", "said"),
    [
        (np.ones((2, 3)), np.ones((3, 3)), ["a", "b"], "do not pair"),
        (np.ones((2, 3)), np.ones((2, 3)), ["a"], "1 names for 2"),
        (np.ones(3), np.ones(3), ["a"], "recording, dim"),
        (np.zeros((1, 3)), np.ones((1, 3)), ["a"], "zero or not finite"),
        (np.full((1, 3), np.nan), np.ones((1, 3)), ["a"], "zero or not finite"),
        (np.ones((0, 3)), np.ones((0, 3)), [], "no recordings"),
    ],
)
def test_embeddings_that_do_not_pair_are_refused(one, other, names, said):
    with pytest.raises(InputError, match=said):
        similarity(one, other, names)


def test_a_centroid_is_the_mean_direction():
    found = centroids(np.array([[2.0, 0.0], [0.0, 5.0], [0.0, -1.0]]), ["a", "a", "b"])
    np.testing.assert_allclose(found["a"], [np.sqrt(0.5)] * 2)
    np.testing.assert_allclose(found["b"], [0, -1])


def trials_of(vectors, speakers, enrolled, times, person=lambda speaker: speaker):
    trials = []
    for vector, speaker, count in zip(vectors, speakers, times, strict=True):
        for known, centroid in enrolled.items():
            score = float(vector @ centroid / np.linalg.norm(vector) / np.linalg.norm(centroid))
            if known == speaker or person(known) != person(speaker):
                trials.append((score, known == speaker, int(count)))
    return trials


def test_equal_error_rate_against_all_thresholds():
    vectors, speakers, names, enrolled = cloud()
    found = equal_error_rate(vectors, speakers, enrolled, names)
    assert found.rate.value == pytest.approx(slow_rate(trials_of(vectors, speakers, enrolled, [1] * 100)), abs=1e-9)
    assert (found.people, found.targets, found.impostors, found.same_person) == (20, 100, 1900, 0)
    assert found.rate.interval[0] < found.rate.value < found.rate.interval[1]
    assert found.rate.value == pytest.approx(0.092632, abs=1e-6)


def test_a_trial_weighs_what_its_test_recording_weighs(monkeypatch):
    vectors, speakers, names, enrolled = cloud(each=2)
    drawn = np.random.default_rng(1).integers(1, 5, (3, 40))
    monkeypatch.setattr("protophone.metrics.interval.weights_of", lambda *_, **__: drawn.astype(float))
    found = equal_error_rate(vectors, speakers, enrolled, names).rate.draws
    wanted = [slow_rate(trials_of(vectors, speakers, enrolled, times)) for times in drawn]
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_equal_error_rate_of_sure_and_of_meaningless_scores():
    vectors, speakers, names, enrolled = cloud(spread=0.0)
    assert equal_error_rate(vectors, speakers, enrolled, names).rate.value == 0
    everyone = dict.fromkeys(enrolled, vectors[0])
    assert equal_error_rate(vectors, speakers, everyone, names).rate.value > 0.4
    alike = np.ones_like(vectors)  # all trials have one score: accepted or refused together
    assert equal_error_rate(alike, speakers, enrolled | everyone, names).rate.value == pytest.approx(0.5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 3.0))
def test_equal_error_rate_is_blind_to_order_and_length(seed, spread):
    vectors, speakers, names, enrolled = cloud(each=2, spread=spread, seed=seed)
    found = equal_error_rate(vectors, speakers, enrolled, names).rate
    order = np.random.default_rng(seed).permutation(len(names))
    lengths = np.random.default_rng(seed).uniform(0.1, 10, (len(names), 1))
    again = equal_error_rate(
        (lengths * vectors)[order],
        [speakers[i] for i in order],
        dict(reversed(enrolled.items())),
        [names[i] for i in order],
    ).rate
    np.testing.assert_allclose(again.draws, found.draws, atol=1e-9)


def test_one_person_is_no_impostor_of_himself():
    vectors, speakers, names, enrolled = cloud(people=21)
    persons = {"s00": "anna", "s01": "anna"}
    found = equal_error_rate(vectors, speakers, enrolled, names, persons=persons)
    assert (found.people, found.targets, found.impostors, found.same_person) == (20, 105, 2090, 10)
    wanted = trials_of(vectors, speakers, enrolled, [1] * 105, lambda speaker: persons.get(speaker, speaker))
    assert found.rate.value == pytest.approx(slow_rate(wanted), abs=1e-9)


def test_an_equal_error_rate_of_few_people_is_refused():
    vectors, speakers, names, enrolled = cloud()
    with pytest.raises(InputError, match="19 people tested: an equal error rate needs 20"):
        equal_error_rate(vectors, speakers, enrolled, names, persons={"s00": "anna", "s01": "anna"})
    with pytest.raises(InputError, match="s07: tested but not enrolled"):
        equal_error_rate(vectors, speakers, {k: v for k, v in enrolled.items() if k != "s07"}, names)
    with pytest.raises(InputError, match="99 speakers for 100"):
        equal_error_rate(vectors, speakers[1:], enrolled, names)


def test_share_nearer_to_the_target():
    names = ["a", "b", "c", "d"]
    found = target_nearer(np.array([0.9, 0.1, 0.5, 0.2]), np.array([0.1, 0.9, 0.5, 0.3]), names)
    assert (found.share.value, found.found, found.recordings, found.wilson) == (0.5, 2, 4, None)  # a tie is not nearer
    assert found.interval == found.share.interval
    order = [2, 0, 3, 1]
    again = target_nearer(np.array([0.5, 0.9, 0.2, 0.1]), np.array([0.5, 0.1, 0.3, 0.9]), [names[i] for i in order])
    np.testing.assert_allclose(again.share.draws, found.share.draws)


def test_a_share_of_all_or_none_has_wilsons_interval():
    # Wilson's for n of n is n / (n + z^2) to 1, z = 1.95996
    near, far = np.full(10, 0.9), np.full(10, 0.1)
    every = target_nearer(far, near, [f"r{i}" for i in range(10)])
    assert every.share.interval == (1, 1)
    assert every.interval == pytest.approx((10 / (10 + 3.841459), 1), abs=1e-5)
    none = target_nearer(near, far, [f"r{i}" for i in range(10)])
    assert none.interval == pytest.approx((0, 3.841459 / (10 + 3.841459)), abs=1e-5)
    # two speakers of five recordings each tell as little of others as two recordings
    speakers = target_nearer(far, near, ["s", "t"] * 5)
    assert speakers.interval == pytest.approx((2 / (2 + 3.841459), 1), abs=1e-5)


def test_cosines_to_source_and_target():
    enrolled = {"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1.0]), "c": np.array([1.0, 1.0])}
    vectors = np.array([[1.0, 0.0], [3.0, 4.0]])
    source, target = pair_cosines(vectors, [("a", "b"), ("b", "c")], enrolled)
    np.testing.assert_allclose(source, [1, 0.8])
    np.testing.assert_allclose(target, [0, 1.4 * np.sqrt(0.5)])


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("a", "b")], "a to b: both are the person anna"),
        ([("c", "c")], "c to c: both are the person c"),
        ([("a", "d")], "d is not enrolled"),
        ([("a", "c"), ("a", "c")], "2 pairs for 1"),
    ],
)
def test_pairs_that_cannot_be_told_apart_are_refused(pairs, said):
    enrolled = dict.fromkeys("abc", np.ones(2))
    with pytest.raises(InputError, match=said):
        pair_cosines(np.ones((1, 2)), pairs, enrolled, persons={"a": "anna", "b": "anna"})
    with pytest.raises(InputError, match="no converted recordings"):
        pair_cosines(np.ones((0, 2)), [], enrolled)


@pytest.mark.parametrize("target", [np.ones(3), np.full(2, np.nan), np.ones((2, 1))])
def test_cosines_that_do_not_pair_are_refused(target):
    with pytest.raises(InputError, match="give finite ones"):
        target_nearer(np.zeros(2), target, ["a", "b"])
