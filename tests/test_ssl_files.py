"""Self-supervised models on disk: what is read of them, what is checked, and what is refused."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from protophone.config import dump, parse
from protophone.errors import ConfigError, InputError
from protophone.features import FeatureConfig, SSLConfig
from tests.conftest import babble
from tests.ssl_models import save_fairseq, save_folder
from tests.ssl_models import tiny_model as _tiny_model
from tests.test_ssl import RATE, frames, hidden, tiny_model


def test_the_waveform_is_as_the_models_files_say(tmp_path):
    from transformers import Wav2Vec2FeatureExtractor

    sound = 0.05 * babble(0.5) + 0.01
    for norm, kind in (("group", "plain"), ("layer", "normalized")):
        model = tiny_model("hubert", norm, False)
        unsaid = SSLConfig(model=str(save_folder(model, tmp_path / norm)), layer=1).build()
        assert unsaid.config.waveform == kind
        for normalized in (False, True):
            stated = save_folder(model, tmp_path / f"{norm}{normalized}", normalized=normalized)
            said = SSLConfig(model=str(stated), layer=1)
            prepare = Wav2Vec2FeatureExtractor(do_normalize=normalized)
            ready = prepare(sound, sampling_rate=RATE, return_tensors="np").input_values[0]
            wanted, _ = hidden(model, ready.astype(np.float32))
            np.testing.assert_allclose(frames(said, sound)[0], wanted[1], atol=1e-5)


def test_weights_in_every_file_transformers_writes(tiny_hubert, tmp_path):
    """As safetensors in parts, as ``pytorch_model.bin`` under older names, and within a model that transcribes."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    model = tiny_model("hubert", "group", False)
    wanted = SSLConfig(model=str(tiny_hubert), layer=2).build().config.sha256
    model.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert (tmp_path / "parts" / "model.safetensors.index.json").is_file()
    assert SSLConfig(model=str(tmp_path / "parts"), layer=2).build().config.sha256 == wanted
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(tiny_hubert / "config.json", old)
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    weights = {}
    for name, tensor in model.state_dict().items():
        for new, before in names.items():
            name = name.replace(new, before)  # noqa: PLW2901
        weights[f"hubert.{name}"] = tensor
    torch.save(weights, old / "pytorch_model.bin")
    assert SSLConfig(model=str(old), layer=2).build().config.sha256 == wanted
    settings = tiny_model("wav2vec2", "group", False).config.to_dict() | {"vocab_size": 7}
    transcriber = Wav2Vec2ForCTC(Wav2Vec2Config(**settings)).eval()
    sound = babble(0.3)
    found = frames(SSLConfig(model=str(save_folder(transcriber, tmp_path / "ctc")), layer=2, waveform="plain"), sound)
    np.testing.assert_allclose(found[0], hidden(transcriber.wav2vec2, sound)[0][2], atol=1e-5)


def test_the_hash_is_that_of_the_weights_that_are_used(tiny_hubert):
    model = tiny_model("hubert", "group", False)
    kept = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name != "masked_spec_embed" and ".layers.1." not in name and ".layers.2." not in name
    }
    digest = hashlib.sha256()
    for name in sorted(kept):
        digest.update(f"{name} {tuple(kept[name].shape)}\n".encode() + kept[name].numpy().tobytes())
    assert SSLConfig(model=str(tiny_hubert), layer=1).build().config.sha256 == digest.hexdigest()


def test_what_cannot_be_used_is_said(tiny_hubert, tmp_path, monkeypatch):
    def said(match, error=InputError, **changes):
        with pytest.raises(error, match=match) as caught:
            SSLConfig(**({"model": str(tiny_hubert), "layer": 1} | changes)).build()
        assert "\n" not in str(caught.value)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    said(r"layer 4 of a model of 3; give one from 0 to 3", ConfigError, layer=4)
    said(r"final_norm is what the last of 3 layers .* which this one has not", ConfigError, layer=3, tap="final_norm")
    stable = str(save_folder(tiny_model("hubert", "layer", True), tmp_path / "stable", normalized=False))
    said(r"final_norm is what the last of 3 layers", ConfigError, model=stable, layer=2, tap="final_norm")
    said(r"layer 0 .* has no before_residual", ConfigError, layer=0, tap="before_residual")
    said(r"overlap 100: twice it must be less than window 200", ConfigError, window=200)
    said(r"layer: Input should be greater than or equal to 0", ConfigError, layer=-1)
    said(r"nowhere: no such folder or file; give the folder of a transformers model", model="nowhere")
    said(r"some/model: no such folder, and not in the hub's cache; run 'hf download some/model'", model="some/model")
    said(r"run 'hf download some/model --revision abc'", model="some/model", revision="abc")
    said(r"weights up to layer 1 have sha256 .* put the model there", ConfigError, sha256="0" * 64)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    said(r"a model of kind 'bert'; give one of hubert, wav2vec2, wavlm", model=str(tmp_path / "bert"))
    shutil.copytree(tiny_hubert, tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    said(r"no model.safetensors or pytorch_model.bin in it", model=str(tmp_path / "bare"))
    (tmp_path / "bare" / "model.safetensors").write_bytes(b"half a file")
    said(r"model.safetensors: cannot be read", model=str(tmp_path / "bare"))
    other = save_folder(_tiny_model("wavlm", "group"), tmp_path / "other")
    shutil.copy(tiny_hubert / "config.json", other)
    said(r"do not fit its settings \(encoder.layers.0.attention.gru_rel_pos_const is missing, of", model=str(other))


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": "many"},
        {"num_hidden_layers": None},
        {"num_attention_heads": 0},
        {"num_attention_heads": 7},
        {"conv_dim": [8]},
        {"conv_kernel": "wide"},
        {"hidden_act": "no such"},
        {"num_conv_pos_embedding_groups": 5},
    ],
)
def test_settings_that_no_model_can_be_made_of_are_one_line(change, tiny_hubert, tmp_path):
    """Whatever transformers raises of them."""
    shutil.copytree(tiny_hubert, tmp_path / "odd")
    path = tmp_path / "odd" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(
        InputError, match=r"odd: its config.json cannot be used \(.+\); fetch the model again"
    ) as caught:
        SSLConfig(model=str(tmp_path / "odd"), layer=1).build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("held", [[], {}, {"weight_map": ["a"]}, {"weight_map": {"a": 1}}, {"weight_map": {"a": None}}])
def test_an_index_of_parts_that_is_none(held, tiny_hubert, tmp_path):
    shutil.copytree(tiny_hubert, tmp_path / "parts")
    (tmp_path / "parts" / "model.safetensors").unlink()
    (tmp_path / "parts" / "model.safetensors.index.json").write_text(json.dumps(held))
    with pytest.raises(InputError, match=r"model.safetensors.index.json: no weight_map of names to files in it"):
        SSLConfig(model=str(tmp_path / "parts"), layer=1).build()


def test_parts_outside_the_models_folder_are_not_read(tiny_hubert, tmp_path):
    shutil.copytree(tiny_hubert, tmp_path / "parts")
    (tmp_path / "parts" / "model.safetensors").rename(tmp_path / "model.safetensors")
    places = {"weight_map": {"a": "../model.safetensors"}}
    (tmp_path / "parts" / "model.safetensors.index.json").write_text(json.dumps(places))
    with pytest.raises(InputError, match=r"parts/model.safetensors: cannot be read"):
        SSLConfig(model=str(tmp_path / "parts"), layer=1).build()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"cfg": None}, "without settings"),
        ({"cfg": {"model": {"_name": "data2vec_audio"}}}, "kind 'data2vec_audio'; give HuBERT or wav2vec 2.0"),
        ({"cfg": {"model": {"_name": "wav2vec_ctc", "w2v_args": {}}}}, "before fine-tuning"),
        ({"cfg": {"model": {"_name": "hubert"}, "task": {"sample_rate": 8000}}}, "sound at 8000 Hz"),
        ({"cfg": {"model": {"_name": "hubert", "activation_fn": "swish"}}}, "activation 'swish'"),
        ({"cfg": {"model": {"_name": "hubert", "extractor_mode": "x"}}}, "extractor_mode 'x'"),
        ({"cfg": {"model": {"_name": "hubert", "conv_feature_layers": "__import__('os')"}}}, "no list of layers"),
        ({"cfg": {"model": {"_name": "hubert", "conv_feature_layers": "[(8, 10)]"}}}, "no list of .channels, kernel"),
        ({"cfg": {"model": {"_name": "hubert", "conv_feature_layers": "[(8,10,5)] * 10**9"}}}, "no list of layers"),
        ({"cfg": {"model": {"_name": "hubert"}}}, "weights do not fit its settings"),
        ({"model": None}, "no table of weights called model"),
    ],
)
def test_other_fairseq_checkpoints_are_refused(change, match, tmp_path):
    path = tmp_path / "checkpoint.pt"
    held = torch.load(save_fairseq(tiny_model("hubert", "group", False), path), weights_only=True)
    torch.save(held | change, path)
    with pytest.raises(InputError, match=match):
        SSLConfig(model=str(path), layer=1).build()


def test_a_name_on_the_hub_is_looked_up_in_the_cache(tiny_hubert, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--some--model"
    shutil.copytree(tiny_hubert, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = SSLConfig(model="some/model", layer=2).build().config
    assert found.revision == commit
    assert found.sha256 == SSLConfig(model=str(tiny_hubert), layer=2).build().config.sha256


def test_nothing_is_fetched_unless_asked(tmp_path, monkeypatch):
    asked = []

    def snapshot_download(name, **options):
        asked.append(options["local_files_only"])
        raise FileNotFoundError("no connection\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(InputError, match="not in the hub's cache"):
        SSLConfig(model="some/model", layer=2).build()
    with pytest.raises(InputError, match=r"cannot be fetched \(no connection\); run 'hf download some/model'"):
        SSLConfig(model="some/model", layer=2, download=True).build()
    assert asked == [True, False]


def test_configs_survive_being_written_and_are_completed(tiny_hubert):
    config = SSLConfig(model=str(tiny_hubert), layer=2, download=True)
    assert parse(FeatureConfig, dump(config)) == config
    found = config.build().config
    assert (found.waveform, found.download, found.architecture) == ("plain", False, "")
    assert parse(FeatureConfig, dump(found)).build().config == found


def test_an_architecture_is_no_part_of_a_recipe(tiny_hubert):
    """It builds a network without weights, for a bundle to fill."""
    kept = SSLConfig(model=str(tiny_hubert), layer=1, weights="bundle").build().config
    assert kept.architecture
    with pytest.raises(ConfigError, match="architecture is filled in for bundles that hold the weights"):
        SSLConfig(model=str(tiny_hubert), layer=1, architecture=kept.architecture)
    with pytest.raises(ConfigError, match="architecture is filled in for bundles"):
        SSLConfig(model=str(tiny_hubert), layer=1, weights="bundle", sha256="0" * 64, architecture="x")


def test_weights_that_are_no_numbers_are_the_models_fault(tiny_hubert, tmp_path):
    shutil.copytree(tiny_hubert, tmp_path / "nan")
    weights = load_file(tmp_path / "nan" / "model.safetensors")
    name = "feature_projection.projection.weight"
    save_file(weights | {name: torch.full_like(weights[name], float("nan"))}, tmp_path / "nan" / "model.safetensors")
    with pytest.raises(InputError, match=rf"nan: its weights {name} are not all finite; fetch the model again"):
        SSLConfig(model=str(tmp_path / "nan"), layer=1).build()
