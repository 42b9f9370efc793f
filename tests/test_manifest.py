import json
import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protophone import audio, manifest
from protophone.errors import InputError
from protophone.types import Recording
from tests.conftest import corpus


def put(folder, *names, samples=1000):
    """Small sound files with these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        audio.write(folder / "made.wav", 0.1 * np.sin(np.arange(samples)), 16000)
        (folder / "made.wav").rename(folder / name)


def ids(recordings):
    return [recording.id for recording in recordings]


def test_scan_names_recordings_by_their_path(tmp_path):
    put(
        tmp_path,
        "b/a.wav",
        "a.WAV",
        "c/a.flac",
        "b/x/été à Brazza.ogg",
        "Ωмбоси ŋ.mp3",
        ".hidden.wav",
        ".git/a.wav",
        "._b.wav",
    )
    (tmp_path / "notes.txt").write_text("not sound")
    found = manifest.scan(tmp_path)
    assert ids(found) == ["a", "b/a", "b/x/été à Brazza", "c/a", "Ωмбоси ŋ"]
    assert found[0] == Recording(id="a", path=tmp_path / "a.WAV")
    assert all(recording.path.is_file() for recording in found)


def test_ids_are_composed_and_paths_are_as_on_disk(tmp_path):
    name = unicodedata.normalize("NFD", "é.wav")
    put(tmp_path, name)
    (found,) = manifest.scan(tmp_path)
    assert (found.id, found.path.name) == ("\u00e9", name)
    put(tmp_path, "\u00e9.wav")
    with pytest.raises(InputError, match="how accents are coded; rename one"):
        manifest.scan(tmp_path)


def test_files_that_differ_by_suffix_keep_it(tmp_path):
    put(tmp_path, "a.wav", "a.flac", "b.wav", "c/a.wav", "d.e.wav", "f.wav.ogg", "f.wav", "f.mp3")
    assert ids(manifest.scan(tmp_path)) == ["a.flac", "a.wav", "b", "c/a", "d.e", "f.mp3", "f.wav", "f.wav.ogg"]


def test_names_that_cannot_be_ids_become_some_that_can_and_stay_apart(tmp_path):
    put(tmp_path, "a\\b.wav", "a_b.wav", "a/b.wav", "c\\d\\e.wav", "c\\d_e.flac", "f\\g/h.wav", "..\\i.wav", "\\j.wav")
    found = manifest.scan(tmp_path)
    assert {each.id: each.path.relative_to(tmp_path).as_posix() for each in found} == {
        "a/b": "a/b.wav",
        "a_b": "a_b.wav",
        "a_b_": "a\\b.wav",
        "c_d_e.flac": "c\\d_e.flac",
        "c_d_e.wav": "c\\d\\e.wav",
        "f_g/h": "f\\g/h.wav",
        "_j": "\\j.wav",
    }
    assert manifest.scan(tmp_path) == found
    manifest.write(tmp_path / "m.jsonl", found)
    assert ids(manifest.read(tmp_path / "m.jsonl")) == ids(found)
    single, _ = manifest.build(tmp_path / "a\\b.wav", probe=True)
    assert (ids(single), single[0].path) == (["a_b"], tmp_path / "a\\b.wav")


def test_names_that_every_output_can_carry_are_ids_and_longer_ones_are_refused(tmp_path):
    odd = ["x" * 246, "-a", "a:b", "*? '\"", "--out", "a.b.c", "~"]
    put(tmp_path, *(f"{name}.wav" for name in odd))
    assert ids(manifest.scan(tmp_path)) == sorted(odd)
    put(tmp_path / "long", "x" * 247 + ".wav")
    for source in (tmp_path, tmp_path / "long" / ("x" * 247 + ".wav")):
        with pytest.raises(InputError, match="its name is too long for outputs: .* may have 246; shorten it") as caught:
            manifest.build(source)
        assert str(caught.value).startswith(f"{tmp_path / 'long'}")


def test_linked_folders_are_followed_once(tmp_path):
    put(tmp_path / "elsewhere", "a.wav")
    put(tmp_path / "here", "b.wav")
    (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here" / "loop").symlink_to(tmp_path / "here")
    assert ids(manifest.scan(tmp_path / "here")) == ["b", "link/a"]


@pytest.mark.parametrize(
    ("speaker_from", "speakers"),
    [("none", [None, None, None]), ("parent", ["speech", "abi ŋ", "abi ŋ"]), ("prefix", ["kou", "abi", "mar tial"])],
)
def test_speakers(tmp_path, speaker_from, speakers):
    put(tmp_path / "speech", "kou_2-x.wav", "l/abi ŋ/abi-1_2.wav", "l/abi ŋ/mar tial_1.wav")
    assert [each.speaker for each in manifest.scan(tmp_path / "speech", speaker_from)] == speakers


@pytest.mark.parametrize("name", ["tape1.wav", "_1.wav", "-1.wav"])
def test_a_name_without_a_prefix_is_refused(tmp_path, name):
    put(tmp_path, name)
    with pytest.raises(InputError, match=f"{name}: no speaker before .*name it SPEAKER_"):
        manifest.scan(tmp_path, "prefix")


def test_unusable_folders(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(
        InputError, match=r"no recordings in it; sound files end in \.wav, \.flac, \.ogg, \.opus, \.mp3"
    ):
        manifest.scan(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        manifest.scan(tmp_path / "notes.txt")
    (tmp_path / os.fsdecode(b"caf\xe9.wav")).touch()
    with pytest.raises(InputError, match="not UTF-8; rename the file"):
        manifest.scan(tmp_path)


def test_round_trip(tmp_path):
    """Whatever recordings are written are read back, from a manifest in any folder."""
    rng = np.random.default_rng(0)
    names = ["a.wav", "b c/ŋ é.wav", "b c/d/x.wav"]
    put(tmp_path / "sounds", *names)

    def maybe(value):
        return value if rng.random() < 0.5 else None

    for trial, place in enumerate(["m.jsonl", "sounds/m.jsonl", "sounds/b c/m.jsonl", "other/deep/m.jsonl"] * 3):
        recordings = [
            Recording(
                id=f"{trial}/{number} \u2028ŋ\"':",
                path=tmp_path / "sounds" / names[rng.integers(3)],
                speaker=maybe("abiayi ŋ"),
                start=int(maybe(int(rng.integers(1000))) or 0),
                num_samples=maybe(int(rng.integers(1, 1000))),
                sample_rate=maybe(16000),
                split=maybe("dev"),
                language=maybe("mdw"),
                text=maybe("wa\nyé\t"),
                extra=tuple((key, value) for key, value in [("translation", "é"), ("n", [1, {"a": None}])] if maybe(1)),
            )
            for number in range(20)
        ]
        manifest.write(tmp_path / place, recordings)
        found = manifest.read(tmp_path / place)
        assert [each.path.resolve() for each in found] == [each.path for each in recordings]
        assert [replace(each, path=Path()) for each in found] == [replace(each, path=Path()) for each in recordings]
        for line in (tmp_path / place).read_text(encoding="utf-8").split("\n")[:-1]:
            assert not Path(json.loads(line)["audio"]).is_absolute()
        before = (tmp_path / place).read_bytes()
        manifest.write(tmp_path / place, found)
        assert (tmp_path / place).read_bytes() == before


def test_a_manifest_may_lie_behind_a_link(tmp_path):
    put(tmp_path / "data", "a.wav")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    manifest.write(tmp_path / "link" / "m.jsonl", [Recording(id="a", path=tmp_path / "data" / "a.wav")])
    (found,) = manifest.read(tmp_path / "link" / "m.jsonl")
    assert found.path.samefile(tmp_path / "data" / "a.wav")


def test_a_real_corpus_is_read():
    path = corpus("prompts") / "manifest.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(each.id, each.speaker, each.split, each.text, each.language) for each in manifest.read(path)] == [
        tuple(row[key] for key in ("id", "speaker", "split", "text", "language")) for row in rows
    ]


GOOD = '{"id": "a", "audio": "a.wav"}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("id: b", "not JSON"),
        ('{"id": "b", "audio": "a.wav"', "not JSON"),
        ('{"id": "\\ud800", "audio": "a.wav"}', "not JSON"),
        ('["b", "a.wav"]', "not a JSON object"),
        ('{"audio": "a.wav"}', 'key "id" is missing'),
        ('{"id": "b"}', 'key "audio" is missing'),
        ('{"id": 7, "audio": "a.wav"}', "id is 7; write a text"),
        ('{"id": "b", "audio": ""}', "audio is ''; write a text"),
        ('{"id": "b", "audio": "a.wav", "speaker": 3}', "speaker is 3; write a text"),
        ('{"id": "b", "audio": "a.wav", "start": -1}', "start is -1; write a whole number of 0 or more"),
        ('{"id": "b", "audio": "a.wav", "start": 1.5}', "start is 1.5; write a whole number"),
        ('{"id": "b", "audio": "a.wav", "start": true}', "start is True; write a whole number"),
        ('{"id": "b", "audio": "a.wav", "num_samples": 0}', "num_samples is 0; write a whole number of 1 or more"),
        ('{"id": "b", "audio": "a.wav", "sample_rate": "16k"}', "sample_rate is '16k'"),
        ('{"id": "a", "audio": "a.wav"}', "id a is that of line 1 too"),
        ('{"id": "b", "audio": "b.wav"}', "audio b.wav is not there"),
        (json.dumps({"id": "b", "audio": "x" * 300}), "audio x+ is not there"),
        ('{"id": "../../b", "audio": "a.wav"}', "cannot name a file"),
        ('{"id": "/b", "audio": "a.wav"}', "cannot name a file"),
        ('{"id": "b\\u0000", "audio": "a.wav"}', "cannot name a file"),
        ('{"id": "a\\\\b", "audio": "a.wav"}', "cannot name a file"),
        (json.dumps({"id": "ŋ" * 124, "audio": "a.wav"}), "has 248 bytes, and may have 246; shorten it"),
        (json.dumps({"id": "x" * 256 + "/a", "audio": "a.wav"}), "has 256 bytes, and may have 255; shorten it"),
    ],
)
def test_faults_name_file_and_line(tmp_path, line, message):
    put(tmp_path, "a.wav")
    path = tmp_path / "m.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n")
    with pytest.raises(InputError, match=message) as caught:
        manifest.read(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert "\n" not in str(caught.value)


def test_unreadable_manifests(tmp_path):
    path = tmp_path / "m.jsonl"
    with pytest.raises(InputError, match="not there; make one"):
        manifest.read(path)
    path.write_text("\n\n")
    with pytest.raises(InputError, match="no recordings in it"):
        manifest.read(path)
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="must be UTF-8"):
        manifest.read(path)
    recording = Recording(id="a", path=tmp_path / "a.wav")
    with pytest.raises(InputError, match="two recordings have the id a"):
        manifest.write(path, [recording, recording])
    with pytest.raises(InputError, match="not written, for id '../a' cannot name a file"):
        manifest.write(path, [replace(recording, id="../a")])


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path):
    put(tmp_path, "a.wav")
    (tmp_path / "m.jsonl").write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n")
    assert ids(manifest.read(tmp_path / "m.jsonl")) == ["a"]


def test_build_takes_a_folder_a_manifest_or_a_file(tmp_path):
    put(tmp_path / "s", "abi_1.wav", "kou_1.wav")
    folder, failed = manifest.build(tmp_path / "s", "prefix")
    assert ([each.speaker for each in folder], failed) == (["abi", "kou"], [])
    assert folder[0].num_samples is None
    assert [each.speaker for each in manifest.build(tmp_path / "s", "manifest")[0]] == [None, None]
    single, _ = manifest.build(tmp_path / "s" / "abi_1.wav", "parent", probe=True)
    assert single == [replace(folder[0], speaker="s", num_samples=1000, sample_rate=16000)]
    manifest.write(tmp_path / "m.jsonl", folder)
    for speaker_from, speakers in [
        ("manifest", ["abi", "kou"]),
        ("parent", ["s", "s"]),
        ("none", [None, None]),
    ]:
        assert [each.speaker for each in manifest.build(tmp_path / "m.jsonl", speaker_from)[0]] == speakers


def test_probing_sets_bad_recordings_apart(tmp_path):
    put(tmp_path, "a.wav", "b.wav")
    (tmp_path / "c.wav").write_text("no sound at all")
    good, bad = manifest.build(tmp_path, probe=True)
    assert [(each.id, each.num_samples, each.sample_rate) for each in good] == [("a", 1000, 16000), ("b", 1000, 16000)]
    assert [(each.id, str(error).split(":")[0]) for each, error in bad] == [("c", str(tmp_path / "c.wav"))]
    parts = [
        Recording(id="1", path=tmp_path / "a.wav", start=400),
        Recording(id="2", path=tmp_path / "a.wav", start=400, num_samples=601),
        Recording(id="3", path=tmp_path / "a.wav", sample_rate=8000),
    ]
    manifest.write(tmp_path / "m.jsonl", parts)
    good, bad = manifest.build(tmp_path / "m.jsonl", "manifest", probe=True)
    assert [(each.id, each.start, each.num_samples) for each in good] == [("1", 400, 600)]
    assert ids(each for each, _ in bad) == ["2", "3"]


@pytest.mark.parametrize(
    ("name", "speaker_from", "message"),
    [
        ("absent", "none", "absent: not there"),
        ("notes.txt", "none", r"notes\.txt: not a folder, a manifest"),
        ("a.wav", "folder", "--speaker-from folder: choose one of none, parent, prefix, manifest"),
        ("absent.jsonl", "manifest", "not there; make one"),
    ],
)
def test_what_build_refuses(tmp_path, name, speaker_from, message):
    put(tmp_path, "a.wav")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=message):
        manifest.build(tmp_path / name, speaker_from)
