"""Bad input on the command line: exit 1 and one line with the file, the cause and the cure, and nothing written."""

import json
import shutil
import subprocess

import pytest
import soundfile

from protophone.store import read_units
from tests.calls import fault_only, one_line
from tests.conftest import babble
from tests.test_corpus import BAD, CAUSES, bad_corpus
from tests.tiny import ENCODER, VOICE, contents

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


@pytest.mark.parametrize("name", BAD)
def test_one_bad_recording_is_one_line(call, tiny_bundle, tmp_path, name):
    path = tmp_path / f"ŋ a {name}"
    soundfile.write(path, babble(1), 16000)
    BAD[name](path)
    line = one_line(call("convert", tiny_bundle, path, tmp_path / "out.wav"), path.name, ";")
    assert any(cause in line for cause in CAUSES[name].split("|"))
    assert not (tmp_path / "out.wav").exists()
    fault_only(call("encode", tiny_bundle, path, "--out", tmp_path / "units"), path.name)


@pytest.mark.parametrize("share", ["7", "-0.1", "nan"])
def test_a_share_of_bad_recordings_that_is_none_is_refused(call, tiny_bundle, tiny_corpus, tmp_path, share):
    result = call("encode", tiny_bundle, tiny_corpus, "--out", tmp_path / "out", "--max-bad", share)
    one_line(result, f"--max-bad {share}: Input should be ")
    assert not (tmp_path / "out").exists()


def test_bad_recordings_in_a_corpus_are_listed_and_count(call, tiny_bundle, tmp_path):
    corpus = bad_corpus(tmp_path / "a long way to the recordings " / ("deep " * 12).strip(), 20)
    code, out, lines = call("encode", tiny_bundle, corpus, "--out", tmp_path / "few", "--max-bad", "0.3")
    assert code == 0
    assert out.startswith(f"{tmp_path / 'few'}: 20 recordings")
    listed = [line for line in lines if line.startswith("left out: ")]
    assert len(listed) == len(BAD)
    assert all(name in "\n".join(listed) for name in BAD)
    result = call("encode", tiny_bundle, corpus, "--out", tmp_path / "many")
    fault_only(result, "6 of 26 recordings could not be used, more than --max-bad 0.05")
    assert len(list(read_units(tmp_path / "many"))) == 20  # what could be read is there
    code, out, lines = call("manifest", corpus, tmp_path / "m.jsonl")
    assert code == 0
    assert sum(line.startswith("left out: ") for line in lines) >= 2


LINES = {
    "not JSON": ("{", "m.jsonl:2: not JSON"),
    "no key": ('{"id": "b"}', 'm.jsonl:2: the key "audio" is missing'),
    "an id twice": ('{"id": "a", "audio": "a.wav"}', "m.jsonl:2: id a is that of line 1 too"),
    "a file that is not there": ('{"id": "b", "audio": "b.wav"}', "m.jsonl:2: audio b.wav is not there"),
}


@pytest.mark.parametrize("kind", LINES)
def test_a_line_of_a_manifest_that_is_wrong_is_named(call, tiny_bundle, tmp_path, kind):
    soundfile.write(tmp_path / "a.wav", babble(1), 16000)
    line, says = LINES[kind]
    (tmp_path / "m.jsonl").write_text(f'{{"id": "a", "audio": "a.wav"}}\n{line}\n')
    (tmp_path / "r.toml").write_text(ENCODER.format(recordings=tmp_path / "m.jsonl"))
    for command in (
        ("encode", tiny_bundle, tmp_path / "m.jsonl", "--out", tmp_path / "out"),
        ("train", tmp_path / "r.toml", "--out", tmp_path / "out"),
    ):
        result = call(*command)
        fault_only(result, says, ";")
        assert not (tmp_path / "out").exists()


def test_folders_and_files_that_hold_nothing_are_named(call, tiny_bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    one_line(
        call("encode", tiny_bundle, tmp_path / "empty", "--out", out), f"{tmp_path / 'empty'}: no recordings in it;"
    )
    one_line(call("encode", tiny_bundle, tmp_path / "none", "--out", out), f"{tmp_path / 'none'}: not there;")
    one_line(call("manifest", tmp_path / "empty", tmp_path / "m.jsonl"), "no recordings in it")
    one_line(call("decode", tiny_bundle, tmp_path / "empty", "--out", out), "no units in it;")
    one_line(call("decode", tiny_bundle, tmp_path / "none", "--out", out), "not there;")
    one_line(call("convert", tiny_bundle, tmp_path / "none.wav", tmp_path / "o.wav"), "none.wav: not there")
    one_line(call("info", tmp_path / "empty"), "no bundle here")
    one_line(call("encode", tmp_path / "empty", tmp_path / "empty", "--out", out), "no bundle here")
    one_line(call("encode", tiny_bundle, tmp_path, "--device", "abacus", "--out", out), "'abacus'", "use cpu")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


def test_an_unknown_voice_lists_those_there_are(call, tiny_bundle, tiny_corpus, tmp_path):
    source = tiny_corpus / "ana" / "0.wav"
    line = one_line(call("convert", tiny_bundle, source, tmp_path / "o.wav", "--voice", "cy"), "no voice 'cy'")
    assert line.endswith("the voices are: ana, bo")
    call("encode", tiny_bundle, source, "--out", tmp_path / "units")
    result = call("decode", tiny_bundle, tmp_path / "units", "--voice", "cy", "--out", tmp_path / "o")
    one_line(result, "the voices are: ana, bo") if len(result[2]) == 1 else fault_only(
        result, "the voices are: ana, bo"
    )
    assert not (tmp_path / "o").exists()


def test_what_convert_cannot_do_is_refused_before_any_work(call, tiny_bundle, tiny_corpus, tmp_path, monkeypatch):
    def worked(*_):
        raise AssertionError("the recording was encoded")

    source = tiny_corpus / "ana" / "0.wav"
    (tmp_path / "file").touch()
    (tmp_path / "folder.wav").mkdir()
    monkeypatch.setattr("protophone.model.Model.encode", worked)
    one_line(call("convert", tiny_bundle, source, tmp_path / "o.wav", "--voice", "cy"), "the voices are: ana, bo")
    monkeypatch.setattr("protophone.model.load", worked)
    for out, says in [
        ("o.mp3", "sound is written as .wav or .flac; choose"),
        ("o", "sound is written as .wav or .flac; choose"),
        ("file/o.wav", "a part of this path is a file, not a folder; choose"),
        ("folder.wav", "it is a folder; name"),
        ("x" * 300 + ".wav", "its name is too long; shorten it"),
    ]:
        one_line(call("convert", tiny_bundle, source, tmp_path / out), f"{tmp_path / out}: ", says)
    one_line(call("convert", tiny_bundle, tmp_path / "none.wav", tmp_path / "o.wav"), "none.wav: not there")
    one_line(call("convert", tiny_bundle, tmp_path / "none.wav", source), "none.wav: not there")
    one_line(call("convert", tiny_bundle, tmp_path / "folder.wav", tmp_path / "o.wav"), "a folder, not a recording")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.wav"]


def test_units_of_another_codebook_are_refused(call, tiny_bundle, tiny_corpus, tmp_path):
    call("encode", tiny_bundle, tiny_corpus / "ana", "--out", tmp_path / "units")
    path = tmp_path / "units/units.jsonl"
    codebook = next(iter(read_units(tmp_path / "units"))).bundle
    path.write_text(path.read_text().replace(codebook, "deadbeef"))
    (tmp_path / "units/index.json").unlink()
    fault_only(call("decode", tiny_bundle, path, "--out", tmp_path / "o"), "deadbeef", codebook, ";")
    assert not (tmp_path / "o").exists()


def test_outputs_that_exist_are_refused_and_left_alone(call, tiny_bundle, tiny_corpus, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("x")
    (tmp_path / "r.toml").write_text(ENCODER.format(recordings=tiny_corpus))
    call("encode", tiny_bundle, tiny_corpus / "ana", "--out", tmp_path / "units")
    for command in (
        ("encode", tiny_bundle, tiny_corpus),
        ("decode", tiny_bundle, tmp_path / "units"),
        ("discover", tiny_corpus),
        ("train", tmp_path / "r.toml"),
    ):
        fault_only(
            call(*command, "--out", tmp_path / "out"), f"{tmp_path / 'out'}: exists already and is not empty; name"
        )
    assert list(contents(tmp_path / "out")) == ["thesis.txt"]
    source = tmp_path / "a.wav"
    shutil.copy(tiny_corpus / "ana/0.wav", source)
    before = source.read_bytes()
    one_line(call("convert", tiny_bundle, source, source), "a.wav", "name another")
    (tmp_path / "b.wav").write_bytes(before)
    one_line(call("convert", tiny_bundle, source, tmp_path / "b.wav"), "b.wav: exists already; name another file")
    assert source.read_bytes() == (tmp_path / "b.wav").read_bytes() == before
    (tmp_path / "m.jsonl").write_text("corrected by hand")
    one_line(call("manifest", tiny_corpus, tmp_path / "m.jsonl"), "m.jsonl: exists already; name another file")
    assert (tmp_path / "m.jsonl").read_text() == "corrected by hand"


def test_bundles_that_are_broken_or_newer_are_one_line(call, tiny_bundle, tiny_corpus, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "b")
    encode = ("encode", copy, tiny_corpus, "--out", tmp_path / "out")
    index = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps(index | {"format": 99}))
    one_line(call(*encode), "bundle format 99", "upgrade")
    (copy / "bundle.json").write_text(json.dumps(index))
    (copy / "encoder.toml").write_text((copy / "encoder.toml").read_text() + "# mine")
    one_line(call(*encode), "encoder.toml: altered", "copy the whole folder again")
    (copy / "encoder.toml").unlink()
    one_line(call(*encode), "encoder.toml: missing", "copy the whole folder again")
    assert not (tmp_path / "out").exists()


def test_configs_that_are_wrong_are_one_line(call, tiny_corpus, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(ENCODER.format(recordings=tiny_corpus))
    out = ("--out", tmp_path / "out")
    one_line(
        call("train", recipe, *out, "--set", "train.stepps = 5"), "train.stepps", "did you mean steps?", "batch, clip"
    )
    one_line(call("train", recipe, *out, "--set", "train.steps = 0"), "train.steps", "greater than or equal to 1")
    one_line(
        call("train", recipe, *out, "--set", 'encoder.kind = "foo"'), "encoder.kind: no kind 'foo'", "pipeline, vqvae"
    )
    one_line(call("train", recipe, *out, "--set", "train.steps 5"), "--set 'train.steps 5'", "not TOML")
    one_line(call("train", tmp_path / "none.toml", *out), "none.toml: cannot be read")
    one_line(call("discover", tiny_corpus, *out, "--minutes", "-1"), "minutes", "greater than 0")
    one_line(call("discover", tiny_corpus, *out, "--units", "0"), "units")
    assert not (tmp_path / "out").exists()


def small_disk(tmp_path, options):
    place = tmp_path / "disk"
    place.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    return place


@pytest.mark.parametrize(("options", "says"), [("size=8k", "the disk is full"), ("ro", "the disk is read-only")])
def test_a_disk_that_cannot_be_written_is_one_line(call, tiny_bundle, tiny_corpus, tmp_path, options, says):
    (tmp_path / "r.toml").write_text(ENCODER.format(recordings=tiny_corpus))
    call("encode", tiny_bundle, tiny_corpus, "--out", tmp_path / "units")
    disk = small_disk(tmp_path, options)
    try:
        for command in (
            ("encode", tiny_bundle, tiny_corpus, "--as", "shards", "--out", disk / "u"),
            ("encode", tiny_bundle, tiny_corpus, "--as", "npy", "--out", disk / "n"),
            ("encode", tiny_bundle, tiny_corpus, "--as", "zerospeech", "--out", disk / "z"),
            ("decode", tiny_bundle, tmp_path / "units", "--out", disk / "s"),
            ("convert", tiny_bundle, tiny_corpus / "ana/0.wav", disk / "c.wav"),
            ("train", tmp_path / "r.toml", "--out", disk / "t"),
        ):
            fault_only(call(*command), str(disk), says, ";")
            assert not list(disk.rglob("*.wav"))
            for left in disk.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("name", ["bundle.json", "deep.jsonl"])
def test_json_that_nests_without_end_is_one_line(name, call, tiny_bundle, tmp_path):
    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (folder / name).write_text("[" * 100_000)
    told = ("info", folder) if name == "bundle.json" else ("encode", folder, folder / name, "--out", tmp_path / "out")
    one_line(call(*told), name)


def test_what_no_memory_holds_is_one_line(call, tiny_bundle, tiny_corpus, tmp_path):
    (tmp_path / "v.toml").write_text(VOICE.format(bundle=tiny_bundle, recordings=tiny_corpus / "manifest.jsonl"))
    huge = ("--set", "voice.channels = 16384", "--set", "voice.layers = 256")
    fault_only(
        call("train", tmp_path / "v.toml", *huge, "--out", tmp_path / "run"),
        "voice: a network of ",
        "write fewer channels",
    )
