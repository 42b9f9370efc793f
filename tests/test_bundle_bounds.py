"""Bundles whose numbers are out of bounds, sealed as if they were whole: refused before memory is taken."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.bundle import Bundle, _seal
from protophone.codec import read_entropy
from protophone.crops import CropSampler
from protophone.encoders.pitch import read_pitch
from protophone.errors import ConfigError, ProtophoneError
from protophone.model import DEFAULT_BUNDLE, Model
from protophone.recipe import run_recipe
from tests.calls import fault_only, one_line
from tests.test_bounds import ODD, _places
from tests.tiny import ENCODER, voice_recipe

FILES = [
    "bundle.json",
    "encoder.toml",
    "voices/tiny/voice.json",
    "voices/tiny/vocoder.toml",
    "pitch/pitch.json",
    "pitch/pitch.toml",
    "entropy/entropy.json",
    "entropy/entropy.toml",
]


@pytest.fixture(scope="module")
def bundle(tiny_bundle, tmp_path_factory) -> Path:
    """A bundle of every part, those of pitch and entropy of other units; tests leave it as it was."""
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("whole") / "b")
    for name in ("pitch", "entropy"):
        shutil.copytree(DEFAULT_BUNDLE / name, folder / name)
    seal(folder)
    return folder


def seal(folder, **facts):
    _seal(folder, json.loads((folder / "bundle.json").read_text()) | facts)


def opened(folder):
    """Everything of a bundle that a command may read."""
    whole = Bundle(folder)
    read_pitch(whole.part("pitch"), folder / "pitch")
    (folder / "pitch").rename(folder / "was pitch")  # of other units, so that the model would be refused for it
    try:
        seal(folder)
        model = Model(Bundle(folder))
        model._vocoders.of("ana")
    finally:
        (folder / "was pitch").rename(folder / "pitch")
    read_entropy(whole)


def toml(tables, path=()):
    """Tables as TOML, with whatever is in them."""
    plain = [f"{key} = {json.dumps(value)}" for key, value in tables.items() if not isinstance(value, dict)]
    lines = ([f"[{'.'.join(path)}]"] if path else []) + plain
    for key, value in tables.items():
        if isinstance(value, dict):
            lines += toml(value, (*path, key))
    return lines


@pytest.mark.parametrize("name", FILES)
def test_any_value_in_a_sealed_bundle_is_taken_or_refused_in_one_line(bundle, name):
    path = bundle / name
    before, index = path.read_text(), (bundle / "bundle.json").read_text()
    whole = json.loads(before) if path.suffix == ".json" else tomllib.loads(before)
    if name == "bundle.json":
        whole = {"encoder": whole["encoder"], "format": 1}

    @settings(max_examples=12, derandomize=True, deadline=None, database=None)
    @given(st.sampled_from(sorted(_places(whole), key=str)), ODD)
    def check(where, value):
        tables = json.loads(json.dumps(whole))
        place = tables
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = value
        try:
            text = json.dumps(tables) if path.suffix == ".json" else "\n".join(toml(tables))
        except ValueError:  # a number too large to write
            return
        said = ""
        try:
            path.write_text(json.dumps(json.loads(index) | tables) if name == "bundle.json" else text)
            if name != "bundle.json":
                seal(bundle)
            opened(bundle)
        except ProtophoneError as error:
            said = str(error)
        finally:
            path.write_text(before)
            (bundle / "bundle.json").write_text(index)
        assert "\n" not in said.replace(str(value), "")

    check()


@pytest.mark.parametrize(
    ("name", "was", "now", "says"),
    [
        ("encoder.toml", "blocks = 1", "blocks = 100000000000", "encoder.toml: blocks: Input should be less than"),
        ("encoder.toml", "channels = 16", "channels = 16384", "encoder.toml: a network of 5,"),
        (
            "voices/tiny/vocoder.toml",
            "layers = 2",
            "layers = 1e30",
            "vocoder.toml: layers: Input should be a valid int",
        ),
        ("voices/tiny/vocoder.toml", "channels = 16", "channels = 16384", "weights do not fit the config"),
        ("voices/tiny/vocoder.toml", "layers = 2", "layers = 256", "weights do not fit the config"),
        ("encoder.toml", "num_units = 16", "num_units = 65536", "weights do not fit the config"),
    ],
)
def test_a_network_larger_than_its_weights_is_refused_before_it_is_made(
    call, tiny_bundle, tiny_corpus, tmp_path, name, was, now, says
):
    folder = shutil.copytree(tiny_bundle, tmp_path / "b")
    text = (folder / name).read_text()
    assert was in text
    (folder / name).write_text(text.replace(was, now, 1))
    seal(folder)
    one_line(call("convert", folder, tiny_corpus / "ana/0.wav", tmp_path / "o.wav"), says)


def test_a_bundle_that_names_files_outside_itself_is_refused(call, tiny_bundle, tmp_path):
    folder = shutil.copytree(tiny_bundle, tmp_path / "b")
    for name in ("/etc/hostname", "../x", "a/../../x"):
        index = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps(index | {"files": index["files"] | {name: "0"}}))
        one_line(call("info", folder), "bundle.json: files names", "which lies outside the bundle")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("train.batch = 1000000000", "train.batch: Input should be less than or equal to 65536"),
        ("train.crop = 1000000", "train.batch 65536 of train.crop 1000000"),
        ("encoder.channels = 512", "train.batch 65536 of train.crop 400"),
    ],
)
def test_a_batch_that_memory_does_not_hold_is_refused_before_it_is_made(call, tiny_corpus, tmp_path, line, says):
    (tmp_path / "r.toml").write_text(ENCODER.format(recordings=tiny_corpus))
    large = ("--set", "train.batch = 65536", "--set", "train.crop = 400", "--set", line)
    code, _, lines = call("train", tmp_path / "r.toml", *large, "--out", tmp_path / "run")
    assert code == 1
    assert says in lines[-1]
    assert sum(each.startswith("protophone: ") for each in lines) == 1


def test_a_batch_of_sounds_is_refused_before_it_is_made(tiny_bundle, tiny_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(CropSampler, "__call__", lambda *_: pytest.fail("a batch was made"))
    large = ("train.batch = 65536", "train.crop = 1000000")
    job = voice_recipe(tmp_path / "v.toml", tiny_bundle, tiny_corpus / "manifest.jsonl", *large)
    with pytest.raises(ConfigError, match=r"train\.batch 65536 of train\.crop 1000000 needs .* GB"):
        run_recipe(job, tmp_path / "run")


def test_a_split_that_no_recording_names_is_refused(call, tiny_corpus, tmp_path):
    for source, known in ((tiny_corpus, "train"), (tmp_path / "m.jsonl", "dev, train")):
        rows = [json.loads(line) for line in (tiny_corpus / "manifest.jsonl").read_text().splitlines()]
        rows = [row | {"audio": str(tiny_corpus / row["audio"])} for row in rows]
        rows[0]["split"] = "dev"
        (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "r.toml").write_text(ENCODER.format(recordings=source))
        command = ("train", tmp_path / "r.toml", "--set", "data.split = 'zz'", "--out", tmp_path / "run")
        one_line(call(*command), f"{source}, data.split: no recording in split 'zz'; its splits are: {known}")


def test_a_split_of_units_to_encode_is_refused_with_the_splits_there_are(call, tiny_bundle, tiny_corpus, tmp_path):
    command = ("encode", tiny_bundle, tiny_corpus, "--split", "zz", "--out", tmp_path / "o")
    fault_only(call(*command), "no recording in split 'zz'; its splits are: none")


def test_an_embedder_or_a_folder_of_work_that_is_none_is_refused_before_any_work(
    call, tiny_bundle, tiny_corpus, tmp_path, monkeypatch
):
    def worked(*_, **__):
        raise AssertionError("recordings were encoded")

    monkeypatch.setattr("protophone.evaluate.everything.encode_corpus", worked)
    command = ("evaluate", "all", tiny_bundle, tiny_corpus / "manifest.jsonl", "--out", tmp_path / "o")
    one_line(call(*command, "--embedder", "nope"), "nope: no speaker embedder of this name; known are resemblyzer")
    (tmp_path / "file").touch()
    one_line(call(*command, "--work", tmp_path / "file"), f"{tmp_path / 'file'}: a file; name a folder with --work")
    (tmp_path / "sounds").mkdir()
    command = ("evaluate", "resynthesis", tiny_corpus / "manifest.jsonl", tmp_path / "sounds", "--f0")
    one_line(call(*command, "--embedder", "nope"), "--embedder: for --speaker, which is not asked for")
