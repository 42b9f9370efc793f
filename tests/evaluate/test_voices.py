"""Whose voice is heard, and which tune: known answers, persons, voices nobody knows, trackers."""

import json

import numpy as np
import pytest
import soundfile

from protophone.errors import InputError
from protophone.evaluate.resynthesis import Measures, evaluate_resynthesis
from protophone.evaluate.sources import recordings_of
from protophone.evaluate.voices import persons_of
from tests.evaluate.judges import use_fakes


def tone(hz, seconds=0.6):
    return 0.3 * np.sin(0.3 + 2 * np.pi * hz * np.arange(round(16000 * seconds)) / 16000)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Ana hums low and bo high; all sounds are bo's. The last two recordings of each are of the split train."""
    use_fakes(monkeypatch)
    lines = []
    (tmp_path / "out").mkdir()
    for number in range(8):
        name, speaker = f"r{number}", ("ana", "bo")[number % 2]
        soundfile.write(tmp_path / f"{name}.wav", tone(2000 + 2000 * (number % 2) + 10 * number), 16000)
        soundfile.write(tmp_path / "out" / f"{name}.wav", tone(4000 + 10 * number), 16000)
        split = "train" if number >= 4 else "dev"
        lines.append({"id": name, "audio": f"{name}.wav", "speaker": speaker, "split": split})
    return write(tmp_path, lines), tmp_path / "out", lines


def write(folder, lines):
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def measured(manifest, sounds, **options):
    measures = Measures(speaker=True, embedder="zeros", **options)
    return evaluate_resynthesis(manifest, sounds, measures, split="dev")


def angle(hz):
    return 2 * np.pi * hz / 16000


def test_similarity_is_the_cosine_of_the_voices(made):
    results = measured(*made[:2])
    expected = [np.cos(angle(4000 + 10 * n) - angle(2000 + 2000 * (n % 2) + 10 * n)) for n in range(4)]
    assert results["speaker similarity to the original"].value == pytest.approx(np.mean(expected), abs=0.01)
    assert results["speaker similarity to the original"].better == "higher"
    assert results["own speaker nearer than any other"].value == 0.5  # bo's two sounds are his
    told = [each.line() for each in results.left_out]
    assert any("speaker EER: 2 people tested: an equal error rate needs 20" in line for line in told)


def test_converted_voices_are_held_against_source_and_target(made):
    results = measured(*made[:2], voice="bo")
    assert results["speaker similarity to the source's original"].better == "lower"
    figure = results["target bo nearer than the source"]
    assert (figure.value, figure.count) == (1, 2)
    assert figure.note == "Wilson's interval, for all draws are alike"
    assert figure.interval[0] == pytest.approx(1 / (1 + 1.959964**2 / 2))  # n / (n + z^2)
    assert any("target nearer: the original is by bo already" in each.reason for each in results.left_out)
    assert (
        results["speaker similarity to bo"].value > 0.9 > results["speaker similarity to the source's original"].value
    )


def test_a_voice_that_nobody_has_is_an_error(made):
    with pytest.raises(InputError, match="--voice cy: no recording of this speaker .*; speakers are: ana, bo"):
        measured(*made[:2], voice="cy")


def test_two_speakers_may_be_one_person(made, tmp_path):
    manifest, sounds, lines = made
    for options, rows in (
        ({"one_person": ("ana,bo",)}, lines),
        ({}, [line | {"person": "ana and bo"} for line in lines]),
    ):
        results = measured(write(tmp_path, rows), sounds, **options)
        told = [each.line() for each in results.left_out]
        assert "not measured: own speaker nearer: there is no second person to hold the sounds against" in told
    with pytest.raises(InputError, match="--one-person ana,cy: no recording of cy"):
        measured(manifest, sounds, one_person=("ana,cy",))
    assert persons_of(recordings_of(manifest, None)) == {"ana": "ana and bo", "bo": "ana and bo"}


def test_speakers_nobody_names_or_knows_are_told(made, tmp_path):
    _, sounds, lines = made
    unnamed = [{key: value for key, value in line.items() if key != "speaker"} for line in lines]
    results = measured(write(tmp_path, unnamed), sounds)
    assert [figure.name for figure in results.figures] == ["speaker similarity to the original"]
    assert [(each.count, each.reason[:20]) for each in results.left_out] == [(4, "no speaker is named ")]
    alone = measured(write(tmp_path, lines[:4]), sounds)
    assert [figure.name for figure in alone.figures] == ["speaker similarity to the original"]
    assert "no other recordings of ana to know the speaker by (--enrol)" in alone.left_out[0].reason
    elsewhere = tmp_path / "others.jsonl"
    elsewhere.write_text("".join(json.dumps(line) + "\n" for line in lines[4:]))
    known = measured(write(tmp_path, lines[:4]), sounds, enrol=elsewhere)
    assert known["own speaker nearer than any other"].value == 0.5


def test_recordings_that_no_embedder_takes_are_left_out(made, tmp_path):
    manifest, sounds, _ = made
    soundfile.write(tmp_path / "r7.wav", np.zeros(16000), 16000)  # of those bo is known by
    soundfile.write(sounds / "r0.wav", np.zeros(100), 16000)
    results = measured(manifest, sounds)
    assert results["speaker similarity to the original"].count == 3
    told = {each.examples: each.reason for each in results.left_out}
    assert "bo is not known by them" in told["r7",]
    assert "no speaker embedding" in told["r0",]
    for path in sounds.iterdir():
        soundfile.write(path, np.zeros(100), 16000)
    with pytest.raises(InputError, match="none of 4 pairs has a speaker embedding"):
        measured(manifest, sounds)


def hum(hz, seconds=0.5):
    return sum(tone(hz * harmonic, seconds) / harmonic for harmonic in range(1, 6))


@pytest.fixture
def hummed(tmp_path):
    """Recordings at 120 Hz and above, sounds a tenth higher but for r0, the same, and r1, an octave up."""
    lines = []
    (tmp_path / "out").mkdir()
    for number in range(4):
        hz = 120 + 20 * number
        soundfile.write(tmp_path / f"r{number}.wav", hum(hz), 16000)
        soundfile.write(tmp_path / "out" / f"r{number}.wav", hum(hz * (1, 2, 1.1, 1.1)[number]), 16000)
        lines.append({"id": f"r{number}", "audio": f"r{number}.wav"})
    return write(tmp_path, lines), tmp_path / "out"


@pytest.mark.parametrize("tracker", ["protophone", "praat"])
def test_pitch_errors_are_those_that_were_made(hummed, tracker):
    if tracker == "praat":
        pytest.importorskip("parselmouth")
    results = evaluate_resynthesis(*hummed, Measures(f0=True, tracker=tracker))
    assert results["F0 gross pitch error (GPE)"].value == pytest.approx(0.25, abs=0.03)
    cents = np.sqrt((0 + 1200**2 + 2 * (1200 * np.log2(1.1)) ** 2) / 4)
    assert results["F0 RMSE"].value == pytest.approx(cents, rel=0.05)
    assert results["F0 voicing decision error (VDE)"].value < 0.05
    assert results["F0 frame error (FFE)"].protocol["tracker"] == tracker
    assert results.settings["f0"]["floor_hz"] == 60


def test_the_tracker_is_praat_s_where_it_is_installed(hummed, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert evaluate_resynthesis(*hummed, Measures(f0=True)).settings["f0"]["tracker"] == "protophone"


def test_sounds_of_other_lengths_have_no_tune_to_compare(hummed):
    manifest, sounds = hummed
    soundfile.write(sounds / "r3.wav", hum(180, 0.4), 16000)
    soundfile.write(sounds / "r2.wav", hum(160, 0.505), 16000)  # 5 ms more are cut
    results = evaluate_resynthesis(manifest, sounds, Measures(f0=True, tracker="protophone"))
    (left,) = (each for each in results.left_out if each.what == "recordings")
    assert (left.count, left.examples) == (1, ("r3",))
    assert "0.40 s where the original has 0.50 s" in left.reason
    assert results["F0 frame error (FFE)"].count == 3
    for path in sounds.iterdir():
        soundfile.write(path, hum(180, 0.3), 16000)
    with pytest.raises(InputError, match="no pitch to compare in any of 4 recordings, the first r0: 0.30 s"):
        evaluate_resynthesis(manifest, sounds, Measures(f0=True, tracker="protophone"))


def test_silence_has_no_pitch_and_that_is_said(hummed):
    manifest, sounds = hummed
    for path in sounds.iterdir():
        soundfile.write(path, np.zeros(8000), 16000)
    results = evaluate_resynthesis(manifest, sounds, Measures(f0=True, tracker="protophone"))
    assert results["F0 voicing decision error (VDE)"].value > 0.9
    told = [each.line() for each in results.left_out]
    assert any(line.startswith("not measured: F0 gross pitch error (GPE)") for line in told)
