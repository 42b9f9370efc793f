import json
import os
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl

from protophone import audio
from protophone.errors import AudioError, InputError
from protophone.metrics.intelligibility import normalize_text
from protophone.recognizers import (
    PocketsphinxRecognizer,
    Remembered,
    TextRecognizer,
    WhisperRecognizer,
    load_recognizer,
    transcribe_all,
)
from tests.conftest import babble, corpus


def prompt(name="train/en/en-conf-onlyperson.opus"):
    return corpus("prompts") / name


class Counting(TextRecognizer):
    """Answers how many samples it was given, and remembers how often it was asked."""

    languages = frozenset({"en", "fr"})

    def __init__(self, beam=5, workers=1, seconds=0.0):
        self.settings = {"recognizer": "counting 1", "beam": beam}
        self.workers = workers
        self.asked = 0
        self.seconds = seconds
        self._counting = threading.Lock()

    def transcribe(self, samples, language):
        self.check(samples, language)
        with self._counting:
            self.asked += 1
        time.sleep(self.seconds)
        return f"{len(samples)} «{language}»\n"


@pytest.fixture
def clips(tmp_path):
    found = []
    for number in range(6):
        path = tmp_path / f"{number}.wav"
        audio.write(path, babble(0.2 + 0.1 * number, seed=number), 16000)
        found.append((path, "en" if number % 2 else "fr"))
    return found


def expected(clips):
    return [f"{audio.probe(path).num_samples} «{language}»\n" for path, language in clips]


@pytest.mark.parametrize("workers", [1, 3])
def test_answers_come_in_the_order_of_the_clips(clips, workers):
    steps = []
    assert transcribe_all(Counting(workers=workers), clips, steps.append) == expected(clips)
    assert steps == [1] * 6
    assert transcribe_all(Counting(), []) == []


def test_a_clip_that_cannot_be_heard_ends_the_work(clips, tmp_path):
    recognizer = Counting(seconds=0.02)
    with pytest.raises(AudioError, match=r"absent\.wav"):
        transcribe_all(recognizer, [(tmp_path / "absent.wav", "en"), *clips * 10])
    assert recognizer.asked < 60
    with pytest.raises(InputError, match="'de': not a language of counting 1, which knows 2 \\(en, fr\\)"):
        transcribe_all(Counting(), [(clips[0][0], "de")])


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (np.zeros(800), "float64"),
        (np.zeros((1, 800), np.float32), r"\(1, 800\)"),
        (np.full(800, np.nan, np.float32), "not finite"),
    ],
)
def test_sound_of_another_kind_is_refused(samples, match):
    with pytest.raises(InputError, match=match):
        Counting().transcribe(samples, "en")


@pytest.mark.parametrize("workers", [1, 3])
def test_what_was_heard_is_remembered(clips, tmp_path, workers):
    path = tmp_path / "kept" / "heard.jsonl"
    first = Counting(workers=workers)
    assert transcribe_all(Remembered(first, path), clips) == expected(clips)
    again = Counting()
    assert transcribe_all(Remembered(again, path), clips) == expected(clips)
    assert (first.asked, again.asked) == (6, 0)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["value"] for line in lines) == sorted(expected(clips))


def test_only_the_same_sound_language_and_settings_are_remembered(tmp_path):
    path = tmp_path / "heard.jsonl"
    sound = babble(0.2)
    Remembered(Counting(), path).transcribe(sound, "en")
    louder = sound.copy()
    louder[7] += 1e-6
    for beam, samples, language in ((5, sound, "fr"), (5, louder, "en"), (4, sound, "en")):
        other = Counting(beam)
        Remembered(other, path).transcribe(samples, language)
        assert other.asked == 1
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4


def test_interrupted_work_goes_on(clips, tmp_path):
    path = tmp_path / "heard.jsonl"
    transcribe_all(Remembered(Counting(), path), clips[:3])
    whole = path.read_bytes()
    for cut in (1, 20, len(whole.splitlines(keepends=True)[-1]) - 1):  # killed in the middle of the third line
        path.write_bytes(whole[:-cut])
        recognizer = Counting()
        assert transcribe_all(Remembered(recognizer, path), clips[:3]) == expected(clips[:3])
        assert recognizer.asked == 1
        assert path.read_bytes() == whole


def test_a_first_line_cut_short_is_made_again(tmp_path):
    path = tmp_path / "heard.jsonl"
    path.write_text('{"key": "' + "a" * 9000, encoding="utf-8")
    sound = babble(0.2)
    Remembered(Counting(), path).transcribe(sound, "en")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1
    again = Counting()
    assert Remembered(again, path).transcribe(sound, "en") == "3200 «en»\n"
    assert again.asked == 0


def test_another_file_is_not_written_to(tmp_path):
    path = tmp_path / "manifest.jsonl"
    for content in ('{"id": "a"}\n', "text\n", "[1]\n"):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match="1: not a kept answer"):
            Remembered(Counting(), path)
        assert path.read_text(encoding="utf-8") == content
    with pytest.raises(InputError, match="cannot be read"):
        Remembered(Counting(), tmp_path)


def test_recognisers_name_what_is_missing(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "faster_whisper", None)
        patch.setitem(sys.modules, "pocketsphinx", None)
        with pytest.raises(InputError, match=r"pip install 'protophone\[asr\]'"):
            load_recognizer(tmp_path)
        with pytest.raises(InputError, match=r"pip install 'protophone\[pocketsphinx\]'"):
            load_recognizer("pocketsphinx")
    pytest.importorskip("faster_whisper")
    with pytest.raises(InputError, match=r"no model\.bin or config\.json or tokenizer\.json"):
        load_recognizer(tmp_path)
    for name in ("nothing-of-this-name", "no/such/model", "nowhere/"):
        with pytest.raises(InputError, match=f"{name}: not a faster-whisper model"):
            load_recognizer(name)
    with pytest.raises(InputError, match="0 workers"):
        WhisperRecognizer(tmp_path, workers=0)
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="cannot load it"):
        load_recognizer(tmp_path)


@pytest.fixture(scope="module")
def whisper():
    folder = os.environ.get("PROTOPHONE_WHISPER")
    if not folder:
        pytest.skip("PROTOPHONE_WHISPER does not name the folder of a faster-whisper model")
    return load_recognizer(folder)


def test_whisper_hears_a_prompt(whisper):
    samples = audio.read(prompt("dev/en/en-conf-locked.flac"))
    assert normalize_text(whisper.transcribe(samples, "en"), "en") == "this conference is locked"


def test_whisper_answers_alike_however_many_it_hears_at_once(whisper):
    clips = [(prompt(), "en"), (prompt("dev/en/en-conf-locked.flac"), "en")]
    alone = WhisperRecognizer(os.environ["PROTOPHONE_WHISPER"], workers=1)
    assert alone.settings == whisper.settings
    assert transcribe_all(alone, clips) == transcribe_all(whisper, clips[::-1])[::-1]


def test_whisper_hears_with_other_threads_what_it_heard_before(whisper):
    sound = audio.read(prompt())
    extract = whisper._model.feature_extractor
    with threadpoolctl.threadpool_limits(1):
        one = extract(sound)
    with threadpoolctl.threadpool_limits(2):
        two = extract(sound)
    assert one.dtype == np.float32
    assert np.array_equal(one, two)  # with full matrices one in a hundred differs in its last bit
    dense = faster_whisper_features(extract, sound)
    assert np.abs(one - dense).max() < 1e-5


def faster_whisper_features(extract, sound):
    """What its own extractor, as it comes, makes of the sound."""
    from faster_whisper.feature_extractor import FeatureExtractor

    return FeatureExtractor(feature_size=extract.mel_filters.shape[0])(sound)


def test_whisper_states_what_its_answers_hang_on(whisper):
    assert json.loads(json.dumps(whisper.settings)) == whisper.settings
    assert whisper.settings["beam_size"] == 5
    assert whisper.settings["temperature"] == 0
    assert len(whisper.settings["model"]) == 16
    assert WhisperRecognizer(os.environ["PROTOPHONE_WHISPER"], beam_size=1).settings["beam_size"] == 1


def test_whisper_refuses_what_it_cannot_take(whisper):
    with pytest.raises(InputError, match="'mdw': not a language of faster-whisper"):
        whisper.transcribe(babble(0.5), "mdw")
    assert whisper.transcribe(np.zeros(0, np.float32), "en") == ""


@pytest.fixture(scope="module")
def sphinx():
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    return PocketsphinxRecognizer()


def test_pocketsphinx_hears_a_prompt_as_if_it_were_the_first(sphinx):
    clip = audio.read(prompt("dev/en/en-confbridge-mute-in.flac"))  # "To mute or unmute yourself..."
    noise = (0.3 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    sphinx.transcribe(noise, "en")  # a decoder that remembers it hears "to mute or can you eat yourself"
    assert sphinx.transcribe(clip, "en") == "two new to port and mute yourself"


def test_pocketsphinx_states_its_options_and_knows_english_alone(sphinx):
    assert json.loads(json.dumps(sphinx.settings)) == sphinx.settings
    assert sphinx.settings["cmn"] == "batch"
    assert sphinx.settings["dither"] is False
    with pytest.raises(InputError, match="'it': not a language of pocketsphinx .* knows 1 \\(en\\)"):
        sphinx.transcribe(babble(0.5), "it")


@pytest.mark.parametrize("length", [0, 1, 100])
def test_pocketsphinx_says_nothing_of_next_to_nothing(sphinx, length):
    assert sphinx.transcribe(np.zeros(length, np.float32), "en") == ""
