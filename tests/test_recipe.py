"""Recipes from a TOML file to a bundle: what they learn from, that they learn, and that no kill changes a byte."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from protophone import audio
from protophone.bundle import Bundle
from protophone.encoders import PipelineConfig
from protophone.errors import BundleError, ConfigError, InputError
from protophone.fit import fit_encoder, speakers_of
from protophone.model import load
from protophone.quantizers import DPGMMConfig, KMeansConfig
from protophone.recipe import DataConfig, run_recipe, select, write_encoder
from protophone.train import TrainConfig, history
from protophone.types import Recording
from protophone.vad import Segment
from protophone.vocoders.hifigan import HiFiGANConfig
from tests.tiny import contents, encoder_recipe, voice_recipe


def test_a_finished_run_keeps_its_bundle_and_the_voices_it_got(tmp_path, tiny_corpus, tiny_bundle):
    run = tiny_bundle.parent
    before = contents(run)
    recipe = encoder_recipe(tmp_path / "e.toml", tiny_corpus / "manifest.jsonl")
    assert run_recipe(recipe, run) == tiny_bundle
    assert contents(run) == before
    assert load(tiny_bundle).voices == ("ana", "bo")


def test_curves_are_kept_from_the_first_step_to_the_last(tiny_bundle):
    for run, names, last in (
        (tiny_bundle.parent, {"reconstruction", "quantizer"}, 39),
        (tiny_bundle.parents[1] / "voice", {"mse", "discriminator", "adversarial"}, 19),
    ):
        curves = history(run)
        assert set(curves) >= names
        for curve in curves.values():
            assert [step for step, _ in curve] == sorted({0, *range(0, last, 20), last})
            assert np.isfinite([value for _, value in curve]).all()
    assert history(run / "nowhere") == {}


def test_a_voice_can_be_heard_while_it_learns(tiny_bundle):
    samples = tiny_bundle.parents[1] / "voice" / "samples"
    sound = packed(tiny_bundle.parents[1] / "voice" / "sound")
    for voice in ("ana", "bo"):
        heard = sorted(path.stem for path in (samples / voice).iterdir())
        assert heard == [*(f"{step:06d}" for step in range(1, 21)), "recording"]
        first, last, own = (audio.read(samples / voice / f"{name}.wav") for name in ("000001", "000020", "recording"))
        assert len(first) == len(last) == len(own) in {len(part) for part in sound}
        assert not np.array_equal(first, last)
        assert np.abs(own).max() > 0.1


def test_a_voice_whose_name_no_folder_can_have_is_heard_too(tmp_path, tiny_corpus):
    lines = [json.loads(line) for line in (tiny_corpus / "manifest.jsonl").read_text().splitlines()]
    names = {"ana": "../ana", "bo": "b" * 300}
    for line in lines:
        line |= {"speaker": names[line["speaker"]], "audio": str(tiny_corpus / line["audio"])}
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    bundle = run_recipe(encoder_recipe(tmp_path / "e.toml", manifest), tmp_path / "run")
    run_recipe(voice_recipe(tmp_path / "v.toml", bundle, manifest), tmp_path / "voice")
    assert load(bundle).voices == ("../ana", "b" * 300)
    assert sorted(path.name for path in (tmp_path / "voice" / "samples").iterdir()) == ["voice 1", "voice 2"]
    assert not (tmp_path / "ana").exists()


def test_a_bundle_says_what_it_learned_from(tiny_bundle):
    facts = Bundle(tiny_bundle).facts
    assert facts["training"]["recordings"] == 6
    assert facts["encoder"]["speakers"] == ["ana", "bo"]
    assert facts["encoder"]["sizes"] == [16]
    assert "6 recordings by 2 speakers" in (tiny_bundle / "card.md").read_text()


def test_a_run_in_a_folder_of_something_else_is_refused(tmp_path, tiny_corpus):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="exists already and is not empty"):
        run_recipe(encoder_recipe(tmp_path / "e.toml", tiny_corpus / "manifest.jsonl"), tmp_path / "run")
    assert list(contents(tmp_path / "run")) == ["thesis.txt"]


def test_a_run_with_other_settings_in_the_same_folder_is_refused(tmp_path, tiny_corpus, tiny_bundle):
    run = shutil.copytree(tiny_bundle.parent, tmp_path / "run")
    manifest = tiny_corpus / "manifest.jsonl"
    for change, said in (
        ("train.learning_rate = 0.5", "learning_rate was 0.001, now 0.5"),
        ("encoder.jitter = 0.5", "encoder.jitter was 0.0, now 0.5"),
    ):
        with pytest.raises(InputError, match=f"holds a run of another recipe.*{said}.*name another folder"):
            run_recipe(encoder_recipe(tmp_path / "e.toml", manifest, change), run)
    assert contents(run) == contents(tiny_bundle.parent)


def test_a_run_on_other_recordings_in_the_same_folder_is_refused(tmp_path, tiny_corpus, tiny_bundle):
    run = shutil.copytree(tiny_bundle.parent, tmp_path / "run")
    before = (run / "recipe.toml").read_text()
    with pytest.raises(InputError, match="holds a run of another recipe .data.*name another"):
        run_recipe(encoder_recipe(tmp_path / "e.toml", shutil.copytree(tiny_corpus, tmp_path / "other")), run)
    assert (run / "recipe.toml").read_text() == before


def test_bad_recordings_are_left_out_and_told(tmp_path, tiny_corpus):
    folder = shutil.copytree(tiny_corpus, tmp_path / "corpus")
    (folder / "ana" / "1.wav").write_text("no sound")
    recipe = encoder_recipe(tmp_path / "e.toml", folder, "train.steps = 2")
    failures = []
    bundle = run_recipe(recipe, tmp_path / "run", failures=failures)
    assert [name for name, _ in failures] == ["ana/1"]
    assert "1.wav: not a sound file" in failures[0][1]
    voices = []
    run_recipe(
        voice_recipe(tmp_path / "v.toml", bundle, folder, "train.steps = 2"), tmp_path / "voice", failures=voices
    )
    assert voices == failures
    assert load(bundle).voices == ("speaker",)
    with pytest.raises(InputError, match=r"1\.wav"):
        run_recipe(recipe, tmp_path / "strict")


def test_splits_and_speakers_choose_recordings(tmp_path, tiny_corpus):
    lines = [
        f'{{"id": "{i}", "audio": "{tiny_corpus}/ana/{i}.wav", "speaker": "{who}"{split}}}\n'
        for i, (who, split) in enumerate([("a", ', "split": "train"'), ("b", ', "split": "dev"'), ("b", "")])
    ]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(lines))
    assert [r.id for r in select(DataConfig(recordings=str(path))).recordings] == ["0", "2"]
    assert [r.id for r in select(DataConfig(recordings=str(path), split="all", speakers=("b",))).recordings] == [
        "1",
        "2",
    ]
    with pytest.raises(InputError, match=r"data\.split: no recording in split 'test'; its splits are: dev, train"):
        select(DataConfig(recordings=str(path), split="test", speakers=("a",))).recordings and select(
            DataConfig(recordings=str(path), split="test")
        )
    for speakers in (("c",), ("b", "c")):
        with pytest.raises(InputError, match=r"data\.speakers: no recording by 'c'; its speakers are: a, b"):
            select(DataConfig(recordings=str(path), split="all", speakers=speakers))
    with pytest.raises(ConfigError, match="names nobody"):
        DataConfig(recordings=str(path), speakers=())
    assert (
        len(select(DataConfig(recordings=str(tiny_corpus))).recordings) == 6
    )  # a folder has no splits and names nobody


def test_who_is_not_named_is_one_speaker():
    recordings = [Recording(id=str(i), path="x", speaker=who) for i, who in enumerate(["b", None, "a", None, "b"])]
    assert speakers_of(recordings) == ("a", "b", "speaker")


def test_classical_units_are_fitted_on_the_frames_within_segments(tmp_path, tiny_corpus):
    recipe = encoder_recipe(tmp_path / "e.toml", tiny_corpus)
    recordings = select(recipe.data).recordings
    settings = PipelineConfig(quantizer=KMeansConfig(num_units=5), time_reduction=2)
    segments = {recording.id: [Segment(1600, 9600)] for recording in recordings}
    encoder, run = fit_encoder(recordings, settings, TrainConfig(steps=1), tmp_path / "run", segments=segments)
    assert run is None
    frames = np.concatenate([part[10:60] for part in packed(tmp_path / "run" / "features")]).astype(np.float32)
    low, high = frames.min(0), frames.max(0)
    vectors = encoder.codebook.vectors[0].numpy()
    assert ((vectors >= low) & (vectors <= high)).all()
    again, _ = fit_encoder(recordings, settings, TrainConfig(steps=1), tmp_path / "run", segments=segments)
    assert again.codebook.hash == encoder.codebook.hash


def packed(folder):
    """The recordings of a pack, read by what its index says."""
    index = json.loads((folder / "pack.json").read_text())
    array = np.fromfile(folder / "pack.bin", index["wanted"]["dtype"]).reshape(-1, *index["shape"])
    return [array[row["start"] : row["start"] + row["length"]] for row in index["rows"]]


def test_recordings_whose_sound_has_changed_make_another_run(tmp_path, tiny_corpus):
    corpus = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, corpus)
    recipe = encoder_recipe(tmp_path / "e.toml", corpus / "manifest.jsonl")
    run_recipe(recipe, tmp_path / "run")
    state = (tmp_path / "run" / "state.safetensors").read_bytes()
    path = next(corpus.rglob("*.wav"))
    sound = audio.read(path)
    audio.write(path, np.concatenate([sound, sound[:800]]), 16000)
    with pytest.raises(InputError, match="run: holds a run with other settings .recordings that have changed"):
        run_recipe(recipe, tmp_path / "run")
    assert (tmp_path / "run" / "state.safetensors").read_bytes() == state


def test_features_of_a_corpus_have_mean_zero_and_deviation_one(tiny_bundle):
    for part in packed(tiny_bundle.parent / "features"):
        np.testing.assert_allclose(part.astype(np.float64).mean(0), 0, atol=2e-3)
        np.testing.assert_allclose(part.astype(np.float64).std(0), 1, atol=5e-3)
    sound = packed(tiny_bundle.parents[1] / "voice" / "sound")
    codes = packed(tiny_bundle.parents[1] / "voice" / "codes")
    assert [len(part) for part in sound] == [640 * len(part) for part in codes]
    assert torch.iinfo(torch.int16).max >= max(np.abs(part).max() for part in sound) > 3000


def test_statistics_of_the_corpus_are_in_the_bundle(tmp_path, tiny_corpus):
    recipe = encoder_recipe(tmp_path / "e.toml", tiny_corpus / "manifest.jsonl")
    settings = replace(recipe.encoder, normalization="corpus")
    encoder, _ = fit_encoder(select(recipe.data).recordings, settings, TrainConfig(steps=1), tmp_path / "run")
    frames = np.concatenate(packed(tmp_path / "run" / "features")).astype(np.float64)
    np.testing.assert_allclose(frames.mean(0), 0, atol=2e-3)
    np.testing.assert_allclose(frames.std(0), 1, atol=5e-3)
    assert encoder.mean.shape == encoder.deviation.shape == (encoder.features.dim,)
    assert (encoder.mean < 0).all()
    assert (encoder.deviation > 0.1).all()


def test_a_mixture_that_needs_fewer_components_than_it_may_have_comes_back(tmp_path, tiny_corpus):
    recipe = encoder_recipe(tmp_path / "e.toml", tiny_corpus / "manifest.jsonl")
    settings = PipelineConfig(quantizer=DPGMMConfig(num_units=60))
    recordings = select(recipe.data).recordings
    encoder, _ = fit_encoder(recordings, settings, TrainConfig(steps=1), tmp_path / "run")
    assert encoder.sizes[0] < 60
    write_encoder(tmp_path / "bundle", encoder, recordings, TrainConfig())
    again = load(tmp_path / "bundle").encoder
    assert again.codebook.hash == encoder.codebook.hash
    assert again.sizes == encoder.sizes


def test_the_cure_that_a_fault_names_is_taken_in_the_same_folder(tmp_path, tiny_corpus, tiny_bundle):
    """A run that has not begun anything is begun with the corrected recipe."""
    manifest, run = tiny_corpus / "manifest.jsonl", tmp_path / "run"
    with pytest.raises(BundleError, match="mistyped"):
        run_recipe(voice_recipe(tmp_path / "v.toml", tmp_path / "mistyped", manifest), run)
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    assert run_recipe(voice_recipe(tmp_path / "v.toml", bundle, manifest), run) == bundle


def test_a_vocoder_for_pitch_units_that_are_not_there_is_refused_before_packing(tmp_path, tiny_corpus, tiny_bundle):
    recipe = voice_recipe(tmp_path / "v.toml", tiny_bundle, tiny_corpus / "manifest.jsonl")
    recipe = replace(recipe, voice=HiFiGANConfig(pitch_units=7))
    with pytest.raises(
        InputError, match=r"no pitch units, and this voice is told them; learn them first: protophone train configs"
    ):
        run_recipe(recipe, tmp_path / "run")
    assert [part.name for part in (tmp_path / "run").iterdir()] == ["recipe.toml"]
