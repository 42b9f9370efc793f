import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protophone.errors import InputError
from protophone.metrics.intelligibility import (
    AGAINST,
    NORMALIZATION,
    count_errors,
    count_text_errors,
    error_rate,
    intelligibility,
    normalize_text,
    phone_errors,
    scorable,
)
from protophone.metrics.interval import estimate, ratio, weights_of
from protophone.types import Recording
from tests.reference.edits import corpus_rate, distance, macro_rate

NO_BREAK = ["tʃ", "a b", "", "ʃ", " "]  # symbols that words could not be


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
        ("ja", "今日は、 いい天気。", "今日はいい天気"),
        ("th", "R\u00b8", "\u0157"),  # the bare cedilla comes with a space, which goes
        ("en", "...", ""),
    ],
)
def test_normaliser(language, text, expected):
    assert normalize_text(text, language) == expected
    assert normalize_text(expected, language) == expected


def test_normaliser_does_not_see_how_letters_are_composed():
    assert normalize_text("cafe\u0301 ﬁn \uff21\uff22", "fr") == normalize_text("CAFÉ fin ab", "fr") == "café fin ab"


@given(st.text(), st.sampled_from(["en", "fr", "ru", "th"]))
def test_normalising_again_changes_nothing(text, language):
    once = normalize_text(text, language)
    assert normalize_text(once, language) == once
    assert once == once.strip()
    assert "  " not in once


REFERENCES = ["the cat sat", "on", "a mat", ""]
ANSWERS = ["The bat sat down.", "on", "", "oh no"]
ENGLISH = ["en"] * 4
NAMES = ["a", "b", "c", "d"]


def test_words_and_characters_by_hand():
    errors, lengths = count_text_errors(REFERENCES, ANSWERS, ENGLISH, "word")
    assert errors.tolist() == [2, 0, 2, 2]
    assert lengths.tolist() == [3, 1, 2, 0]
    errors, lengths = count_text_errors(REFERENCES, ANSWERS, ENGLISH, "character")
    assert errors.tolist() == [1 + 5, 0, 5, 5]  # a space is a character
    assert lengths.tolist() == [11, 2, 5, 0]


def test_words_of_languages_without_spaces_are_characters():
    errors, lengths = count_text_errors(["今日は いい天気"], ["今日はいい転機"], ["ja"], "word")
    assert (errors.tolist(), lengths.tolist()) == ([2], [7])


def sequences(symbols):
    return st.lists(st.sampled_from(symbols), max_size=9)


@given(sequences(NO_BREAK), sequences(NO_BREAK), sequences(NO_BREAK))
def test_errors_are_an_edit_distance(a, b, c):
    (ab, ba, ac, cb, aa), lengths = count_errors([a, b, a, c, a], [b, a, c, b, a])
    assert ab == distance(a, b)
    assert ab == ba
    assert aa == 0
    assert (ab == 0) == (a == b)
    assert ab <= ac + cb
    assert abs(len(a) - len(b)) <= ab <= max(len(a), len(b))
    assert lengths.tolist() == [len(a), len(b), len(a), len(c), len(a)]


def noisy(rng, count=40):
    """Texts, what a fair recogniser would hear in them, and what a poor one would."""
    words = np.array(["ba", "bo", "la", "lu", "mi", "na"])
    texts, fair, poor = [], [], []
    for _ in range(count):
        text = rng.choice(words, rng.integers(2, 9))
        texts.append(" ".join(text))
        fair.append(" ".join(word if rng.random() > 0.1 else rng.choice(words) for word in text))
        poor.append(" ".join(word for word in text if rng.random() > 0.5))
    return texts, fair, poor


def test_everything_agrees_with_plain_loops():
    texts, fair, poor = noisy(np.random.default_rng(0))
    found = intelligibility(texts, poor, fair, [str(i) for i in range(40)], ["en"] * 40)
    words = [[text.split() for text in side] for side in (texts, poor, fair)]
    assert found.wer.estimate.value == pytest.approx(corpus_rate(words[0], words[1]))
    assert found.cer.estimate.value == pytest.approx(corpus_rate(texts, poor))
    assert found.untouched_wer.estimate.value == pytest.approx(corpus_rate(words[0], words[2]))
    assert found.untouched_cer.estimate.value == pytest.approx(corpus_rate(texts, fair))
    assert found.wer_ratio.value == pytest.approx(corpus_rate(words[0], words[1]) / corpus_rate(words[0], words[2]))
    assert found.cer_ratio.value == pytest.approx(corpus_rate(texts, poor) / corpus_rate(texts, fair))
    assert found.wer.empty == sum(not text for text in poor)
    assert (found.untouched_wer.empty, found.wer.clips, found.by_language) == (0, 40, {})
    assert found.wer.length == sum(map(len, words[0]))
    assert found.wer.errors == round(found.wer.estimate.value * found.wer.length)


def test_one_recording_that_a_recogniser_stammers_over_does_not_decide_the_capped_rates():
    texts, fair, poor = noisy(np.random.default_rng(5))
    names, languages = [str(i) for i in range(40)], ["en"] * 40
    plain = intelligibility(texts, poor, fair, names, languages)
    stammered = intelligibility(texts, poor, [fair[0] + " la" * 500, *fair[1:]], names, languages)
    assert stammered.wer_ratio.value < plain.wer_ratio.value / 5
    one, other = plain.capped, stammered.capped
    assert other.untouched_wer.errors <= one.untouched_wer.errors + len(texts[0].split())
    assert other.wer_ratio.value == pytest.approx(one.wer.errors / other.untouched_wer.errors)
    assert other.wer_ratio.value > plain.wer_ratio.value / 2
    for rates in (one, other):
        for rate in (rates.wer, rates.cer, rates.untouched_wer, rates.untouched_cer):
            assert 0 <= rate.estimate.value <= 1
            assert (rate.estimate.draws <= 1).all()
    assert (one.wer.errors, one.wer.empty, one.capped) == (plain.wer.errors, plain.wer.empty, None)  # words left out
    assert other.cer_ratio.interval[0] < other.cer_ratio.value < other.cer_ratio.interval[1]


def test_pinned():
    texts, fair, poor = noisy(np.random.default_rng(0))
    found = intelligibility(texts, poor, fair, [str(i) for i in range(40)], ["en"] * 40)
    assert found.wer.estimate.value == pytest.approx(82 / 198)
    assert found.cer_ratio.interval == pytest.approx((5.4734, 16.4524), abs=1e-4)


def test_ratio_is_paired():
    texts, fair, _ = noisy(np.random.default_rng(1))
    same = intelligibility(texts, fair, fair, texts, ["en"] * 40)
    assert (same.wer_ratio.value, same.wer_ratio.interval) == (1, (1, 1))  # unpaired draws would spread
    assert same.wer.estimate.interval[0] < same.wer.estimate.interval[1]
    baseline = np.arange(1, 30)
    names = [str(i) for i in baseline]
    assert estimate(ratio(3 * baseline, baseline), names).interval == pytest.approx((3, 3))


def test_order_of_recordings_changes_nothing():
    texts, fair, poor = noisy(np.random.default_rng(2))
    names, languages = [str(i) for i in range(40)], ["en", "it"] * 20
    one = intelligibility(texts, poor, fair, names, languages)
    order = np.random.default_rng(3).permutation(40)
    other = intelligibility(*([side[i] for i in order] for side in (texts, poor, fair, names, languages)))
    assert other.wer.estimate.value == one.wer.estimate.value
    assert other.wer.estimate.interval == pytest.approx(one.wer.estimate.interval)
    assert other.cer_ratio.interval == pytest.approx(one.cer_ratio.interval)
    assert other.by_language["it"].cer.errors == one.by_language["it"].cer.errors


def test_languages_apart_are_what_they_are_alone():
    texts, fair, poor = noisy(np.random.default_rng(4))
    names, languages = [str(i) for i in range(40)], ["en", "it"] * 20
    found = intelligibility(texts, poor, fair, names, languages)
    assert sorted(found.by_language) == ["en", "it"]
    alone = intelligibility(texts[1::2], poor[1::2], fair[1::2], names[1::2], ["it"] * 20)
    assert found.by_language["it"].wer.estimate.interval == alone.wer.estimate.interval
    assert found.by_language["it"].wer_ratio.value == alone.wer_ratio.value
    assert sum(part.cer.errors for part in found.by_language.values()) == found.cer.errors


def test_result_states_how_it_was_made():
    found = intelligibility(["a b", "c"], ["a b", "c"], ["a b", "c"], ["x", "y"], ["en", "en"])
    assert (found.wer.estimate.value, found.wer.estimate.interval) == (0, (0, 0))
    assert found.wer_ratio is None  # nothing was misheard in the untouched recordings
    assert found.against == AGAINST
    assert found.normalization == NORMALIZATION
    assert "br, ca, co, fr, it, oc, sc" in NORMALIZATION


PHONES = [["m", "a", "tʃ"], ["a"], ["n", "a", "n", "a"]]
HEARD = [["m", "a"], ["a", "a", "a"], ["n", "a", "n", "a"]]


def test_phone_errors_of_corpus_and_of_recordings_differ():
    found = phone_errors(PHONES, HEARD, ["x", "y", "z"])
    assert (found.corpus.errors, found.corpus.length, found.corpus.empty) == (3, 8, 0)
    assert found.corpus.estimate.value == pytest.approx(3 / 8)
    assert found.macro.value == pytest.approx((1 / 3 + 2 + 0) / 3)
    assert found.corpus.estimate.value == corpus_rate(PHONES, HEARD)
    assert found.macro.value == pytest.approx(macro_rate(PHONES, HEARD))


def test_draws_of_phone_errors_agree_with_plain_loops():
    found = phone_errors(PHONES, HEARD, ["x", "y", "z"])
    for draw, (x, y, z) in enumerate(weights_of(["x", "y", "z"])[:5]):
        assert found.corpus.estimate.draws[draw] == pytest.approx((x + 2 * y) / (3 * x + y + 4 * z))
        assert found.macro.draws[draw] == pytest.approx((x / 3 + 2 * y) / (x + y + z))


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(InputError, match="2 references and 1 answers"):
        count_errors(["a", "b"], ["a"])
    with pytest.raises(InputError, match="2 references, 2 answers, 1 languages"):
        count_text_errors(["a", "b"], ["a", "b"], ["en"], "word")
    with pytest.raises(InputError, match="nothing in them"):
        intelligibility(["", "?"], ["a", "b"], ["a", "b"], ["x", "y"], ["en", "en"])
    with pytest.raises(InputError, match="names of 1"):
        error_rate(np.array([1, 2]), np.array([3, 3]), ["x"])
    with pytest.raises(InputError, match="was everything left out"):
        intelligibility([], [], [], [], [])
    with pytest.raises(InputError, match="^y: no phone in its reference, as of 1 of 2"):
        phone_errors([["a"], []], [["a"], ["a"]], ["x", "y"])


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        lengths = rng.integers(5, 40, 60)
        errors = rng.binomial(lengths, 0.2)
        low, high = error_rate(errors, lengths, [f"{trial} {i}" for i in range(60)]).estimate.interval
        covered += low <= 0.2 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_interval_narrows_with_recordings():
    rng = np.random.default_rng(1)
    lengths = rng.integers(5, 40, 400)
    errors = rng.binomial(lengths, 0.3)
    names = [str(i) for i in range(400)]
    few = error_rate(errors[:25], lengths[:25], names[:25]).estimate.interval
    many = error_rate(errors, lengths, names).estimate.interval
    assert many[1] - many[0] < (few[1] - few[0]) / 2


def recording(name, language=None, text="one two"):
    return Recording(id=name, path=name + ".wav", language=language, text=text)


def test_which_recordings_can_be_scored():
    recordings = [
        recording("a", "en"),
        recording("b", "mdw"),
        recording("c"),
        recording("d", "en", text=" ... "),
        recording("e", "it"),
        recording("f", text=None),
    ]
    found = scorable(recordings, {"en", "fr", "it"}, "fr")
    assert found.kept == (0, 2, 4)
    assert found.languages == ("en", "fr", "it")  # a manifest's word goes before what is said for all
    assert found.left_out == {
        "the recogniser does not know the language mdw": ("b",),
        "no text in the manifest": ("d", "f"),
    }
    with pytest.raises(InputError, match="^c: its language is not known; .*--language"):
        scorable(recordings, {"en", "it"})
