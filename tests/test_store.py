"""Units and features on disk: the decided format, interruptions, and what broken files get."""

import json
import os
import signal
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from protophone.errors import InputError, UnitsError
from protophone.store import (
    PitchRecord,
    UnitRecord,
    UnitsWriter,
    read_features,
    read_units,
    write_features,
    writer,
)
from protophone.types import FrameGrid, UnitBatch

LINE = (
    '{"id": "tape3_0007", "codes": [12, 12, 7, 7, 7], "hop": 640, "sample_rate": 16000, "size": 256, '
    '"num_samples": 3200, "bundle": "9f3c21ab"}'
)
BASE = json.loads(LINE)
SETTINGS = {"bundle": "9f3c21ab", "as": "units"}


def changed(**keys) -> str:
    """The example line with keys changed, or left out where they are None."""
    return json.dumps({key: value for key, value in (BASE | keys).items() if value is not None})


def some_records(count: int, seed: int = 0) -> list[UnitRecord]:
    """Records of every kind: empty, plain, collapsed, several codebooks, with pitch, with ids of every script."""
    rng = np.random.default_rng(seed)
    out = []
    for i in range(count):
        frames = int(rng.integers(0, 30))
        books = 1 + i % 3
        sizes = (256, 128, 70000)[:books]
        codes = np.stack([rng.integers(0, size, frames) for size in sizes]).astype(np.int64)
        durations = rng.integers(1, 9, frames) if i % 2 else None
        total = frames if durations is None else int(durations.sum())
        spans = -(-total // 2)  # of pitch, each as long as two frames
        pitch = PitchRecord(rng.integers(0, 20, spans), 1280, 20, 640) if i % 4 == 1 and total > 6 else None
        out.append(
            UnitRecord(
                id=f'dossier {i}/ŋ\u2028\x85"语{i}',
                codes=codes,
                hop=640,
                sample_rate=16000,
                sizes=sizes,
                num_samples=total * 640 - (total > 0) * int(rng.integers(0, 640)),
                bundle="9f3c21ab",
                durations=durations,
                offset=240 * (i % 2),
                pitch=pitch,
                extra={"speaker": "abiayi", "start": i} if i % 3 else {},
            )
        )
    return out


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- one record


def test_example_of_the_format_comes_back_character_for_character():
    record = UnitRecord.from_json(LINE)
    assert record.codes.tolist() == [[12, 12, 7, 7, 7]]
    assert record.codes.dtype == np.int64
    assert (record.sizes, record.hop, record.num_samples, record.bundle) == ((256,), 640, 3200, "9f3c21ab")
    assert record.to_json() == LINE


@pytest.mark.parametrize(
    "line",
    [
        changed(codes=[[1, 2], [3, 4]], size=[256, 128], num_samples=1280),
        changed(codes=[12, 7], durations=[2, 3]),
        changed(num_samples=3840),  # a frame fewer than the recording has room for
        changed(pitch={"codes": [3, 19], "hop": 1280, "size": 20}),
        changed(pitch={"codes": [3, 19], "hop": 1280, "size": 20, "offset": 5}, offset=240),
        changed(speaker="ŋgɔ́", start=96000, nested={"a": [1, None]}),
        changed(codes=[], num_samples=0),
        changed(codes=[[], []], size=[256, 128], num_samples=0),
    ],
)
def test_lines_come_back_whole(line):
    assert json.loads(UnitRecord.from_json(line).to_json()) == json.loads(line)


def test_every_kind_of_record_comes_back():
    for record in some_records(40):
        again = UnitRecord.from_json(record.to_json())
        assert again.to_json() == record.to_json()
        np.testing.assert_array_equal(again.codes, record.codes)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"id": "a", "codes": [1', "not JSON"),
        ("[" * 100000, "not JSON"),
        ("[1, 2]", "not a JSON object"),
        (changed(speaker=float("nan")), "NaN is no JSON number"),
        (changed(hop=None, bundle=None), "no hop, bundle"),
        (changed(id=""), "id is ''"),
        (changed(id=7), "id is 7"),
        (changed(bundle=9), "bundle is 9"),
        (changed(hop=0), "hop is 0"),
        (changed(hop=640.0), "hop is 640.0"),
        (changed(sample_rate=True), "sample_rate is True"),
        (changed(num_samples=-1), "num_samples is -1"),
        (changed(codes=[1, 2, 256]), "codes run from 1 to 256, outside 0 to 255"),
        (changed(codes=[-1]), "codes run from -1"),
        (changed(codes=[1.0]), "whole numbers"),
        (changed(codes=["1"]), "whole numbers"),
        (changed(codes="1 2"), "whole numbers"),
        (changed(codes=[10**30]), "whole numbers"),
        (changed(codes=[[1], [2]]), "flat list"),
        (changed(codes=[1, 2], size=[256]), "list of lists"),
        (changed(codes=[[1, 2], [3]], size=[256, 256]), "different lengths"),
        (changed(codes=[[1], [2]], size=[256, 256, 256]), "2 codebooks, but size names 3"),
        (changed(codes=[], size=[]), "size names no codebook"),
        (changed(size=0), "size is 0"),
        (changed(size="256"), "size is '256'"),
        (changed(durations=[1, 2]), "2 durations for 5 codes"),
        (changed(codes=[1], durations=[0]), "a duration of 0 frames"),
        (changed(codes=[1, 2], durations=[3, 3]), "last 6 frames of 640 samples, but 3200 samples hold 5"),
        (changed(num_samples=2560), "last 5 frames"),
        (changed(num_samples=4481), "'tape3_0007': codes last 5 frames of 640 samples, but num_samples is 4481, which"),
        (changed(num_samples=10**6), "makes 1563; correct num_samples, or encode this recording again"),
        (changed(pitch=[1, 2]), "pitch must be"),
        (changed(pitch={"codes": [20], "hop": 1280, "size": 20}), "pitch codes run from 20 to 20"),
        (changed(pitch={"codes": [1] * 9, "hop": 1280, "size": 20}), "pitch codes last 9"),
        (changed(pitch={"codes": [], "hop": 320, "size": 20}), "0 pitch codes of 320 samples for 3200 samples"),
        (
            changed(pitch={"codes": [1] * 3, "hop": 1280, "size": 20, "mean": 5.0, "deviation": -1.0}),
            "mean 5 and deviation -1 are not those of a logarithm of F0",
        ),
        (
            changed(pitch={"codes": [1] * 3, "hop": 1280, "size": 20, "mean": 1e300, "deviation": 0.2}),
            "are not those of a logarithm of F0",
        ),
    ],
)
def test_broken_lines_are_named(line, words):
    with pytest.raises(UnitsError, match=words) as caught:
        UnitRecord.from_json(line, "units.jsonl", 17)
    assert str(caught.value).startswith("units.jsonl:17: ")
    assert "\n" not in str(caught.value)


def test_batches_and_records_are_inverse():
    grid = FrameGrid(16000, 640, 240)
    batch = UnitBatch.from_arrays([np.array([5, 5, 5]), np.array([1, 1, 2, 2, 2, 0])], (8,), grid, "c0ffee00")
    for units in (batch, batch.collapse()):
        record = UnitRecord.from_batch(units, "b", 3800, index=1, extra={"speaker": "s"})
        back = record.to_batch()
        assert back.codebook == "c0ffee00"
        assert back.grid == grid
        assert record.num_frames == 6
        expanded = back if back.durations is None else back.expand()
        assert expanded.codes.tolist() == [[[1, 1, 2, 2, 2, 0]]]
        assert UnitRecord.from_json(record.to_json()).to_batch().grid == grid
    with pytest.raises(UnitsError, match="no known codebook"):
        UnitRecord.from_batch(UnitBatch(batch.codes, batch.lengths, (8,), grid), "b", 3800)


def test_what_json_cannot_hold_is_refused():
    record = UnitRecord.from_json(LINE)
    for extra in ({"gain": float("nan")}, {"audio": Path("a.wav")}, {"audio": "a\udc80.wav"}):
        with pytest.raises(UnitsError, match="cannot be written as JSON"):
            UnitRecord(**{**vars(record), "extra": extra}).to_json()
    with pytest.raises(UnitsError, match="extra keys codes"):
        UnitRecord(**{**vars(record), "extra": {"codes": 1}})


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
