import os
import sys

import numpy as np
import pytest

from protophone.errors import InputError
from protophone.metrics.intelligibility import (
    WhisperRecognizer,
    character_errors,
    count_errors,
    error_ratio,
    normalize_text,
    word_errors,
)
from protophone.metrics.interval import bootstrap_ratio
from tests.conftest import babble, corpus


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "  To LOCK, or unlock -- don't   wait!\n", "to lock or unlock dont wait"),
        ("en", "the party\u2019s “X-Ray” [$] 7", "the partys x ray 7"),
        ("es", "¿Está el número 28.8? ¡Mañana!", "está el número 28 8 mañana"),
        ("fr", "L'appel n\u2019est pas libre : dix-huitième", "l appel n est pas libre dix huitième"),
        ("it", "E' vuota. Benvenuto nell\u2019elenco…", "e vuota benvenuto nell elenco"),
        ("ru", "Звонок «занято»: счЁт № 5", "звонок занято счет no 5"),
        ("de", "Straße & Fluß", "strasse fluss"),
        ("ln", "nábɔ́ngɔ́ na yɔ̌", "nábɔ\u0301ngɔ\u0301 na yɔ\u030c"),
        ("hi", "नमस्ते, दुनिया।", "नमस्ते दुनिया"),
        ("en", "...", ""),
    ],
)
def test_normaliser(language, text, expected):
    assert normalize_text(text, language) == expected
    assert normalize_text(expected, language) == expected


def test_normaliser_does_not_see_how_letters_are_composed():
    assert normalize_text("cafe\u0301 ﬁn \uff21\uff22", "fr") == normalize_text("CAFÉ fin ab", "fr") == "café fin ab"


REFERENCES = ["the cat sat", "on", "a mat", ""]
ANSWERS = ["the bat sat down", "on", "", "oh no"]


def test_word_errors_by_hand():
    errors, lengths = count_errors(REFERENCES, ANSWERS, "word")
    assert errors.tolist() == [2, 0, 2, 2]
    assert lengths.tolist() == [3, 1, 2, 0]
    rate = word_errors(REFERENCES, ANSWERS)
    assert (rate.errors, rate.length, rate.clips, rate.empty) == (6, 6, 4, 1)
    assert rate.rate == 1.0
    assert rate.interval[0] <= 1.0 <= rate.interval[1]


def test_character_errors_by_hand():
    errors, lengths = count_errors(REFERENCES, ANSWERS, "character")
    assert errors.tolist() == [1 + 5, 0, 5, 5]  # a space is a character
    assert lengths.tolist() == [11, 2, 5, 0]
    assert character_errors(REFERENCES, ANSWERS).rate == pytest.approx(16 / 18)


def test_characters_agree_with_plain_edit_distance():
    def distance(a, b):
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, start=1):
            before, row[0] = row[0], i
            for j, y in enumerate(b, start=1):
                before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
        return row[-1]

    rng = np.random.default_rng(0)
    texts = [" ".join("".join(rng.choice(list("abc"), 3)) for _ in range(4)) for _ in range(40)]
    errors, _ = count_errors(texts[:20], texts[20:], "character")
    assert errors.tolist() == [distance(a, b) for a, b in zip(texts[:20], texts[20:], strict=True)]


def test_faultless_answers():
    rate = word_errors(["a b", "c"], ["a b", "c"])
    assert (rate.rate, rate.interval, rate.empty) == (0, (0, 0), 0)


def test_rates_refuse_what_cannot_be_counted():
    with pytest.raises(InputError, match="2 references and 1 answers"):
        word_errors(["a", "b"], ["a"])
    with pytest.raises(InputError, match="no word in them"):
        word_errors(["", ""], ["a", "b"])
    with pytest.raises(InputError, match="makes no error"):
        error_ratio(np.array([1, 2]), np.array([0, 0]))
    with pytest.raises(InputError, match="one clip or more"):
        bootstrap_ratio(np.array([]), np.array([]))


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        lengths = rng.integers(5, 40, 60)
        errors = rng.binomial(lengths, 0.2)
        low, high = bootstrap_ratio(errors, lengths, draws=400, seed=trial)
        covered += low <= 0.2 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_interval_is_repeatable_and_narrows_with_clips():
    rng = np.random.default_rng(1)
    lengths = rng.integers(5, 40, 400)
    errors = rng.binomial(lengths, 0.3)
    assert bootstrap_ratio(errors, lengths, seed=3) == bootstrap_ratio(errors, lengths, seed=3)
    few, many = bootstrap_ratio(errors[:25], lengths[:25]), bootstrap_ratio(errors, lengths)
    assert many[1] - many[0] < (few[1] - few[0]) / 2


def test_ratio_is_paired():
    baseline = np.random.default_rng(2).integers(0, 9, 100)
    found = error_ratio(3 * baseline, baseline)
    assert found.ratio == 3
    assert found.interval == (3, 3)  # an unpaired bootstrap would spread
    rare = np.zeros(3)
    rare[0] = 1
    assert error_ratio(np.ones(3), rare).interval[1] == np.inf


def test_recogniser_names_what_is_missing(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "faster_whisper", None)
        with pytest.raises(InputError, match=r"pip install 'protophone\[asr\]'"):
            WhisperRecognizer(tmp_path)
    pytest.importorskip("faster_whisper")
    with pytest.raises(InputError, match=r"no model\.bin"):
        WhisperRecognizer(tmp_path)
    with pytest.raises(InputError, match="nothing-of-this-name: not a faster-whisper model"):
        WhisperRecognizer("nothing-of-this-name")


@pytest.fixture(scope="module")
def whisper():
    folder = os.environ.get("PROTOPHONE_WHISPER")
    if not folder:
        pytest.skip("PROTOPHONE_WHISPER does not name the folder of a faster-whisper model")
    return WhisperRecognizer(folder)


def test_whisper_hears_a_prompt(whisper):
    soundfile = pytest.importorskip("soundfile")
    samples, rate = soundfile.read(corpus("prompts") / "dev/en/en-conf-locked.flac", dtype="float32")
    assert rate == 16000
    assert normalize_text(whisper.transcribe(samples, "en"), "en") == "this conference is locked"
    assert whisper.settings["beam_size"] == 5
    assert len(whisper.settings["model"]) == 16


def test_whisper_refuses_what_it_cannot_take(whisper):
    with pytest.raises(InputError, match="xx: not a language"):
        whisper.transcribe(babble(0.5), "xx")
    with pytest.raises(InputError, match="float64"):
        whisper.transcribe(np.zeros(8000), "en")
