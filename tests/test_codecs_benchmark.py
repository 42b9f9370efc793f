"""What the benchmark of others' codecs rests on: bytes that are sound, delays, what is kept, what is missing."""

import importlib.util
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from protophone import audio
from protophone.bundle import add_part
from protophone.codec import EntropyModel, unpack
from protophone.codec.tracks import Stream, tracks_of
from protophone.errors import InputError
from protophone.evaluate.compare import compare
from protophone.evaluate.figure import counted, estimated
from protophone.evaluate.results import Results
from protophone.evaluate.sources import recordings_of
from protophone.metrics.interval import estimate, ratio
from protophone.model import load
from protophone.progress import silent
from tests.conftest import babble
from tests.evaluate.made import write_sounds
from tests.packing import CONFIG, context_model


def _benchmark():
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "codecs.py"
    spec = importlib.util.spec_from_file_location("codecs_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


benchmark = _benchmark()


def _page(*segments: int) -> bytes:
    header = b"OggS" + struct.pack("<BBqIII", 0, 0, 0, 1, 0, 0)
    return header + bytes([len(segments), *segments]) + bytes(sum(segments))


def test_bytes_of_sound_are_those_of_all_packets_but_the_two_headers():
    assert benchmark.opus_payload(_page(19) + _page(60) + _page(20, 30) + _page(40)) == 90
    assert benchmark.opus_payload(_page(19) + _page(255, 255) + _page(10) + _page(255, 0, 7)) == 262  # headers go on
    assert benchmark.opus_payload(_page(19) + _page(60) + _page(255) + _page(5)) == 260  # a packet over two pages
    with pytest.raises(InputError, match="no Ogg page at byte 47 of 50"):
        benchmark.opus_payload(_page(19) + b"xyz")


@pytest.mark.parametrize("delay", [-12, 0, 17])
def test_a_delay_is_found_though_every_phase_is_lost(delay):
    sound = babble(1.5, seed=3)
    sound *= np.repeat(np.random.default_rng(1).uniform(0.05, 1, 15), 1600).astype(np.float32)
    late = np.roll(-sound, 16 * delay)
    spectrum = np.fft.rfft(late)
    turned = np.fft.irfft(spectrum * np.exp(2j), len(late))  # every harmonic turned by the same angle
    assert abs(benchmark.lateness(sound, turned) - delay) <= 1


def test_silence_has_no_delay():
    assert benchmark.lateness(babble(0.5), np.zeros(8000, np.float32)) == 0


class _Half:
    """A codec of one byte a sample, half of them sound; it remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def codec(self, cut=0, rate=8):
        def compress(recording):
            self.asked.append(recording.id)
            return np.rint(127 * audio.read(recording, 16000)).astype(np.int8).tobytes()

        def decompress(data):
            return np.frombuffer(data, np.int8)[: len(data) - cut].astype(np.float32) / 127

        return benchmark.Codec("half", ".i8", {"rate": rate}, compress, decompress, lambda data: len(data) // 2)


@pytest.fixture
def recordings(tmp_path):
    return recordings_of(write_sounds(tmp_path / "in"), "dev")


def test_bits_are_those_of_the_files_over_the_seconds_of_the_originals(recordings, tmp_path):
    codec = _Half()
    with silent("", 1) as advance:
        found = benchmark.speak(codec.codec(), recordings, tmp_path / "out", advance)
    files, payload, delay = found.figures
    assert (files.value, payload.value, delay.value) == (pytest.approx(8 * 16000), pytest.approx(4 * 16000), 0)
    rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    for row, recording in zip(rows, recordings, strict=True):
        size = (tmp_path / "out" / "files" / f"{recording.id}.i8").stat().st_size
        assert (row["id"], row["bits"], row["text"]) == (recording.id, 8 * size, recording.text)
        made, original = (audio.read(path) for path in (tmp_path / "out" / row["audio"], recording))
        assert row["seconds"] == len(original) / 16000
        assert len(made) == len(original)
        np.testing.assert_allclose(made, original, atol=1 / 127)


def test_an_interrupted_run_goes_on_and_other_settings_are_refused(recordings, tmp_path):
    codec = _Half()
    with silent("", 1) as advance:
        benchmark.speak(codec.codec(), recordings, tmp_path / "out", advance)
        (tmp_path / "out" / "sounds" / "r1.wav").unlink()
        codec.asked.clear()
        benchmark.speak(codec.codec(), recordings, tmp_path / "out", advance)
        assert codec.asked == ["r1"]
        with pytest.raises(InputError, match="sounds of other settings or recordings; name another --out"):
            benchmark.speak(codec.codec(rate=9), recordings, tmp_path / "out", advance)
        with pytest.raises(InputError, match="samples came back of .*; half lost its end"):
            benchmark.speak(codec.codec(cut=3), recordings, tmp_path / "other", advance)


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="^opusenc: not installed; .*: apt-get install opus-tools$"):
        benchmark.opus()
    with pytest.raises(InputError, match="^c2enc: not installed; .*: apt-get install codec2$"):
        benchmark.codec2(1200)


def test_the_table_has_a_column_a_codec_and_every_paired_difference():
    names = [str(number) for number in range(20)]
    unshown = counted("CER, en", 0.5, "share", "")

    def results(errors):
        found = [estimated("CER", estimate(ratio(np.full(20, errors), np.full(20, 8)), names), "share", better="lower")]
        return Results(title="x", figures=[counted(benchmark.FILES, 100 * errors, "bit/s", ""), *found, unshown])

    assert benchmark.table(compare({"a": results(2), "b": results(1)})).splitlines() == [
        "| | a | b |",
        "|---|---|---|",
        f"| {benchmark.FILES} | 200.0 bit/s | 100.0 bit/s |",
        "| CER | 25.00 % | 12.50 % |",
        "",
        "| figure | codecs | difference | |",
        "|---|---|---|---|",
        "| CER | a - b | 12.50 (12.50 to 12.50) points | real: b is better |",
    ]


def test_a_bundle_of_ours_packs_each_voice_by_name_and_speaks_it(tiny_bundle, tiny_corpus, tmp_path):
    shutil.copytree(tiny_bundle, tmp_path / "tiny" / "bundle")
    model = load(tmp_path / "tiny" / "bundle")
    content = Stream.of(model.encode(tiny_corpus / "ana" / "0.wav").content)
    tracks = tracks_of(content, None, 2, CONFIG.lags, CONFIG.pitch_lags)
    tables = {track.name: context_model(track.sizes, track.groups, track.size) for track in tracks}
    entropy = EntropyModel(CONFIG, content, None, ("ana", "bo"), tables, {})
    add_part(tmp_path / "tiny" / "bundle", "entropy", entropy.part())
    codec = benchmark.ours(tmp_path / "tiny" / "bundle")
    assert codec.name == "tiny"
    for recording in recordings_of(tiny_corpus / "manifest.jsonl", None):
        data = codec.compress(recording)
        assert unpack(data, entropy).voice == recording.speaker
        assert codec.payload(data) == len(data) - 7  # version, bundle, checksum
        np.testing.assert_allclose(codec.decompress(data), model.decode(model.encode(recording))[0], atol=1e-6)


@pytest.mark.parametrize(("name", "rate"), [("opus", None), ("codec2", 1200), ("codec2", 2400)])
def test_what_the_programs_speak_is_on_time_and_as_long(name, rate, tmp_path):
    needed = "opusenc" if name == "opus" else "c2enc"
    if shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed")
    sound = babble(2.013, seed=5) * np.abs(np.sin(np.arange(32208) / 2000)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="PCM_16")
    codec = benchmark.opus() if rate is None else benchmark.codec2(rate)
    (recording,) = recordings_of(tmp_path / "a.wav", None)
    data = codec.compress(recording)
    made = codec.decompress(data)[: len(sound)]
    assert len(sound) - 2 <= len(made)
    assert abs(benchmark.lateness(sound, made)) <= 8
    if rate is not None:  # frames of 40 and 20 ms, which hold the sound and 17 ms
        frame = {1200: 0.04, 2400: 0.02}[rate]
        assert len(data) == 6 * np.ceil((2.013 + 0.017) / frame)
    else:
        assert 0.5 < 8 * codec.payload(data) / 2.013 / 6000 < 1.2
        assert codec.payload(data) < len(data)
