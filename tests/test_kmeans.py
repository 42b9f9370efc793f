"""k-means against the definition of the nearest centroid, against scikit-learn, and the sampling of frames."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as Lloyd

from protophone.errors import InputError
from protophone.quantizers import KMeansConfig
from protophone.quantizers.kmeans import lloyd
from protophone.quantizers.sample import sample_frames


def test_codes_are_the_nearest_centroids():
    rng = np.random.default_rng(0)
    found = KMeansConfig(num_units=37).build(5)
    found.centroids.copy_(torch.from_numpy(rng.standard_normal((37, 5)).astype(np.float32)))
    frames = rng.standard_normal((2, 301, 5)).astype(np.float32)
    distance = np.square(frames[:, :, None] - found.centroids.numpy()).sum(-1)
    np.testing.assert_array_equal(found.encode(torch.from_numpy(frames))[:, 0].numpy(), distance.argmin(-1))


def test_more_frames_than_one_block_holds():
    found = KMeansConfig(num_units=2).build(1)
    found.centroids.copy_(torch.tensor([[-1.0], [1.0]]))
    signs = torch.randn(1, 1_100_000, 1)
    assert torch.equal(found.encode(signs)[0, 0], (signs[0, :, 0] > 0).long())


def test_as_tight_as_lloyd():
    """Mini-batches come near what scikit-learn's full algorithm reaches on frames without clusters."""
    frames = np.random.default_rng(0).standard_normal((20000, 8)).astype(np.float32)
    found = KMeansConfig(num_units=32).build(8)
    found.fit(frames, seed=1)
    rebuilt = found.lookup(found.encode(torch.from_numpy(frames)[None]))[0].numpy()
    error = np.square(frames - rebuilt).sum()
    assert error < 1.03 * Lloyd(32, n_init=1, random_state=0).fit(frames).inertia_


def test_lloyd_on_a_gpu_is_as_tight_as_scikit_learns():
    """The same code on the processor: from frames with clusters and without, all of them used."""
    rng = np.random.default_rng(0)
    for frames in (
        rng.standard_normal((6000, 8)).astype(np.float32),
        (10 * rng.standard_normal((20, 8))[rng.integers(20, size=6000)] + rng.standard_normal((6000, 8))).astype("f4"),
    ):
        found = lloyd(torch.from_numpy(frames), 20, seed=1).numpy()
        distance = np.square(frames[:, None] - found).sum(-1)
        assert distance.min(1).sum() < 1.03 * Lloyd(20, n_init=4, random_state=0).fit(frames).inertia_
        assert len(np.unique(distance.argmin(1))) == 20
        for code, centroid in enumerate(found):  # settled: each is the mean of what is nearest to it
            np.testing.assert_allclose(centroid, frames[distance.argmin(1) == code].mean(0), atol=0.05)
    again = lloyd(torch.from_numpy(frames), 20, seed=1).numpy()
    np.testing.assert_array_equal(again, found)


def test_lloyd_on_a_gpu_finds_every_point():
    points = torch.tensor([[0.0, 0.0], [4.0, 2.0], [9.0, -1.0]])
    found = lloyd(points.repeat(50, 1), 3, seed=0)
    np.testing.assert_allclose(sorted(found.tolist()), points.tolist())
    assert torch.isfinite(lloyd(points.repeat(50, 1), 5, seed=0)).all()  # fewer points than units


def test_a_sample_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr("protophone.quantizers.kmeans._VALUES", 600)
    taken = []
    monkeypatch.setattr(
        "protophone.quantizers.kmeans.sample_frames",
        lambda frames, limit, seed: taken.append(limit) or sample_frames(frames, limit, seed),
    )
    KMeansConfig(num_units=2).build(6).fit(np.random.default_rng(0).standard_normal((500, 6)).astype(np.float32))
    assert taken == [100]


def test_two_units_of_two_points():
    found = KMeansConfig(num_units=2).build(2)
    found.fit(np.array([[0, 0], [4, 2]] * 50, np.float32), seed=0)
    np.testing.assert_allclose(sorted(found.centroids.tolist()), [[0, 0], [4, 2]], atol=1e-5)


def test_too_few_frames_name_both_ways_to_ask_for_fewer_units():
    said = r"3 frames cannot make 8 units; .* fewer units \(--units, or encoder\.quantizer\.num_units\)"
    with pytest.raises(InputError, match=said):
        KMeansConfig(num_units=8).build(2).fit(np.zeros((3, 2), np.float32))


@pytest.mark.parametrize("limit", [1, 50, 1000])
def test_a_sample_does_not_depend_on_the_cutting(limit):
    frames = np.arange(300_000, dtype=np.float32)[:, None]
    whole = sample_frames(frames, limit, 5)
    cut = sample_frames((frames[at : at + 777] for at in range(0, len(frames), 777)), limit, 5)
    np.testing.assert_array_equal(whole, cut)
    assert len(np.unique(whole)) == len(whole) == limit
    assert (np.diff(whole[:, 0]) > 0).all()
    assert not np.array_equal(whole, sample_frames(frames, limit, 6))


def test_a_sample_is_drawn_evenly():
    frames = np.arange(400_000, dtype=np.float32)[:, None]
    sample = sample_frames(frames, 20_000, 0)[:, 0]
    counts = np.histogram(sample, 20, (0, 400_000))[0]
    # 1000 each, with a deviation of 30.5 (hypergeometric)
    assert np.abs(counts - 1000).max() < 5 * 30.5


def test_few_frames_are_all_taken():
    frames = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    np.testing.assert_array_equal(sample_frames([frames[:11], frames[11:]], 1000, 0), frames)
