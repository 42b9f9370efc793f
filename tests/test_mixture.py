"""Posteriors of Gaussian mixtures against scikit-learn's, and what a Dirichlet process keeps."""

import numpy as np
import pytest
import torch
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from protophone.quantizers import DPGMMConfig, GMMConfig
from protophone.quantizers.mixture import DPGMM, expected_log_weights


def frames(count=3000, dim=7, seed=0):
    rng = np.random.default_rng(seed)
    centre, spread = rng.standard_normal((5, dim)) * 2, rng.uniform(0.3, 1.5, (5, dim))
    which = rng.integers(0, 5, count)
    return (centre[which] + spread[which] * rng.standard_normal((count, dim))).astype(np.float32)


def hold(found, means, precisions, log_weights):
    parts = (means, precisions, log_weights)
    found._hold(*(torch.from_numpy(np.asarray(part, np.float32)) for part in parts))
    return found


def test_gmm_posteriors_are_scikit_learns():
    data = frames()
    model = GaussianMixture(6, covariance_type="diag", random_state=0).fit(data)
    found = hold(GMMConfig(num_units=6).build(7), model.means_, model.precisions_, np.log(model.weights_))
    ours = found.posteriors(torch.from_numpy(data).view(3, 1000, 7)).reshape(3000, 6).numpy()
    np.testing.assert_allclose(ours, model.predict_proba(data.astype(np.float64)), atol=1e-5)
    np.testing.assert_array_equal(found.encode(torch.from_numpy(data)[None])[0, 0].numpy(), model.predict(data))


def test_dpgmm_posteriors_are_scikit_learns():
    data = frames()
    model = BayesianGaussianMixture(
        n_components=9,
        covariance_type="diag",
        weight_concentration_prior_type="dirichlet_process",
        random_state=0,
        max_iter=300,
    ).fit(data)
    found = hold(DPGMMConfig(num_units=9).build(7), model.means_, model.precisions_, expected_log_weights(model))
    ours = found.posteriors(torch.from_numpy(data)[None])[0].numpy()
    np.testing.assert_allclose(ours, model.predict_proba(data.astype(np.float64)), atol=1e-5)


def test_posteriors_hold_where_squares_are_large():
    """Far from the origin and sharp: the opened squares lose digits that single precision does not have."""
    rng = np.random.default_rng(0)
    means, precisions = 100 + rng.standard_normal((4, 39)), np.full((4, 39), 900.0)
    data = (means[rng.integers(0, 4, 200)] + 0.2 * rng.standard_normal((200, 39))).astype(np.float32)
    found = hold(GMMConfig(num_units=4).build(39), means, precisions, np.zeros(4))
    exact = -0.5 * (np.square(data[:, None].astype(np.float64) - found.means.numpy()) * precisions).sum(-1)
    exact = np.exp(exact - exact.max(1, keepdims=True))
    ours = found.posteriors(torch.from_numpy(data)[None])[0].numpy()
    np.testing.assert_allclose(ours, exact / exact.sum(1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("config", [GMMConfig(num_units=6), DPGMMConfig(num_units=6)])
def test_posteriors_are_probabilities_and_codes_their_peaks(config):
    found = config.build(7)
    found.fit(frames(), seed=0)
    data = torch.from_numpy(frames(seed=1))[None]
    posteriors = found.posteriors(data)
    assert posteriors.dtype == torch.float32
    assert posteriors.shape == (1, 3000, *found.sizes)
    assert float(posteriors.min()) >= 0
    np.testing.assert_allclose(posteriors.sum(-1), 1, atol=1e-5)
    assert torch.equal(found.encode(data)[:, 0], posteriors.argmax(-1))
    assert found.posteriors(data[:, :0]).shape == (1, 0, *found.sizes)


def test_gmm_is_as_likely_as_scikit_learns():
    data = frames(6000)
    found = GMMConfig(num_units=5).build(7)
    found.fit(data, seed=0)
    found_likelihood = _likelihood(found, data)
    assert (
        found_likelihood
        > GaussianMixture(5, covariance_type="diag", n_init=3, random_state=0).fit(data).score(data) - 0.05
    )


def _likelihood(found, data):
    """Mean log density, summed as the definition says."""
    means, precisions = found.means.numpy().astype(np.float64), found.precisions.numpy().astype(np.float64)
    squares = (np.square(data[:, None] - means) * precisions).sum(-1)
    log = found.log_weights.numpy() + 0.5 * (np.log(precisions) - np.log(2 * np.pi)).sum(-1) - 0.5 * squares
    return float(np.logaddexp.reduce(log, axis=1).mean())


def test_dirichlet_process_drops_what_it_does_not_need(tmp_path):
    rng = np.random.default_rng(0)
    data = np.concatenate([rng.normal(at, 0.2, (2000, 3)) for at in (-5, 0, 5)]).astype(np.float32)
    found = DPGMMConfig(num_units=30).build(3)
    found.fit(data, seed=0)
    kept = found.sizes[0]
    assert 3 <= kept < 30
    assert found.means.shape == found.precisions.shape == (kept, 3)
    assert found.log_weights.shape == (kept,)
    codes = found.encode(torch.from_numpy(data)[None])[0, 0].numpy()
    for at in range(3):  # no unit is shared between clusters
        mine = set(codes[at * 2000 : (at + 1) * 2000])
        assert not mine & set(np.delete(codes, slice(at * 2000, (at + 1) * 2000)))


def test_more_components_than_allowed_are_not_loaded():
    state = DPGMM(12, 3).state_dict()
    with pytest.raises(RuntimeError, match="size mismatch"):
        DPGMM(8, 3).load_state_dict(state)
