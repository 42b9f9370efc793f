"""Recordings found in a folder, their ids, and what is left out."""

import os
import socket
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protophone import manifest
from protophone.errors import InputError
from protophone.files import inside
from protophone.folder import Passed, scan
from protophone.names import collision, printable
from protophone.types import Recording
from tests.sounds import put


def ids(listing):
    return [recording.id for recording in listing.recordings]


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
    found = scan(tmp_path)
    assert ids(found) == ["a", "b/a", "b/x/été à Brazza", "c/a", "Ωмбоси ŋ"]
    assert found.recordings[0] == Recording(id="a", path=tmp_path / "a.WAV")
    assert all(recording.path.is_file() for recording in found.recordings)
    assert [str(each) for each in found.passed] == [
        "3 files, hidden by a name that begins with a dot: ._b.wav, .git/a.wav, .hidden.wav",
        "1 file, no sound: 1 .txt",
    ]


def test_ids_are_composed_and_paths_are_as_on_disk(tmp_path):
    name = unicodedata.normalize("NFD", "é.wav")
    put(tmp_path, name)
    (found,) = scan(tmp_path).recordings
    assert (found.id, found.path.name) == ("\u00e9", name)
    put(tmp_path, "\u00e9.wav")
    assert ids(scan(tmp_path)) == ["\u00e9", "\u00e9_"]


def test_files_that_differ_by_suffix_keep_it(tmp_path):
    put(tmp_path, "a.wav", "a.flac", "b.wav", "c/a.wav", "d.e.wav", "f.wav.ogg", "f.wav", "f.mp3")
    assert ids(scan(tmp_path)) == ["a.flac", "a.wav", "b", "c/a", "d.e", "f.mp3", "f.wav", "f.wav.ogg"]


def test_names_that_cannot_be_ids_become_some_that_can_and_stay_apart(tmp_path):
    put(tmp_path, "a\\b.wav", "a_b.wav", "a/b.wav", "c\\d\\e.wav", "c\\d_e.flac", "f\\g/h.wav", "..\\i.wav", "\\j.wav")
    found = scan(tmp_path)
    assert {each.id: each.path.relative_to(tmp_path).as_posix() for each in found.recordings} == {
        "a/b": "a/b.wav",
        "a_b": "a_b.wav",
        "a_b_": "a\\b.wav",
        "c_d_e.flac": "c\\d_e.flac",
        "c_d_e.wav": "c\\d\\e.wav",
        "f_g/h": "f\\g/h.wav",
        "_j": "\\j.wav",
    }
    assert scan(tmp_path) == found
    manifest.write(tmp_path / "m.jsonl", found.recordings)
    assert [each.id for each in manifest.read(tmp_path / "m.jsonl")] == ids(found)
    single = manifest.build(tmp_path / "a\\b.wav", probe=True)
    assert (ids(single), single.recordings[0].path) == (["a_b"], tmp_path / "a\\b.wav")


def test_names_that_every_output_can_carry_are_ids_and_longer_ones_are_left_out(tmp_path):
    odd = ["x" * 246, "-a", "a:b", "*? '\"", "--out", "a.b.c", "~"]
    put(tmp_path, *(f"{name}.wav" for name in odd))
    assert ids(scan(tmp_path)) == sorted(odd)
    put(tmp_path / "long", "x" * 247 + ".wav")
    found = scan(tmp_path)
    assert ids(found) == sorted(odd)
    ((_, reason),) = found.failures
    assert reason.startswith(f"{tmp_path / 'long'}/x")
    assert reason.endswith("has 247 bytes, and may have 246; shorten it")
    with pytest.raises(InputError, match="its name is too long for outputs: .* may have 246; shorten it"):
        manifest.build(tmp_path / "long" / ("x" * 247 + ".wav"))


def test_linked_folders_are_followed_once(tmp_path):
    put(tmp_path / "elsewhere", "a.wav")
    put(tmp_path / "here", "b.wav")
    (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here" / "loop").symlink_to(tmp_path / "here")
    assert ids(scan(tmp_path / "here")) == ["b", "link/a"]


def test_unusable_folders(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"no recordings in it, but 1 \.txt; sound files end in \.wav, "):
        scan(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        scan(tmp_path / "notes.txt")
    (tmp_path / os.fsdecode(b"caf\xe9.wav")).touch()
    with pytest.raises(
        InputError, match=r"none of its 1 recordings can be used, the first: .*caf\\udce9\.wav: its name"
    ):
        scan(tmp_path)


def test_everything_that_is_left_out_is_named_or_counted(tmp_path):
    """A linguist's folder: sound and video of one session, annotations, and all that goes wrong with disks."""
    put(tmp_path, "a.wav", "b/c.mp3", "b/video.MP4", "b/both.wav", "b/both.mp4", "b/both.eaf", "b/x.EAF", "README")
    (tmp_path / "README").write_text("of no sound")
    put(tmp_path, os.fsdecode(b"b/caf\xe9.wav"), os.fsdecode(b"n\xe9e/d.wav"), os.fsdecode(b"caf\xe9.txt"))
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    put(tmp_path, "tape 1", "old.wav.bak")
    (tmp_path / "gone.flac").symlink_to(tmp_path / "nowhere")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.ogg").symlink_to(tmp_path / "loop.ogg")
    os.mkfifo(tmp_path / "pipe.wav")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(tmp_path / "s.mp3"))
    for name in ("b/both.eaf", "b/x.EAF"):
        (tmp_path / name).write_text("<x/>")
    found = scan(tmp_path)
    assert ids(found) == ["a", "b/both", "b/c", "b/video"]
    reasons = {reason.removeprefix(f"{tmp_path}/").split(": ")[0]: reason for _, reason in found.failures}
    assert sorted(reasons) == sorted(
        ["b/caf\\udce9.wav", "n\\udce9e/d.wav", "tape 1", "old.wav.bak", "gone.flac", "loop.ogg", "pipe.wav", "s.mp3"]
    )
    assert all("; " in reason for reason in reasons.values())
    assert "let it end in .wav" in reasons["tape 1"]
    assert "rename it" in reasons["b/caf\\udce9.wav"]
    assert found.passed == [
        Passed(1, "video beside a sound of the same name, which is read instead", ("b/both.mp4",)),
        Passed(6, "no sound", ("2 .eaf", "2 .txt", "2 without suffix")),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    put(tmp_path, "a.wav", "b/c.wav")
    (tmp_path / "b").chmod(0)
    try:
        found = scan(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o755)
    assert ids(found) == ["a"]
    assert [reason for _, reason in found.failures] == [
        f"{tmp_path / 'b'}: a folder that cannot be read (Permission denied); change its permissions"
    ]


def test_a_folder_that_the_system_refuses_is_named(tmp_path, monkeypatch):
    put(tmp_path, "a.wav", "b/c.wav")
    real = os.scandir

    def refused(place):
        if Path(place).name == "b":
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return real(place)

    monkeypatch.setattr(os, "scandir", refused)
    found = scan(tmp_path)
    assert ids(found) == ["a"]
    assert [name for name, _ in found.failures] == [str(tmp_path / "b")]


PART = st.one_of(
    st.text(alphabet="aA.\\_é\u0301 ", min_size=1, max_size=4),
    st.text(min_size=1, max_size=8).filter(lambda name: "/" not in name and "\0" not in name),
    st.binary(min_size=1, max_size=6).filter(lambda name: not {b"/"[0], 0} & {*name}).map(os.fsdecode),
    st.sampled_from(["a.wav", "b.TextGrid", "\x1b[2J", "\u202egnp", "a\nb", "[red]", ":cat:"]),
)
SUFFIX = st.sampled_from([".wav", ".flac", ".mp4", ".WAV", ".txt", ""])


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(PART, min_size=1, max_size=3), SUFFIX), min_size=1, max_size=8))
@example([(["a"], ".flac"), (["a.wav", "c"], ".wav"), (["a_"], ".mp3"), (["a_.wav", "c"], ".wav")])
def test_every_file_of_any_name_is_a_recording_or_named_or_counted(tmp_path_factory, names):
    """And the ids are different, printable, fit to lie in one output, and readable from a manifest."""
    folder = tmp_path_factory.mktemp("any")
    made = set()
    for parts, suffix in names:
        path = Path(folder, "in", *parts[:-1], parts[-1] + suffix)
        if ".." in path.parts or "." in parts or len(os.fsencode(path.name)) > 255:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"RIFF----WAVEfmt ")
        except OSError:  # a file where a folder should be
            continue
        made.add(path)
    try:
        found = scan(folder / "in")
    except InputError as error:
        assert str(error) == printable(str(error))  # noqa: PT017 - either is right
        return
    assert len(found.recordings) + len(found.failures) + sum(each.count for each in found.passed) == len(made)
    assert len(set(ids(found))) == len(found.recordings)
    assert collision(ids(found)) is None
    for text in [*(reason for _, reason in found.failures), *found.lines({})]:
        assert printable(text) == text
    for each in found.recordings:
        output = inside(folder / "out", each.id, ".wav")
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch(exist_ok=False)
    if found.recordings:
        manifest.write(folder / "m.jsonl", found.recordings)
        assert [each.id for each in manifest.read(folder / "m.jsonl")] == ids(found)
