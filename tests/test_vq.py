"""Vector quantization: equation 3's gradients, moving averages against numpy, restarts, and learning on babble."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from protophone.crops import Crops
from protophone.encoders import Moments, VQVAEConfig
from protophone.quantizers import VQConfig
from protophone.types import AudioBatch
from tests.conftest import babble


def started(update, num_units=4, dim=3, **options):
    found = VQConfig(num_units=num_units, dim=dim, update=update, **options).build().train()
    with torch.no_grad():
        found.vectors.copy_(torch.arange(num_units * dim).view(num_units, dim).float() * 0.5)
        found.started.fill_(True)
    return found


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_frames_become_their_nearest_vectors(update):
    found = started(update).eval()
    frames = torch.randn(2, 11, 3) * 3
    out = found(frames)
    nearest = torch.cdist(frames.double(), found.vectors.detach().double()).argmin(-1)
    assert torch.equal(out.codes, nearest[:, None])
    assert torch.equal(out.codes, found.encode(frames))
    torch.testing.assert_close(out.vectors, found.vectors[nearest])


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_gradient_passes_straight_through(update):
    found = started(update)
    frames = torch.randn(1, 5, 3, requires_grad=True)
    weight = torch.randn(1, 5, 3)
    (found(frames).vectors * weight).sum().backward()
    assert torch.equal(frames.grad, weight)


def test_equation_3_moves_vectors_to_frames_and_frames_to_vectors():
    found = started("gradient", commitment=0.25)
    frames = torch.tensor([[[0.1, 0.4, 1.3]]], requires_grad=True)
    found(frames).loss.backward()
    vector = torch.tensor([0.0, 0.5, 1.0])  # the first, the nearest; means over the three dimensions
    torch.testing.assert_close(frames.grad[0, 0], 0.25 * 2 * (frames.detach()[0, 0] - vector) / 3)
    torch.testing.assert_close(found.vectors.grad[0], 2 * (vector - frames.detach()[0, 0]) / 3)
    assert float(found.vectors.grad[1:].abs().sum()) == 0


def test_moving_averages_follow_their_definition():
    decay, restart = 0.9, 0.0
    found = started("ema", num_units=3, dim=2, decay=decay, restart_below=restart)
    load = np.ones(3)
    found.load.fill_(1)
    found.total.copy_(found.vectors)
    vectors = found.vectors.numpy().astype(np.float64)
    total = vectors.copy()
    rng = np.random.default_rng(0)
    for _ in range(5):
        frames = rng.standard_normal((40, 2)).astype(np.float32) * 2
        codes = np.square(frames[:, None] - vectors).sum(-1).argmin(1)
        for unit in range(3):
            load[unit] = decay * load[unit] + (1 - decay) * (codes == unit).sum()
            total[unit] = decay * total[unit] + (1 - decay) * frames[codes == unit].sum(0)
            vectors[unit] = total[unit] / load[unit]
        found(torch.from_numpy(frames)[None])
        np.testing.assert_allclose(found.vectors.numpy(), vectors, rtol=1e-4, atol=1e-5)


def test_a_code_that_nothing_chooses_is_moved_onto_a_frame():
    found = started("ema", num_units=2, dim=1, decay=0.5, restart_below=0.05)
    found.vectors.copy_(torch.tensor([[0.0], [1000.0]]))
    found.total.copy_(found.vectors)
    for _ in range(12):
        found(torch.randn(1, 200, 1))
    assert float(found.vectors.abs().max()) < 5
    found.eval()
    assert len(found.encode(torch.randn(1, 200, 1)).unique()) == 2


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_evaluation_changes_nothing(update):
    found = started(update).eval()
    before = {key: value.clone() for key, value in found.state_dict().items()}
    found(torch.randn(1, 50, 3))
    assert all(torch.equal(value, before[key]) for key, value in found.state_dict().items())


@pytest.mark.parametrize("update", ["ema", "gradient"])
@pytest.mark.parametrize("frames", [3, 500])
def test_first_batch_starts_the_codebook(update, frames):
    """No code is born dead: with frames enough every vector is used, with fewer each vector is a frame."""
    found = VQConfig(num_units=8, dim=3, update=update, decay=1.0, restart_below=0.0).build().train()
    batch = torch.randn(1, frames, 3)
    found(batch)
    assert bool(found.started)
    codes = found.eval().encode(batch).unique()
    if frames == 500:
        assert len(codes) == 8
        assert F.mse_loss(found.lookup(found.encode(batch)), batch) < 0.7 * batch.var()
    else:
        assert float(torch.cdist(found.vectors.detach(), batch[0]).amin(1).max()) < 1e-4


@pytest.mark.parametrize(("update", "reduction"), [("ema", 4), ("gradient", 2), ("ema", 8)])
def test_vqvae_learns_babble(update, reduction):
    """Sixty steps on eight seconds of sound leave less than two thirds of the error, and use many codes."""
    config = VQVAEConfig(
        time_reduction=reduction, channels=48, blocks=1, quantizer=VQConfig(num_units=32, dim=16, update=update)
    )
    model = config.build(("a",)).train()
    features = model.features(AudioBatch.from_arrays([babble(8)], 16000))
    frames = model.normalize(features, Moments.of(features)).frames
    wanted = model.target(AudioBatch.from_arrays([babble(8)], 16000))
    target = model.normalize(wanted, Moments.of(wanted)).frames
    crop, context = 96, model.context[0]
    optimizer = torch.optim.AdamW(model.parameter_groups()["vqvae"], lr=3e-3)
    errors = []
    for _ in range(60):
        starts = torch.randint(context, frames.shape[1] - crop - context, (6,)).tolist()
        batch = Crops(
            torch.cat([frames[:, at - context : at + crop + context] for at in starts]),
            torch.cat([target[:, at : at + crop] for at in starts]),
            torch.ones(6, crop),
            torch.zeros(6, dtype=torch.int64),
        )
        for _, loss in model.losses(batch):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        errors.append(float(model.figures["reconstruction"]))
    assert np.mean(errors[-5:]) < 0.67 * np.mean(errors[:3])
    units = model.encode(AudioBatch.from_arrays([babble(8)], 16000))
    assert len(np.unique(units[0])) > 8
