"""Units of self-supervised features: recipes, and bundles that refer to their model or carry it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protophone import load
from protophone.bundle import Bundle
from protophone.codec import ContextConfig, pack, read_entropy, unpack
from protophone.config import dump, parse
from protophone.encoders import EncoderConfig, PipelineConfig
from protophone.errors import AudioError, BundleError, ConfigError, InputError
from protophone.features import MfccConfig, SelfSupervised, SSLConfig
from protophone.quantizers import KMeansConfig
from protophone.recipe import DataConfig, EncoderRecipe, EntropyRecipe, run_recipe
from protophone.store import read_units
from protophone.train import TrainConfig
from protophone.types import AudioBatch, FrameGrid
from tests.conftest import babble, corpus
from tests.reference.fairseq_speech import framed
from tests.ssl_models import DIM, save_folder, tiny_model
from tests.test_ssl import RATE, frames
from tests.tiny import protophone


def _recipe(folder, corpus, **features):
    ssl = SSLConfig(model=str(folder), layer=2, window=60, overlap=10, **features)
    encoder = PipelineConfig(features=ssl, quantizer=KMeansConfig(num_units=12), normalization="none")
    return EncoderRecipe(data=DataConfig(recordings=str(corpus)), encoder=encoder, train=TrainConfig(device="cpu"))


def test_units_of_a_bundle_that_refers_to_its_model(tiny_hubert, tiny_corpus, tmp_path):
    model = shutil.copytree(tiny_hubert, tmp_path / "model")
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
    save_folder(tiny_model(seed=1), model, normalized=False)
    with pytest.raises(ConfigError, match="have sha256"):
        load(bundle)
    shutil.rmtree(model)
    with pytest.raises(InputError, match="no such folder"):
        load(bundle)


def test_a_bundle_that_carries_its_model_needs_nothing_else(tiny_hubert, tiny_corpus, tmp_path):
    wanted = run_recipe(_recipe(tiny_hubert, tiny_corpus), tmp_path / "refers")
    model = shutil.copytree(tiny_hubert, tmp_path / "model")
    bundle = run_recipe(_recipe(model, tiny_corpus, weights="bundle"), tmp_path / "carries")
    shutil.rmtree(model)
    sound = babble(3.1, seed=6)
    np.testing.assert_array_equal(load(bundle).encode(sound).content[0], load(wanted).encode(sound).content[0])
    weights = bundle / "encoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(BundleError, match="altered"):
        load(bundle)


def test_units_of_such_a_model_are_packed(tiny_hubert, tiny_corpus, tmp_path):
    """Its network gives fewer frames than hops, and records on disk do not tell."""
    bundle = run_recipe(_recipe(tiny_hubert, tiny_corpus), tmp_path / "run")
    data, settings = DataConfig(recordings=str(tiny_corpus)), ContextConfig(lags=2, hidden=8, dim=4, steps=5, batch=64)
    run_recipe(EntropyRecipe(data=data, bundle=str(bundle), entropy=settings), tmp_path / "entropy")
    units, entropy = load(bundle).encode(babble(2.5, seed=5)), read_entropy(Bundle(bundle))
    found = unpack(pack(units, entropy), entropy)
    np.testing.assert_array_equal(found.content[0], units.content[0])
    assert found.num_samples == units.num_samples == 40000


def test_published_centroids_are_taken_over(tiny_hubert, tiny_corpus, tmp_path):
    centroids = np.random.default_rng(0).standard_normal((7, DIM)).astype(np.float32)
    np.save(tmp_path / "km.npy", centroids)
    recipe = _recipe(tiny_hubert, tiny_corpus)
    quantizer = KMeansConfig(num_units=7, centroids=str(tmp_path / "km.npy"))
    recipe = replace(recipe, encoder=replace(recipe.encoder, quantizer=quantizer))
    bundle = run_recipe(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "features").exists()  # nothing to learn from
    (tmp_path / "km.npy").unlink()
    np.testing.assert_array_equal(load(bundle).encoder.codebook.vectors[0], centroids)


def test_a_gpus_way_through_a_recipe(tiny_hubert, tiny_corpus, tmp_path, monkeypatch):
    """What a GPU would do, on the processor: windows in batches, Lloyd's algorithm; nearly the same units."""
    one = load(run_recipe(_recipe(tiny_hubert, tiny_corpus), tmp_path / "one"))
    monkeypatch.setattr("protophone.features.ssl.extractor.SelfSupervised._heard", SelfSupervised._in_batches)
    other = load(run_recipe(_recipe(tiny_hubert, tiny_corpus), tmp_path / "other"))
    sound = babble(3.0, seed=6)
    assert np.mean(one.encode(sound).content[0] == other.encode(sound).content[0]) > 0.99


def test_from_the_command_line_on_recordings(tiny_hubert, tmp_path):
    """Recipe, model tiny_hubert, a few real recordings: units, and the same from a long recording read in windows."""
    clips = sorted((corpus("prompts") / "dev").rglob("*.flac"))[::60][:6]
    manifest = tmp_path / "recordings.jsonl"
    manifest.write_text("".join(json.dumps({"id": path.stem, "audio": str(path)}) + "\n" for path in clips))
    recipe = Path(__file__).parents[1] / "configs" / "hubert-kmeans.toml"
    lines = (f'data.recordings = "{manifest}"', f'encoder.features.model = "{tiny_hubert}"')
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


def test_corpus_statistics_and_time_reduction(tiny_hubert, tiny_corpus, tmp_path):
    recipe = _recipe(tiny_hubert, tiny_corpus)
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


def test_too_short_a_recording(tiny_hubert):
    encoder = PipelineConfig(features=SSLConfig(model=str(tiny_hubert), layer=1), normalization="none").build()
    with pytest.raises(AudioError, match="no recording is as long as a frame"):
        encoder.encode(AudioBatch.from_arrays([babble(0.02)], RATE))
    with pytest.raises(AudioError, match="shorter than a frame"):
        encoder.encode_stream(lambda: [babble(0.02)])
