"""Classical units: means over time against numpy, fitting on recordings, posteriors, and what they refuse."""

import numpy as np
import pytest
import torch

from protophone.config import parse
from protophone.data import Pack
from protophone.encoders import EncoderConfig, Moments, Pipeline, PipelineConfig
from protophone.errors import ConfigError, InputError
from protophone.features import LogMelConfig
from protophone.quantizers import DPGMMConfig, GMMConfig, KMeansConfig
from protophone.types import AudioBatch, Recording
from tests.conftest import babble


def audio(*sounds):
    return AudioBatch.from_arrays(list(sounds), 16000)


def normalised(encoder, sound):
    features = encoder.features(audio(sound))
    return encoder.normalize(features, Moments.of(features))[0]


def test_normalised_frames_have_mean_zero_and_deviation_one():
    frames = normalised(PipelineConfig().build(), babble(2))
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-4)


@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_units_are_nearest_centroids_of_means_with_zeros_at_the_end(reduction):
    encoder = PipelineConfig(quantizer=KMeansConfig(num_units=9), time_reduction=reduction).build()
    sound = babble(1.07)
    frames = normalised(encoder, sound)
    assert len(frames) % 4 == 3  # a last group that is not full
    encoder.fit([normalised(encoder, babble(5, seed=1))])
    filled = np.zeros((-(-len(frames) // reduction) * reduction, 39))
    filled[: len(frames)] = frames
    means = filled.reshape(-1, reduction, 39).mean(1)
    distance = np.square(means[:, None] - encoder.codebook.vectors[0].numpy()).sum(-1)
    units = encoder.encode(audio(sound))
    np.testing.assert_array_equal(units[0][0], distance.argmin(1))
    assert units.grid.hop == 160 * reduction
    np.testing.assert_array_equal(
        encoder.represent(audio(sound))[0], encoder.codebook.vectors[0].numpy()[distance.argmin(1)]
    )


def test_two_vowels_are_two_units():
    """Steady stretches of two spectra, each a second long: k-means with as many units tells them apart."""
    t = np.arange(16000) / 16000
    rng = np.random.default_rng(0)
    one, two = (sum(np.sin(2 * np.pi * f * t) for f in group) for group in ((200, 400, 600), (200, 1800, 2000)))
    sound = (0.2 * np.concatenate([one, two, one, two]) + 0.001 * rng.standard_normal(64000)).astype(np.float32)
    encoder = PipelineConfig(
        features=LogMelConfig(n_mels=40), quantizer=KMeansConfig(num_units=2), time_reduction=4
    ).build()
    encoder.fit([normalised(encoder, sound)])
    codes = encoder.encode(audio(sound))[0][0]
    middles = [codes[25 * second + 3 : 25 * second + 22] for second in range(4)]
    assert [len(set(part)) for part in middles] == [1, 1, 1, 1]
    assert middles[0][0] == middles[2][0] != middles[1][0] == middles[3][0]


def test_fitting_a_pack_is_fitting_its_recordings(tmp_path):
    encoder = PipelineConfig(quantizer=KMeansConfig(num_units=5), time_reduction=2).build()
    recordings = [normalised(encoder, babble(seconds, seed=3)) for seconds in (0.5, 1.03, 0.77)]
    sources = [Recording(id=str(index), path=tmp_path) for index in range(3)]
    options = {"sample_rate": 16000, "dtype": "float32", "settings": {}}
    pack = Pack.build(tmp_path / "pack", sources, lambda tape: [recordings[int(tape.source.id)]], **options)
    encoder.fit(pack, seed=4)
    other = PipelineConfig(quantizer=KMeansConfig(num_units=5), time_reduction=2).build()
    other.fit(recordings, seed=4)
    assert encoder.codebook.hash == other.codebook.hash


@pytest.mark.parametrize("quantizer", [GMMConfig(num_units=6), DPGMMConfig(num_units=6)])
def test_posteriors_of_a_batch_are_those_of_singles(quantizer):
    encoder = PipelineConfig(quantizer=quantizer, time_reduction=2).build()
    sounds = [babble(0.71, seed=1), babble(1.5, seed=2)]
    encoder.fit([normalised(encoder, babble(4, seed=5))])
    together = encoder.posteriors(audio(*sounds))
    units = encoder.encode(audio(*sounds))
    assert together.grid == encoder.grid
    assert float(together.frames[0, int(together.lengths[0]) :].abs().max()) == 0
    for row, sound in enumerate(sounds):
        np.testing.assert_allclose(together[row], encoder.posteriors(audio(sound))[0], atol=1e-5)
        np.testing.assert_allclose(together[row].sum(-1), 1, atol=1e-5)
        np.testing.assert_array_equal(together[row].argmax(-1), units[row][0])


def test_kmeans_has_no_posteriors():
    with pytest.raises(InputError, match=r"kmeans units have no posteriors.*gmm"):
        PipelineConfig().build().posteriors(audio(babble(0.2)))


def test_fewer_frames_than_units():
    encoder = PipelineConfig().build()
    with pytest.raises(InputError, match="47 frames cannot make 256 units"):
        encoder.fit([np.zeros((47, 39), np.float32)])


def test_a_config_from_toml():
    text = (
        'kind = "pipeline"\ntime_reduction = 4\n[quantizer]\nkind = "gmm"\nnum_units = 64\n[features]\nkind = "logmel"'
    )
    encoder = parse(EncoderConfig, text).build()
    assert isinstance(encoder, Pipeline)
    assert encoder.sizes == (64,)
    assert encoder.grid.hop == 640
    assert encoder.codebook.vectors.shape == (1, 64, 80)
    assert encoder.context == (0, 0)


def test_a_time_reduction_that_is_none():
    with pytest.raises(ConfigError, match="time_reduction"):
        parse(EncoderConfig, 'kind = "pipeline"\ntime_reduction = 3')


def test_codebooks_differ_by_seed():
    frames = [normalised(PipelineConfig().build(), babble(8, seed=6))]
    config = PipelineConfig(quantizer=KMeansConfig(num_units=20))
    one, two = config.build(), config.build()
    one.fit(frames, seed=0)
    two.fit(frames, seed=1)
    assert one.codebook.hash != two.codebook.hash
    assert torch.isfinite(one.codebook.vectors).all()
