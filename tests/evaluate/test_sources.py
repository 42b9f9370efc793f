"""What is evaluated, found on disk: whichever way frames are kept they are the same, and what does not fit is said."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from protophone.corpus import encode_corpus
from protophone.errors import BundleError, InputError, UnitsError
from protophone.evaluate.references import check_references, items_of
from protophone.evaluate.representation import _is_bundle, representation
from protophone.evaluate.sources import recordings_of, units_of
from protophone.formats import write_zerospeech
from protophone.model import load
from tests.evaluate.made import speech, write_ctm, write_features, write_items, write_sounds, write_units

FEATURES = {"a/x": np.arange(12, dtype=np.float32).reshape(4, 3), "b": np.ones((2, 3), np.float32)}


def kept_as(form, folder):
    """``FEATURES`` in one of the ways they may be kept."""
    folder.mkdir()
    if form == "npy":
        return write_features(folder, FEATURES, rate=None)
    if form == "npz":
        np.savez(folder / "all.npz", **FEATURES)
        return folder / "all.npz"
    if form == "safetensors":
        save_file(FEATURES, folder / "all.safetensors")
        return folder / "all.safetensors"
    for name, frames in FEATURES.items():
        path = folder / f"{name}.{form}"
        path.parent.mkdir(exist_ok=True)
        if form == "pt":
            torch.save(torch.from_numpy(frames), path)
        else:
            write_zerospeech(path, frames)
    return folder


@pytest.mark.parametrize("form", ["npy", "npz", "safetensors", "pt", "txt"])
def test_features_are_the_same_however_they_are_kept(tmp_path, form):
    path = kept_as(form, tmp_path / "features")
    found = representation(path, frame_rate=50)
    assert (set(found.ids), found.frame_rate, found.symbols, found.what) == (set(FEATURES), 50, False, "features")
    for name, frames in FEATURES.items():
        np.testing.assert_array_equal(found.frames(name), frames)
    with pytest.raises(InputError, match="nothing says its frame rate; give --frame-rate"):
        representation(path)


def test_the_frame_rate_is_what_the_files_say(tmp_path):
    path = write_features(tmp_path, FEATURES, rate=50)
    assert representation(path).frame_rate == 50
    assert representation(path, frame_rate=50).frame_rate == 50
    with pytest.raises(InputError, match="at 50 Hz, --frame-rate says 100; leave --frame-rate out"):
        representation(path, frame_rate=100)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(InputError, match="frames a second, more than 0"):
            representation(path, frame_rate=wrong)


def test_whole_numbers_are_symbols(tmp_path):
    write_features(tmp_path, {"a": np.array([1, 2, 2])}, rate=100)
    found = representation(tmp_path)
    assert (found.symbols, found.what) == (True, "symbols")


def test_units_are_symbols_however_they_are_kept(tmp_path):
    codes = {"a": [1, 1, 3], "b": [0, 2]}
    whole = representation(write_units(tmp_path / "units", codes))
    line = representation(tmp_path / "units" / "units.jsonl")
    write_units(tmp_path / "runs", {"a": [1, 3]}, durations=[2, 1])
    runs = tmp_path / "runs" / "units.jsonl"
    runs.write_text(runs.read_text().replace('"num_samples": 320', '"num_samples": 480'))
    for found in (whole, line, representation(runs)):
        assert (found.symbols, found.frame_rate) == (True, 100)
        np.testing.assert_array_equal(found.frames("a"), [[1], [1], [3]])


def test_vectors_of_units_are_those_of_encoding_again(tiny_bundle, tiny_corpus, tmp_path):
    recordings = recordings_of(tiny_corpus / "manifest.jsonl", None)[:2]
    encode_corpus(load(tiny_bundle), recordings, tmp_path / "units")
    kept = representation(tmp_path / "units", bundle=tiny_bundle)
    fresh = representation(tiny_bundle, recordings=recordings)
    assert kept.ids == fresh.ids == tuple(recording.id for recording in recordings)
    assert kept.frame_rate == fresh.frame_rate
    assert not kept.symbols
    for name in kept.ids:
        np.testing.assert_array_equal(kept.frames(name), fresh.frames(name))
    with pytest.raises(InputError, match="so leave one of them out"):
        representation(tiny_bundle, bundle=tiny_bundle, recordings=recordings)
    with pytest.raises(InputError, match="say which recordings it shall encode: --recordings"):
        representation(tiny_bundle)
    assert _is_bundle(tiny_bundle)
    assert not _is_bundle(tmp_path)
    with pytest.raises(UnitsError, match="codebook"):
        representation(write_units(tmp_path / "other", {"a": [1]}), bundle=tiny_bundle).frames("a")
    with pytest.raises(BundleError):
        representation(tmp_path / "units", recordings=recordings)


def test_sources_that_are_none(tmp_path):
    with pytest.raises(InputError, match="not there"):
        representation(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no .* file in it"):
        representation(tmp_path / "empty", frame_rate=100)
    write_features(tmp_path / "features", FEATURES)
    with pytest.raises(InputError, match="no units in it, so --bundle has nothing to give vectors for"):
        representation(tmp_path / "features", bundle=tmp_path)


def test_mixed_grids_and_codebooks_are_refused(tmp_path):
    one = write_units(tmp_path / "one", {"a": [1, 2]}) / "units.jsonl"
    for other, message in (({"hop": 320}, r"mixed frame rates: 100 Hz \(a\), 50 Hz \(b\)"), ({"size": 9}, "codebooks")):
        two = write_units(tmp_path / "two", {"b": [1, 2]}, **other) / "units.jsonl"
        two.write_text(one.read_text() + two.read_text())
        with pytest.raises(InputError, match=message):
            units_of(two)


def test_recordings_are_those_of_the_split(tmp_path):
    manifest = write_sounds(tmp_path, files=4)
    assert [r.id for r in recordings_of(manifest, "train")] == ["r2", "r3"]
    assert len(recordings_of(manifest, None)) == len(recordings_of(tmp_path, None)) == 4
    with pytest.raises(InputError, match="no recording in split 'test'; its splits are: dev, train"):
        recordings_of(manifest, "test")
    with pytest.raises(InputError, match="its splits are: none"):
        recordings_of(tmp_path, "dev")


ROWS = [("x", 0, 0.1, "p", "a", "b", "s0"), ("b", 0, 0.1, "t", "a", "b", "s0"), ("c", 0, 0.1, "t", "a", "b", "s0")]


def test_items_go_by_the_id_or_its_last_part(tmp_path):
    items = write_items(tmp_path / "a.item", ROWS)
    kept, names, absent = items_of(["a/x", "b"], items)
    assert [token.file for token in kept] == ["x", "b"]
    assert names == {"x": "a/x", "b": "b"}
    assert [token.file for token in absent] == ["c"]
    with pytest.raises(InputError, match="x: in the items, but fits several recordings"):
        items_of(["a/x", "b/x"], items)
    with pytest.raises(InputError, match="x: in the items, but is none of the 1 recordings at hand"):
        items_of(["other"], items)


def test_alignments_are_checked_by_the_id_or_its_last_part(tmp_path):
    ctm = write_ctm(tmp_path / "a.ctm", {"x": [(0, 0.1, "p")], "b/y": [(0, 0.2, "t")]})
    with pytest.raises(InputError, match="no alignment of any of the 2 recordings: it names x"):
        check_references(["a/x", "b/x"], items=None, alignment=ctm)  # which of the two is not known
    with pytest.raises(InputError, match="--tier phones: of which alignment"):
        check_references(["a/x"], items=None, alignment=None, tier="phones")
    with pytest.raises(InputError, match="a CTM file has no tiers; leave --tier phones out"):
        check_references(["a/x"], items=None, alignment=ctm, tier="phones")
    for ids in (["a/x"], ["b/y"]):
        check_references(ids, items=None, alignment=ctm)


def test_references_are_checked_before_the_work(tmp_path):
    items = write_items(tmp_path / "a.item", ROWS)
    check_references(["b"], items=items, alignment=None)
    none = tmp_path / "none"
    for references in ((none, None), (None, none), (items, none)):
        with pytest.raises(InputError, match="none"):
            check_references(["b"], items=references[0], alignment=references[1])


def test_a_folder_that_was_not_finished_is_refused(tmp_path):
    write_units(tmp_path, {"a": [1]})
    (tmp_path / "index.json").write_text(json.dumps({"count": 1, "complete": False}))
    with pytest.raises(UnitsError, match="not finished"):
        representation(tmp_path)
    shutil.copy(tmp_path / "units.jsonl", tmp_path / "alone.jsonl")
    assert len(units_of(tmp_path / "alone.jsonl")) == 1


def test_speech_is_what_its_items_say():
    """The made-up features are near the phones that items and alignment name."""
    features, rows, phones = speech(noise=0.0)
    for name, start, _, phone, *_ in rows:
        assert features[name][round(100 * start) + 2].argmax() == "ptk".index(phone)
    assert sum(map(len, phones.values())) == len(rows)


def test_speakers_are_picked_by_name(tiny_corpus):
    kept = recordings_of(tiny_corpus / "manifest.jsonl", None, ["bo"])
    assert {recording.id for recording in kept} == {"bo/0", "bo/1", "bo/2"}
    with pytest.raises(InputError, match="no recording by 'cy'; its speakers are: ana, bo"):
        recordings_of(tiny_corpus / "manifest.jsonl", None, ["bo", "cy"])
