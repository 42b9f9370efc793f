"""Every fault of a submission to a ZeroSpeech challenge is named, with the file and the cure."""

import shutil
import wave

import numpy as np
import pytest

from protophone.formats.submission import Fault, validate_submission, write_submission
from tests.submissions import MAKE, ONE_HOT, faults_of

yaml = pytest.importorskip("yaml", reason="PyYAML (protophone[submission]) is not installed")


@pytest.fixture
def written(tmp_path):
    def make(kind):
        arrays, metadata, copies = MAKE[kind](tmp_path)
        write_submission(tmp_path / "out", kind, arrays, metadata, copies=copies)
        return tmp_path / "out"

    return make


def test_an_empty_folder_is_told_everything_it_lacks(tmp_path):
    faults = faults_of(tmp_path, "abxLS")
    for name in ("meta.yaml", "params.yaml", "dev-clean", "dev-other", "test-clean", "test-other"):
        assert any(fault.startswith(f"{name}: not there") for fault in faults)
    assert any("neither 2017 nor 2019" in fault for fault in faults_of(tmp_path, "zerospeech2020"))
    assert any(fault.startswith("english/test: no such folder") for fault in faults_of(tmp_path, "zerospeech2019"))


def test_files_that_are_required_are_looked_for(written):
    folder = written("zerospeech2019")
    required = ["english/test/S1.txt", "english/test/S9.txt"]
    report = validate_submission(folder, "zerospeech2019", required=required)
    assert report.faults == (Fault("english/test/S9.txt", "not there", "the challenge wants it: write it"),)
    assert report.unchecked == ()


def text(content):
    return lambda path: path.write_text(content)


def array(value):
    return lambda path: np.save(path, value)


def without(*keys, **more):
    def change(path):
        entries = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump({k: v for k, v in entries.items() if k not in keys} | more))

    return change


def with_entry(key, value):
    return without(**{key: value})


def remove(path):
    path.unlink()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("metadata.yaml", remove, "metadata.yaml: not there"),
        ("metadata.yaml", text("a: [1"), "metadata.yaml: not YAML"),
        ("metadata.yaml", text("only words"), "metadata.yaml: holds no entries"),
        ("metadata.yaml", without("author"), "no entry 'author'"),
        ("metadata.yaml", without("auxiliary1 description"), "no entry 'auxiliary1 description'"),
        ("metadata.yaml", with_entry("affiliation", ""), "'affiliation' is empty; fill it in"),
        ("metadata.yaml", with_entry("open source", "yes"), "'open source' is 'yes'; make it true or false"),
        ("metadata.yaml", with_entry("author", True), "'author' is True; make it text"),
        ("metadata.yaml", with_entry("abx distance", "cosine"), "distance 'cosine'; choose one of dtw_cosine, dtw_kl"),
        ("code/where.txt", remove, "code: empty or not there, but open source is true"),
        ("english/test/S1.txt", text(""), "english/test/S1.txt: 1: no vectors"),
        ("english/test/S1.txt", text("1 0 0 0\n1 0 0\n"), "english/test/S1.txt: 2: 3 numbers where line 1 has 4"),
        ("english/test/S1.txt", text("1 0 0 x\n"), "english/test/S1.txt: 1: could not convert"),
        ("english/test/S1.txt", text("1 0 0 nan\n"), "english/test/S1.txt: 1: a number that is not finite"),
        ("english/test/S1.txt", text("1 0 0 0\n1 0  0 0\n"), "line 2: spaces that part no numbers"),
        ("english/test/S1.txt", text("1 0 0 0 \n1 0 0 0\n"), "line 1: spaces that part no numbers"),
        ("english/test/S2.txt", text("1 0\n"), "vectors of 2 numbers where english/test/S1.txt has 4"),
        ("surprise/test/V001_1.wav", text("no sound"), "V001_1.wav: not a WAV file"),
        ("surprise/test/V001_1.wav", remove, "surprise/test: no .wav file in it"),
    ],
)
def test_faults_of_2019_are_named(written, name, change, words):
    folder = written("zerospeech2019")
    change(folder / name)
    (fault,) = faults_of(folder, "zerospeech2019")
    assert words in fault
    assert fault.count("; ") >= 1
    assert "\n" not in fault


def test_auxiliary_embeddings_come_in_order_and_in_both_languages(written):
    folder = written("zerospeech2019")
    for language in ("english", "surprise"):
        (folder / language / "auxiliary_embedding1").rename(folder / language / "auxiliary_embedding2")
    faults = faults_of(folder, "zerospeech2019")
    assert any("auxiliary_embedding2 without auxiliary_embedding1" in fault for fault in faults)
    assert any("no entry 'auxiliary2 description'" in fault for fault in faults)
    (folder / "english" / "auxiliary_embedding2").rename(folder / "english" / "auxiliary_embedding1")
    faults = faults_of(folder, "zerospeech2019")
    assert any(fault.startswith("surprise/auxiliary_embedding1: not there, but for english") for fault in faults)


def test_silence_and_negative_numbers_under_divergence_are_faults(written):
    folder = written("zerospeech2019")
    with_entry("abx distance", "dtw_kl")(folder / "metadata.yaml")
    assert not faults_of(folder, "zerospeech2019")
    (folder / "english/test/S1.txt").write_text("0.5 -0.5 1 0\n")
    with wave.open(str(folder / "english/test/V001_1.wav"), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
    faults = faults_of(folder, "zerospeech2019")
    assert len(faults) == 2
    assert "divergence makes chance" in faults[0]
    assert "no sound in it" in faults[1]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("notes.txt", text("x"), "notes.txt: nothing the challenge knows"),
        ("2019/notes.txt", text("x"), "2019/notes.txt: nothing the challenge knows"),
        ("2019/metadata.yaml", with_entry("author", "x"), "2019/metadata.yaml: an entry 'author'"),
        ("2017/metadata.yaml", with_entry("hyperparameters", None), "'hyperparameters' is empty"),
        ("2017/code/where.txt", remove, "2017/code: empty or not there"),
        ("2017/track1/french/1s/a.txt", text("0 1 0 0 0\n0 1 0 0 0\n"), "times that do not grow"),
        ("2017/track1/french/1s/a.txt", text("x\n"), "2017/track1/french/1s/a.txt: 1: "),
        ("2017/track1/LANG1/10s/b.txt", text("0 1\n"), "vectors of 2 numbers where 2017/track1/LANG1/10s/a.txt has 5"),
        ("2017/track1/LANG2/120s/a.txt", text("0\n1\n"), "one number a line"),
        ("2017/track1/LANG2/120s/a.txt", remove, "2017/track1/LANG2/120s: no .txt file"),
        ("2017/track2/LANG2.txt", remove, "2017/track2/LANG2.txt: not there"),
        ("2017/track2/english.txt", text("Class 1\na 1 0\n\n"), "2017/track2/english.txt: 2: a fragment from 1.0"),
        ("2017/track2/english.txt", text("Class 1\na 0 1\n"), "no empty line at its end"),
    ],
)
def test_faults_of_2020_are_named(written, name, change, words):
    folder = written("zerospeech2020")
    change(folder / name)
    (fault,) = faults_of(folder, "zerospeech2020")
    assert words in fault


def test_a_part_of_2020_is_enough_and_closed_source_shows_no_code(written):
    folder = written("zerospeech2020")
    with_entry("open source", False)(folder / "metadata.yaml")
    faults = faults_of(folder, "zerospeech2020")
    assert [fault.split(":")[0] for fault in faults] == ["2017/code", "2019/code"]
    shutil.rmtree(folder / "2019")
    shutil.rmtree(folder / "2017" / "code")
    shutil.rmtree(folder / "2017" / "track1")
    assert not faults_of(folder, "zerospeech2020")
    shutil.rmtree(folder / "2017" / "track2")
    (fault,) = faults_of(folder, "zerospeech2020")
    assert "neither track1 nor track2" in fault


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("notes.txt", text("x"), "notes.txt: nothing the challenge knows"),
        ("params.yaml", text("seed: 1"), "no entry 'feature_size'"),
        ("params.yaml", with_entry("feature_size", 20), "the feature_size 20; give the frame shift in seconds"),
        ("params.yaml", with_entry("feature_size", True), "'feature_size' is True; make it a number"),
        ("params.yaml", with_entry("distance_mode", "euclidean"), "choose one of euclidian, cosine"),
        ("params.yaml", with_entry("max_size", 3), "an entry 'max_size'"),
        ("meta.yaml", with_entry("benchmark_name", "sLM21"), "make it abxLS"),
        ("meta.yaml", with_entry("model_info", {"train_set": "x"}), "no entry 'system_description'"),
        ("meta.yaml", with_entry("model_info", "x"), "'model_info' is 'x'; make it entries of its own"),
        ("meta.yaml", with_entry("code_url", "<optional(str): a url>"), "still that of the template"),
        ("dev-clean/84-1.npy", array(ONE_HOT), "float32 numbers, which the toolkit refuses; write them as float64"),
        ("dev-clean/84-1.npy", array(np.ones((1, 4))), "1 frames; give two"),
        ("dev-clean/84-1.npy", array(np.ones(4)), "float64 of 1 axes"),
        ("dev-clean/84-1.npy", array(np.array([["a"]])), "<U1 of 2 axes"),
        ("dev-clean/84-1.npy", array(np.full((2, 4), np.nan)), "not finite"),
        ("dev-clean/84-1.npy", text("x"), "dev-clean/84-1.npy: not a .npy file of numbers"),
        ("dev-clean/84-2.npy", array(np.ones((2, 3))), "frames of 3 numbers where dev-clean/84-1.npy has 4"),
    ],
)
def test_faults_of_abxls_are_named(written, name, change, words):
    folder = written("abxLS")
    change(folder / name)
    (fault,) = faults_of(folder, "abxLS")
    assert words in fault


def test_abxls_in_text_files_is_read_too(written):
    folder = written("abxLS")
    with_entry("score_file_type", ".txt")(folder / "params.yaml")
    assert all(": no .txt file in it" in fault for fault in faults_of(folder, "abxLS"))
    for path in folder.rglob("*.npy"):
        np.savetxt(path.with_suffix(".txt"), np.load(path))
        path.unlink()
    assert not faults_of(folder, "abxLS")


def test_every_fault_is_named_not_the_first_alone(written):
    folder = written("abxLS")
    for path in folder.rglob("*.npy"):
        np.save(path, np.ones((1, 4), np.float32))
    without("open_source")(folder / "meta.yaml")
    assert len(faults_of(folder, "abxLS")) == 8 * 2 + 1
