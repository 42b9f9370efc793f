"""What every quantizer promises, over every member: codes of each frame alone, vectors of codes, saving."""

from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from protophone.config import dump, parse
from protophone.errors import ConfigError, InputError
from protophone.quantizers import DPGMMConfig, GMMConfig, KMeansConfig, QuantizerConfig, VQConfig

DIM = 6
FITTED = {"kmeans": KMeansConfig(num_units=8), "gmm": GMMConfig(num_units=8), "dpgmm": DPGMMConfig(num_units=16)}
LEARNED = {
    "vq-ema": VQConfig(num_units=8, dim=DIM, update="ema"),
    "vq-gradient": VQConfig(num_units=8, dim=DIM, update="gradient"),
}
fitted = pytest.mark.parametrize("name", FITTED)
every = pytest.mark.parametrize("name", [*FITTED, *LEARNED])


def planted(count=4000, clusters=8, seed=0):
    """Frames around the corners of a cube, far apart, and which corner each belongs to."""
    rng = np.random.default_rng(seed)
    corners = np.array([[(c >> bit) & 1 for bit in range(DIM)] for c in rng.permutation(2**DIM)[:clusters]])
    label = rng.integers(0, clusters, count)
    return (6.0 * corners[label] + 0.3 * rng.standard_normal((count, DIM))).astype(np.float32), label


@cache
def quantizer(name):
    torch.manual_seed(0)
    frames, _ = planted()
    if name in FITTED:
        found = FITTED[name].build(DIM)
        found.fit(frames, seed=0)
        return found.eval()
    found = LEARNED[name].build().train()
    found(torch.from_numpy(frames)[None])
    return found.eval()


@every
def test_planted_clusters_are_recovered(name):
    frames, label = planted(seed=0)
    codes = quantizer(name).encode(torch.from_numpy(frames)[None])[0, 0].numpy()
    together = np.unique(np.stack([label, codes]), axis=1, return_counts=True)
    if name != "dpgmm":
        # one seeding of k-means may split a cluster and merge two others, no more
        assert len(together[0].T) <= 10
    of_cluster = [codes[label == cluster] for cluster in range(8)]
    pure = np.mean([np.bincount(part).max() / len(part) for part in of_cluster])
    assert pure > 0.85


@every
def test_shapes_and_ranges(name):
    found = quantizer(name)
    codes = found.encode(torch.from_numpy(planted(60)[0]).view(3, 20, DIM))
    assert codes.shape == (3, 1, 20)
    assert codes.dtype == torch.int64
    assert int(codes.min()) >= 0
    assert int(codes.max()) < found.sizes[0]
    assert found.sizes == (found.codebook.vectors.shape[1],)
    assert found.lookup(codes).shape == (3, 20, DIM)
    assert found.encode(torch.zeros(2, 0, DIM)).shape == (2, 1, 0)


@every
def test_a_frame_is_encoded_alone(name):
    found, frames = quantizer(name), torch.from_numpy(planted(50, seed=1)[0])[None]
    whole = found.encode(frames)
    alone = torch.cat([found.encode(frames[:, at : at + 1]) for at in range(50)], dim=2)
    assert torch.equal(whole, alone)


@every
def test_lookup_is_the_vector_of_the_code(name):
    found = quantizer(name)
    codes = torch.tensor([[[0, 3, 3, 1]]])
    vectors = found.lookup(codes)
    for at, code in enumerate((0, 3, 3, 1)):
        assert torch.equal(vectors[0, at], found.codebook.vectors[0, code])


@every
def test_saved_and_loaded(name, tmp_path):
    found = quantizer(name)
    save_file({key: value.clone() for key, value in found.state_dict().items()}, tmp_path / "q.safetensors")
    again = FITTED[name].build(DIM) if name in FITTED else LEARNED[name].build()
    again.load_state_dict(load_file(tmp_path / "q.safetensors"))
    frames = torch.from_numpy(planted(500, seed=2)[0])[None]
    assert torch.equal(again.encode(frames), found.encode(frames))
    assert again.codebook.hash == found.codebook.hash
    assert again.sizes == found.sizes


@fitted
def test_same_seed_same_units_however_the_frames_are_cut(name):
    frames, _ = planted(1500)
    whole, parts = FITTED[name].build(DIM), FITTED[name].build(DIM)
    whole.fit(frames, seed=3)
    parts.fit((part for part in np.array_split(frames, 17)), seed=3)
    assert whole.codebook.hash == parts.codebook.hash


@fitted
def test_memory_mapped_frames(name, tmp_path):
    frames, _ = planted(1500)
    np.save(tmp_path / "frames.npy", frames)
    mapped, held = FITTED[name].build(DIM), FITTED[name].build(DIM)
    mapped.fit(np.load(tmp_path / "frames.npy", mmap_mode="r"), seed=3)
    held.fit(frames, seed=3)
    assert mapped.codebook.hash == held.codebook.hash


@fitted
def test_what_cannot_be_fitted_says_why(name):
    found = FITTED[name].build(DIM)
    with pytest.raises(InputError, match=r"5 frames cannot make (8|16) units"):
        found.fit(planted(5)[0])
    with pytest.raises(InputError, match="no frames"):
        found.fit([])
    with pytest.raises(InputError, match=r"frames of 3 numbers.*quantizer of 6"):
        found.fit(np.zeros((100, 3), np.float32))
    with pytest.raises(InputError, match="not finite"):
        found.fit(np.full((100, DIM), np.nan, np.float32))


@fitted
def test_frames_that_are_all_alike(name):
    """A corpus of silence: no unit is better than another, and nothing breaks."""
    found = FITTED[name].build(DIM)
    with np.errstate(all="raise"):
        found.fit(np.zeros((200, DIM), np.float32))
    assert torch.isfinite(found.codebook.vectors).all()
    assert found.encode(torch.zeros(1, 4, DIM)).shape == (1, 1, 4)


@fitted
def test_config_round_trip(name):
    assert parse(QuantizerConfig, dump(FITTED[name])) == FITTED[name]


def test_no_units_are_refused():
    for kind in FITTED:
        with pytest.raises(ConfigError, match="num_units"):
            parse(QuantizerConfig, f'kind = "{kind}"\nnum_units = 0')
