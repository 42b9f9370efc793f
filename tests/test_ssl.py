"""Self-supervised features against transformers and against fairseq's own computation; framing, windows, batches."""

import hashlib
import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from protophone import load
from protophone.bundle import Bundle
from protophone.codec import ContextConfig, pack, read_entropy, unpack
from protophone.config import dump, parse
from protophone.encoders import EncoderConfig, PipelineConfig
from protophone.errors import AudioError, BundleError, ConfigError, InputError
from protophone.features import FeatureConfig, MfccConfig, SelfSupervised, SSLConfig
from protophone.features.ssl.extractor import _normalized
from protophone.quantizers import KMeansConfig
from protophone.recipe import DataConfig, EncoderRecipe, EntropyRecipe, run_recipe
from protophone.store import read_units
from protophone.train import TrainConfig
from protophone.types import AudioBatch, FrameGrid
from tests.conftest import babble, corpus
from tests.reference.fairseq_speech import as_double, fairseq_layers, framed
from tests.ssl_models import DIM, KINDS, LAYERS, NAMES, fairseq_settings, fairseq_weights, save_fairseq, save_folder
from tests.ssl_models import tiny_model as _tiny_model
from tests.tiny import protophone

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


def test_weights_in_every_file_transformers_writes(folder, tmp_path):
    """As safetensors in parts, as ``pytorch_model.bin`` under older names, and within a model that transcribes."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    model = tiny_model("hubert", "group", False)
    wanted = SSLConfig(model=str(folder), layer=2).build().config.sha256
    model.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert (tmp_path / "parts" / "model.safetensors.index.json").is_file()
    assert SSLConfig(model=str(tmp_path / "parts"), layer=2).build().config.sha256 == wanted
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(folder / "config.json", old)
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


def test_the_hash_is_that_of_the_weights_that_are_used(folder):
    model = tiny_model("hubert", "group", False)
    kept = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name != "masked_spec_embed" and ".layers.1." not in name and ".layers.2." not in name
    }
    digest = hashlib.sha256()
    for name in sorted(kept):
        digest.update(f"{name} {tuple(kept[name].shape)}\n".encode() + kept[name].numpy().tobytes())
    assert SSLConfig(model=str(folder), layer=1).build().config.sha256 == digest.hexdigest()


def test_what_cannot_be_used_is_said(folder, folders, tmp_path, monkeypatch):
    def said(match, error=InputError, **changes):
        with pytest.raises(error, match=match) as caught:
            SSLConfig(**({"model": str(folder), "layer": 1} | changes)).build()
        assert "\n" not in str(caught.value)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    said(r"layer 4 of a model of 3; give one from 0 to 3", ConfigError, layer=4)
    said(r"final_norm is what the last of 3 layers .* which this one has not", ConfigError, layer=3, tap="final_norm")
    stable = str(folders["hubert", "layer", True])
    said(r"final_norm is what the last of 3 layers", ConfigError, model=stable, layer=2, tap="final_norm")
    said(r"layer 0 .* has no before_residual", ConfigError, layer=0, tap="before_residual")
    said(r"overlap 100 must be 0 or more, and twice it less than window 200", ConfigError, window=200)
    said(r"overlap -1 must be 0 or more", ConfigError, overlap=-1)
    said(r"layer -1: they count from 1", ConfigError, layer=-1)
    said(r"nowhere: no such folder or file; give the folder of a transformers model", model="nowhere")
    said(r"some/model: no such folder, and not in the hub's cache; run 'hf download some/model'", model="some/model")
    said(r"run 'hf download some/model --revision abc'", model="some/model", revision="abc")
    said(r"weights up to layer 1 have sha256 .* put the model there", ConfigError, sha256="0" * 64)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    said(r"a model of kind 'bert'; give one of hubert, wav2vec2, wavlm", model=str(tmp_path / "bert"))
    shutil.copytree(folder, tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    said(r"no model.safetensors or pytorch_model.bin in it", model=str(tmp_path / "bare"))
    (tmp_path / "bare" / "model.safetensors").write_bytes(b"half a file")
    said(r"model.safetensors: cannot be read", model=str(tmp_path / "bare"))
    other = save_folder(_tiny_model("wavlm", "group"), tmp_path / "other")
    shutil.copy(folder / "config.json", other)
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
def test_settings_that_no_model_can_be_made_of_are_one_line(change, folder, tmp_path):
    """Whatever transformers raises of them."""
    shutil.copytree(folder, tmp_path / "odd")
    path = tmp_path / "odd" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(
        InputError, match=r"odd: its config.json cannot be used \(.+\); fetch the model again"
    ) as caught:
        SSLConfig(model=str(tmp_path / "odd"), layer=1).build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("held", [[], {}, {"weight_map": ["a"]}, {"weight_map": {"a": 1}}, {"weight_map": {"a": None}}])
def test_an_index_of_parts_that_is_none(held, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "parts")
    (tmp_path / "parts" / "model.safetensors").unlink()
    (tmp_path / "parts" / "model.safetensors.index.json").write_text(json.dumps(held))
    with pytest.raises(InputError, match=r"model.safetensors.index.json: no weight_map of names to files in it"):
        SSLConfig(model=str(tmp_path / "parts"), layer=1).build()


def test_parts_outside_the_models_folder_are_not_read(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "parts")
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


def test_a_name_on_the_hub_is_looked_up_in_the_cache(folder, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--some--model"
    shutil.copytree(folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = SSLConfig(model="some/model", layer=2).build().config
    assert found.revision == commit
    assert found.sha256 == SSLConfig(model=str(folder), layer=2).build().config.sha256


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


def test_configs_survive_being_written_and_are_completed(folder):
    config = SSLConfig(model=str(folder), layer=2, download=True)
    assert parse(FeatureConfig, dump(config)) == config
    found = config.build().config
    assert (found.waveform, found.download, found.architecture) == ("plain", False, "")
    assert parse(FeatureConfig, dump(found)).build().config == found


def _recipe(folder, corpus, **features):
    ssl = SSLConfig(model=str(folder), layer=2, window=60, overlap=10, **features)
    encoder = PipelineConfig(features=ssl, quantizer=KMeansConfig(num_units=12), normalization="none")
    return EncoderRecipe(data=DataConfig(recordings=str(corpus)), encoder=encoder, train=TrainConfig(device="cpu"))


def test_units_of_a_bundle_that_refers_to_its_model(folder, tiny_corpus, tmp_path):
    model = shutil.copytree(folder, tmp_path / "model")
    bundle = run_recipe(_recipe(model, tiny_corpus), tmp_path / "run")
    assert (bundle / "encoder.safetensors").stat().st_size < 10_000
    units = load(bundle).encode(babble(2.5, seed=5))
    codes = units.content[0][0]
    assert len(codes) == framed(40000)
    assert len(set(codes)) > 3
    loaded = load(bundle)
    features = frames(SSLConfig(model=str(model), layer=2, window=60, overlap=10), babble(2.5, seed=5))[0]
    distance = np.square(features[:, None] - loaded.encoder.codebook.vectors[0].numpy()).sum(-1)
    np.testing.assert_array_equal(codes, distance.argmin(1))
    save_folder(_tiny_model(seed=1), model, normalized=False)
    with pytest.raises(ConfigError, match="have sha256"):
        load(bundle)
    shutil.rmtree(model)
    with pytest.raises(InputError, match="no such folder"):
        load(bundle)


def test_a_bundle_that_carries_its_model_needs_nothing_else(folder, tiny_corpus, tmp_path):
    wanted = run_recipe(_recipe(folder, tiny_corpus), tmp_path / "refers")
    model = shutil.copytree(folder, tmp_path / "model")
    bundle = run_recipe(_recipe(model, tiny_corpus, weights="bundle"), tmp_path / "carries")
    shutil.rmtree(model)
    sound = babble(3.1, seed=6)
    np.testing.assert_array_equal(load(bundle).encode(sound).content[0], load(wanted).encode(sound).content[0])
    weights = bundle / "encoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(BundleError, match="altered"):
        load(bundle)


def test_units_of_such_a_model_are_packed(folder, tiny_corpus, tmp_path):
    """Its network gives fewer frames than hops, and records on disk do not tell."""
    bundle = run_recipe(_recipe(folder, tiny_corpus), tmp_path / "run")
    data, settings = DataConfig(recordings=str(tiny_corpus)), ContextConfig(lags=2, hidden=8, dim=4, steps=5, batch=64)
    run_recipe(EntropyRecipe(data=data, bundle=str(bundle), entropy=settings), tmp_path / "entropy")
    units, entropy = load(bundle).encode(babble(2.5, seed=5)), read_entropy(Bundle(bundle))
    found = unpack(pack(units, entropy), entropy)
    np.testing.assert_array_equal(found.content[0], units.content[0])
    assert found.num_samples == units.num_samples == 40000


def test_published_centroids_are_taken_over(folder, tiny_corpus, tmp_path):
    centroids = np.random.default_rng(0).standard_normal((7, DIM)).astype(np.float32)
    np.save(tmp_path / "km.npy", centroids)
    recipe = _recipe(folder, tiny_corpus)
    quantizer = KMeansConfig(num_units=7, centroids=str(tmp_path / "km.npy"))
    recipe = replace(recipe, encoder=replace(recipe.encoder, quantizer=quantizer))
    bundle = run_recipe(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "features").exists()  # nothing to learn from
    (tmp_path / "km.npy").unlink()
    np.testing.assert_array_equal(load(bundle).encoder.codebook.vectors[0], centroids)


def test_a_gpus_way_through_a_recipe(folder, tiny_corpus, tmp_path, monkeypatch):
    """What a GPU would do, on the processor: windows in batches, Lloyd's algorithm; nearly the same units."""
    one = load(run_recipe(_recipe(folder, tiny_corpus), tmp_path / "one"))
    monkeypatch.setattr("protophone.features.ssl.extractor.SelfSupervised._heard", SelfSupervised._in_batches)
    other = load(run_recipe(_recipe(folder, tiny_corpus), tmp_path / "other"))
    sound = babble(3.0, seed=6)
    assert np.mean(one.encode(sound).content[0] == other.encode(sound).content[0]) > 0.99


def test_from_the_command_line_on_recordings(folder, tmp_path):
    """Recipe, model folder, a few real recordings: units, and the same from a long recording read in windows."""
    clips = sorted((corpus("prompts") / "dev").rglob("*.flac"))[::60][:6]
    manifest = tmp_path / "recordings.jsonl"
    manifest.write_text("".join(json.dumps({"id": path.stem, "audio": str(path)}) + "\n" for path in clips))
    recipe = Path(__file__).parents[1] / "configs" / "hubert-kmeans.toml"
    lines = (f'data.recordings = "{manifest}"', f'encoder.features.model = "{folder}"')
    lines += ("encoder.features.layer = 2", "encoder.features.window = 60", "encoder.features.overlap = 10")
    sets = [part for line in (*lines, "encoder.quantizer.num_units = 16") for part in ("--set", line)]
    done = protophone("train", recipe, "--out", tmp_path / "run", *sets)
    assert done.returncode == 0, done.stderr
    bundle = tmp_path / "run" / "bundle"
    done = protophone("encode", bundle, manifest, "--out", tmp_path / "units")
    assert done.returncode == 0, done.stderr
    records = {record.id: record for record in read_units(tmp_path / "units")}
    model = load(bundle)
    for path in clips:
        record = records[path.stem]
        assert record.num_frames == framed(record.num_samples)
        assert record.hop == 320
        np.testing.assert_array_equal(record.codes, model.encode(path).content[0])
    assert len({int(code) for record in records.values() for code in record.codes[0]}) == 16


def test_corpus_statistics_and_time_reduction(folder, tiny_corpus, tmp_path):
    recipe = _recipe(folder, tiny_corpus)
    text = dump(recipe.encoder).replace('"none"', '"corpus"').replace("time_reduction = 1", "time_reduction = 2")
    recipe = EncoderRecipe(data=recipe.data, encoder=parse(EncoderConfig, text), train=recipe.train)
    model = load(run_recipe(recipe, tmp_path / "run"))
    sound = babble(2.0, seed=5)
    assert model.encoder.grid == FrameGrid(RATE, 640, 360, window=400)
    codes = model.encode(sound).content[0][0]
    assert len(codes) == model.encoder.grid.num_frames(len(sound)) == -(-framed(len(sound)) // 2)
    streamed = model.encoder.encode_stream(lambda: (sound[at : at + 999] for at in range(0, len(sound), 999)))
    np.testing.assert_array_equal(streamed[0][0], codes)


def test_time_reduction_needs_normalised_frames():
    with pytest.raises(ConfigError, match=r"time_reduction 2 fills the last unit up .* normalization = \"corpus\""):
        PipelineConfig(features=MfccConfig(), normalization="none", time_reduction=2)


def test_too_short_a_recording(folder):
    encoder = PipelineConfig(features=SSLConfig(model=str(folder), layer=1), normalization="none").build()
    with pytest.raises(AudioError, match="no recording is as long as a frame"):
        encoder.encode(AudioBatch.from_arrays([babble(0.02)], RATE))
    with pytest.raises(AudioError, match="shorter than a frame"):
        encoder.encode_stream(lambda: [babble(0.02)])


def test_an_architecture_is_no_part_of_a_recipe(folder):
    """It builds a network without weights, for a bundle to fill."""
    kept = SSLConfig(model=str(folder), layer=1, weights="bundle").build().config
    assert kept.architecture
    with pytest.raises(ConfigError, match="architecture is filled in for bundles that hold the weights"):
        SSLConfig(model=str(folder), layer=1, architecture=kept.architecture)
    with pytest.raises(ConfigError, match="architecture is filled in for bundles"):
        SSLConfig(model=str(folder), layer=1, weights="bundle", sha256="0" * 64, architecture="x")


def test_weights_that_are_no_numbers_are_the_models_fault(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "nan")
    weights = load_file(tmp_path / "nan" / "model.safetensors")
    name = "feature_projection.projection.weight"
    save_file(weights | {name: torch.full_like(weights[name], float("nan"))}, tmp_path / "nan" / "model.safetensors")
    with pytest.raises(InputError, match=rf"nan: its weights {name} are not all finite; fetch the model again"):
        SSLConfig(model=str(tmp_path / "nan"), layer=1).build()
