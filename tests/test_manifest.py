import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protophone import manifest
from protophone.errors import InputError
from protophone.types import Recording
from tests.conftest import corpus
from tests.sounds import put


def ids(recordings):
    return [recording.id for recording in recordings]


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
    found = manifest.build(tmp_path / "s", "prefix")
    folder = found.recordings
    assert ([each.speaker for each in folder], found.failures) == (["abi", "kou"], [])
    assert folder[0].num_samples is None
    assert [each.speaker for each in manifest.build(tmp_path / "s", "manifest").recordings] == [None, None]
    single = manifest.build(tmp_path / "s" / "abi_1.wav", "parent", probe=True)
    assert single.recordings == [replace(folder[0], speaker="s", num_samples=1000, sample_rate=16000)]
    manifest.write(tmp_path / "m.jsonl", folder)
    for speaker_from, speakers in [
        ("manifest", ["abi", "kou"]),
        ("parent", ["s", "s"]),
        ("none", [None, None]),
    ]:
        assert [each.speaker for each in manifest.build(tmp_path / "m.jsonl", speaker_from).recordings] == speakers


def test_probing_sets_bad_recordings_apart(tmp_path):
    put(tmp_path, "a.wav", "b.wav")
    (tmp_path / "c.wav").write_text("no sound at all")
    found = manifest.build(tmp_path, probe=True)
    assert [(each.id, each.num_samples, each.sample_rate) for each in found.recordings] == [
        ("a", 1000, 16000),
        ("b", 1000, 16000),
    ]
    assert [(name, reason.split(":")[0]) for name, reason in found.failures] == [("c", str(tmp_path / "c.wav"))]
    parts = [
        Recording(id="1", path=tmp_path / "a.wav", start=400),
        Recording(id="2", path=tmp_path / "a.wav", start=400, num_samples=601),
        Recording(id="3", path=tmp_path / "a.wav", sample_rate=8000),
    ]
    manifest.write(tmp_path / "m.jsonl", parts)
    found = manifest.build(tmp_path / "m.jsonl", "manifest", probe=True)
    assert [(each.id, each.start, each.num_samples) for each in found.recordings] == [("1", 400, 600)]
    assert [name for name, _ in found.failures] == ["2", "3"]


@pytest.mark.parametrize(
    ("name", "speaker_from", "message"),
    [
        ("absent", "none", "absent: not there"),
        ("notes.txt", "none", r"notes\.txt: not a folder, a manifest"),
        ("a.wav", "folder", "--speaker-from folder: choose one of none, parent, top, prefix, manifest"),
        ("absent.jsonl", "manifest", "not there; make one"),
    ],
)
def test_what_build_refuses(tmp_path, name, speaker_from, message):
    put(tmp_path, "a.wav")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=message):
        manifest.build(tmp_path / name, speaker_from)


@pytest.mark.parametrize("pair", [("a", "a.wav/c"), ("x/a", "x/a.TextGrid/b/c")])
def test_ids_whose_outputs_collide_are_refused(tmp_path, pair):
    put(tmp_path, "a.wav")
    (tmp_path / "m.jsonl").write_text("".join(json.dumps({"id": id_, "audio": "a.wav"}) + "\n" for id_ in pair))
    with pytest.raises(InputError, match=f"m.jsonl: ids {pair[0]} and {pair[1]} cannot lie in one output"):
        manifest.read(tmp_path / "m.jsonl")
