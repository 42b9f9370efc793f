"""What every feature extractor must do, over every member of the family."""

from typing import get_args

import librosa
import numpy as np
import pytest
import soundfile
import torch

from protophone.config import dump, parse
from protophone.errors import AudioError, ConfigError
from protophone.features import FeatureConfig, LogMelConfig, MfccConfig, SSLConfig
from protophone.types import AudioBatch
from tests.conftest import babble, corpus

MEMBERS = get_args(get_args(FeatureConfig)[0])
CONFIGS = [member() for member in MEMBERS if member is not SSLConfig]  # which has no model to begin with


@pytest.fixture(scope="module", params=[member.kind for member in MEMBERS])
def extractor(request):
    """Each member of the family; of the self-supervised, a small model in windows of 30 frames."""
    if request.param == "ssl":
        model = str(request.getfixturevalue("tiny_hubert"))
        return SSLConfig(model=model, layer=2, window=30, overlap=10).build()
    return next(config for config in CONFIGS if config.kind == request.param).build()


def alike(ours, wanted) -> None:
    """Equal to 1e-5 of the values' size."""
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-5 * max(1.0, float(np.abs(wanted).max())))


def features(extractor, *sounds):
    return extractor(AudioBatch.from_arrays(list(sounds), extractor.sample_rate))


@pytest.mark.parametrize("size", [1, 10, 159, 160, 161, 1440, 16000])
def test_frames_are_as_many_as_the_grid_says(extractor, size):
    made = features(extractor, babble(1.0)[:size])
    assert made.frames.shape == (1, extractor.grid.num_frames(size), extractor.dim)
    assert torch.isfinite(made.frames).all()


def test_a_batch_gives_what_its_rows_give_alone(extractor):
    sounds = [babble(seconds, seed) for seed, seconds in enumerate((1.0, 0.3777, 0.05, 0.9))]
    together = features(extractor, *sounds)
    for index, sound in enumerate(sounds):
        alike(together[index], features(extractor, sound)[0])
        assert not together.frames[index, int(together.lengths[index]) :].any()


def test_padding_is_not_heard(extractor):
    batch = AudioBatch.from_arrays([babble(0.5), babble(0.21, 1)], extractor.sample_rate)
    wanted = extractor(batch)[1]
    batch.samples[1, int(batch.lengths[1]) :] = 0.7
    np.testing.assert_array_equal(extractor(batch)[1], wanted)


@pytest.mark.parametrize("chunk", [1, 7, 40])
@pytest.mark.parametrize("size", [12 * 160, 15983])
def test_chunks_give_what_the_whole_gives(extractor, chunk, size):
    if extractor.config.kind == "ssl":
        pytest.skip("reads in windows, not with a context: tests/test_ssl.py")
    sound, hop, context = babble(1.0, 3)[:size], extractor.grid.hop, extractor.context
    whole = features(extractor, sound)[0]
    parts = []
    for first in range(0, len(whole), chunk):
        start = max(0, first - context)
        piece = sound[start * hop : (first + chunk + context) * hop]
        parts.append(features(extractor, piece)[0][first - start : first - start + chunk])
    alike(np.concatenate(parts), whole)


@pytest.mark.parametrize("chunk", [7, 40])
@pytest.mark.parametrize("size", [500, 30 * 320, 60 * 320 + 77])
def test_a_stream_gives_what_the_whole_gives(extractor, chunk, size):
    sound = babble(1.3, 4)[:size]
    blocks = (sound[at : at + 1777] for at in range(0, size, 1777))
    alike(np.concatenate([part[0] for part in extractor.stream(blocks, chunk)]), features(extractor, sound)[0])


def test_silence_and_an_empty_batch(extractor):
    assert torch.isfinite(features(extractor, np.zeros(3200, np.float32)).frames).all()
    assert features(extractor).frames.shape == (0, 0, extractor.dim)


def test_another_sample_rate_is_refused(extractor):
    with pytest.raises(AudioError, match="8000 Hz"):
        extractor(AudioBatch.from_arrays([babble(0.1)], 8000))


@pytest.mark.parametrize("config", CONFIGS, ids=[c.kind for c in CONFIGS])
def test_configs_survive_being_written(config):
    assert parse(FeatureConfig, dump(config)) == config


def test_bad_configs_are_refused():
    with pytest.raises(ConfigError, match="n_mfcc 41"):
        MfccConfig(n_mfcc=41)
    with pytest.raises(ConfigError, match="delta_width 4"):
        MfccConfig(delta_width=4)
    with pytest.raises(ConfigError, match="window_length 500"):
        LogMelConfig(window_length=500)
    with pytest.raises(ConfigError, match="hop: .*greater than or equal to 1"):
        LogMelConfig(hop=0)
    with pytest.raises(ConfigError, match="fewer bands"):
        LogMelConfig(n_mels=200)


@pytest.mark.parametrize("name", ["mboshi", "prompts"])
def test_mfcc_and_deltas_are_librosas_on_recordings(name):
    """The oracle has one frame more only where the hop divides the samples; that one is dropped before its deltas."""
    extractor = MfccConfig().build()
    for path in sorted(corpus(name).rglob("dev/*/*.flac"))[::40]:
        sound = soundfile.read(path, dtype="float32")[0]
        decibels = librosa.power_to_db(
            librosa.feature.melspectrogram(y=sound, sr=16000, n_fft=400, hop_length=160, n_mels=40), top_db=None
        )
        cepstra = librosa.feature.mfcc(S=decibels, n_mfcc=13)[:, : -(-len(sound) // 160)]
        wanted = np.concatenate([cepstra, *(librosa.feature.delta(cepstra, width=9, order=k) for k in (1, 2))]).T
        ours = features(extractor, sound)[0]
        assert ours.shape == wanted.shape
        assert (np.abs(ours - wanted) < 1e-3 * wanted.std(0)).all()


def test_log_mel_is_librosas():
    sound = babble(1.0)
    power = librosa.feature.melspectrogram(y=sound, sr=16000, n_fft=400, hop_length=160, n_mels=80).T
    wanted = np.log(np.maximum(power, 1e-10))[:100]
    # Both are float32: where a band is 80 dB below the loudest, processors differ in its fourth digit.
    np.testing.assert_allclose(features(LogMelConfig().build(), sound)[0], wanted, rtol=0, atol=1e-3)
