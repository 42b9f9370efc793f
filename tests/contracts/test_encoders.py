"""What every encoder promises, over every member of the union: counts, ranges, batches, chunks, saving, refusals."""

from functools import cache
from itertools import cycle, product

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from protophone.config import dump, parse
from protophone.encoders import ContentVQVAEConfig, EncoderConfig, Moments, PipelineConfig, VQVAEConfig
from protophone.encoders.augment import AugmentConfig
from protophone.errors import AudioError, InputError, UnitsError
from protophone.features import LogMelConfig, MfccConfig
from protophone.quantizers import DPGMMConfig, GMMConfig, KMeansConfig, VQConfig
from protophone.types import AudioBatch, UnitBatch
from tests.conftest import babble, corpus

RATE = 16000
FEATURES = {"mfcc": MfccConfig(), "logmel": LogMelConfig(n_mels=40)}
CLASSICAL = {"kmeans": KMeansConfig(num_units=24), "gmm": GMMConfig(num_units=12), "dpgmm": DPGMMConfig(num_units=12)}


def _vqvae(reduction, update, features, normalization):
    return VQVAEConfig(
        features=FEATURES[features],
        normalization=normalization,
        time_reduction=reduction,
        quantizer=VQConfig(num_units=32, dim=16, update=update),
        channels=24,
        blocks=2,
        augment=AugmentConfig(noise=0.2),
        # each way of representing is met by half of the members
        represent="codes" if (update == "ema") == (features == "mfcc") else "decoded",
    )


def _pipeline(reduction, quantizer, features, normalization):
    return PipelineConfig(
        features=FEATURES[features],
        normalization=normalization,
        time_reduction=reduction,
        quantizer=CLASSICAL[quantizer],
    )


def _content(reduction, normalization, represent):
    return ContentVQVAEConfig(
        features=FEATURES["logmel"],
        normalization=normalization,
        time_reduction=reduction,
        quantizer=VQConfig(num_units=32, dim=16, bits=4.5),
        channels=24,
        encoder_blocks=2,
        decoder_blocks=2,
        fine_channels=16,
        represent=represent,
    )


# Every pair of settings occurs: time reduction against the rest, and the rest among themselves, halves alternating.
CONFIGS = {
    "-".join(map(str, ("vqvae", *settings))): _vqvae(*settings)
    for settings in product((1, 2, 4, 8), ("ema", "gradient"), ("mfcc", "logmel"), ("recording", "corpus"))
    if (settings[0].bit_length() + (settings[1] == "ema") + (settings[2] == "mfcc") + (settings[3] == "corpus")) % 2
} | {
    "-".join(map(str, ("pipeline", *settings))): _pipeline(*settings)
    for settings in product((1, 2, 4), CLASSICAL, ("mfcc", "logmel"), ("recording", "corpus"))
    if (settings[0].bit_length() + len(settings[1]) + (settings[2] == "mfcc") + (settings[3] == "corpus")) % 2
}
CONFIGS |= {
    "-".join(map(str, ("content", *settings))): _content(*settings)
    for settings in (
        (2, "corpus", "decoded"),
        (4, "recording", "codes"),
        (4, "corpus", "decoded"),
        (8, "recording", "codes"),
    )
}
members = pytest.mark.parametrize("name", CONFIGS)


def _build(config):
    told = isinstance(config, VQVAEConfig | ContentVQVAEConfig)
    return config.build(("abiayi", "martial")) if told else config.build()


@cache
def _encoder(name):
    """A member with something learned from ten seconds of babble: a fit, or the first step of a training."""
    torch.manual_seed(1)
    config = CONFIGS[name]
    encoder = _build(config)
    sound = babble(10, seed=7)
    features = encoder.features(AudioBatch.from_arrays([sound * encoder.gain([sound])], RATE))
    if config.normalization == "corpus":
        mean, deviation = Moments.of(features).mean_and_deviation()
        encoder.mean.copy_(mean[0])
        encoder.deviation.copy_(deviation[0])
    frames = encoder.normalize(features, Moments.of(features)).frames
    if isinstance(config, VQVAEConfig):
        encoder.train()
        with torch.no_grad():
            for _ in range(20):  # statistics for batch normalisation, then code vectors where the latents are
                latents = encoder.encoder(frames)
                encoder.decode_frames(latents, encoder.voices.weight[:1], torch.tensor([latents.shape[1]]))
            encoder.encoder.eval()
            encoder.quantizer(encoder.encoder(frames))
    elif isinstance(config, ContentVQVAEConfig):
        encoder.train()
        with torch.no_grad():
            encoder.quantizer(encoder.latents_of(encoder.framed(AudioBatch.from_arrays([sound], RATE))[0]))
    else:
        encoder.fit([frames[0].numpy()])
    return encoder.eval()


def _codes(encoder, *sounds):
    units = encoder.encode(AudioBatch.from_arrays(list(sounds), RATE))
    return [units[row] for row in range(len(sounds))]


def _blocks(sound, size):
    return lambda: (sound[at : at + size] for at in range(0, len(sound), size))


@cache
def _clips():
    """Real recordings of several lengths and voices, none above eight seconds."""
    paths = sorted((corpus("prompts") / "dev").rglob("*.flac"))[::28]
    sounds = [soundfile.read(path, dtype="float32")[0][: 8 * RATE] for path in paths]
    assert len(sounds) >= 6
    return sounds


@members
def test_frame_count_and_code_range(name):
    encoder = _encoder(name)
    hop, sound = encoder.grid.hop, babble(1.4, seed=2)
    for samples in (1, hop - 1, hop, hop + 1, 2 * hop - 1, 2 * hop, 2 * hop + 1, 7 * hop, 16 * hop - 1, 16 * hop + 1):
        (codes,) = _codes(encoder, sound[:samples])
        assert codes.shape == (1, -(-samples // hop)) == (1, encoder.grid.num_frames(samples))
        assert codes.dtype == np.int64
        assert codes.min() >= 0
        assert codes.max() < encoder.sizes[0]


@members
def test_grid_is_the_features_divided_by_the_reduction(name):
    encoder = _encoder(name)
    reduction = CONFIGS[name].time_reduction
    assert encoder.grid.hop == 160 * reduction
    assert encoder.grid.offset == 160 * (reduction - 1) // 2
    assert encoder.grid.sample_rate == encoder.sample_rate == RATE


@members
def test_units_differ_and_say_whose_they_are(name):
    encoder = _encoder(name)
    units = encoder.encode(AudioBatch.from_arrays([babble(3, seed=2)], RATE))
    assert len(np.unique(units[0])) >= 3
    assert units.codebook == encoder.codebook.hash
    assert units.sizes == encoder.sizes == (encoder.codebook.vectors.shape[1],)


@members
def test_batch_of_two_is_two_singles(name):
    encoder = _encoder(name)
    for short, long in ((babble(0.7, seed=3), babble(3.1, seed=4)), (babble(0.013, seed=3), babble(1, seed=5))):
        together = _codes(encoder, short, long)
        for alone, found in zip((short, long), together, strict=True):
            np.testing.assert_array_equal(found, _codes(encoder, alone)[0])


@members
def test_real_batch_is_singles(name):
    encoder, clips = _encoder(name), _clips()
    for alone, found in zip(clips, _codes(encoder, *clips), strict=True):
        np.testing.assert_array_equal(found, _codes(encoder, alone)[0])


@members
def test_stream_is_whole_on_babble(name):
    encoder = _encoder(name)
    sound = babble(1.5001, seed=6)
    for block, chunk in ((1600, 1), (997, 7), (16000, 50), (50000, 64), (123, 100), (10**6, 6000)):
        part = sound[: 3 * chunk * 160 + 5000]
        units = encoder.encode_stream(_blocks(part, block), chunk)
        np.testing.assert_array_equal(units[0], _codes(encoder, part)[0])
        assert units.codebook == encoder.codebook.hash


@members
def test_units_do_not_follow_the_level(name):
    encoder, sound = _encoder(name), babble(3, seed=4)
    (units,) = _codes(encoder, sound)
    for gain in (0.01, 0.1, 2.0):
        assert np.mean(_codes(encoder, sound * np.float32(gain))[0] == units) > 0.97


@members
def test_nothing_past_the_stated_lookahead_changes_a_unit(name, monkeypatch):
    encoder, sound = _encoder(name), babble(4, seed=6)
    if encoder.normalization == "recording":
        assert encoder.lookahead is None
        return
    monkeypatch.setattr(encoder, "gain", lambda _: np.float32(1))  # of the whole recording, taken as known
    (before,) = _codes(encoder, sound)
    for unit in (0, 5):
        end = unit * encoder.grid.hop + encoder.lookahead
        changed = np.concatenate([sound[:end], babble(2, seed=9)])
        np.testing.assert_array_equal(_codes(encoder, changed)[0][:, : unit + 1], before[:, : unit + 1])


@members
def test_stream_is_whole_on_recordings(name):
    encoder = _encoder(name)
    for sound, block, chunk in zip(_clips(), cycle((4000, 16000, 777)), cycle((60, 333, 100, 21)), strict=False):
        units = encoder.encode_stream(_blocks(sound, block), chunk)
        np.testing.assert_array_equal(units[0], _codes(encoder, sound)[0])


@members
def test_stream_is_whole_where_recordings_are_short(name):
    encoder = _encoder(name)
    for samples in (1, 160, 161, 1440, 1441, 1760, 1761, 3200):  # about the deltas' width, 9, and their context, 10
        sound = babble(1, seed=8)[4000 : 4000 + samples]
        for chunk in (3, 6000):
            units = encoder.encode_stream(_blocks(sound, 333), chunk)
            np.testing.assert_array_equal(units[0], _codes(encoder, sound)[0])


@members
def test_vectors_of_a_batch_are_those_of_singles(name):
    encoder = _encoder(name)
    sounds = [babble(0.7, seed=3), babble(1.9, seed=4)]
    units = encoder.encode(AudioBatch.from_arrays(sounds, RATE))
    together = encoder.vectors(units)
    for row, sound in enumerate(sounds):
        alone = encoder.represent(AudioBatch.from_arrays([sound], RATE))
        assert together[row].shape == alone[0].shape
        assert len(alone[0]) == alone.grid.num_frames(units.grid.hop * len(units[row][0]))
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5)


@members
def test_vectors_depend_on_codes_alone(name):
    encoder = _encoder(name)
    units = encoder.encode(AudioBatch.from_arrays([babble(1, seed=3)], RATE))
    bare = UnitBatch.from_arrays([units[0]], units.sizes, units.grid)
    np.testing.assert_array_equal(encoder.vectors(bare)[0], encoder.vectors(units)[0])
    np.testing.assert_array_equal(encoder.vectors(units.collapse())[0], encoder.vectors(units)[0])


@members
def test_saved_and_loaded_encodes_alike(name, tmp_path):
    encoder = _encoder(name)
    save_file({key: value.clone() for key, value in encoder.state_dict().items()}, tmp_path / "encoder.safetensors")
    again = _build(parse(EncoderConfig, dump(CONFIGS[name])))
    again.load_state_dict(load_file(tmp_path / "encoder.safetensors"))
    sound = babble(2, seed=9)
    # a freshly built model is in training mode: encoding must not depend on that
    np.testing.assert_array_equal(_codes(again, sound)[0], _codes(encoder, sound)[0])
    assert again.codebook.hash == encoder.codebook.hash
    units = encoder.encode(AudioBatch.from_arrays([sound], RATE))
    np.testing.assert_array_equal(again.vectors(units)[0], encoder.vectors(units)[0])


@members
def test_encoding_learns_nothing(name):
    encoder = _encoder(name)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder.train()
    encoder.represent(AudioBatch.from_arrays([babble(1, seed=3)], RATE))
    encoder.encode_stream(_blocks(babble(1, seed=3), 8000), 30)
    assert encoder.training
    encoder.eval()
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, before[key]), key


@members
def test_half_a_minute(name):
    encoder = _encoder(name)
    sound = np.tile(babble(7.53, seed=11), 4)[: 30 * RATE]
    (codes,) = _codes(encoder, sound)
    assert codes.shape == (1, encoder.grid.num_frames(30 * RATE))


@members
def test_silence_is_encoded(name):
    (codes,) = _codes(_encoder(name), np.zeros(RATE, np.float32))
    assert codes.shape == (1, _encoder(name).grid.num_frames(RATE))


@members
def test_units_of_another_codebook_are_refused(name):
    encoder = _encoder(name)
    units = encoder.encode(AudioBatch.from_arrays([babble(0.5, seed=3)], RATE))
    foreign = UnitBatch(units.codes, units.lengths, units.sizes, units.grid, codebook="0badc0de")
    with pytest.raises(UnitsError, match=f"0badc0de.*{encoder.codebook.hash}"):
        encoder.vectors(foreign)
    larger = UnitBatch(units.codes, units.lengths, (999,), units.grid)
    with pytest.raises(UnitsError, match="999"):
        encoder.vectors(larger)


@members
def test_no_samples_and_no_chunks_are_refused(name):
    encoder = _encoder(name)
    nothing = np.zeros(0, np.float32)
    with pytest.raises(AudioError, match="no sound to encode"):
        _codes(encoder, nothing)
    with pytest.raises(AudioError, match="no sound to encode"):
        encoder.encode_stream(lambda: [nothing])
    with pytest.raises(InputError, match="chunks of 0"):
        encoder.encode_stream(lambda: [babble(1)], chunk=0)


@members
def test_an_empty_row_of_a_batch_has_no_units(name):
    empty, full = _codes(_encoder(name), np.zeros(0, np.float32), babble(0.5, seed=3))
    assert empty.shape == (1, 0)
    np.testing.assert_array_equal(full, _codes(_encoder(name), babble(0.5, seed=3))[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_another_device_encodes_almost_alike():
    sound = babble(3, seed=3)
    for name in CONFIGS:
        encoder = _encoder(name)
        expected = _codes(encoder, sound)[0]
        try:
            encoder.to("cuda")
            found = encoder.encode(AudioBatch.from_arrays([sound], RATE).to("cuda"))
            streamed = encoder.encode_stream(_blocks(sound, 8000), 100)
            assert encoder.vectors(found).frames.device.type == "cuda"
            assert encoder.vectors(streamed).frames.shape == encoder.vectors(found).frames.shape  # units on the CPU
        finally:
            encoder.to("cpu")
        # other sums in other orders: a frame between two code vectors may fall to the other side
        assert (found[0] == expected).mean() > 0.98
        assert (streamed[0] == expected).mean() > 0.98


@pytest.mark.parametrize("normalization", ["recording", "corpus"])
def test_unstarted_vqvae_encodes(normalization):
    encoder = VQVAEConfig(channels=8, blocks=1, normalization=normalization).build(("someone",))
    assert _codes(encoder, babble(1))[0].shape == (1, 25)
