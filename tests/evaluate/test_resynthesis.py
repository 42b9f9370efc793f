"""Sounds beside their originals, by judges that know the answer: pairs, words, quality, what intervals are over."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from protophone.errors import InputError
from protophone.evaluate.intelligibility import titles_of
from protophone.evaluate.results import write_results
from protophone.evaluate.resynthesis import Measures, evaluate_resynthesis, pairs_of
from protophone.evaluate.sources import recordings_of
from tests.evaluate.judges import SAID, use_fakes
from tests.evaluate.made import write_sounds


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Originals of 0.6 s and longer, and sounds that are the same but for r0, which is quiet, and r1, which is cut."""
    folder = tmp_path_factory.mktemp("resynthesis")
    manifest = write_sounds(folder / "in")
    (folder / "out").mkdir()
    for path in sorted((folder / "in").glob("*.wav")):
        sound, rate = soundfile.read(path)
        sound = 0.5 * sound if path.stem == "r0" else sound[: len(sound) // 2] if path.stem == "r1" else sound
        soundfile.write(folder / "out" / path.name, sound, rate, subtype="PCM_16")
    return manifest, folder / "out"


@pytest.fixture
def fakes(monkeypatch):
    return use_fakes(monkeypatch)


def test_each_recording_is_paired_with_the_sound_of_its_id(made, tmp_path):
    manifest, sounds = made
    found = recordings_of(manifest, "dev")
    pairs, left_out = pairs_of(found, sounds, "error")
    assert [(pair.id, pair.sound.name) for pair in pairs] == [(r.id, f"{r.id}.wav") for r in found]
    assert left_out == []
    np.testing.assert_array_equal(pairs[2].read_sound(), pairs[2].read_original())
    shutil.copy(sounds / "r0.wav", tmp_path / "r0.wav")
    with pytest.raises(InputError, match="no sound of 3 of 4 recordings, the first r1; make them, .*--missing skip"):
        pairs_of(found, tmp_path, "error")
    pairs, (left,) = pairs_of(found, tmp_path, "skip")
    assert ([pair.id for pair in pairs], left.count, left.examples) == (["r0"], 3, ("r1", "r2", "r3"))
    (tmp_path / "r0.wav").unlink()
    with pytest.raises(InputError, match="no sound of 4 of 4"):
        pairs_of(found, tmp_path, "skip")
    with pytest.raises(InputError, match="no such folder"):
        pairs_of(found, tmp_path / "none", "skip")


def test_nothing_asked_for_is_an_error(made):
    with pytest.raises(InputError, match="nothing to measure; give --asr MODEL, --f0, --speaker, --quality"):
        evaluate_resynthesis(*made, Measures())


def test_a_sound_that_cannot_be_read_is_counted_not_scored(made, fakes, tmp_path):
    manifest, sounds = made
    broken = shutil.copytree(sounds, tmp_path / "broken")
    whole = evaluate_resynthesis(manifest, broken, Measures(asr=("any",)))
    (broken / "r0.wav").write_bytes(b"RIFF")
    results = evaluate_resynthesis(manifest, broken, Measures(asr=("any",)))
    assert results["CER"].count == whole["CER"].count - 1
    assert results["CER, untouched"].count == results["CER"].count
    (left,) = [each for each in results.left_out if "not heard" in each.reason]
    assert (left.count, left.examples) == (1, ("r0",))
    for path in broken.glob("*.wav"):
        path.write_bytes(b"RIFF")
    with pytest.raises(InputError, match="pairs of sounds can be read; the first: .*r0.wav"):
        evaluate_resynthesis(manifest, broken, Measures(asr=("any",)))


def test_words_are_counted_beside_those_of_the_untouched(made, fakes, tmp_path):
    manifest, sounds = made
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for number, row in enumerate(rows):
        samples = soundfile.info(manifest.parent / row["audio"]).frames
        row["text"] = " ".join(SAID[: round(samples / 1600)]) if number != 3 else "wrong"
        row["audio"] = str(manifest.parent / row["audio"])
    rows[5]["text"] = ""
    rows[4]["language"] = "xx"
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = evaluate_resynthesis(texts, sounds, Measures(asr=("any",)))
    words = [len(row["text"].split()) for row in rows[:4]]
    untouched = round(soundfile.info(manifest.parent / "r3.wav").frames / 1600)  # all that is heard of r3 is wrong
    half = words[1] - round(soundfile.info(sounds / "r1.wav").frames / 1600)
    assert results["WER, untouched"].value == pytest.approx(untouched / sum(words))
    assert results["WER"].value == pytest.approx((1 + half + untouched) / sum(words))
    assert results["WER / untouched"].value == pytest.approx((1 + half + untouched) / untouched)
    told = {each.reason: each.examples for each in results.left_out}
    assert told == {
        "no text in the manifest": ("r5",),
        "the recogniser does not know the language xx": ("r4",),
    }
    stated = results.settings["intelligibility"]
    assert stated["recogniser"] == {"recognizer": "loudness 1", "beam": 5}
    assert "casefolded" in stated["normalization"]
    assert results["WER"].protocol == stated["recogniser"]
    assert {"original", "sounds"} == set(results.hashes)


def test_two_recognizers_stand_beside_each_other_under_their_names(made, monkeypatch, tmp_path):
    judge, _ = use_fakes(monkeypatch)
    one = evaluate_resynthesis(*made, Measures(asr=("any",)))
    models = [tmp_path / "base", tmp_path / "small"]
    both = evaluate_resynthesis(*made, Measures(asr=tuple(map(str, models))), work=tmp_path / "out")
    for name in ("CER", "WER, untouched", "WER / untouched, capped"):
        for model in ("base", "small"):
            assert both[f"{name}, by {model}"].value == one[name].value
    assert len({figure.name for figure in both.figures}) == len(both.figures) == 2 * len(one.figures)
    assert set(both.settings) >= {"intelligibility, by base", "intelligibility, by small"}
    assert judge.settings.items() <= both["CER, by base"].protocol.items()
    with pytest.raises(InputError, match="a recognizer named twice"):
        evaluate_resynthesis(*made, Measures(asr=("any", "any")))
    assert titles_of(["a/base", "b/base"]) == {"a/base": "a/base", "b/base": "b/base"}
    assert titles_of(["a/base", "pocketsphinx"]) == {"a/base": "base", "pocketsphinx": "pocketsphinx"}


def test_what_was_heard_is_not_heard_again(made, fakes, tmp_path):
    judge, _ = fakes
    one = evaluate_resynthesis(*made, Measures(asr=("any",)), work=tmp_path)
    heard = judge.heard
    assert 0 < heard <= 12  # a sound that is its original is heard once
    other = evaluate_resynthesis(*made, Measures(asr=("any",)), work=tmp_path)
    assert judge.heard == heard
    assert [figure.row() for figure in one.figures] == [figure.row() for figure in other.figures]


def test_without_a_text_there_is_nothing_to_score(fakes, tmp_path):
    manifest = write_sounds(tmp_path, files=2, text=False)
    with pytest.raises(InputError, match="none of 2 recordings can be scored by any: 2: no text in the manifest"):
        evaluate_resynthesis(manifest, tmp_path, Measures(asr=("any",)))


def test_quality_is_the_mean_of_those_it_says_something_of(made, fakes, tmp_path):
    _, asked = fakes
    results = evaluate_resynthesis(*made, Measures(quality=True), split="dev", work=tmp_path)
    loud = {path.stem: np.abs(soundfile.read(path)[0]).max() for path in made[1].glob("*.wav")}
    assert results["DNSMOS overall"].value == pytest.approx(np.mean([loud[f"r{n}"] for n in range(4)]), abs=1e-4)
    assert results["DNSMOS overall, untouched"].value == pytest.approx(0.3, abs=1e-3)
    original, _ = soundfile.read(made[0].parent / "r0.wav")
    quiet = np.abs(original - soundfile.read(made[1] / "r0.wav")[0]).mean()
    assert results["STOI"].count == 3
    assert results["STOI"].value == pytest.approx(quiet / 3, rel=1e-3)  # r2 and r3 are as they were
    assert results["mel-cepstral distortion"].count == 4
    assert {(each.count, each.examples) for each in results.left_out} == {(1, ("r1",))}
    stft = "multi-resolution STFT, spectral convergence; multi-resolution STFT, log magnitude"
    assert f"{stft}; log-spectral distance; STOI: lengths differ" in [each.reason for each in results.left_out]
    assert len(asked) == 4
    again = evaluate_resynthesis(*made, Measures(quality=True), split="dev", work=tmp_path)
    assert len(asked) == 4
    assert [figure.row() for figure in again.figures] == [figure.row() for figure in results.figures]


def test_other_sound_under_the_same_name_is_judged_again(made, fakes, tmp_path):
    _, asked = fakes
    sounds = shutil.copytree(made[1], tmp_path / "sounds")
    evaluate_resynthesis(made[0], sounds, Measures(quality=True), work=tmp_path)
    soundfile.write(sounds / "r2.wav", np.zeros(1600), 16000)
    evaluate_resynthesis(made[0], sounds, Measures(quality=True), work=tmp_path)
    assert len(asked) == 7


def test_a_sound_that_is_none_is_left_out_of_quality(made, fakes, tmp_path):
    sounds = shutil.copytree(made[1], tmp_path / "sounds")
    (sounds / "r2.wav").write_text("no sound")
    results = evaluate_resynthesis(made[0], sounds, Measures(quality=True))
    assert results["mel-cepstral distortion"].count == 5
    assert any("r2.wav" in each.reason for each in results.left_out)


def test_intervals_over_speakers_are_refused_where_they_are_few(made, fakes):
    with pytest.raises(InputError, match="2 speakers: an interval over speakers needs 20"):
        evaluate_resynthesis(*made, Measures(quality=True, over="speakers"))


def test_intervals_over_speakers_weigh_all_of_one_speaker_alike(made, fakes, tmp_path):
    rows = [json.loads(line) for line in made[0].read_text().splitlines()]
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    many = []
    for number in range(40):
        row = rows[number % 4]
        shutil.copy(made[1] / f"{row['id']}.wav", sounds / f"m{number}.wav")
        many.append(
            row | {"id": f"m{number}", "audio": str(made[0].parent / row["audio"]), "speaker": f"s{number % 20}"}
        )
    manifest = tmp_path / "many.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in many))
    results = evaluate_resynthesis(manifest, sounds, Measures(quality=True, over="speakers"))
    figure = results["mel-cepstral distortion"]
    assert (figure.count, figure.over) == (20, "speakers")
    recordings = evaluate_resynthesis(manifest, sounds, Measures(quality=True))["mel-cepstral distortion"]
    assert (recordings.count, recordings.value) == (40, pytest.approx(figure.value))
    many[3].pop("speaker")
    manifest.write_text("".join(json.dumps(row) + "\n" for row in many))
    with pytest.raises(InputError, match="m3: its speaker is not named"):
        evaluate_resynthesis(manifest, sounds, Measures(quality=True, over="speakers"))


def test_what_is_missing_is_said_before_the_work(made, fakes, monkeypatch, tmp_path):
    judge, asked = fakes
    monkeypatch.setitem(__import__("sys").modules, "parselmouth", None)
    for measures, message in (
        (Measures(asr=("any",), f0=True, tracker="praat"), r"pip install 'protophone\[praat\]'"),
        (Measures(asr=("any",), speaker=True, embedder="none"), "no speaker embedder of this name"),
        (Measures(asr=("any",), speaker=True, embedder="zeros", enrol=tmp_path / "none"), "none: not there"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate_resynthesis(*made, measures)
    write_results(tmp_path, evaluate_resynthesis(*made, Measures(quality=True)))
    before = len(asked)
    with pytest.raises(InputError, match="holds results of another evaluation"):
        evaluate_resynthesis(made[0], made[0].parent, Measures(asr=("any",), quality=True), work=tmp_path)
    assert (judge.heard, len(asked)) == (0, before)


def test_the_order_of_recordings_changes_nothing(made, fakes, tmp_path):
    lines = made[0].read_text().splitlines()
    turned = made[0].with_name("turned.jsonl")
    turned.write_text("".join(line + "\n" for line in reversed(lines)))
    measures = Measures(asr=("any",), quality=True, speaker=True, embedder="zeros")
    one, other = (evaluate_resynthesis(path, made[1], measures, split="dev") for path in (made[0], turned))
    assert len(one.figures) > 15
    for a, b in zip(one.figures, other.figures, strict=True):
        assert (a.key, a.value, a.interval) == (
            b.key,
            pytest.approx(b.value, rel=1e-9),
            b.interval and pytest.approx(b.interval, rel=1e-9),
        )
