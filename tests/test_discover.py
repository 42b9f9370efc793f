"""The main job: everything it promises is there and can be read, interrupted runs go on, others are refused."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from protophone.codec import pack, read_entropy, unpack
from protophone.discover import DiscoverConfig, discover
from protophone.errors import InputError
from protophone.formats import read_eaf, read_textgrid
from protophone.manifest import build, read
from protophone.model import load
from protophone.progress import silent
from protophone.store import read_units
from protophone.survey import Survey, listen
from protophone.types import Recording
from protophone.vad import Segment, speech_segments
from tests.conftest import babble
from tests.tiny import contents, small_networks

OPTIONS = {"minutes": 0.05, "units": 16, "speaker_from": "parent", "max_bad": 0.5}


class Watcher:
    """Keeps what was said, and stops where it is told to."""

    def __init__(self, stop_at=None):
        self.said, self.stages, self.stop_at = [], [], stop_at

    def say(self, text):
        self.said.append(text)

    def expect(self, stages):
        self.expected = [title for title, _ in stages]

    def stage(self, title, *_):
        self.stages.append(title)
        if title == self.stop_at:
            raise KeyboardInterrupt
        return self

    def __enter__(self):
        return lambda *_, **__: None

    def __exit__(self, *_):
        return None


@pytest.fixture(scope="module", autouse=True)
def _small():
    """Networks of a size that a test can train."""
    with pytest.MonkeyPatch.context() as patch:
        small_networks(patch)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two speakers who speak and pause, in folders; and one recording that is none."""
    folder = tmp_path_factory.mktemp("discover") / "录 音"
    for number, speaker in enumerate(("ana", "bo")):
        (folder / speaker).mkdir(parents=True)
        for index in range(3):
            quiet = 0.001 * np.random.default_rng(index).standard_normal(16000)
            speech = [babble(1.2, seed=10 * number + index + 50 * part, pitch=110 + 90 * number) for part in range(2)]
            sound = np.concatenate([quiet[:8000], speech[0], quiet, speech[1], quiet[:8000]])
            soundfile.write(folder / speaker / f"{index}.wav", sound, 16000)
    (folder / "bo" / "bad.wav").write_text("no sound")
    (folder / "bo" / "0.eaf").write_text("<no/>")
    return folder


@pytest.fixture(scope="module")
def alignment(tmp_path_factory):
    path = tmp_path_factory.mktemp("ctm") / "phones.ctm"
    names = [f"{speaker}/{index}" for speaker in ("ana", "bo") for index in range(3)]
    path.write_text("".join(f"{name} 1 {0.5 + 0.3 * k:.2f} 0.30 {'aeiou'[k]}\n" for name in names for k in range(5)))
    return path


@pytest.fixture(scope="module", params=["kmeans", "vqvae"])
def finished(request, tmp_path_factory, corpus, alignment):
    out = tmp_path_factory.mktemp(request.param) / "my language"
    watcher = Watcher()
    options = DiscoverConfig(system=request.param, **OPTIONS)
    assert discover(corpus, out, options, watcher, alignment=alignment) == out / "report.html"
    return out, watcher, options


def test_everything_that_is_promised_is_there_and_can_be_read(finished, corpus):
    out, _, _ = finished
    ids = [f"{speaker}/{index}" for speaker in ("ana", "bo") for index in range(3)]
    records = {record.id: record for record in read_units(out)}
    assert sorted(records) == ids
    assert sorted(recording.id for recording in read(out / "manifest.jsonl")) == ids
    model = load(out)
    assert model.voices == ("ana", "bo")
    entropy = read_entropy(model.bundle)
    for name in ids:
        record = records[name]
        seconds = soundfile.info(corpus / f"{name}.wav").duration
        units = model.encode(corpus / f"{name}.wav", name.partition("/")[0])
        np.testing.assert_array_equal(record.codes, units.content[0])
        np.testing.assert_array_equal(record.pitch.codes, units.pitch[0][0])
        assert unpack(pack(units, entropy), entropy).voice == units.voice
        speech, units = read_textgrid(out / "textgrid" / f"{name}.TextGrid")
        assert (speech.name, units.name) == ("speech", "units")
        for start, end, unit in units.intervals:
            assert 0 <= start < end <= seconds + 1e-9
            assert (record.codes[0, round(start * 25) : round(end * 25)] == int(unit)).all()
        # the two stretches of babble, within a quarter of a second
        heard = [(start, end) for start, end, _ in speech.intervals]
        np.testing.assert_allclose(heard, [(0.5, 1.7), (2.7, 3.9)], atol=0.25)
        assert [tier.name for tier in read_eaf(out / "elan" / f"{name}.eaf")] == ["speech", "units"]
    held_out = json.loads((out / "report.json").read_text())["held_out"]
    assert len(held_out) == 1
    assert [str(p.relative_to(out / "sounds"))[:-4] for p in (out / "sounds").rglob("*.wav")] == held_out
    assert soundfile.info(out / "sounds" / f"{held_out[0]}.wav").frames == records[held_out[0]].num_samples


def test_the_report_counts_what_the_units_say(finished):
    out, _, options = finished
    report = json.loads((out / "report.json").read_text())
    survey = json.loads((out / "work" / "survey.json").read_text())["segments"]
    records = list(read_units(out))
    for name, parts in {
        "on_everything": [record.codes[0] for record in records],
        "on_speech": [r.codes[0][start // 640 : -(-end // 640)] for r in records for start, end in survey[r.id]],
    }.items():
        counted = report[name]
        usage = np.bincount(np.concatenate(parts), minlength=16)
        assert counted["usage"] == usage.tolist()
        share = usage[usage > 0] / usage.sum()
        bits = -(share * np.log2(share)).sum()
        assert counted["perplexity"] == pytest.approx(2**bits)
        assert counted["bit_rates"]["zerospeech"] == pytest.approx(bits * usage.sum() / counted["seconds"], rel=1e-3)
        assert counted["bit_rates"]["nominal"] == pytest.approx(100)
        assert sum(int(n) * count for n, count in counted["run_lengths"].items()) == usage.sum()
    assert report["on_everything"]["seconds"] == pytest.approx(sum(r.num_samples for r in records) / 16000, abs=0.001)
    assert report["on_speech"]["seconds"] == pytest.approx(
        60 * report["corpus"]["speech_minutes"], abs=1
    )  # whole frames
    assert report["options"]["system"] == options.system
    speakers = report["corpus"]["speakers"]
    assert list(speakers) == ["ana", "bo"]
    for each in ("minutes", "speech_minutes"):
        assert sum(one[each] for one in speakers.values()) == pytest.approx(report["corpus"][each], abs=0.002)
    (failure,) = report["failures"]
    assert report["passed"] == [{"count": 1, "reason": "no sound", "examples": ["1 .eaf"]}]
    assert failure["file"] == "bo/bad"
    assert "bad.wav: not a sound file" in failure["reason"]
    assert any("minutes of speech is little" in warning for warning in report["warnings"])
    assert report["steps"] == json.loads((out / "plan.json").read_text())
    assert (report["steps"]["units"] > 0) == (options.system == "vqvae")
    if report["steps"]["synthesizer"] < 100:
        said = r"the synthesizer is trained for \d+ steps only: .*give more --minutes, or --steps"
        assert any(re.match(said, each) for each in report["warnings"])
    assert report["phones"]["names"] == ["a", "e", "i", "o", "u"]
    assert report["phones"]["recordings"] == 6
    assert np.array(report["phones"]["counts"]).sum() == pytest.approx(6 * 5 * 7.5, abs=6)


def test_the_page_opens_offline_and_shows_it(finished):
    out, _, options = finished
    page = (out / "report.html").read_text()
    assert not re.search(r"""(src|href)=["']https?://""", page)
    assert "bad.wav" in page
    assert "1 file, no sound: 1 .eaf" in page
    assert "data:audio/" in page
    if options.system == "vqvae":
        assert "reconstruction" in page


def test_it_says_how_long_it_takes_warns_and_lists_at_the_end(finished):
    _, watcher, _ = finished
    assert watcher.said[0] == "7 recordings; this will take about a minute"
    assert watcher.said[1:3] == ["left out: 1 file, no sound: 1 .eaf", "2 speakers: ana 0.2 min, bo 0.2 min"]
    assert re.fullmatch(r"0\.4 minutes, 0\.\d of speech, 2 speakers", watcher.said[3])
    assert any(line.startswith("warning: 0.") for line in watcher.said)
    assert watcher.said[-1].startswith("left out: ")
    assert "bad.wav" in watcher.said[-1]


def test_run_again_it_changes_nothing_that_was_learned(finished, corpus, alignment):
    out, _, options = finished
    before = contents(out)
    watcher = Watcher()
    discover(corpus, out, options, watcher, alignment=alignment)
    after = contents(out)
    assert [name for name in before if after.get(name) != before[name]] == []
    assert sorted(after) == sorted(before)
    assert watcher.stages == ["encoding", "speaking"]
    assert [watcher.expected[0], watcher.expected[-1]] == watcher.stages
    assert not {"learning", "learning units", "learning to speak"} & set(watcher.expected)
    assert watcher.said[0] == "7 recordings"


def test_every_stage_was_expected_in_its_order(finished):
    _, watcher, _ = finished
    assert watcher.expected == watcher.stages[1:]


def test_other_options_or_recordings_are_refused(finished, corpus, tmp_path):
    out, _, options = finished
    before = contents(out)
    for change in ({"units": 17}, {"seed": 1}, {"speaker_from": "none"}):
        other = DiscoverConfig(**{"system": options.system, **OPTIONS, **change})
        with pytest.raises(InputError, match="holds a run with other recordings or options; name another output"):
            discover(corpus, out, other, Watcher())
    with pytest.raises(InputError, match="other recordings or options"):
        discover(tmp_path, out, options, Watcher())
    assert contents(out) == before


@pytest.mark.parametrize("stop_at", ["listening", "learning units", "encoding", "learning to speak"])
def test_interrupted_it_goes_on_from_there(corpus, tmp_path, stop_at):
    options = DiscoverConfig(system="kmeans", **OPTIONS | {"minutes": 0.005})
    with pytest.raises(KeyboardInterrupt):
        discover(corpus, tmp_path / "out", options, Watcher(stop_at))
    first = contents(tmp_path / "out") if (tmp_path / "out").exists() else {}
    watcher = Watcher()
    discover(corpus, tmp_path / "out", options, watcher)
    stages = ["listening", "learning units", "encoding", "learning to speak"]
    wanted = stages if stop_at == "listening" else stages[stages.index(stop_at) :]
    assert [stage for stage in watcher.stages if stage in {"listening", "learning units", "learning to speak"}] == [
        stage for stage in wanted if stage != "encoding"
    ]
    after = contents(tmp_path / "out")
    kept = [name for name in first if name.startswith(("bundle/encoder", "work/survey", "work/encoder", "units.jsonl"))]
    assert all(after[name].startswith(first[name]) for name in kept)  # units are appended
    assert (tmp_path / "out" / "report.html").exists()


def test_recordings_that_came_or_went_are_noticed(corpus, tmp_path):
    source = shutil.copytree(corpus, tmp_path / "in")
    options = DiscoverConfig(system="kmeans", **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        discover(source, tmp_path / "out", options, Watcher("learning units"))
    soundfile.write(source / "ana" / "new.wav", babble(1), 16000)
    with pytest.raises(InputError, match="its recordings are not those that .* notes"):
        discover(source, tmp_path / "out", options, Watcher())


def test_too_many_bad_recordings_are_a_fault_after_the_rest_is_done(corpus, tmp_path):
    options = DiscoverConfig(system="kmeans", **{**OPTIONS, "max_bad": 0.05, "minutes": 0.005})
    watcher = Watcher()
    with pytest.raises(InputError, match=r"1 of 7 recordings could not be used, more than --max-bad 0\.05.*bad\.wav"):
        discover(corpus, tmp_path / "out", options, watcher)
    assert (tmp_path / "out" / "report.html").exists()


def test_what_cannot_be_begun_leaves_nothing(corpus, tmp_path):
    options = DiscoverConfig(system="kmeans", **OPTIONS)
    (tmp_path / "empty").mkdir()
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    soundfile.write(quiet / "a.wav", np.zeros(48000), 16000)
    soundfile.write(quiet / "b.wav", 0.01 * np.random.default_rng(0).standard_normal(48000), 16000)
    out = tmp_path / "out"
    with pytest.raises(InputError, match="empty: no recordings in it"):
        discover(tmp_path / "empty", out, options, Watcher())
    with pytest.raises(InputError, match=r"quiet: no recording with speech in it; the first: .*a\.wav: digital"):
        discover(quiet, out, options, Watcher())
    with pytest.raises(InputError, match="none.item"):
        discover(corpus, out, options, Watcher(), items=tmp_path / "none.item")
    with pytest.raises(InputError, match=r"none\.ctm"):
        discover(corpus, out, options, Watcher(), alignment=tmp_path / "none.ctm")
    with pytest.raises(InputError, match="lies among the recordings"):
        discover(corpus, corpus / "out", options, Watcher())
    assert not out.exists()
    assert not (corpus / "out").exists()


def test_of_a_single_tape_some_segments_are_kept_from_training_and_spoken(tmp_path, corpus):
    parts = [soundfile.read(path)[0] for path in sorted(corpus.rglob("*.wav")) if path.name != "bad.wav"]
    soundfile.write(tmp_path / "tape.wav", np.concatenate(parts * 4), 16000)
    out = tmp_path / "out"
    discover(tmp_path / "tape.wav", out, DiscoverConfig(**OPTIONS | {"speaker_from": "none"}), Watcher())
    survey = json.loads((out / "work" / "survey.json").read_text())
    segments = survey["segments"]["tape"]
    assert len(segments) > 40
    held_out = json.loads((out / "report.json").read_text())["held_out"]
    assert len(held_out) == len(segments) // 20
    packed = json.loads((out / "work" / "encoder" / "features" / "pack.json").read_text())
    assert [row["id"] for row in packed["rows"]] == ["tape"]
    (record,) = read_units(out)
    starts = {f"tape_{start / 16000:.2f}": (start, end) for start, end in segments}
    for name in held_out:
        start, end = starts[name]
        length = soundfile.info(out / "sounds" / f"{name}.wav").frames
        assert length == end - start // 640 * 640
    assert len(record.codes[0]) == -(-record.num_samples // 640)


def test_listening_goes_on_where_it_was_interrupted(tmp_path, corpus, monkeypatch):
    found = build(corpus, "parent").recordings
    whole = listen(corpus, found, tmp_path / "whole.json", lambda: None, silent)
    heard = []

    def hearing(blocks, rate):
        heard.append(rate)
        if len(heard) == 4:
            raise KeyboardInterrupt
        return speech_segments(blocks, rate)

    monkeypatch.setattr("protophone.survey.speech_segments", hearing)
    with pytest.raises(KeyboardInterrupt):
        listen(corpus, found, tmp_path / "survey.json", lambda: None, silent)
    again = listen(corpus, found, tmp_path / "survey.json", lambda: None, silent)
    assert len(heard) == 4 + len(found) - 3
    assert again == whole
    assert (tmp_path / "survey.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_what_is_held_out_is_in_nothing_that_is_learned_from(corpus, tmp_path):
    found = build(corpus, "parent").recordings
    survey = listen(corpus, found, tmp_path / "survey.json", lambda: None, silent)
    recordings, _ = survey.learned
    assert len(survey.held_out) == 1
    assert {each.id for each in recordings} | {part.id for part in survey.held_out} == {r.id for r in survey.recordings}
    assert len(recordings) == len(survey.recordings) - 1
    tape = replace(survey, recordings=survey.recordings[:1])
    (part,) = tape.held_out
    _, segments = tape.learned
    assert (
        sorted([*segments[part.recording.id], part.segment], key=lambda s: s.start)
        == survey.segments[part.recording.id]
    )
    alone = replace(tape, segments={part.recording.id: survey.segments[part.recording.id][:1]})
    assert alone.held_out == []


def test_a_repaired_recording_is_not_forgotten(corpus, tmp_path):
    source = shutil.copytree(corpus, tmp_path / "in")
    options = DiscoverConfig(system="kmeans", **OPTIONS | {"minutes": 0.005})
    discover(source, tmp_path / "out", options, Watcher())
    soundfile.write(source / "bo" / "bad.wav", babble(1.5), 16000)
    with pytest.raises(InputError, match=r"bad\.wav: can be read now, but the run of .*out was begun without it"):
        discover(source, tmp_path / "out", options, Watcher())


def test_of_several_tapes_and_of_every_speaker_something_is_learned(tmp_path):
    minute = 60 * 16000
    parts = [Segment(at, at + 8000) for at in range(0, 50 * 16000, 16000)]
    tapes = [Recording(id=name, path=tmp_path / name, speaker=name) for name in ("ana", "bo")]
    survey = Survey(tapes, {"ana": parts, "bo": parts}, {"ana": 2 * minute, "bo": 2 * minute}, [])
    recordings, segments = survey.learned
    assert recordings == tapes
    assert len(survey.held_out) == 5
    assert sum(map(len, segments.values())) == 95
    clips = replace(survey, lengths={"ana": minute, "bo": minute})
    assert clips.held_out == survey.held_out  # each is all there is of a speaker
    three = replace(
        clips, recordings=[*tapes, replace(tapes[0], id="more")], segments=dict.fromkeys(("ana", "bo", "more"), parts)
    )
    three.lengths["more"] = minute
    assert {part.id for part in three.held_out} < {"ana", "more"}
