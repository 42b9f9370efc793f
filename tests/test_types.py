"""The containers check themselves; units collapse and expand; hashes tell codebooks apart."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
import torch

from protophone.errors import UnitsError
from protophone.types import AudioBatch, Codebook, FeatureBatch, FrameGrid, Transcript, UnitBatch, Utterance

GRID = FrameGrid(16000, 640, 240)


def units(*rows, sizes=(9,)):
    return UnitBatch.from_arrays([np.array(row) for row in rows], sizes, GRID, "cafe")


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (640, 1), (641, 2), (16000, 25)])
def test_a_grid_counts_every_frame_that_begins(samples, frames):
    assert GRID.num_frames(samples) == frames == int(np.ceil(samples / 640))


@pytest.mark.parametrize("window", [1, 2, 320, 400, 1000])
def test_a_grid_with_a_window_counts_frames_that_have_it_whole(window):
    grid = FrameGrid(16000, 320, 200, window)
    for samples in (*range(0, 2000, 7), 319, 320, 321, 399, 400, 401, 719, 720, 721):
        assert grid.num_frames(samples) == sum(start + window <= samples for start in range(0, samples, 320))


def test_a_grid_knows_times_and_rates_exactly():
    assert GRID.frame_rate == Fraction(25)
    assert GRID.time(3) == (240 + 3 * 640) / 16000
    with pytest.raises(ValueError):
        FrameGrid(16000, 0)
    with pytest.raises(ValueError, match="window 0"):
        FrameGrid(16000, 320, 0, 0)


def test_audio_is_padded_and_comes_back():
    sounds = [np.arange(3, dtype=np.float32), np.ones(5, np.float32)]
    batch = AudioBatch.from_arrays(sounds, 8000)
    assert batch.samples.tolist() == [[0, 1, 2, 0, 0], [1] * 5]
    for row, sound in enumerate(sounds):
        np.testing.assert_array_equal(batch[row], sound)
    assert AudioBatch.from_arrays([], 8000).samples.shape == (0, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AudioBatch(torch.zeros(1, 3, dtype=torch.float64), torch.tensor([3]), 1),
        lambda: AudioBatch(torch.zeros(3), torch.tensor([3]), 1),
        lambda: AudioBatch(torch.zeros(1, 3), torch.tensor([4]), 1),
        lambda: AudioBatch(torch.zeros(2, 3), torch.tensor([3]), 1),
        lambda: AudioBatch(torch.zeros(1, 3), torch.tensor([3.0]), 1),
        lambda: FeatureBatch(torch.zeros(1, 3), torch.tensor([3]), GRID),
        lambda: FeatureBatch(torch.zeros(1, 3, 2), torch.tensor([-1]), GRID),
        lambda: UnitBatch(torch.zeros(1, 2, 3, dtype=torch.int64), torch.tensor([3]), (9,), GRID),
        lambda: UnitBatch(torch.zeros(1, 1, 3, dtype=torch.int32), torch.tensor([3]), (9,), GRID),
        lambda: UnitBatch(
            torch.zeros(1, 1, 3, dtype=torch.int64), torch.tensor([3]), (9,), GRID, torch.ones(1, 2, dtype=torch.int64)
        ),
        lambda: Utterance(content=units([1], [2]), num_samples=3),
        lambda: Codebook(torch.zeros(3, 2)),
        lambda: Transcript(("a",), (0,), (1, 2), (1.0,), 16000),
    ],
)
def test_wrong_shapes_and_kinds_are_refused(make):
    with pytest.raises(ValueError):
        make()


def test_codes_outside_the_codebook_say_so():
    with pytest.raises(UnitsError, match=r"from 1 to 9, outside 0 to 8.*another bundle"):
        units([1, 9])
    with pytest.raises(UnitsError, match="codebook 1"):
        units([[0, 1], [0, 5]], sizes=(2, 5))


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 1, 2, 2, 2, 1], [3], []],
        [[[1, 1, 2, 2], [4, 4, 4, 5]], [[0, 0], [0, 1]]],
        [[5] * 7],
    ],
)
def test_expanding_what_was_collapsed_gives_it_back(rows):
    sizes = (9,) * np.atleast_2d(rows[0]).shape[0]
    batch = units(*rows, sizes=sizes)
    runs = batch.collapse()
    back = runs.expand()
    assert torch.equal(back.codes, batch.codes)
    assert torch.equal(back.lengths, batch.lengths)
    assert (back.grid, back.codebook, back.sizes) == (GRID, "cafe", sizes)
    assert runs.durations.sum(1).tolist() == batch.lengths.tolist()
    for row in range(len(batch)):  # neighbouring runs differ in some codebook
        codes = runs[row]
        assert (codes[:, 1:] != codes[:, :-1]).any(0).all()


def test_runs_are_those_seen_by_eye():
    runs = units([1, 1, 2, 2, 2, 1]).collapse()
    assert (runs[0].tolist(), runs.durations.tolist()) == ([[1, 2, 1]], [[2, 3, 1]])
    for wrong in (runs.collapse, units([1]).expand):
        with pytest.raises(ValueError):
            wrong()


def test_hashes_tell_codebooks_apart_by_value_and_shape_and_nothing_else():
    vectors = torch.arange(12.0).reshape(1, 4, 3)
    written = b"(1, 4, 3)" + np.arange(12, dtype="<f4").tobytes()
    assert Codebook(vectors).hash == hashlib.sha256(written).hexdigest()[:8] == "2b24d168"
    assert Codebook(vectors.clone().transpose(1, 2).contiguous().transpose(1, 2)).hash == Codebook(vectors).hash
    others = [vectors + 1e-6, vectors.reshape(1, 3, 4), vectors.reshape(2, 2, 3)]
    assert len({Codebook(other).hash for other in [vectors, *others]}) == 4


def test_lookup_lays_codebooks_side_by_side():
    vectors = torch.randn(2, 5, 3)
    codes = torch.tensor([[[0, 4], [3, 1]]])
    got = Codebook(vectors).lookup(codes)
    assert got.shape == (1, 2, 6)
    assert torch.equal(got[0, 1], torch.cat([vectors[0, 4], vectors[1, 1]]))
