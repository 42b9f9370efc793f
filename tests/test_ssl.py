"""Self-supervised features against transformers and against fairseq's own computation; framing, windows, batches."""

from functools import cache

import numpy as np
import pytest
import torch

from protophone.errors import AudioError
from protophone.features import SSLConfig
from protophone.features.ssl.extractor import _normalized
from protophone.types import AudioBatch, FrameGrid
from tests.conftest import babble
from tests.reference.fairseq_speech import as_double, fairseq_layers, framed
from tests.ssl_models import DIM, KINDS, LAYERS, NAMES, fairseq_settings, fairseq_weights, save_fairseq, save_folder
from tests.ssl_models import tiny_model as _tiny_model

pytest.importorskip("transformers")


RATE = 16000


each = pytest.mark.parametrize("kind", KINDS, ids=NAMES)


@cache
def tiny_model(kind, norm, stable):
    return _tiny_model(kind, norm, stable=stable)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each kind of model."""
    root = tmp_path_factory.mktemp("models")
    return {
        kind: save_folder(tiny_model(*kind), root / name, normalized=False)
        for kind, name in zip(KINDS, NAMES, strict=True)
    }


@pytest.fixture
def folder(folders):
    return folders["hubert", "group", False]


def frames(config, *sounds):
    """Frames of a batch of sounds."""
    return config.build()(AudioBatch.from_arrays(list(sounds), RATE))


@torch.no_grad()
def hidden(model, sound):
    """What transformers gives: ``hidden_states``, then ``last_hidden_state``."""
    found = model(torch.from_numpy(sound)[None], output_hidden_states=True)
    return [state[0].numpy() for state in found.hidden_states], found.last_hidden_state[0].numpy()


@each
def test_every_layer_is_transformers_hidden_state(kind, folders):
    sound = babble(0.7)
    wanted, last = hidden(tiny_model(*kind), sound)
    for layer in range(LAYERS + 1):
        found = frames(SSLConfig(model=str(folders[kind]), layer=layer), sound)
        np.testing.assert_allclose(found[0], wanted[layer], atol=1e-5)
    assert found[0].shape == (framed(len(sound)), DIM)
    _, _, stable = kind
    if stable:
        found = frames(SSLConfig(model=str(folders[kind]), layer=LAYERS, tap="final_norm"), sound)
    np.testing.assert_allclose(found[0], last, atol=1e-5)


@each
def test_fairseq_checkpoints_give_what_fairseq_computes(kind, folders, tmp_path):
    name, _, stable = kind
    if name == "wavlm":
        pytest.skip("WavLM's own checkpoints are not fairseq's")
    model, sound = tiny_model(*kind), babble(0.6, seed=1)
    path = save_fairseq(model, tmp_path / "checkpoint.pt")
    samples = torch.from_numpy(sound).double()
    outputs, added, last = fairseq_layers(as_double(fairseq_weights(model)), fairseq_settings(model), samples)
    for layer in range(1, LAYERS + 1):
        for tap, wanted in (("after_residual", outputs), ("before_residual", added)):
            found = frames(SSLConfig(model=str(path), layer=layer, tap=tap), sound)
            np.testing.assert_allclose(found[0], wanted[layer - 1].numpy(), atol=1e-5)
    if stable:
        found = frames(SSLConfig(model=str(path), layer=LAYERS, tap="final_norm"), sound)
    np.testing.assert_allclose(found[0] if stable else outputs[-1], last.numpy(), atol=1e-5)
    from_folder = SSLConfig(model=str(folders[kind]), layer=2).build()
    assert SSLConfig(model=str(path), layer=2, sha256=from_folder.config.sha256).build().config.waveform == "plain"


@pytest.mark.parametrize("old", [False, True], ids=["cfg", "args"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "stream"])
@pytest.mark.parametrize("kind", ["hubert", "wav2vec2"])
def test_every_layout_of_a_fairseq_checkpoint(kind, old, legacy, folders, tmp_path):
    model, sound = tiny_model(kind, "layer", True), babble(0.3)
    path = save_fairseq(model, tmp_path / "checkpoint.pt", normalized=True, old=old, legacy=legacy)
    found = SSLConfig(model=str(path), layer=2).build()
    assert found.config.waveform == "normalized"
    wanted = frames(SSLConfig(model=str(folders[kind, "layer", True]), layer=2, waveform="normalized"), sound)
    np.testing.assert_allclose(found(AudioBatch.from_arrays([sound], RATE))[0], wanted[0], atol=1e-5)


def test_before_the_residual_of_wavlm(folders):
    """Neither library gives it away: what the output is made of must add up to it."""
    for stable in (False, True):
        kind = ("wavlm", "layer", stable)
        model, sound = tiny_model(*kind), babble(0.4)
        wanted, _ = hidden(model, sound)
        found = frames(SSLConfig(model=str(folders[kind]), layer=1, tap="before_residual"), sound)
        layer, came = model.encoder.layers[0], torch.from_numpy(wanted[0])[None]
        with torch.no_grad():
            into = layer.layer_norm(came) if stable else came
            there = came + layer.attention(into)[0]
            into = there if stable else layer.layer_norm(there)
            whole = into + found.frames if stable else layer.final_layer_norm(into + found.frames)
        np.testing.assert_allclose(whole[0].numpy(), wanted[1], atol=1e-5)


@pytest.mark.parametrize("samples", [1, 320, 399, 400, 401, 719, 720, 721, 1039, 1040, 16000, 16079, 16080, 16081])
def test_frames_are_the_models_own(samples, folder):
    extractor = SSLConfig(model=str(folder), layer=1).build()
    assert extractor.grid == FrameGrid(RATE, 320, 200, window=400)
    assert extractor.grid.num_frames(samples) == framed(samples)
    made = extractor(AudioBatch.from_arrays([babble(1.1)[:samples]], RATE))
    assert made.frames.shape == (1, framed(samples), DIM)


@each
@pytest.mark.parametrize("waveform", ["plain", "normalized"])
def test_a_batch_gives_what_its_rows_give_alone(kind, waveform, folders):
    """On the processor row by row, and on a GPU padded together, where that changes nothing."""
    extractor = SSLConfig(model=str(folders[kind]), layer=LAYERS, waveform=waveform).build()
    sounds = [babble(seconds, seed) for seed, seconds in enumerate((0.9, 0.31, 0.9, 0.02, 0.31, 0.5))]
    together = extractor(AudioBatch.from_arrays(sounds, RATE))
    alone = [extractor(AudioBatch.from_arrays([sound], RATE))[0] for sound in sounds]
    long = [torch.from_numpy(sound) for sound in sounds if len(sound) >= 400]
    if waveform == "normalized":
        long = [_normalized(sound) for sound in long]
    padded = iter(extractor._in_batches(long))
    for row, wanted in enumerate(alone):
        np.testing.assert_array_equal(together[row], wanted)
        assert not together.frames[row, len(wanted) :].any()
        if len(wanted):
            np.testing.assert_allclose(next(padded).numpy(), wanted, atol=1e-5, rtol=1e-5)


def test_a_group_norm_hears_padding(folders):
    """Why models of one kind are never padded: the mask does not reach their convolutions."""
    sounds = [torch.from_numpy(babble(seconds)) for seconds in (0.9, 0.3)]
    for norm, heard in (("group", True), ("layer", False)):
        extractor = SSLConfig(model=str(folders["hubert", norm, False]), layer=1).build()
        difference = extractor._together(sounds)[1] - extractor._together(sounds[1:])[0]
        assert (float(difference.abs().max()) > 1e-2) == heard


def test_padding_is_not_heard(folder):
    batch = AudioBatch.from_arrays([babble(0.5), babble(0.21, 1)], RATE)
    extractor = SSLConfig(model=str(folder), layer=2).build()
    wanted = extractor(batch)[1]
    batch.samples[1, int(batch.lengths[1]) :] = 0.7
    np.testing.assert_array_equal(extractor(batch)[1], wanted)


def test_silence_an_empty_batch_and_another_rate(folder):
    extractor = SSLConfig(model=str(folder), layer=1, waveform="normalized").build()
    assert torch.isfinite(extractor(AudioBatch.from_arrays([np.zeros(3200, np.float32)], RATE)).frames).all()
    assert extractor(AudioBatch.from_arrays([], RATE)).frames.shape == (0, 0, DIM)
    with pytest.raises(AudioError, match="8000 Hz"):
        extractor(AudioBatch.from_arrays([babble(0.1)], 8000))


@pytest.mark.parametrize("waveform", ["plain", "normalized"])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_long_recordings_are_read_in_windows(norm, waveform, folders):
    """Windows of 20 frames, of which three at each inner end are dropped, cut out and put together by hand."""
    model = folders["hubert", norm, False]
    settings = {"model": str(model), "layer": 2, "waveform": waveform}
    windowed, whole = SSLConfig(**settings, window=20, overlap=3).build(), SSLConfig(**settings).build()
    for count, starts in ((20, [0]), (21, [0, 14]), (34, [0, 14]), (35, [0, 14, 28])):
        for extra in (0, 319):
            sound = babble(1.2, seed=count)[: 320 * (count - 1) + 400 + extra]
            parts = []
            for start in starts:
                last = start == starts[-1]
                piece = sound[320 * start :] if last else sound[320 * start : 320 * (start + 19) + 400]
                heard = whole(AudioBatch.from_arrays([piece], RATE))[0]
                parts.append(heard[3 if start else 0 : None if last else 17])
            wanted = np.concatenate(parts)
            assert len(wanted) == count
            found = windowed(AudioBatch.from_arrays([sound, sound[:5000]], RATE))
            np.testing.assert_allclose(found[0], wanted, atol=1e-5)
            for block in (777, 4000):
                blocks = (sound[at : at + block] for at in range(0, len(sound), block))
                streamed = np.concatenate([part[0] for part in windowed.stream(blocks, 7)])
                np.testing.assert_array_equal(streamed, found[0])


def test_a_stream_holds_a_window_and_a_block(folder):
    extractor = SSLConfig(model=str(folder), layer=1, window=50, overlap=5).build()
    longest = 0
    heard = extractor._heard
    extractor._heard = lambda sounds: nonlocal_max(sounds) or heard(sounds)

    def nonlocal_max(sounds):
        nonlocal longest
        longest = max(longest, *map(len, sounds))

    total = sum(part.frames.shape[1] for part in extractor.stream(babble(1, seed) for seed in range(8)))
    assert total == framed(8 * RATE)
    assert longest <= 320 * 50 + 400 + RATE
