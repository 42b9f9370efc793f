"""Published checkpoints: written here in their layout by a table of its own, read back, and spoken by a slow oracle."""

import json

import numpy as np
import pytest
import torch

from protophone.errors import ConfigError, InputError
from protophone.types import Codebook, FrameGrid, UnitBatch
from protophone.vocoders.adversarial import DiscriminatorsConfig
from protophone.vocoders.hifigan import HiFiGANConfig
from protophone.vocoders.published import read_published
from tests.reference import hifigan as reference

BOOK = Codebook(torch.randn(1, 10, 3, generator=torch.Generator().manual_seed(3)))
SHAPE = {
    "resblock": "1",
    "upsample_rates": [5, 4, 2, 2, 2],
    "upsample_kernel_sizes": [11, 8, 4, 4, 4],
    "upsample_initial_channel": 32,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "num_embeddings": 10,
    "embedding_dim": 4,
    "code_hop_size": 160,
    "sampling_rate": 16000,
}
PAPER = SHAPE | {"f0": True, "multispkr": "_", "model_in_dim": 12, "f0_quantizer": {"f0_vq_params": {"l_bins": 5}}}
FAIRSEQ = SHAPE | {"dur_predictor_params": {"encoder_embed_dim": 4}, "model_in_dim": 4}
GRID = FrameGrid(16000, 160)


def untrained(*, voices=("a", "b", "c"), **changes):
    settings = {"channels": 32, "dim": 4, "pitch_units": 5, "discriminators": DiscriminatorsConfig(kinds=())} | changes
    return HiFiGANConfig(**settings).build(BOOK, GRID, voices).eval()


def in_published_layout(vocoder):
    """Weights by the published names, each convolution as a length and a direction (of any length)."""
    layers = {"conv_pre": vocoder.upsampler.first, "conv_post": vocoder.upsampler.last}
    for step in range(5):
        layers[f"ups.{step}"] = vocoder.upsampler.raise_rate[step]
    for number in range(15):
        block = vocoder.upsampler.blocks[number // 3][number % 3]
        for depth in range(3):
            layers[f"resblocks.{number}.convs1.{depth}"] = block.dilated[depth]
            layers[f"resblocks.{number}.convs2.{depth}"] = block.plain[depth]
    out = {"dict.weight": vocoder.content[0].weight.detach().clone()}
    if vocoder.melody is not None:
        out["f0_dict.weight"] = vocoder.melody.weight.detach().clone()
    if vocoder.speaker is not None:
        out["spkr.weight"] = vocoder.speaker.table.weight.detach().clone()
    for name, layer in layers.items():
        weight = layer.weight.detach()
        out[f"{name}.weight_g"] = weight.square().sum((1, 2), keepdim=True).sqrt()
        out[f"{name}.weight_v"] = 1.7 * weight
        out[f"{name}.bias"] = layer.bias.detach() + 0.01
        layer.bias.data += 0.01
    return out


def write(folder, weights, config):
    torch.save({"generator": weights}, folder / "g_00400000")
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "g_00400000"


def spoken(vocoder, codes, pitch=None, voice=None):
    content = UnitBatch.from_arrays([codes], (10,), GRID, BOOK.hash)
    melody = None if pitch is None else UnitBatch.from_arrays([pitch], (5,), FrameGrid(16000, 1280))
    return vocoder.synthesize(content, melody, voice)[0]


CODES = np.array([3, 3, 9, 0, 1, 1, 7, 2, 5, 5, 4])
PITCH = np.array([4, 1])


def test_the_paper_s_checkpoint_speaks_as_before_and_as_the_oracle(tmp_path):
    vocoder = untrained()
    weights = in_published_layout(vocoder)
    quantizer = {"quantizer.vq.level_blocks.0.k": torch.randn(5, 8), "quantizer.encoder.x.bias": torch.randn(2)}
    found = read_published(write(tmp_path, weights | quantizer, PAPER), BOOK, GRID, voices=("x", "y", "z"))
    again = found.vocoder
    assert again.voices == ("x", "y", "z")
    assert again.pitch_input == "units"
    sound = spoken(again, CODES, PITCH, "y")
    np.testing.assert_allclose(sound, spoken(vocoder, CODES, PITCH, "b"), atol=1e-5)
    wanted = reference.sound(weights, PAPER, CODES, np.repeat(PITCH, 8)[: len(CODES)], 1)
    assert np.abs(wanted).max() > 0.003  # it says something
    np.testing.assert_allclose(sound, wanted, atol=1e-5)
    assert set(found.beside) == {"quantizer"}
    assert found.beside["quantizer"]["vq.level_blocks.0.k"].equal(quantizer["quantizer.vq.level_blocks.0.k"])


def test_fairseq_s_checkpoint_of_one_voice_without_pitch(tmp_path):
    vocoder = untrained(voices=("a",), pitch="none", speaker=False)
    weights = in_published_layout(vocoder)
    found = read_published(
        write(tmp_path, weights | {"dur_predictor.proj.bias": torch.zeros(1)}, FAIRSEQ), BOOK, GRID, voices=("lj",)
    )
    assert found.vocoder.pitch_input == "none"
    assert set(found.beside) == {"dur_predictor"}
    sound = spoken(found.vocoder, CODES, None, "lj")
    np.testing.assert_allclose(sound, spoken(vocoder, CODES, None, "a"), atol=1e-5)
    np.testing.assert_allclose(sound, reference.sound(weights, FAIRSEQ, CODES), atol=1e-5)


def test_fairseq_s_speakers_are_numbered_where_nobody_names_them(tmp_path):
    vocoder = untrained(pitch="none")
    weights = in_published_layout(vocoder)
    found = read_published(write(tmp_path, weights, FAIRSEQ | {"multispkr": True, "num_speakers": 3}), BOOK, GRID)
    assert found.vocoder.voices == ("0", "1", "2")
    np.testing.assert_allclose(
        spoken(found.vocoder, CODES, None, "2"), reference.sound(weights, FAIRSEQ, CODES, None, 2), atol=1e-5
    )


def test_weights_whose_normalisation_was_removed_are_the_same(tmp_path):
    vocoder = untrained()
    weights = in_published_layout(vocoder)
    plain = {}
    for key, weight in weights.items():
        if key.endswith("weight_v"):
            plain[key[:-2]] = weight / 1.7
        elif not key.endswith("weight_g"):
            plain[key] = weight
    again = read_published(write(tmp_path, plain, PAPER), BOOK, GRID).vocoder
    np.testing.assert_allclose(spoken(again, CODES, PITCH, "1"), spoken(vocoder, CODES, PITCH, "b"), atol=1e-5)


def test_names_of_the_weights_are_those_published():
    """As the paper's code counts and names them, written out by hand."""
    keys = set(in_published_layout(untrained()))
    assert len(keys) == 3 + 3 * (1 + 5 + 15 * 3 * 2 + 1)
    assert {
        "dict.weight",
        "f0_dict.weight",
        "spkr.weight",
        "conv_pre.weight_g",
        "ups.4.weight_v",
        "resblocks.0.convs1.0.bias",
        "resblocks.14.convs2.2.weight_g",
        "conv_post.bias",
    } <= keys


def test_what_does_not_fit_is_refused(tmp_path):
    weights = in_published_layout(untrained())
    path = write(tmp_path, weights, PAPER)
    with pytest.raises(InputError, match="one codebook of 10.*12"):
        read_published(path, Codebook(torch.zeros(1, 12, 3)), GRID)
    with pytest.raises(InputError, match="units of 160 samples at 16000 Hz, and these are of 320 at 16000"):
        read_published(path, BOOK, FrameGrid(16000, 320))
    with pytest.raises(InputError, match="4 names for 3 voices"):
        read_published(path, BOOK, GRID, voices=("a", "b", "c", "d"))
    for changed, said in (
        (PAPER | {"f0": False}, "not told units of content"),
        (PAPER | {"lambda_commit_code": 0.02}, "lambda_commit_code says.*content units together"),
        (PAPER | {"embedder_params": {"a": 1}}, "speaker encoder that is not in the file"),
        (PAPER | {"resblock": "2"}, "residual blocks of kind '2'"),
        (PAPER | {"resblock_dilation_sizes": []}, "residual blocks"),
        (PAPER | {"resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3]]}, "residual blocks"),
        (PAPER | {"embedding_dim": 8}, "do not fit the config.*shape"),
        ({key: value for key, value in PAPER.items() if key != "upsample_rates"}, "upsample_rates is missing"),
        ([], "not the config of a unit HiFi-GAN"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=said):
            read_published(path, BOOK, GRID)
    (tmp_path / "other.json").write_text(json.dumps(PAPER | {"upsample_kernel_sizes": [11, 8, 4, 4, 5]}))
    with pytest.raises(ConfigError, match=r"other.json: voice.kernels \[11, 8, 4, 4, 5\] do not fit"):
        read_published(path, BOOK, GRID, settings=tmp_path / "other.json")
    for key, said in (("embedding_dim", "dim"), ("upsample_initial_channel", "channels")):
        (tmp_path / "other.json").write_text(json.dumps(PAPER | {key: 2**40}))
        with pytest.raises(ConfigError, match=f"other.json: {said}: Input should be less than or equal to 16384"):
            read_published(path, BOOK, GRID, settings=tmp_path / "other.json")
    (tmp_path / "other.json").write_text(json.dumps(PAPER | {"resblock_kernel_sizes": [3] * 10**5}))
    with pytest.raises(ConfigError, match=r"other.json: block_kernels: .* at most 16 items"):
        read_published(path, BOOK, GRID, settings=tmp_path / "other.json")


def test_checkpoints_with_weights_missing_or_unknown_are_refused(tmp_path):
    weights = in_published_layout(untrained())
    short = {key: weight for key, weight in weights.items() if key != "resblocks.7.convs2.1.bias"}
    with pytest.raises(InputError, match=r"no upsampler.blocks.2.1.plain.1.bias"):
        read_published(write(tmp_path, short, PAPER), BOOK, GRID)
    with pytest.raises(InputError, match=r"unknown upsampler.surprise.weight_x"):
        read_published(write(tmp_path, weights | {"surprise.weight_x": torch.zeros(1)}, PAPER), BOOK, GRID)
    torch.save({"discriminator": {}}, tmp_path / "do_1")
    with pytest.raises(InputError, match="no dict of weights named 'generator'"):
        read_published(tmp_path / "do_1", BOOK, GRID)
    with pytest.raises(InputError, match="not there"):
        read_published(tmp_path / "elsewhere" / "g_1", BOOK, GRID)
