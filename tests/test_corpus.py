"""Whole corpora: every form, bad recordings left out and told, and kills that change no byte."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from protophone import corpus
from protophone.corpus import check_failures, decode_corpus, encode_corpus
from protophone.errors import InputError, UnitsError
from protophone.formats import read_zerospeech
from protophone.manifest import build
from protophone.model import load
from protophone.store import UnitRecord, read_features, read_units
from protophone.types import Recording
from tests.conftest import babble
from tests.tiny import Told, contents


@pytest.fixture(scope="module")
def model(tiny_bundle):
    return load(tiny_bundle)


@pytest.fixture(scope="module")
def recordings(tiny_corpus):
    return build(tiny_corpus, "parent").recordings


def test_units_are_those_of_each_recording_alone_and_in_the_manifest_s_order(model, recordings, tmp_path):
    told = Told()
    done = encode_corpus(model, recordings, tmp_path / "out", stage=told.stage)
    records = list(read_units(tmp_path / "out"))
    assert [record.id for record in records] == [recording.id for recording in recordings]
    assert (done.recordings, done.failures) == (6, [])
    assert done.seconds == pytest.approx(sum(soundfile.info(r.path).duration for r in recordings))
    assert told.stages == [("encoding", pytest.approx(done.seconds), "seconds")]
    assert sum(told.moves) == pytest.approx(done.seconds)
    for record, recording in zip(records, recordings, strict=True):
        alone = model.encode(recording)
        np.testing.assert_array_equal(record.codes, alone.content[0])
        assert (record.num_samples, record.bundle) == (alone.num_samples, model.encoder.codebook.hash)
        assert record.extra == {"speaker": recording.speaker}


def test_every_form_holds_the_same(model, recordings, tmp_path):
    for form in ("units", "shards", "npy", "zerospeech"):
        encode_corpus(model, recordings, tmp_path / form, form=form)
    features = read_features(tmp_path / "npy")
    assert sorted(features) == [recording.id for recording in recordings]
    for lines, shards in zip(read_units(tmp_path / "units"), read_units(tmp_path / "shards"), strict=True):
        assert lines.to_json() == shards.to_json()
        vectors = model.encoder.vectors(lines.to_batch())[0]
        np.testing.assert_array_equal(features[lines.id], vectors)
        np.testing.assert_array_equal(read_zerospeech(tmp_path / "zerospeech" / f"{lines.id}.txt"), vectors)


def test_segments_and_long_recordings_lie_where_the_manifest_says(model, tmp_path, monkeypatch):
    sound = babble(4, seed=9)
    soundfile.write(tmp_path / "tape.flac", sound, 16000)
    segments = [
        Recording(id="whole", path=tmp_path / "tape.flac"),
        Recording(id="part", path=tmp_path / "tape.flac", start=16000, num_samples=20000, sample_rate=16000),
    ]
    encode_corpus(model, segments, tmp_path / "short")
    monkeypatch.setattr(corpus, "_LONG_SECONDS", 1)
    monkeypatch.setattr("protophone.tape._SHORT", 1)
    encode_corpus(model, segments, tmp_path / "long")
    for short, long in zip(read_units(tmp_path / "short"), read_units(tmp_path / "long"), strict=True):
        assert short.to_json() == long.to_json()
    assert (short.id, short.num_samples, short.extra) == ("part", 20000, {"source": "../tape.flac", "start": 16000})


def test_a_segment_says_in_which_file_and_where_at_the_rate_of_its_units(model, tmp_path):
    (tmp_path / "in" / "tapes").mkdir(parents=True)
    soundfile.write(tmp_path / "in/tapes/tape 1.flac", babble(3, sample_rate=44100), 44100)
    lines = [
        {"id": "whole", "audio": "tapes/tape 1.flac"},
        {"id": "all of it", "audio": "tapes/tape 1.flac", "num_samples": 132300},
        {"id": "first", "audio": "tapes/tape 1.flac", "num_samples": 44100},
        {"id": "rest", "audio": "tapes/tape 1.flac", "start": 44111, "speaker": "ana"},
    ]
    manifest = tmp_path / "in" / "m.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    encode_corpus(model, build(manifest, "manifest").recordings, tmp_path / "deep" / "out")
    whole, all_of_it, first, rest = read_units(tmp_path / "deep" / "out")
    assert (whole.extra, all_of_it.extra, whole.start) == ({}, {}, 0)
    source = "../../in/tapes/tape 1.flac"
    assert first.extra == {"source": source, "start": 0}
    assert rest.extra == {"speaker": "ana", "source": source, "start": 16004}  # 44111 / 44100 s
    assert (tmp_path / "deep" / "out" / source).samefile(tmp_path / "in/tapes/tape 1.flac")


BAD = {
    "text.wav": lambda p: p.write_text("no sound"),
    "cut.flac": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "none.wav": lambda p: soundfile.write(p, np.zeros(0), 16000),
    "ten.wav": lambda p: soundfile.write(p, np.ones(10) * 0.1, 16000),
    "still.wav": lambda p: soundfile.write(p, np.zeros(16000), 16000),
    "nan.wav": lambda p: soundfile.write(p, np.full(16000, np.nan), 16000, subtype="FLOAT"),
}
CAUSES = {
    "text.wav": "not a sound file",
    "cut.flac": "broken or cut off|cut off",
    "none.wav": "no samples",
    "ten.wav": "too short: 10 samples",
    "still.wav": "digital silence",
    "nan.wav": "not a finite number",
}


def bad_corpus(folder, good):
    """Bad recordings among good ones, in folders whose names have spaces and other letters than Latin ones."""
    place = folder / "ŋ 录音"
    place.mkdir(parents=True)
    for name, spoil in BAD.items():
        soundfile.write(place / name, babble(1), 16000)
        spoil(place / name)
    for number in range(good):
        soundfile.write(place / f"good {number}.wav", babble(0.5, seed=number), 16000)
    return folder


def test_bad_recordings_are_left_out_and_told_each_with_file_cause_and_cure(model, tmp_path):
    found = build(bad_corpus(tmp_path / "in", 3), "parent").recordings
    done = encode_corpus(model, found, tmp_path / "out")
    assert [record.id for record in read_units(tmp_path / "out")] == [f"ŋ 录音/good {n}" for n in range(3)]
    reasons = dict(done.failures)
    assert len(reasons) == len(BAD)
    for name, cause in CAUSES.items():
        reason = reasons[f"ŋ 录音/{name.rsplit('.', 1)[0]}"]
        assert name in reason
        assert any(part in reason for part in cause.split("|")), reason
        assert ";" in reason
        assert "\n" not in reason
    failed = json.loads((tmp_path / "out" / "index.json").read_text())["failed"]
    assert [(entry["id"], entry["reason"]) for entry in failed] == done.failures
    again = encode_corpus(model, found, tmp_path / "out")
    assert again == done


@pytest.mark.parametrize("form", ["units", "npy", "zerospeech"])
def test_an_id_that_names_no_file_costs_its_recording_and_a_full_disk_the_run(model, recordings, tmp_path, form):
    odd = [*recordings[:2], replace(recordings[2], id="../2"), recordings[3]]
    done = encode_corpus(model, odd, tmp_path / "out", form=form)
    assert [record.id for record in read_units(tmp_path / "out")] == ["ana/0", "ana/1", "bo/0"]
    ((name, reason),) = done.failures
    assert name == "../2"
    assert "ana/2.wav: id '../2' cannot name a file" in reason
    assert not list(tmp_path.glob("2.*"))
    full = "protophone.store.writer._Lines.append" if form == "units" else f"protophone.corpus.write_{VECTORS[form]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(full, disk_full)
        with pytest.raises(InputError, match="the disk is full"):
            encode_corpus(model, odd, tmp_path / "other", form=form)
    assert encode_corpus(model, odd, tmp_path / "other", form=form).recordings == 3
    assert contents(tmp_path / "other") == contents(tmp_path / "out")


VECTORS = {"npy": "features", "zerospeech": "zerospeech"}


def disk_full(*_):
    raise InputError("a: cannot be written: the disk is full")


def test_run_again_it_encodes_only_what_is_missing_and_counts_all(model, recordings, tmp_path, monkeypatch):
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    both = [*recordings, Recording(id="bad", path=bad)]
    encode_corpus(model, both, tmp_path / "out")
    before = contents(tmp_path)
    monkeypatch.setattr(corpus, "_WINDOW", 4)
    monkeypatch.setattr(model, "encode_batch", None)
    told = Told()
    done = encode_corpus(model, both, tmp_path / "out", stage=told.stage)
    assert (done.recordings, [name for name, _ in done.failures]) == (6, ["bad"])
    assert sum(told.moves) == pytest.approx(told.stages[0][1])
    assert done.seconds == pytest.approx(sum(soundfile.info(r.path).duration for r in recordings))
    assert contents(tmp_path) == before


def test_other_sound_under_the_same_names_is_refused(model, tiny_corpus, tmp_path):
    source = shutil.copytree(tiny_corpus, tmp_path / "in")
    encode_corpus(model, build(source, "parent").recordings, tmp_path / "out")
    soundfile.write(source / "ana" / "0.wav", babble(1.2), 16000)
    with pytest.raises(InputError, match="the file of 'ana/0' had .* put the former file back, or name another folder"):
        encode_corpus(model, build(source, "parent").recordings, tmp_path / "out")


@pytest.mark.parametrize("form", ["units", "shards", "npy"])
def test_a_recording_that_failed_may_come_back_with_a_good_file(model, recordings, tiny_corpus, tmp_path, form):
    source = shutil.copytree(tiny_corpus, tmp_path / "in")
    (source / "ana/1.wav").write_text("no sound")
    out = tmp_path / "out"
    first = encode_corpus(model, build(source, "parent").recordings, out, form=form)
    assert (first.recordings, [name for name, _ in first.failures]) == (5, ["ana/1"])
    assert "ana/1" not in json.loads((out / "index.json").read_text())["file_sizes"]
    shutil.copy(tiny_corpus / "ana/1.wav", source / "ana/1.wav")
    second = encode_corpus(model, build(source, "parent").recordings, out, form=form)
    assert (second.recordings, second.failures) == (6, [])
    assert second.seconds == pytest.approx(sum(soundfile.info(r.path).duration for r in recordings))
    encode_corpus(model, recordings, tmp_path / "at once", form=form)
    found, wanted = ({r.id: r.to_json() for r in read_units(path)} for path in (out, tmp_path / "at once"))
    assert found == wanted
    soundfile.write(source / "ana/1.wav", babble(1.3), 16000)
    with pytest.raises(UnitsError, match="the file of 'ana/1' had"):
        encode_corpus(model, build(source, "parent").recordings, out, form=form)


def test_a_file_replaced_after_a_kill_counts_from_then_on(model, tiny_corpus, tmp_path, monkeypatch):
    source = shutil.copytree(tiny_corpus, tmp_path / "in")
    (source / "ana/0.wav").write_text("no sound")
    append, appended = corpus.UnitsWriter.append, []

    def stops(writer, record):
        if len(appended) == 2:
            raise KeyboardInterrupt
        appended.append(record.id)
        append(writer, record)

    monkeypatch.setattr(corpus.UnitsWriter, "append", stops)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            encode_corpus(model, build(source, "parent").recordings, tmp_path / "out")
        shutil.copy(tiny_corpus / "ana/0.wav", source / "ana/0.wav")
        appended[:] = appended[:1] if len(appended) == 2 else appended
    assert encoded(tmp_path / "out") == ["ana/1", "ana/2", "ana/0"]
    monkeypatch.setattr(corpus.UnitsWriter, "append", append)
    assert encode_corpus(model, build(source, "parent").recordings, tmp_path / "out").recordings == 6


def encoded(folder):
    """Ids in an unfinished folder."""
    return [json.loads(line)["id"] for line in (folder / "units.jsonl").read_text().splitlines()]


def test_where_every_recording_failed_any_run_begins_anew(model, recordings, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    done = encode_corpus(model, [Recording(id="bad", path=bad)], tmp_path / "out")
    assert (done.recordings, len(done.failures)) == (0, 1)
    encode_corpus(model, recordings, tmp_path / "out", form="shards")
    encode_corpus(model, recordings, tmp_path / "other", form="shards")
    assert contents(tmp_path / "out") == contents(tmp_path / "other")


def test_too_many_failures_are_a_fault_and_few_are_not():
    done = corpus.Done(failures=[("a", "a.wav: broken"), ("b", "b.wav: broken")])
    check_failures(done.failures, 40, 0.05)
    with pytest.raises(InputError, match=r"2 of 39 recordings could not be used, more than --max-bad 0\.05.*a\.wav"):
        check_failures(done.failures, 39, 0.05)


def test_an_output_of_something_else_is_refused_and_left_alone(model, recordings, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("x")
    encode_corpus(model, recordings[:2], tmp_path / "units")
    before = contents(tmp_path)
    records = list(read_units(tmp_path / "units"))
    with pytest.raises(InputError, match="exists already and is not empty"):
        encode_corpus(model, recordings, tmp_path / "thesis")
    with pytest.raises(InputError, match="begun with other settings .recordings was 2, now 3"):
        encode_corpus(model, recordings[:3], tmp_path / "units")
    with pytest.raises(InputError, match="begun with other settings .files was"):
        encode_corpus(model, recordings[1:3], tmp_path / "units")
    for folder in ("thesis", "units"):
        with pytest.raises(InputError, match="exists already and is not empty"):
            decode_corpus(model, records, tmp_path / folder)
    assert contents(tmp_path) == before
    with pytest.raises(InputError, match="no recording is left"):
        encode_corpus(model, [], tmp_path / "none")


def record(name, codebook, **changes):
    values = {
        "codes": np.zeros((1, 5), np.int64),
        "hop": 640,
        "sample_rate": 16000,
        "sizes": (16,),
        "num_samples": 3100,
    }
    return UnitRecord(id=name, bundle=codebook, **values | changes)


def test_sounds_are_spoken_by_their_own_speaker_and_not_twice(model, recordings, tmp_path):
    encode_corpus(model, recordings, tmp_path / "units")
    records = list(read_units(tmp_path / "units"))
    done = decode_corpus(model, records, tmp_path / "out")
    assert done.recordings == 6
    assert sorted(contents(tmp_path / "out")) == sorted([*(f"{r.id}.wav" for r in records), "sounds.json"])
    for each in records:
        sound, _ = soundfile.read(tmp_path / "out" / f"{each.id}.wav", dtype="float32")
        wanted = model.decode(each.to_utterance(), each.extra["speaker"])[0]
        np.testing.assert_allclose(sound, wanted.clip(-1, 1), atol=2**-15)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.wav")}
    missing = tmp_path / "out" / "ana" / "0.wav"
    kept = missing.read_bytes()
    missing.unlink()
    decode_corpus(model, records, tmp_path / "out")
    assert missing.read_bytes() == kept
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if path != missing)
    with pytest.raises(InputError, match="other units or of another voice"):
        decode_corpus(model, records, tmp_path / "out", voice="bo")
    with pytest.raises(InputError, match="other units or of another voice"):
        decode_corpus(model, records[1:], tmp_path / "out")


def test_units_that_cannot_be_spoken_write_nothing(model, tmp_path):
    codebook = model.encoder.codebook.hash
    for bad, error in (
        (record("a", "deadbeef"), UnitsError),
        (record("../a", codebook), InputError),
        (record("a", codebook, hop=320, num_samples=1500), UnitsError),
    ):
        with pytest.raises(error):
            decode_corpus(model, [bad], tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="the voices are: ana, bo"):
        decode_corpus(model, [record("a", codebook)], tmp_path / "out", voice="cy")
    assert list(tmp_path.iterdir()) == []
