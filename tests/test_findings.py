"""What is found out about units: annotations on the tape's line, figures against other people's times, the page."""

import json
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone import audio
from protophone.corpus import encode_corpus
from protophone.encoders import PipelineConfig
from protophone.errors import InputError
from protophone.figures import figures, in_speech
from protophone.findings import annotate, page
from protophone.formats import read_eaf, read_textgrid
from protophone.manifest import build, read
from protophone.metrics.abx import abx, read_items
from protophone.model import load
from protophone.quantizers import KMeansConfig
from protophone.recipe import write_encoder
from protophone.store import UnitRecord, read_units
from protophone.train import TrainConfig
from protophone.types import AudioBatch, Recording
from protophone.vad import Segment
from tests.conftest import babble

RATE = 44100
CLICKS = (3.3, 12.52)  # seconds on the tape
CLICK = 0.12  # seconds long


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    """A tape with two short sounds in a quiet room, cut into segments by a manifest; the second sound lies in one."""
    folder = tmp_path_factory.mktemp("tapes")
    sound = 0.001 * np.random.default_rng(0).standard_normal(15 * RATE)
    for number, at in enumerate(CLICKS):
        sound[round(at * RATE) :][: round(CLICK * RATE)] += babble(CLICK, seed=number, sample_rate=RATE)
    soundfile.write(folder / "tape.flac", sound, RATE, subtype="PCM_24")
    cuts = [("t/early", 0, 6.0), ("t/middle", 6.0, 10.0), ("t/late", 10.0003, 14.75)]
    lines = [
        {"id": name, "audio": "tape.flac", "start": round(start * RATE), "num_samples": round((end - start) * RATE)}
        for name, start, end in cuts
    ]
    (folder / "segments.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def segments(tape):
    return read(tape / "segments.jsonl")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Two units: one for the sound and one for the room."""
    taught = np.concatenate([0.001 * np.random.default_rng(9).standard_normal(32000), babble(2, seed=8)])
    config = PipelineConfig(quantizer=KMeansConfig(num_units=2), time_reduction=1, normalization="corpus")
    encoder = config.build()
    encoder.fit([encoder.features(AudioBatch.from_arrays([taught], 16000)).frames[0].numpy()])
    folder = tmp_path_factory.mktemp("two units") / "bundle"
    write_encoder(folder, encoder.eval(), [], TrainConfig(steps=1))
    return load(folder)


@pytest.fixture(scope="module")
def written(model, segments, tape):
    out = tape / "deep" / "out"
    encode_corpus(model, segments, out)
    records = {record.id: record for record in read_units(out)}
    everything = {name: [Segment(0, record.num_samples)] for name, record in records.items()}
    annotate(list(records.values()), {each.id: each for each in segments}, everything, out)
    return out, records, everything


def test_a_click_is_where_it_is_on_the_tape_in_every_output(written, tape):
    out, records, _ = written
    room = records["t/middle"].codes[0, 50]
    rows = [json.loads(line) for line in (out / "units.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["t/early", "t/middle", "t/late"]
    for row, clicks, end in zip(rows, ([CLICKS[0]], [], [CLICKS[1]]), (6.0, 10.0, 14.75), strict=True):
        wanted = [(pytest.approx(at, abs=0.03), pytest.approx(at + CLICK, abs=0.03)) for at in clicks]
        assert (out / row["source"]).resolve() == (tape / "tape.flac").resolve()
        times = (row["start"] + row.get("offset", 0) + row["hop"] * np.arange(len(row["codes"]))) / row["sample_rate"]
        assert outer([(time, time) for time, code in zip(times, row["codes"], strict=True) if code != room]) == wanted
        grid, eaf = out / "textgrid" / f"{row['id']}.TextGrid", out / "elan" / f"{row['id']}.eaf"
        for tiers in (read_textgrid(grid), read_eaf(eaf)):
            units = tiers[1].intervals
            assert outer([(start, stop) for start, stop, unit in units if unit != str(room)]) == wanted
            spoken = [(start, stop) for start, stop, _ in tiers[0].intervals]
            assert outer(spoken) == outer([(start, stop) for start, stop, _ in units])
            assert units[-1][1] == pytest.approx(end, abs=0.001)
        bounds = [float(line.split("=")[1]) for line in grid.read_text().splitlines()[3:5]]
        assert bounds == [0, (row["start"] + row["num_samples"]) / 16000]
        media = ET.parse(eaf).find(".//MEDIA_DESCRIPTOR").get("RELATIVE_MEDIA_URL")
        assert (eaf.parent / media).resolve() == (tape / "tape.flac").resolve()


def outer(intervals):
    """From the first to the last of some intervals, if there are any."""
    return [(intervals[0][0], intervals[-1][1])] if intervals else []


def named(*names, codes=(0, 0, 1, 1, 1, 0), size=2):
    """Records of 40 ms a frame."""
    return [
        UnitRecord(
            id=name,
            codes=np.array([codes], np.int64),
            hop=640,
            sample_rate=16000,
            sizes=(size,),
            num_samples=640 * len(codes),
            bundle="0",
            extra={"start": 5 * 16000, "source": "tape.wav"},
        )
        for name in names
    ]


def phones(model, records, path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return figures(records, all_speech(records), model, items=None, alignment=path)["phones"]


def all_speech(records):
    """Segments as if all were speech."""
    return {record.id: [Segment(0, record.num_samples)] for record in records}


def test_an_alignment_counts_from_a_segment_s_own_beginning(model, tmp_path):
    found = phones(model, named("a"), tmp_path / "a.ctm", "a 1 0.00 0.08 m", "a 1 0.08 0.11 i", "a 1 0.19 0.05 m")
    # frames are centred on 0, 40, 80, 120, 160 and 200 ms
    assert found == {"names": ["i", "m"], "counts": [[0, 3], [3, 0]], "recordings": 1, "mended": {}}


def test_an_alignment_goes_by_the_id_or_by_a_last_part_that_no_other_has(model, tmp_path):
    records = named("x/1", "y/1", "y/2", "3")
    one = lambda *names: phones(model, records, tmp_path / "a.ctm", *(f"{name} 1 0 0.01 a" for name in names))  # noqa: E731
    assert one("x/1", "y/1", "2", "3")["recordings"] == 4
    assert one("1", "2")["recordings"] == 1
    assert one("x/1", "1")["counts"] == [[1], [0]]
    for name in ("1", "elsewhere/2", "nobody"):
        with pytest.raises(InputError, match=rf"a\.ctm: no alignment of any of the 4 .* names {name}, they are .*x/1"):
            one(name)


@pytest.fixture(scope="module")
def spoken(model, tmp_path_factory):
    """Recordings of two speakers, and items that name them by the last part of their ids."""
    folder = tmp_path_factory.mktemp("spoken")
    lines = ["#file onset offset #phone prev-phone next-phone speaker"]
    for speaker in ("ana", "bo"):
        (folder / "in" / speaker).mkdir(parents=True)
        for index in range(2):
            name = f"{speaker}{index}"
            soundfile.write(folder / "in" / speaker / f"{name}.wav", babble(1, seed=len(lines)), 16000)
            lines += [f"{name} {0.1 * k:.1f} {0.1 * k + 0.1:.1f} {'ai'[k % 2]} x y {speaker}" for k in range(8)]
    recordings = build(folder / "in", "parent").recordings
    encode_corpus(model, recordings, folder / "units")
    (folder / "all.item").write_text("\n".join(lines))
    return folder, recordings, list(read_units(folder / "units"))


EVERY = {"max_size_group": None, "max_x_across": None}


def test_abx_is_that_of_the_vectors_and_items_of_recordings_left_out_are_counted(model, spoken):
    folder, recordings, records = spoken
    items = read_items(folder / "all.item")
    vectors = {each.path.stem: model.represent(each)[0] for each in recordings}
    found = figures(records, all_speech(records), model, items=folder / "all.item", alignment=None)
    for condition in ("within", "across"):
        wanted = 100 * abx(vectors, items, speaker=condition, frame_rate=100, **EVERY).error
        assert found["abx"][f"{condition} speakers"] == pytest.approx(wanted)
    assert found["abx_items"] == {"scored": 32, "left_out": 0}
    less = figures(records[:2], all_speech(records[:2]), model, items=folder / "all.item", alignment=None)
    kept = [item for item in items if item.speaker == "ana"]
    assert less["abx"] == {"within speakers": 100 * abx(vectors, kept, speaker="within", frame_rate=100, **EVERY).error}
    assert less["abx_items"] == {"scored": 16, "left_out": 16}
    with pytest.raises(InputError, match="ana0: in the items, but is none of the 1 recordings"):
        figures(named("other"), all_speech(named("other")), model, items=folder / "all.item", alignment=None)
    with pytest.raises(InputError, match="ana0: in the items, but fits several"):
        figures(
            [*records, replace(records[0], id="cy/ana0")],
            all_speech([*records, replace(records[0], id="cy/ana0")]),
            model,
            items=folder / "all.item",
            alignment=None,
        )


def test_the_page_shows_figures_and_what_they_leave_out(model, spoken, tmp_path):
    folder, recordings, records = spoken
    (tmp_path / "a.ctm").write_text("ana0 1 0.1 0.2 a\n")
    report = figures(
        records[:2], all_speech(records[:2]), model, items=folder / "all.item", alignment=tmp_path / "a.ctm"
    )
    data = shown(report, records[:2], recordings, model, tmp_path)
    assert data.abx == report["abx"]
    assert data.phone_matrix.phones == ["a"]
    assert data.phone_matrix.counts.sum() == 20  # frames of 10 ms
    assert data.warnings == [
        "mind",
        "ABX is scored on 16 of 32 items; the others name no recording used here",
        "phones are known of 1 of 2 recordings only",
    ]


def shown(report, records, recordings, model, out, spoken=()):
    document = {
        **report,
        "options": {"system": "kmeans"},
        "corpus": {
            "recordings": 2,
            "minutes": 1,
            "speakers": {"a": {"recordings": 2, "minutes": 1, "speech_minutes": 1}},
            "speech_minutes": 1,
        },
        "warnings": ["mind"],
        "failures": [],
        "passed": [],
    }
    by_id = {each.id: each for each in recordings}
    return page(document, records, by_id, all_speech(records), spoken, model, out)


def test_examples_are_cut_from_the_tape_where_they_say(model, written, segments, tape):
    out, records, _ = written
    data = shown(
        figures(list(records.values()), all_speech(records.values()), model, items=None, alignment=None),
        records.values(),
        segments,
        model,
        out,
    )
    whole = audio.read(tape / "tape.flac")
    assert set(data.examples) == {0, 1}
    loud = 1 - records["t/middle"].codes[0, 50]
    assert sorted(each.recording for each in data.examples[loud]) == ["t/early", "t/late"]
    for each in [*data.examples[0], *data.examples[1]]:
        first = round(each.seconds * 16000)
        part = each.samples[100:1900]  # the ends of a resampled part ring
        lags = [float(part @ whole[first + 100 + lag :][: len(part)]) for lag in range(-20, 21)]
        assert abs(int(np.argmax(lags)) - 20) <= 1  # samples
    for each in data.examples[loud]:
        (click,) = [at for at in CLICKS if each.seconds <= at < each.seconds + len(each.samples) / 16000]
        peak = each.seconds + int(np.abs(each.samples).argmax()) / 16000
        assert click <= peak <= click + CLICK


def test_of_a_long_recording_only_what_is_shown_is_read(model, tmp_path, monkeypatch):
    path = tmp_path / "sounds" / "long.wav"
    path.parent.mkdir()
    sound = np.tile(babble(10), 9)
    soundfile.write(path, sound, 16000)
    recording = Recording(id="long", path=path)
    (record,) = named("long", codes=(0, 1) * 1125)
    record = replace(record, extra={})
    sizes = []
    read = audio.read

    def counted(*arguments):
        sizes.append(len(samples := read(*arguments)))
        return samples

    monkeypatch.setattr(audio, "read", counted)
    report = figures([record], all_speech([record]), model, items=None, alignment=None)
    data = shown(report, [record], [recording], model, tmp_path, [(recording, record)])
    assert max(sizes) == 15 * 16000
    (pair,) = data.pairs
    np.testing.assert_array_equal(pair.original, pair.resynthesis)
    np.testing.assert_allclose(pair.original, sound[: 15 * 16000], atol=2**-15)
    assert (pair.codes == record.codes[0, :375]).all()


def test_figures_are_of_speech_alone_and_of_everything_beside(model):
    (record,) = named("a", codes=(0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0))
    # frames 1 to 4, and from 5 to 8
    speech = {"a": [Segment(700, 640 * 4 + 1), Segment(640 * 4, 640 * 9)]}
    found = figures([record], speech, model, items=None, alignment=None)
    spoken, everything = found["on_speech"], found["on_everything"]
    assert spoken["usage"] == [3, 5]
    assert spoken["run_lengths"] == {1: 1, 2: 2, 3: 1}
    assert spoken["mean_run_ms"] == 80
    assert spoken["seconds"] == pytest.approx(8 * 0.04)
    assert everything["usage"] == [6, 6]
    assert everything["seconds"] == pytest.approx(0.48)
    share = np.array([3, 5]) / 8
    bits = -(share * np.log2(share)).sum()
    assert spoken["perplexity"] == pytest.approx(2**bits)
    assert spoken["bit_rates"]["zerospeech"] == pytest.approx(25 * bits)
    assert spoken["bit_rates"]["nominal"] == everything["bit_rates"]["nominal"] == 25


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 3000)), max_size=6), st.integers(1, 8000))
def test_speech_of_any_segments_lies_in_order_and_no_frame_counts_twice(lengths, num_samples):
    frames = -(-num_samples // 640)
    record = replace(named("a", codes=tuple(range(frames)), size=frames)[0], num_samples=num_samples)
    at, segments = 0, []
    for gap, length in lengths:
        segments.append(Segment(at + gap, at + gap + length))
        at += gap + length
    found = [int(code) for first, codes in in_speech(record, segments) for code in codes[0]]
    spoken = {frame for part in segments for frame in range(part.start // 640, -(-part.end // 640))}
    assert found == sorted(spoken & set(range(frames)))
    for first, codes in in_speech(record, segments):
        assert codes[0, 0] == first


def test_the_page_lists_recordings_with_their_annotations(model, written, segments):
    out, records, _ = written
    found = list(records.values())
    data = shown(figures(found, all_speech(found), model, items=None, alignment=None), found, segments, model, out)
    assert [each.id for each in data.listed] == ["t/early", "t/middle", "t/late"]
    assert data.listed[1].seconds == pytest.approx(4.0)
    for each in data.listed:
        for address in each.links.values():
            assert (out / unquote(address)).is_file()
