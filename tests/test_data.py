"""Packs on disk and the crops training sees: against slices of the arrays, whatever was interrupted."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protophone import data
from protophone.crops import CropSampler
from protophone.data import Pack
from protophone.errors import AudioError, InputError
from protophone.types import Recording
from protophone.vad import Segment

LENGTHS = {"a": 9, "b": 4, "c": 23}
ARRAYS = {name: np.arange(n * 2).reshape(n, 2) + 100 * ord(name) for name, n in LENGTHS.items()}
RECORDINGS = [Recording(id=name, path=Path(name), speaker={"a": "x", "b": None, "c": "y"}[name]) for name in LENGTHS]


def build(folder, compute=lambda recording: ARRAYS[recording.id], recordings=RECORDINGS, settings=None, **options):
    def parts(tape):
        array = compute(tape.source)
        return (array[at : at + 5] for at in range(0, len(array), 5))

    options = {"sample_rate": 16000, "dtype": "float32", "settings": settings or {"s": 1}, **options}
    return Pack.build(folder, recordings, parts, **options)


def test_a_pack_gives_back_what_was_packed_and_is_not_computed_twice(tmp_path):
    asked = []
    for _ in range(2):
        pack = build(tmp_path, lambda r: asked.append(r.id) or ARRAYS[r.id])
        assert [row.id for row in pack.rows] == ["a", "b", "c"]
        for got, (name, wanted) in zip(pack, ARRAYS.items(), strict=True):
            np.testing.assert_array_equal(got, wanted, err_msg=name)
    assert asked == ["a", "b", "c"]
    assert isinstance(pack.array, np.memmap)
    assert len(pack) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"s": 2}},
        {"recordings": RECORDINGS[:2]},
        {"recordings": [Recording(id=r.id, path=r.path, start=1) for r in RECORDINGS]},
    ],
)
def test_other_settings_or_recordings_make_it_anew(tmp_path, change):
    build(tmp_path)
    new = build(tmp_path, lambda r: ARRAYS[r.id] + 1, **change)
    np.testing.assert_array_equal(new[0], ARRAYS["a"] + 1)


def test_recordings_that_fail_are_left_out_and_told_each_time(tmp_path):
    def compute(recording):
        if recording.id == "b":
            raise AudioError("b.wav: broken")
        return ARRAYS[recording.id]

    with pytest.raises(AudioError, match="broken"):
        build(tmp_path, compute)
    for _ in range(2):
        failures = []
        pack = build(tmp_path, compute, failures=failures)
        assert failures == [("b", "b.wav: broken")]
        assert [row.id for row in pack.rows] == ["a", "c"]
        np.testing.assert_array_equal(pack[1], ARRAYS["c"])


def test_no_recording_at_all_says_why(tmp_path):
    def fail(recording):
        raise AudioError(f"{recording.id}: broken")

    with pytest.raises(InputError, match="none of 3 recordings could be read; the first: a: broken"):
        build(tmp_path, fail, failures=[])
    with pytest.raises(InputError, match="none of 0"):
        build(tmp_path, fail, recordings=[], failures=[])


def killed(work):
    """Does ``work`` in a child that kills itself on the way."""
    child = os.fork()
    if not child:
        try:
            work(lambda: os.kill(os.getpid(), signal.SIGKILL))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["in a recording", "after a note", "before the last note"])
def test_a_pack_killed_while_it_was_made_is_that_of_an_unbroken_run(tmp_path, moment, monkeypatch):
    def failing(recording):
        if recording.id == "b":
            raise AudioError("b.wav: broken")
        return ARRAYS[recording.id]

    build(tmp_path / "unbroken", failing, failures=[])
    build(tmp_path / "broken", lambda r: ARRAYS[r.id] * 7, settings={"s": 0})  # what an earlier run left
    monkeypatch.setattr("protophone.data._NOTED", 0)
    asked = []

    def work(die):
        def parts(tape):
            yield failing(tape.source)[:2]
            if tape.source.id == "c" and moment == "in a recording":
                die()
            yield failing(tape.source)[2:]

        if moment == "before the last note":
            monkeypatch.setattr("protophone.data._Writer.finish", lambda _: die())
        if moment == "after a note":
            sync = data._Writer._sync
            monkeypatch.setattr("protophone.data._Writer._sync", lambda *a: (sync(*a), die()))
        options = {"sample_rate": 16000, "dtype": "float32", "settings": {"s": 1}, "failures": []}
        Pack.build(tmp_path / "broken", RECORDINGS, parts, **options)

    killed(work)
    monkeypatch.undo()
    failures = []
    build(tmp_path / "broken", lambda r: asked.append(r.id) or failing(r), failures=failures)
    assert asked == {"in a recording": ["b", "c"], "after a note": ["b", "c"], "before the last note": []}[moment]
    assert failures == [("b", "b.wav: broken")]
    files = {path.name: path.read_bytes() for path in (tmp_path / "broken").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "unbroken").iterdir()}
    assert sorted(files) == ["pack.bin", "pack.json"]


def test_an_array_that_is_gone_or_cut_short_is_made_again(tmp_path):
    for damage in (Path.unlink, lambda path: os.truncate(path, 8)):
        build(tmp_path)
        damage(tmp_path / "pack.bin")
        np.testing.assert_array_equal(build(tmp_path)[2], ARRAYS["c"])


def test_trimmed_of_their_ends_recordings_keep_at_least_their_middle(tmp_path):
    got = [part.tolist() for part in build(tmp_path).trimmed(3)]
    assert got == [ARRAYS["a"][3:6].tolist(), ARRAYS["b"][1:3].tolist(), ARRAYS["c"][3:20].tolist()]


def test_the_digest_follows_contents_speakers_and_cuts(tmp_path):
    whole = build(tmp_path / "a")
    same = build(tmp_path / "b", settings={"s": 2})
    other = build(tmp_path / "c", lambda r: ARRAYS[r.id] + (r.id == "c"))
    cut = whole.cut({"a": [Segment(0, 10)], "b": [], "c": []}, hop=10)
    renamed = build(tmp_path / "d", recordings=[replace(each, speaker="z") for each in RECORDINGS])
    assert whole.digest == same.digest
    assert len({each.digest for each in (whole, other, cut, renamed)}) == 4


def test_cuts_are_whole_frames_within_the_recording(tmp_path):
    pack = build(tmp_path)
    segments = {"a": [Segment(0, 10), Segment(45, 61)], "b": [], "c": [Segment(220, 999), Segment(500, 600)]}
    cut = pack.cut(segments, hop=10)
    got = [(row.id, part.tolist()) for row, part in zip(cut.rows, cut, strict=True)]
    assert got == [
        ("a", ARRAYS["a"][:1].tolist()),
        ("a", ARRAYS["a"][4:7].tolist()),
        ("c", ARRAYS["c"][22:23].tolist()),
    ]
    fine = pack.cut({"a": [Segment(10, 25)], "b": [], "c": []}, hop=10, scale=2)  # a frame is two steps
    assert fine[0].tolist() == ARRAYS["a"][2:6].tolist()


def sampler(pack, **changes):
    settings = {"crop": 6, "context": 2, "batch": 200, "seed": 5, "speakers": ("speaker", "x", "y")}
    return CropSampler(pack, pack, **settings | changes)


def test_crops_are_the_recordings_with_what_lies_around_and_zeros_beyond(tmp_path):
    crops = sampler(build(tmp_path))(3)
    assert (crops.frames.shape, crops.target.shape, crops.mask.shape) == ((200, 10, 2), (200, 6, 2), (200, 6))
    seen = set()
    for frames, target, mask, speaker in zip(crops.frames, crops.target, crops.mask, crops.speakers, strict=True):
        name = chr(int(target[0, 0]) // 100)
        assert {"a": 1, "b": 0, "c": 2}[name] == speaker
        seen.add(name)
        start = (int(target[0, 0]) - 100 * ord(name)) // 2
        padded = np.pad(ARRAYS[name].astype(float), ((2, 20), (0, 0)))
        np.testing.assert_array_equal(frames, padded[start : start + 10])
        np.testing.assert_array_equal(target, padded[start + 2 : start + 8])
        assert mask.sum() == min(6, LENGTHS[name] - start)
    assert seen == set("abc")


def test_recordings_are_drawn_in_proportion_to_their_length(tmp_path):
    speakers = sampler(build(tmp_path), batch=4000)(0).speakers.numpy()
    shares = np.bincount(speakers, minlength=3) / 4000
    np.testing.assert_allclose(shares, np.array([4, 9, 23]) / 36, atol=0.03)


def test_a_step_gives_the_same_crops_in_any_order_and_other_steps_and_seeds_others(tmp_path):
    pack = build(tmp_path)
    first, again = sampler(pack), sampler(pack)
    again(0)
    assert first(7).frames.equal(again(7).frames)
    assert not first(7).frames.equal(first(8).frames)
    assert not first(7).frames.equal(sampler(pack, seed=6)(7).frames)


def test_samples_lie_beside_their_units(tmp_path):
    codes = build(tmp_path / "codes", lambda r: np.arange(LENGTHS[r.id])[:, None])
    sound = build(tmp_path / "sound", lambda r: np.arange(LENGTHS[r.id] * 4)[:, None])
    crops = CropSampler(codes, sound, crop=5, context=0, batch=50, seed=0, speakers=("speaker", "x", "y"), scale=4)(0)
    for codes_row, sound_row, mask in zip(crops.frames, crops.target, crops.mask, strict=True):
        real = int(mask.sum())
        wanted = (codes_row.numpy()[:real, 0, None] * 4 + np.arange(4)).flatten()
        np.testing.assert_array_equal(sound_row[: real * 4, 0], wanted)
        assert not sound_row[real * 4 :].any()


def test_a_disk_that_fills_up_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match="disk is full"):
        build(tmp_path / "p")
    monkeypatch.undo()
    np.testing.assert_array_equal(build(tmp_path / "p")[2], ARRAYS["c"])
