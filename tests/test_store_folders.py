"""Folders of units and features: written, cut anywhere, taken up again, added to, and read."""

import json
import os
import signal
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from protophone.errors import InputError, UnitsError
from protophone.store import (
    UnitRecord,
    UnitsWriter,
    read_features,
    read_units,
    write_features,
    writer,
)
from protophone.types import FrameGrid
from tests.test_store import LINE, SETTINGS, changed, snapshot, some_records

# --- writing, resuming


@pytest.mark.parametrize("shard", [False, True])
def test_what_is_written_is_read(tmp_path, shard, monkeypatch):
    monkeypatch.setattr(writer, "RECORDS_PER_SHARD", 7)
    records = some_records(23)
    with UnitsWriter(tmp_path, settings=SETTINGS, shard=shard) as units:
        for record in records:
            units.append(record)
        units.fail("bad", "no sound in it")
    assert [r.to_json() for r in read_units(tmp_path)] == [r.to_json() for r in records]
    index = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))
    assert (index["count"], index["bundle"], index["settings"]) == (23, "9f3c21ab", SETTINGS)
    assert index["failed"] == [{"id": "bad", "reason": "no sound in it"}]
    if shard:
        assert sorted(p.name for p in tmp_path.glob("units*")) == [f"units-0000{i}.safetensors" for i in range(4)]
        assert index["records"][records[8].id] == [1, 1]
    else:
        content = (tmp_path / "units.jsonl").read_bytes()
        for record in records:
            line = content[index["offsets"][record.id] :].split(b"\n", 1)[0]
            assert json.loads(line)["id"] == record.id


def test_shard_bytes_are_what_the_format_says(tmp_path):
    """Read without the library that wrote them: header length, JSON header, raw little-endian numbers."""
    with UnitsWriter(tmp_path, settings={}, shard=True) as units:
        units.append(UnitRecord.from_json(changed(id="a", codes=[1, 2, 255], num_samples=1920)))
        units.append(UnitRecord.from_json(changed(id="b", codes=[7], durations=[4])))
    content = (tmp_path / "units-00000.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    assert (header["codes"]["dtype"], header["codes_offsets"]["dtype"]) == ("U16", "I64")
    begin, end = header["codes"]["data_offsets"]
    assert struct.unpack("<4H", data[begin:end]) == (1, 2, 255, 7)
    begin, end = header["codes_offsets"]["data_offsets"]
    assert struct.unpack("<3q", data[begin:end]) == (0, 3, 4)


def test_a_file_cut_at_any_byte_is_taken_up_again_to_the_same_bytes(tmp_path):
    records = some_records(4)
    with UnitsWriter(tmp_path / "whole", settings=SETTINGS) as units:
        for record in records:
            units.append(record)
    whole = snapshot(tmp_path / "whole")
    begun = tmp_path / "begun"
    UnitsWriter(begun, settings=SETTINGS).close()
    start = (begun / "index.json").read_bytes()
    for cut in range(0, len(whole["units.jsonl"]) + 1, 13):
        (begun / "index.json").write_bytes(start)
        (begun / "units.jsonl").write_bytes(whole["units.jsonl"][:cut])
        (begun / ".writing-x.json").write_text("{")
        with UnitsWriter(begun, settings=SETTINGS) as units:
            assert len(units.done) == whole["units.jsonl"][:cut].count(b"\n")
            for record in records:
                if record.id not in units.done:
                    units.append(record)
        assert snapshot(begun) == whole


CHILD = textwrap.dedent("""
    import os, signal, sys
    from protophone.store import UnitRecord, UnitsWriter, writer
    writer.RECORDS_PER_SHARD = 4
    units = UnitsWriter(sys.argv[1], settings={"bundle": "9f3c21ab", "as": "units"}, shard=sys.argv[2] == "True")
    for number, line in enumerate(sys.stdin.buffer):
        record = UnitRecord.from_json(line)
        if number == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        units.append(record)
""")


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize("shard", [False, True])
def test_a_killed_writer_loses_nothing_that_was_done(tmp_path, shard, monkeypatch):
    monkeypatch.setattr(writer, "RECORDS_PER_SHARD", 4)
    records = some_records(15)
    lines = "".join(record.to_json() + "\n" for record in records).encode()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "killed"), str(shard)], input=lines, check=False, timeout=120
    )
    assert child.returncode == -signal.SIGKILL
    with pytest.raises(UnitsError, match="not finished"):
        read_units(tmp_path / "killed")
    for folder in ("killed", "whole"):
        with UnitsWriter(tmp_path / folder, settings=SETTINGS, shard=shard) as units:
            assert len(units.done) == (0 if folder == "whole" else 8 if shard else 10)
            for record in records:
                if record.id not in units.done:
                    units.append(record)
    assert snapshot(tmp_path / "killed") == snapshot(tmp_path / "whole")


@pytest.mark.parametrize("shard", [False, True])
def test_an_error_in_the_middle_keeps_the_folder_unfinished(tmp_path, shard):
    record = UnitRecord.from_json(LINE)

    def fails():
        with UnitsWriter(tmp_path, settings={}, shard=shard) as units:
            units.append(record)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    with pytest.raises(UnitsError, match=r"not finished|no units"):
        read_units(tmp_path)


def test_a_finished_folder_can_be_opened_again_and_added_to(tmp_path):
    first, second = (UnitRecord.from_json(changed(id=name)) for name in "ab")
    with UnitsWriter(tmp_path, settings=SETTINGS) as units:
        units.append(first)
        units.fail("b", "disk asleep")
    done = snapshot(tmp_path)
    with UnitsWriter(tmp_path, settings=SETTINGS) as units:
        units.fail("b", "disk asleep")
    assert snapshot(tmp_path) == done
    units = UnitsWriter(tmp_path, settings=SETTINGS)
    units.append(second)
    units.close()
    with pytest.raises(UnitsError, match="not finished"):
        read_units(tmp_path)
    UnitsWriter(tmp_path, settings=SETTINGS).finish()
    assert [record.id for record in read_units(tmp_path)] == ["a", "b"]


def test_other_settings_layouts_codebooks_and_ids_are_refused(tmp_path):
    record = UnitRecord.from_json(LINE)
    with UnitsWriter(tmp_path / "a", settings={"sizes": (256,), "bundle": "9f3c21ab"}) as units:
        units.append(record)
        with pytest.raises(UnitsError, match="was written before"):
            units.append(record)
        with pytest.raises(UnitsError, match="codebook 00000000, this folder's are of 9f3c21ab"):
            units.append(UnitRecord.from_json(changed(id="x", bundle="00000000")))
    UnitsWriter(tmp_path / "a", settings={"bundle": "9f3c21ab", "sizes": [256]}).close()
    with pytest.raises(UnitsError, match=r"bundle was '9f3c21ab', now '00000000'\); name another folder"):
        UnitsWriter(tmp_path / "a", settings={"sizes": (256,), "bundle": "00000000"})
    with pytest.raises(UnitsError, match="other layout"):
        UnitsWriter(tmp_path / "a", settings={"sizes": (256,), "bundle": "9f3c21ab"}, shard=True)
    (tmp_path / "a" / "index.json").unlink()
    with pytest.raises(UnitsError, match="no index"):
        UnitsWriter(tmp_path / "a", settings={})
    with UnitsWriter(tmp_path / "b", settings={}) as units:
        units.append(record)
        with (tmp_path / "b" / "units.jsonl").open("a") as other:
            other.write(changed(id="other") + "\n")
        with pytest.raises(UnitsError, match="another program"):
            units.append(UnitRecord.from_json(changed(id="c")))


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path):
    units = UnitsWriter(tmp_path, settings={})
    units.append(UnitRecord.from_json(LINE))
    before = snapshot(tmp_path)

    class Full:
        """A disk with room for ten more bytes."""

        def __init__(self, file):
            self._file, self._room = file, 10

        def write(self, data):
            if not self._room:
                raise OSError(28, "No space left on device")
            written = self._file.write(data[: self._room])
            self._room -= written
            return written

        def __getattr__(self, name):
            return getattr(self._file, name)

    units._parts._file = Full(units._parts._file)
    with pytest.raises(InputError, match="the disk is full"):
        units.append(UnitRecord.from_json(changed(id="b")))
    assert snapshot(tmp_path) == before
    assert list(units.done) == ["tape3_0007"]


# --- reading


def test_reading_accepts_a_file_a_folder_and_a_folder_of_discover(tmp_path):
    (tmp_path / "units.jsonl").write_bytes(b"\xef\xbb\xbf" + LINE.encode() + b"\r\n\n")
    (tmp_path / "bundle").mkdir()
    for path in (tmp_path, tmp_path / "units.jsonl", str(tmp_path)):
        assert [record.id for record in read_units(path)] == ["tape3_0007"]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("{", r"units\.jsonl:2: not JSON"),
        (changed(id="b", hop=None), r"units\.jsonl:2: no hop"),
        (changed(id="b", codes=[999]), r"units\.jsonl:2: codes run from 999 to 999"),
        (LINE, r"units\.jsonl:2: id 'tape3_0007' was there before"),
        (changed(id="b", bundle="12345678"), r"units\.jsonl:2: units of codebook 12345678 after units of 9f3c21ab"),
    ],
)
def test_reading_names_file_and_line(tmp_path, second, words):
    (tmp_path / "units.jsonl").write_text(f"{LINE}\n{second}\n", encoding="utf-8")
    with pytest.raises(UnitsError, match=words):
        list(read_units(tmp_path))


def test_reading_refuses_what_is_no_units(tmp_path):
    with pytest.raises(UnitsError, match="not there"):
        read_units(tmp_path / "nowhere")
    with pytest.raises(UnitsError, match="no units in it"):
        read_units(tmp_path)
    (tmp_path / "a.txt").write_text("1 2 3")
    with pytest.raises(UnitsError, match=r"not a \.jsonl file"):
        read_units(tmp_path / "a.txt")
    (tmp_path / "units.jsonl").write_text("\n")
    with pytest.raises(UnitsError, match="no units in it"):
        list(read_units(tmp_path))


def test_reading_notices_what_was_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "RECORDS_PER_SHARD", 2)
    for shard in (False, True):
        folder = tmp_path / str(shard)
        with UnitsWriter(folder, settings={}, shard=shard) as units:
            for record in some_records(6):
                units.append(record)
    lines = tmp_path / "False" / "units.jsonl"
    lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(UnitsError, match=r"5 recordings where index\.json counts 6"):
        list(read_units(tmp_path / "False"))
    last = tmp_path / "True" / "units-00002.safetensors"
    content = last.read_bytes()
    for broken in (content[:-3], content[:5], b""):
        last.write_bytes(broken)
        with pytest.raises(UnitsError, match=r"units-00002\.safetensors: not a whole shard"):
            list(read_units(tmp_path / "True"))
    last.unlink()
    with pytest.raises(UnitsError, match=r"4 recordings where index\.json counts 6"):
        list(read_units(tmp_path / "True"))
    last.write_bytes(content)
    (tmp_path / "True" / "units-00001.safetensors").unlink()
    with pytest.raises(UnitsError, match=r"units-00001\.safetensors: missing"):
        read_units(tmp_path / "True")


# --- features


def test_features_come_back_mapped(tmp_path):
    grid = FrameGrid(16000, 160, 80)
    arrays = {name: np.random.default_rng(i).normal(size=(i, 13)) for i, name in enumerate(["a", "b.c", "été/ŋ 1"])}
    for name, array in arrays.items():
        write_features(tmp_path, name, array, grid)
    features = read_features(tmp_path)
    assert features.grid == grid
    assert set(features) == set(arrays)
    assert len(features) == 3
    for name, array in arrays.items():
        assert features[name].dtype == np.float32
        np.testing.assert_array_equal(features[name], array.astype(np.float32))
    assert isinstance(features["b.c"], np.memmap)
    assert (tmp_path / "été" / "ŋ 1.npy").is_file()
    assert json.loads((tmp_path / "grid.json").read_text()) == {"sample_rate": 16000, "hop": 160, "offset": 80}
    with pytest.raises(KeyError):
        features["../a"]


def test_features_of_a_model_with_its_own_framing(tmp_path):
    grid = FrameGrid(16000, 320, 200, window=400)
    for name in ("a", "b"):
        write_features(tmp_path, name, np.zeros((2, 3), np.float32), grid)
    assert read_features(tmp_path).grid == grid


def test_features_refuse_other_grids_pickles_and_paths_outside(tmp_path):
    grid = FrameGrid(16000, 160)
    write_features(tmp_path, "a", np.zeros((2, 3), np.float32), grid)
    with pytest.raises(InputError, match=r"holds features on .*hop=160"):
        write_features(tmp_path, "b", np.zeros((2, 3)), FrameGrid(16000, 320))
    for name in ("../b", "/b", "", "a//b", "a\\b"):
        with pytest.raises(InputError, match="cannot name a file"):
            write_features(tmp_path, name, np.zeros((2, 3)), grid)
    with pytest.raises(ValueError, match="floating"):
        write_features(tmp_path, "b", np.zeros((2, 3), np.int64), grid)
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "double.npy", np.zeros((2, 3)))
    (tmp_path / "empty.npy").touch()
    (tmp_path / "cut.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    features = read_features(tmp_path)
    for name, words in (("object", "object"), ("double", "float64"), ("empty", "not a whole"), ("cut", "not a whole")):
        with pytest.raises(InputError, match=words):
            features[name]
    (tmp_path / "grid.json").write_text('{"sample_rate": 16000, "hop": 0, "offset": 0}')
    with pytest.raises(InputError, match=r"grid\.json: needs sample_rate"):
        read_features(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_features(tmp_path / "nowhere")
    (tmp_path / "grid.json").unlink()
    with pytest.raises(InputError, match=r"grid\.json: not there"):
        read_features(tmp_path)
