"""Records of units: lines of JSON and back, and what cannot be one."""

import json
from pathlib import Path

import numpy as np
import pytest

from protophone.errors import UnitsError
from protophone.store import (
    PitchRecord,
    UnitRecord,
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
        (changed(codes=[], size=[]), "size names 0 codebooks"),
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
            "mean 5.0 and deviation -1.0 are not those of a logarithm of F0",
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
