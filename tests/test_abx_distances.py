import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protophone.metrics.abx.distances import DISTANCES, prepare
from protophone.metrics.abx.kernels import compare
from tests.reference.abx import token_distance

LENGTH = st.integers(1, 12)


def apart(tokens, distance):
    """Distances between all tokens, each a group of its own, ``[token, token]``; NaN on the diagonal."""
    sizes = [len(token) for token in tokens]
    ends = np.cumsum(sizes)
    count = len(tokens)
    places = [(i, j, i * count + j) for i in range(count) for j in range(count) if i != j]
    out = np.full((count, count), np.nan, np.float32)
    frames, kind = prepare(tokens, distance), DISTANCES.index(distance)
    compare(frames, ends - sizes, ends, np.arange(count + 1), np.array(places), 0, len(places), kind, out.reshape(-1))
    return out


@st.composite
def tokens(draw, distance, count=3):
    """Tokens of 1 to 12 frames, of which some are alike."""
    if distance in {"identical", "levenshtein"}:
        return [draw(arrays(np.int64, (draw(LENGTH), 1), elements=st.integers(0, 2))) for _ in range(count)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    book = (
        rng.standard_normal((6, draw(st.integers(1, 9)))) if distance != "kl_symmetric" else rng.dirichlet([0.4] * 7, 6)
    )
    if distance == "angular":
        book[0] = 0
    return [book[rng.integers(0, 6, draw(LENGTH))] for _ in range(count)]


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_the_oracle_s_symmetric_and_nothing_to_an_equal_token(distance):
    @settings(max_examples=30, deadline=None)
    @given(tokens(distance))
    def check(found):
        matrix = apart([*found, found[0].copy()], distance)
        assert (matrix[~np.eye(4, dtype=bool)] == matrix.T[~np.eye(4, dtype=bool)]).all()
        assert matrix[0, 3] == 0
        for i, j in ((0, 1), (0, 2), (1, 2)):
            # of two paths that cost the same but for rounding, either length is right
            expected = token_distance(found[i].tolist(), found[j].tolist(), distance)
            assert matrix[i, j] == pytest.approx(expected, abs=2e-6) or distance not in {"identical", "levenshtein"}
        assert (matrix[0, 1:3] == matrix[3, 1:3]).all()

    check()


@pytest.mark.parametrize("distance", ["angular", "euclidean", "kl_symmetric"])
def test_long_tokens_are_the_oracle_s(distance):
    """More frames than are compared at a time, none alike."""
    rng = np.random.default_rng(3)
    found = [rng.dirichlet([0.5] * 10, length) for length in (60, 85, 3, 170, 200, 120, 1)]
    matrix = apart(found, distance)
    for i, j in ((0, 1), (2, 0), (1, 2), (6, 3), (0, 5)):
        assert matrix[i, j] == pytest.approx(token_distance(found[i].tolist(), found[j].tolist(), distance), rel=2e-5)


def test_angles_are_exact_over_their_whole_range():
    turn = np.concatenate([np.linspace(0, np.pi, 400), np.geomspace(1e-6, 1e-2, 50)])
    around = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    found = apart([np.array([[3.0, 0.0]]), *around[:, None]], "angular")[0, 1:]
    assert found == pytest.approx(turn / np.pi, abs=2e-4)  # near the opposite, float32 tells no more
    assert found[turn < 3] == pytest.approx(turn[turn < 3] / np.pi, abs=1e-6)
    huge = apart([np.array([[1e200, 0.0]]), np.array([[1e-200, 1e-200]])], "angular")
    assert huge[0, 1] == pytest.approx(0.25, abs=1e-6)


def test_frames_of_zeros_are_far_from_others_and_near_each_other():
    zeros, one, other = np.zeros((2, 3)), np.ones((2, 3)), np.array([[-1.0, 0, 0]])
    found = apart([zeros, one, other, zeros], "angular")
    assert found[0, 1:] == pytest.approx([1, 1, 0], abs=1e-6)
    assert found[1, 2] == pytest.approx(np.arccos(-1 / np.sqrt(3)) / np.pi, abs=1e-6)


def test_edit_distance_counts_runs_and_divides_by_the_longer():
    strings = [np.array([list(map(ord, word))]).T for word in ("kitten", "sitting", "kkkitten", "sun")]
    found = apart(strings, "levenshtein")
    assert found[0, 1:] == pytest.approx([3 / 7, 2 / 8, 5 / 6])
