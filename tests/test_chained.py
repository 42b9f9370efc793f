"""Codes chosen one after the other: brute force, the price on bits, and frames that do not count."""

import math

import numpy as np
import pytest
import torch

from protophone.quantizers.chained import ChainedConfig


def chained(entries=3, dim=2, **options):
    found = ChainedConfig(num_units=entries, dim=dim, **options).build().train()
    found.started.fill_(True)
    found.vectors.copy_(torch.randn(entries, dim))
    return found


def test_each_code_is_the_cheapest_after_the_one_before():
    found = chained(4, price=0.7)
    found.scale.fill_(0.3)
    found.load.copy_(torch.tensor([1.0, 2, 3, 4]))
    found.follows.copy_(torch.rand(4, 4) + 0.05)
    frames, weights = torch.randn(2, 30, 2), torch.rand(2, 30) * (torch.rand(2, 30) > 0.3)
    chosen = found.encode(frames, weights)[:, 0].tolist()
    follows, load = found.follows.double().numpy(), found.load.double().numpy()
    for row in range(2):
        before = load / load.sum()
        for at in range(30):
            costs = [
                float(weights[row, at]) * float((frames[row, at] - found.vectors[code]).square().sum())
                - 0.7 * 0.3 * math.log2(before[code])
                for code in range(4)
            ]
            assert costs[chosen[row][at]] == pytest.approx(min(costs), abs=1e-6)
            before = follows[chosen[row][at]] / follows[chosen[row][at]].sum()


def test_without_a_price_it_is_the_nearest_code():
    found = chained(5, price=1e-9)
    frames = torch.randn(1, 50, 2)
    assert torch.equal(found.encode(frames)[:, 0], torch.cdist(frames, found.vectors[None]).argmin(-1))


def cost(codes, entries):
    """Bits of a code given the one before it, counted."""
    pairs = np.zeros((entries, entries))
    np.add.at(pairs, (codes[:, :-1].flatten(), codes[:, 1:].flatten()), 1)
    given = pairs / pairs.sum(1, keepdims=True).clip(1)
    return -(pairs[pairs > 0] / pairs.sum() * np.log2(given[pairs > 0])).sum()


def test_the_dearer_bits_are_the_fewer_of_them_codes_take():
    spent, wander = [], torch.randn(1, 40, 40, 2).cumsum(2)[0] / 3
    for price in (1e-6, 0.05, 0.2):
        torch.manual_seed(0)
        found = chained(8, price=price)
        for _ in range(60):
            found(wander[torch.randperm(40)[:16]])
        spent.append(cost(found.encode(wander)[:, 0], 8))
    assert 1.1 * spent[1] < spent[0]
    assert 1.3 * spent[2] < spent[1]


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_the_size_of_frames_changes_no_code(factor):
    frames, codes = torch.randn(6, 50, 2).cumsum(1) / 3, []
    for size in (1, factor):
        torch.manual_seed(0)
        found = ChainedConfig(num_units=5, dim=2, price=0.05, restart_below=0.0).build().train()
        for _ in range(10):
            found(frames * size)
        codes.append(found.encode(frames * size))
    assert (codes[0] == codes[1]).float().mean() > 0.99


def test_pairs_are_counted_as_defined():
    found = chained(3, decay=0.9)
    mask = torch.tensor([[1.0, 1, 1, 1, 0], [1, 1, 0, 0, 0]])
    wanted = np.ones((3, 3))
    for _ in range(3):
        before = {key: value.clone() for key, value in found.state_dict().items()}
        frames = torch.randn(2, 5, 2)
        found(frames, None, mask)
        variance = frames[mask > 0].double().var(0, correction=0).sum()
        assert float(found.scale) == pytest.approx(float(0.9 * before["scale"] + 0.1 * variance), rel=1e-5)
        again = chained(3, decay=0.9)
        again.load_state_dict({**before, "scale": found.scale})
        codes = again.encode(frames, mask)[:, 0].numpy()
        wanted = 0.9 * wanted + 1e-4
        for row, length in enumerate((4, 2)):
            for first, second in zip(codes[row, : length - 1], codes[row, 1:length], strict=True):
                wanted[first, second] += 0.1
        np.testing.assert_allclose(found.follows.numpy(), wanted, rtol=1e-5)


def test_frames_without_weight_teach_nothing():
    found = chained(3, commitment=1.0)
    frames = torch.randn(1, 6, 2, requires_grad=True)
    weights = torch.tensor([[1.0, 0, 0.5, 0, 1, 1]])
    mask = torch.tensor([[1.0, 1, 1, 1, 0, 0]])
    out = found(frames, weights, mask)
    chosen = found.vectors[out.codes[0, 0]]
    off = (frames[0] - chosen).square().mean(-1)
    assert float(out.loss.detach()) == pytest.approx(float((off[0] + 0.5 * off[2]).detach() / 1.5), rel=1e-5)
    (out.vectors.sum() + out.loss).backward()
    np.testing.assert_array_equal(frames.grad[0].abs().sum(1) > 0, [True, False, True, False, False, False])
    before = {key: value.clone() for key, value in found.state_dict().items()}
    found(frames, torch.zeros(1, 6))
    assert all(torch.equal(value, before[key]) for key, value in found.state_dict().items())
