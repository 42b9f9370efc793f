"""Units with numbers out of bounds: refused in one line with file and line, nothing large made of them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from protophone.errors import InputError, UnitsError
from protophone.store import UnitRecord, UnitsWriter, read_features, read_units, write_features
from protophone.types import FrameGrid
from tests.calls import fault_only, one_line

LINE = {
    "id": "a",
    "codes": [1, 2, 3],
    "durations": [1, 1, 2],
    "hop": 640,
    "sample_rate": 16000,
    "size": 4,
    "num_samples": 2560,
    "bundle": "c0ffee00",
    "offset": 240,
    "pitch": {"codes": [0, 1], "hop": 1280, "size": 2, "mean": 5.0, "deviation": 0.2},
    "speaker": "eve",
    "start": 0,
}
HUGE = [2**31, 2**63 - 1, 2**63, 2**64, 10**18, 10**30, -(10**30)]
ODD = [*HUGE, -1, 0, 1.5, math.nan, math.inf, True, None, "", "4", [], [10**30], [[1]], {}, 10**400, "\ud800"]
PLACES = [(key,) for key in LINE if key != "id"] + [("pitch", key) for key in LINE["pitch"]]
PLACES += [("codes", 0), ("durations", 0), ("pitch", "codes", 0), ("format",), ("source",)]


def changed(path, value):
    line = json.loads(json.dumps(LINE))
    place = line
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return line


def test_the_line_itself_is_read(tmp_path):
    (tmp_path / "u.jsonl").write_text(json.dumps(LINE) + "\n")
    assert next(iter(read_units(tmp_path / "u.jsonl"))).num_frames == 4


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(st.sampled_from(PLACES), st.sampled_from(ODD) | st.integers() | st.floats())
def test_any_value_in_a_line_is_taken_in_bounds_or_refused_in_one_line(path, value):
    try:
        record = UnitRecord.from_json(json.dumps(changed(path, value)), "u.jsonl", 7)
    except UnitsError as error:
        said = str(error)
    else:
        assert record.num_frames * record.hop <= 2560 + 640
        assert record.to_utterance().num_samples == record.num_samples < 2**32
        assert max(record.sizes) <= 2**20
        return
    assert said.startswith("u.jsonl:7: ")
    assert "\n" not in said
    assert len(said) < 400


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((("offset",), value) for value in HUGE),
        *((("size",), value) for value in HUGE),
        *((("num_samples",), value) for value in HUGE),
        *((("durations", 0), value) for value in HUGE),
        *((("codes", 0), value) for value in HUGE),
        *((("pitch", "size"), value) for value in HUGE),
        *((("pitch", "mean"), value) for value in HUGE),
        *((("format",), value) for value in (0, 99, "1", None)),
        *((("speaker",), value) for value in (3, ["a"], {})),
        (("size",), [4] * 65),
    ],
)
def test_numbers_out_of_bounds_are_refused(path, value):
    with pytest.raises(UnitsError, match=r"u\.jsonl:1: "):
        UnitRecord.from_json(json.dumps(changed(path, value)), "u.jsonl")


@pytest.fixture
def shards(tmp_path):
    with UnitsWriter(tmp_path / "s", settings={"bundle": "c0ffee00"}, shard=True) as writer:
        writer.append(UnitRecord.from_json(json.dumps(LINE)))
    return tmp_path / "s"


@pytest.mark.parametrize(
    ("key", "value"), [("format", 99), ("format", "x"), ("count", 10**30), ("count", 1.5), ("complete", None)]
)
def test_an_index_of_another_format_or_count_is_refused(shards, key, value):
    index = shards / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {key: value}))
    with pytest.raises(UnitsError, match=f"{shards}"):
        list(read_units(shards))


@pytest.mark.parametrize("value", [[1], {"a": "x"}, {"a": None}, 7])
def test_sizes_of_files_that_are_none_are_refused_where_units_are_added(shards, value):
    index = shards / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"file_sizes": value}))
    with pytest.raises(UnitsError, match="not an index of units"):
        UnitsWriter(shards, settings={"bundle": "c0ffee00"}, shard=True)


HEAD = {key: value for key, value in LINE.items() if key not in {"durations", "pitch"}}
STREAMS = {name: np.zeros(0, np.int64) for name in ("durations", "pitch")} | {"codes": np.array([1, 2, 3, 0])}
OFFSETS = {f"{name}_offsets": np.array([0, len(values)]) for name, values in STREAMS.items()}


def shard(folder, head, **tensors):
    (folder / "index.json").write_text(json.dumps({"format": 1, "complete": True, "count": 1}))
    save_file(STREAMS | OFFSETS | tensors, folder / "units-00000.safetensors", {"records": head})
    return folder


def test_the_shard_itself_is_read(tmp_path):
    assert [record.id for record in read_units(shard(tmp_path, json.dumps([HEAD])))] == ["a"]


@pytest.mark.parametrize(
    ("head", "tensors"),
    [
        (json.dumps([HEAD | {"size": 10**30}]), {}),
        (json.dumps([HEAD | {"offset": 10**18}]), {}),
        (json.dumps([HEAD | {"num_samples": 10**18}]), {}),
        (json.dumps([HEAD | {"format": 99}]), {}),
        (json.dumps([7]), {}),
        (json.dumps({"a": 1}), {}),
        ("[" * 9999, {}),
        (json.dumps([HEAD]), {"codes": np.array([[1, 2]])}),
        (json.dumps([HEAD]), {"codes": np.array(3)}),
        (json.dumps([HEAD]), {"codes_offsets": np.array(3)}),
        (json.dumps([HEAD]), {"codes_offsets": np.array([0.0, 4.0])}),
        (json.dumps([HEAD]), {"codes_offsets": np.array([[0, 4]])}),
    ],
)
def test_a_hostile_shard_is_refused_by_name(tmp_path, head, tensors):
    with pytest.raises(UnitsError, match=r"units-00000\.safetensors: ") as caught:
        list(read_units(shard(tmp_path, head, **tensors)))
    assert len(str(caught.value)) < 500
    (tmp_path / "index.json").write_text(
        json.dumps({"format": 1, "layout": "shards", "records_per_shard": 1000, "settings": {}, "complete": False})
    )
    with pytest.raises(UnitsError, match=r"units-00000\.safetensors: "):
        UnitsWriter(tmp_path, settings={}, shard=True)


@pytest.mark.parametrize("key", ["sample_rate", "hop", "offset", "window"])
@pytest.mark.parametrize("value", [10**30, 1.5, "x", True, None])
def test_a_grid_of_features_out_of_bounds_is_refused(tmp_path, key, value):
    write_features(tmp_path, "a", np.zeros((3, 2), np.float32), FrameGrid(16000, 160))
    grid = tmp_path / "grid.json"
    grid.write_text(json.dumps(json.loads(grid.read_text()) | {key: value}))
    with pytest.raises(InputError, match=r"grid\.json: "):
        read_features(tmp_path)


def test_a_recording_that_memory_does_not_hold_is_named(call, tiny_bundle, tiny_corpus, tmp_path, monkeypatch):
    def short(*_, **__):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("protophone.encoders.base.Encoder.encode_tape", short)
    sound = tiny_corpus / "ana/0.wav"
    one_line(call("convert", tiny_bundle, sound, tmp_path / "o.wav"), f"{sound}: not enough memory", "shorter ones")


def test_what_decode_cannot_speak_names_the_units_and_the_recording(
    call, tiny_bundle, tiny_corpus, tmp_path, monkeypatch
):
    call("encode", tiny_bundle, tiny_corpus / "ana", "--out", tmp_path / "units")
    units = tmp_path / "foreign.jsonl"
    units.write_text(
        (tmp_path / "units/units.jsonl").read_text().replace('"sample_rate": 16000', '"sample_rate": 8000')
    )
    record = next(iter(read_units(units))).id
    fault_only(call("decode", tiny_bundle, units, "--out", tmp_path / "o"), f"{units}: {record!r}: these are units of")
    monkeypatch.setattr("protophone.corpus._SPOKEN", 10**15)
    result = call("decode", tiny_bundle, tmp_path / "units", "--out", tmp_path / "o")
    fault_only(result, f"{tmp_path / 'units'}: {record!r}", "GB are available; encode the recording in shorter parts")
    monkeypatch.undo()

    def short(*_, **__):
        raise MemoryError

    monkeypatch.setattr("protophone.model.Model.decode", short)
    result = call("decode", tiny_bundle, tmp_path / "units", "--out", tmp_path / "o2")
    fault_only(result, f"{tmp_path / 'units'}: {record!r}: not enough memory", "encode the recording in shorter parts")
