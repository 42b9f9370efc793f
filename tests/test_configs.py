"""Every shipped recipe loads, says what it means by keys that exist, and builds on the CPU."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from protophone.codec import fit_entropy
from protophone.config import dump, parse
from protophone.encoders.pitch import VoicePitch
from protophone.errors import ConfigError
from protophone.recipe import EncoderRecipe, EntropyRecipe, PitchRecipe, load_recipe
from protophone.types import Codebook, FrameGrid, UnitBatch, Utterance

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
GRID = FrameGrid(16000, 640, 240)
every = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)


def test_there_are_some():
    assert len(CONFIGS) >= 2


@every
def test_loads_and_builds(path, request):
    recipe = load_recipe(path, [])
    if isinstance(recipe, EncoderRecipe):
        if recipe.encoder.features.kind == "ssl":  # of a published model, which is not here
            model = request.getfixturevalue("tiny_hubert")
            recipe = load_recipe(path, [f'encoder.features = {{kind = "ssl", layer = 3, model = "{model}"}}'])
        encoder = recipe.encoder.build(("abi", "kou"))
        assert encoder.grid.hop == encoder.features.grid.hop * recipe.encoder.time_reduction
    elif isinstance(recipe, PitchRecipe):
        pitch = recipe.pitch.build({"abi": VoicePitch(4.8, 0.2)}, VoicePitch(5.0, 0.3))
        assert pitch.grid.hop == 1280
    elif isinstance(recipe, EntropyRecipe):
        made = [Utterance(UnitBatch.from_arrays([np.arange(8)[None]], (8,), GRID), 8 * GRID.hop, id="a")] * 12
        few = replace(recipe.entropy, steps=1)
        assert fit_entropy(made, (), few).content.sizes == (8,)
    else:
        vocoder = recipe.voice.build(Codebook(torch.zeros(1, 16, 8)), GRID, ("abi", "kou"))
        assert vocoder.voices == ("abi", "kou")


def test_recipes_that_follow_one_another_put_their_parts_into_one_bundle():
    bundles = {path.stem: recipe.bundle for path in CONFIGS if hasattr(recipe := load_recipe(path, []), "bundle")}
    assert bundles.pop("code2spec") == "runs/vqvae/bundle"  # the voice of configs/vqvae.toml
    assert set(bundles.values()) == {"runs/content/bundle"}


@every
def test_survives_being_written_and_read(path):
    recipe = load_recipe(path, [])
    assert parse(type(recipe), dump(recipe)) == recipe


@every
def test_overrides_and_unknown_keys(path):
    table = "entropy" if path.stem == "entropy" else "train"
    assert getattr(load_recipe(path, [f"{table}.steps = 2000"]), table).steps == 2000
    with pytest.raises(ConfigError, match=rf"unknown key {table}\.stepz; did you mean steps\?"):
        load_recipe(path, [f"{table}.stepz = 2000"])


def test_bands_are_distorted_only_where_there_are_bands():
    overrides = ['encoder.features.kind = "mfcc"']
    with pytest.raises(ConfigError, match=r"augment.warp 0.08 and augment.tilt 0.3 distort bands, and mfcc features"):
        load_recipe("configs/vqvae.toml", overrides)
    kept = load_recipe("configs/vqvae.toml", [*overrides, "encoder.augment = {warp = 0, tilt = 0, noise = 0.2}"])
    assert kept.encoder.augment.noise == 0.2


def test_the_command_line_answers_without_torch():
    """Help must be quick: nothing heavy is imported before a command needs it."""
    code = (
        "import sys, protophone.cli; print([m for m in ('torch', 'numpy', 'pydantic', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_vocoders_that_are_set_beside_each_other_differ_in_what_they_are_told(monkeypatch):
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location("voices_benchmark", ROOT / "benchmarks" / "voices.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    told = {}
    for name, (config, *overrides) in module.CELLS.items():
        recipe = load_recipe(f"configs/{config}.toml", [f'name = "{name}"', "train.minutes = 25", *overrides])
        assert (recipe.name, recipe.train.minutes) == (name, 25)
        vocoder = recipe.voice.build(Codebook(torch.zeros(1, 16, 8)), GRID, ("abi", "kou"))
        told[name] = vocoder.pitch_input
    assert told == {
        "vocos": "contour",
        "vocos-no-pitch": "none",
        "hifigan-small": "units",
        "hifigan-small-no-pitch": "none",
        "hifigan": "units",
        "code2spec": "none",
    }
