"""Files written whole or not at all; what a full, read-only or odd disk says in one line."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from protophone import audio, config, manifest
from protophone.bundle import Part, write_bundle
from protophone.checkpoints import read_kmeans, read_torch
from protophone.codec import read_packed
from protophone.errors import InputError, ProtophoneError
from protophone.evaluate.results import read_results
from protophone.files import (
    atomic,
    atomic_folder,
    id_fault,
    inside,
    read_bytes,
    read_json,
    read_text,
    refuse_existing,
    refuse_unwritable,
    restore_folder,
    write_json,
    write_text,
)
from protophone.formats import read_arrays, read_classes, read_ctm, read_eaf, read_textgrid, read_zerospeech
from protophone.ledger import Ledger
from protophone.metrics.abx.items import read_items
from protophone.store import read_units, write_features
from protophone.store.record import UnitRecord
from protophone.store.shards import write_shard
from protophone.train import TrainConfig
from protophone.types import Codebook, FrameGrid
from protophone.vocoders.published import read_published


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_and_nothing_else_stays(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"ŋ": [1, 2.5, None]})
    assert read_json(tmp_path / "a" / "b.json") == {"ŋ": [1, 2.5, None]}
    assert names(tmp_path / "a") == ["b.json"]
    assert "ŋ".encode() in (tmp_path / "a" / "b.json").read_bytes()


def test_a_fault_in_the_middle_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
        with atomic_folder(tmp_path / "f") as temporary:
            write_text(temporary / "b.txt", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o750


def test_what_a_kill_left_is_overwritten(tmp_path):
    path = tmp_path / ("x" * 240 + ".json")  # the temporary name must not be longer than names may be
    script = "import os\nwith atomic(path) as t:\n t.write_text('half')\n os._exit(9)"
    assert subprocess.run([sys.executable, "-c", _prepared(script, path)], check=False).returncode == 9
    assert len(names(tmp_path)) == 1
    write_text(path, "whole")
    assert names(tmp_path) == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_what_another_process_writes_is_left_to_it(tmp_path):
    for path, begin in ((tmp_path / "a.txt", atomic), (tmp_path / "b", atomic_folder)):
        with begin(path) as temporary:
            place = temporary if begin is atomic else temporary / "x"
            place.write_text("mine")
            with pytest.raises(InputError, match="another process is writing it; wait"), begin(path):
                pytest.fail("both wrote")
        assert (path if begin is atomic else path / "x").read_text() == "mine"
    assert names(tmp_path) == ["a.txt", "b"]


def _prepared(script: str, path: Path) -> str:
    return f"from pathlib import Path\nfrom protophone.files import *\npath = Path({str(path)!r})\n{script}"


def test_a_folder_takes_the_place_of_another_whole(tmp_path):
    path = tmp_path / "bundle"
    for content in ("old", "new"):
        with atomic_folder(path) as temporary:
            write_text(temporary / f"{content}.txt", content)
    assert names(tmp_path) == ["bundle"]
    assert names(path) == ["new.txt"]
    with pytest.raises(RuntimeError), atomic_folder(path) as temporary:
        write_text(temporary / "half.txt", "half")
        raise RuntimeError
    assert names(tmp_path) == ["bundle"]
    assert names(path) == ["new.txt"]


def test_a_folder_killed_between_the_two_renames_comes_back(tmp_path):
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "precious").write_text("x")
    script = (
        "import os\nreal = Path.replace\n"
        "def once(self, to):\n real(self, to)\n os._exit(9)\n"
        "Path.replace = once\nwith atomic_folder(path) as t:\n (t / 'new').write_text('x')"
    )
    assert subprocess.run([sys.executable, "-c", _prepared(script, path)], check=False).returncode == 9
    assert not path.exists()
    restore_folder(path)
    assert names(path) == ["precious"]
    with atomic_folder(path) as temporary:
        write_text(temporary / "new", "x")
    assert names(tmp_path) == ["bundle"]


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "the disk is read-only; choose another place"),
        (errno.EACCES, "no permission to write here; choose another place"),
        (errno.EDQUOT, "the disk quota is used up; free some space"),
    ],
)
def test_what_the_system_says_becomes_one_line_with_the_cure(tmp_path, number, cure):
    with pytest.raises(InputError) as caught, atomic(tmp_path / "a.txt"):
        raise OSError(number, os.strerror(number))
    assert str(caught.value).startswith(f"{tmp_path / 'a.txt'}: cannot be written: {cure}")
    assert names(tmp_path) == []


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match="not a folder|File exists"):
        write_text(tmp_path / "a" / "b.txt", "x")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)


def shard(path):
    codes = np.arange(60_000)[None] % 7
    write_shard(
        path, [UnitRecord(id="a", codes=codes, hop=1, sample_rate=1, sizes=(7,), num_samples=60_000, bundle="b")]
    )


WRITERS = {
    "text": lambda path: write_text(path, "x" * 200_000),
    "npy": lambda path: write_features(path.parent, "a", np.zeros((1000, 50), np.float32), FrameGrid(16000, 160)),
    "wav": lambda path: audio.write(path.with_suffix(".wav"), np.zeros(100_000, np.float32), 16000),
    "flac": lambda path: audio.write(
        path.with_suffix(".flac"), np.random.uniform(-1, 1, 100_000).astype(np.float32), 16000
    ),
    "shard": shard,
    "bundle": lambda path: write_bundle(path, Part("", {"w": torch.zeros(50_000)}, {}), {}, ""),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_says_that_the_disk_is_full_and_leaves_nothing(small_disk, writer):
    (small_disk / "kept").write_text("x")
    with pytest.raises(ProtophoneError, match="the disk is full; free some space") as caught:
        WRITERS[writer](small_disk / "out")
    assert "\n" not in str(caught.value)
    assert str(small_disk) in str(caught.value)
    assert set(names(small_disk)) <= {"kept", "grid.json"}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_says_that_the_disk_is_read_only(small_disk, writer):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(ProtophoneError, match="the disk is read-only; choose another place"):
        WRITERS[writer](small_disk / "out")


def test_json_that_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.json: not there"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json: not readable as JSON"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"a\.json: not readable as JSON"):
        read_json(tmp_path / "a.json")


def test_an_output_that_holds_something_is_refused_and_an_empty_one_is_not(tmp_path):
    refuse_existing(tmp_path / "nowhere")
    refuse_existing(tmp_path)
    (tmp_path / "a").write_text("")
    for path in (tmp_path, tmp_path / "a"):
        with pytest.raises(InputError, match="exists already and is not empty; name another"):
            refuse_existing(path)


def test_ids_stay_in_their_folder():
    assert inside("out", "tape 3/ŋa.mp3", ".wav") == Path("out/tape 3/ŋa.mp3.wav")
    for name in ("../a", "a/../../b", "/etc/a", "a//b", ".", "a\\b", "a\0b", "", "a/"):
        assert id_fault(name)
        with pytest.raises(InputError, match="cannot name a file; use names without"):
            inside("out", name, ".wav")


@pytest.mark.parametrize("name", [".a", "-a", "--out", "a:b", "a b", "录音 ŋ", "*?", "a'\"b", "a.wav", "...", "~"])
def test_odd_names_are_ids(tmp_path, name):
    write_text(inside(tmp_path, f"{name}/{name}", ".txt"), "x")
    assert (tmp_path / name / f"{name}.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("longest", "longer"),
    [("x" * 246, "x" * 247), ("ŋ" * 123, "ŋ" * 123 + "x"), ("y" * 255 + "/x", "y" * 256 + "/x")],
)
def test_an_id_may_be_as_long_as_every_output_allows(tmp_path, longest, longer):
    """The system itself is the judge: the longest id is written in every form, one byte more is refused."""
    for suffix in (".TextGrid", ".eaf", ".wav", ".npy", ".txt"):
        write_text(inside(tmp_path, longest, suffix), "x")
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 5
    with pytest.raises(InputError, match=r"is too long for outputs: .* has \d+ bytes, and may have \d+; shorten it"):
        inside(tmp_path, longer, ".wav")


def test_an_id_may_not_be_deeper_than_paths_are():
    assert id_fault("/".join(["x" * 99] * 20)) is None
    assert "has 2099 bytes, and may have 2000; shorten it" in id_fault("/".join(["x" * 99] * 21))


def test_what_cannot_be_written_is_refused_beforehand_and_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    for name, says in [
        ("file/a.wav", "a part of this path is a file"),
        (".", "it is a folder; name a file in it"),
        ("x" * 256, "its name is too long; shorten it"),
        ("new/" + "x" * 256, "its name is too long; shorten it"),
    ]:
        with pytest.raises(InputError, match=says) as caught:
            refuse_unwritable(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: cannot be written: ")
    refuse_unwritable(tmp_path / "file")
    refuse_unwritable(tmp_path / "new" / "er" / "a.wav")
    assert names(tmp_path) == ["file"]


def test_a_disk_that_is_read_only_is_told_beforehand(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InputError, match="the disk is read-only; choose another place"):
        refuse_unwritable(small_disk / "new" / "a.wav")


def reading(path):
    """Every reader of a path that a user may name."""
    grid = FrameGrid(16000, 160)
    codebook = Codebook(torch.zeros(1, 4, 2))
    return {
        "bytes": lambda: read_bytes(path),
        "text": lambda: read_text(path),
        "json": lambda: read_json(path),
        "manifest": lambda: manifest.read(path),
        "sound": lambda: audio.probe(path),
        "config": lambda: config.load(TrainConfig, path),
        "units": lambda: list(read_units(path)),
        "items": lambda: read_items(path),
        "alignment": lambda: read_ctm(path),
        "classes": lambda: read_classes(path),
        "vectors": lambda: read_zerospeech(path),
        "textgrid": lambda: read_textgrid(path),
        "elan": lambda: read_eaf(path),
        "features": lambda: read_arrays(path),
        "packed": lambda: read_packed(path),
        "checkpoint": lambda: read_torch(path),
        "k-means": lambda: read_kmeans(path),
        "vocoder": lambda: read_published(path, codebook, grid, settings=path),
        "ledger": lambda: Ledger(path),
        "results": lambda: read_results(path),
    }


READERS = sorted(reading(Path()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.parametrize("reader", READERS)
def test_no_reader_waits_for_a_pipe(tmp_path, reader):
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(ProtophoneError, match=r"a\.jsonl: .*; ") as caught:
        reading(tmp_path / "a.jsonl")[reader]()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", sorted({*READERS} - {"sound", "features", "checkpoint", "units"}))
def test_no_reader_takes_memory_for_a_file_that_is_too_large(tmp_path, reader):
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(ProtophoneError, match=r"a\.jsonl: 10240 MiB, and a file of this kind may have 512; "):
        reading(tmp_path / "a.jsonl")[reader]()


def test_text_is_read_without_its_byte_order_mark(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(tmp_path / "a") == "a\nb\nc\n"
