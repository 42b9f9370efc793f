"""Whether the words are still there: error rates of what a recogniser hears in sounds, beside the untouched recordings.

* **Word, character error rate**: substitutions, deletions and insertions of the cheapest alignment (Levenshtein 1966)
  over the length of the references, of all recordings together, so that each weighs by its length. Both can exceed one:
  a recogniser that stammers inserts. An empty answer is as many deletions as its reference is long, and is counted.
* **Capped**: the same, but no recording has more errors than its reference is long. A recogniser that repeats itself
  over one recording inserts hundreds of words, and that one recording then decides the rate, and more so the ratio.
* **Phone error rate**: the same of phones, and beside it the mean over recordings of each one's own rate (macro), which
  published code of the field reports under the same name.

All are against the text. Against what the recogniser hears in the original (dWER, as papers on codecs report), its own
faults cancel and figures are lower; the two do not compare. A rate says as much of the recogniser as of the sounds:
read it beside that of the untouched recordings, and as the ratio to it, which is paired.
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import jiwer
import numpy as np

from protophone.errors import InputError
from protophone.metrics.interval import Estimate, estimate, ratio
from protophone.types import Recording

__all__ = [
    "AGAINST",
    "NORMALIZATION",
    "ErrorRate",
    "Intelligibility",
    "PhoneErrors",
    "Scorable",
    "count_errors",
    "count_text_errors",
    "error_rate",
    "intelligibility",
    "normalize_text",
    "phone_errors",
    "scorable",
]

AGAINST = "the text of the recordings, not what the recogniser hears in the originals"
_APOSTROPHES = frozenset("'’‘`´ʹ＇")  # noqa: RUF001 - what people type where an apostrophe is meant
_ELIDING = frozenset({"br", "ca", "co", "fr", "it", "oc", "sc"})  # an apostrophe ends a word: l'eau, dell'arte
_UNSPACED = frozenset({"bo", "ja", "km", "lo", "my", "th", "yue", "zh"})  # written without spaces between words

_UNITS: Mapping[str, Literal["word", "character"]] = {"wer": "word", "cer": "character"}

NORMALIZATION = (
    "Unicode NFKC, casefolded; punctuation, symbols and hyphens are spaces; apostrophes vanish, but part words in "
    f"{', '.join(sorted(_ELIDING))}; Russian ё is е; numbers stay as they are written; in "  # noqa: RUF001
    f"{', '.join(sorted(_UNSPACED))} spaces vanish and each character is a word"
)


def normalize_text(text: str, language: str) -> str:
    """What is compared of a text: lower-case words of letters, marks and digits, one space between them.

    Unicode NFKC, casefolded; punctuation and symbols become spaces, hyphens too. An apostrophe inside a word vanishes
    (``don't`` is ``dont``), but parts words in languages (``language``, ISO 639-1) that elide: French ``l'eau`` is
    ``l eau``, as in Italian, Catalan and their neighbours. In Russian ё is written е, as most printed text does. In
    languages written without spaces between words, there is none.
    """
    text = "".join("'" if letter in _APOSTROPHES else letter for letter in text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if language == "ru":
        folded = folded.replace("ё", "е")  # noqa: RUF001
    apostrophe = " " if language in _ELIDING else ""
    kept = [
        letter if unicodedata.category(letter)[0] in "LMN" else apostrophe if letter == "'" else " "
        for letter in folded
    ]
    joined = ("" if language in _UNSPACED else " ").join("".join(kept).split())
    return unicodedata.normalize("NFKC", joined)  # a mark may have come to stand behind a letter


@dataclass(frozen=True)
class Scorable:
    """Which recordings can be scored: ``kept`` are their indices, ``languages`` theirs; others' ids by the reason."""

    kept: tuple[int, ...]
    languages: tuple[str, ...]
    left_out: Mapping[str, tuple[str, ...]]


def scorable(recordings: Sequence[Recording], known: Collection[str], language: str | None = None) -> Scorable:
    """The recordings with a text, in a language that the recogniser knows (``known``).

    ``language`` is that of recordings whose manifest names none. Raises ``InputError`` where one with a text remains
    without: a recogniser left to guess the language would be scored on its guess.
    """
    kept, languages = [], []
    left_out: dict[str, list[str]] = {}
    for index, recording in enumerate(recordings):
        spoken = recording.language or language
        if not normalize_text(recording.text or "", spoken or ""):
            left_out.setdefault("no text in the manifest", []).append(recording.id)
        elif not spoken:
            raise InputError(
                f"{recording.id}: its language is not known; name it in the manifest (language), or give --language"
            )
        elif spoken not in known:
            left_out.setdefault(f"the recogniser does not know the language {spoken}", []).append(recording.id)
        else:
            kept.append(index)
            languages.append(spoken)
    return Scorable(tuple(kept), tuple(languages), {reason: tuple(ids) for reason, ids in left_out.items()})


@dataclass(frozen=True, eq=False)
class ErrorRate:
    """``errors`` over ``length`` (words, characters, phones) of ``clips`` recordings, ``empty`` of them unanswered."""

    estimate: Estimate
    errors: int
    length: int
    clips: int
    empty: int


@dataclass(frozen=True, eq=False)
class Intelligibility:
    """Error rates of sounds and of the untouched recordings, and the first over the second, drawn together.

    A ratio is None where nothing was misheard in the untouched recordings, and it would have no meaning. Where there
    are several languages, ``by_language`` holds the same of each. ``capped`` holds the same with the errors of each
    recording capped at the length of its reference.
    """

    wer: ErrorRate
    cer: ErrorRate
    untouched_wer: ErrorRate
    untouched_cer: ErrorRate
    wer_ratio: Estimate | None
    cer_ratio: Estimate | None
    by_language: Mapping[str, "Intelligibility"] = field(default_factory=dict)
    capped: "Intelligibility | None" = None
    against: str = AGAINST
    normalization: str = NORMALIZATION


@dataclass(frozen=True, eq=False)
class PhoneErrors:
    """Phone error rates of the same recordings: ``corpus`` of all phones, ``macro`` the mean of each one's own rate."""

    corpus: ErrorRate
    macro: Estimate


def count_errors(references: Sequence[Sequence[str]], heard: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Errors and reference length of each recording, both int64 ``[recording]``, of sequences of symbols.

    Errors are the substitutions, deletions and insertions of the cheapest alignment, each costing one. A string is a
    sequence of characters. Raises ``InputError`` where references and answers are not equally many.
    """
    if len(references) != len(heard):
        raise InputError(f"{len(references)} references and {len(heard)} answers; give one answer a recording")
    return (
        np.array([_distance(*pair) for pair in zip(references, heard, strict=True)], np.int64),
        np.array([len(reference) for reference in references], np.int64),
    )


def count_text_errors(
    references: Sequence[str], heard: Sequence[str], languages: Sequence[str], unit: Literal["word", "character"]
) -> tuple[np.ndarray, np.ndarray]:
    """Errors and reference length of each recording, both int64 ``[recording]``, of texts as they were written.

    They are compared after ``normalize_text`` in each one's language. A space between words is a character.
    """
    if not len(references) == len(heard) == len(languages):
        raise InputError(
            f"{len(references)} references, {len(heard)} answers, {len(languages)} languages; give one of each a "
            "recording"
        )
    return count_errors(
        [_symbols(*each, unit) for each in zip(references, languages, strict=True)],
        [_symbols(*each, unit) for each in zip(heard, languages, strict=True)],
    )


def error_rate(errors: np.ndarray, lengths: np.ndarray, names: Sequence[str], *, empty: int = 0) -> ErrorRate:
    """The corpus-level rate of counts ``[recording]``, ``empty`` recordings of which were not answered.

    Raises ``InputError`` where the references hold nothing to count.
    """
    if len(names) != len(errors):
        raise InputError(f"answers for {len(errors)} recordings, names of {len(names)}; give one of each a recording")
    if len(lengths) and not np.sum(lengths):
        raise InputError(
            f"references of {len(lengths)} recordings with nothing in them; an error rate needs their text"
        )
    found = estimate(ratio(errors, lengths), names)
    return ErrorRate(found, int(np.sum(errors)), int(np.sum(lengths)), len(errors), empty)


def intelligibility(
    references: Sequence[str],
    heard: Sequence[str],
    untouched: Sequence[str],
    names: Sequence[str],
    languages: Sequence[str],
) -> Intelligibility:
    """Word and character error rates of texts as a recogniser wrote them, one of each a recording.

    ``heard`` is what was heard in the sounds, ``untouched`` what in the recordings they were made of; ``names`` are
    what intervals are over. Raises ``InputError`` where there is nothing to score, in all or in one language.
    """
    found = _both(references, heard, untouched, names, languages)
    by_language = {}
    for language in sorted(set(languages)) if len(set(languages)) > 1 else ():
        rows = [row for row, other in enumerate(languages) if other == language]
        parts = ([values[row] for row in rows] for values in (references, heard, untouched, names, languages))
        by_language[language] = _both(*parts)
    return replace(found, by_language=by_language)


def phone_errors(
    references: Sequence[Sequence[str]], heard: Sequence[Sequence[str]], names: Sequence[str]
) -> PhoneErrors:
    """Phone error rates of sequences of symbols, one a recording: of the corpus, and the mean over recordings.

    Both are of the same recordings. Raises ``InputError`` where a reference is empty, for it has no rate of its own.
    """
    errors, lengths = count_errors(references, heard)
    corpus = error_rate(errors, lengths, names, empty=sum(not len(answer) for answer in heard))
    if not lengths.all():
        raise InputError(
            f"{names[int(np.argmin(lengths))]}: no phone in its reference, as of {int(np.sum(lengths == 0))} of "
            f"{len(lengths)} recordings; leave them out"
        )
    return PhoneErrors(corpus, estimate(ratio(errors / lengths, np.ones(len(lengths))), names))


def _both(
    references: Sequence[str],
    heard: Sequence[str],
    untouched: Sequence[str],
    names: Sequence[str],
    languages: Sequence[str],
) -> Intelligibility:
    """The rates as they are, and capped."""
    counts = {
        prefix + rate: count_text_errors(references, answers, languages, unit)
        for rate, unit in _UNITS.items()
        for prefix, answers in (("", heard), ("untouched_", untouched))
    }
    empty = {
        prefix: sum(not normalize_text(*each) for each in zip(answers, languages, strict=True))
        for prefix, answers in (("", heard), ("untouched_", untouched))
    }
    capped = {name: (np.minimum(errors, lengths), lengths) for name, (errors, lengths) in counts.items()}
    return replace(_scores(counts, names, empty), capped=_scores(capped, names, empty))


def _scores(
    counts: Mapping[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str], empty: Mapping[str, int]
) -> Intelligibility:
    """Rates and ratios of errors and lengths; lengths are the same on both sides of a ratio, and cancel."""
    found: dict = {
        prefix + rate: error_rate(*counts[prefix + rate], names, empty=empty[prefix])
        for rate in _UNITS
        for prefix in empty
    }
    for rate in _UNITS:
        errors, others = counts[rate][0], counts[f"untouched_{rate}"][0]
        found[f"{rate}_ratio"] = estimate(ratio(errors, others), names) if others.any() else None
    return Intelligibility(**found)


def _symbols(text: str, language: str, unit: Literal["word", "character"]) -> Sequence[str]:
    """What is counted of a text."""
    normal = normalize_text(text, language)
    return normal if unit == "character" or language in _UNSPACED else normal.split()


def _distance(reference: Sequence[str], heard: Sequence[str]) -> int:
    if not len(reference):  # an aligner refuses it: all that was heard is insertions
        return len(heard)
    # numbers stand for the symbols, which may hold spaces or be spaces themselves
    numbers = {symbol: str(number) for number, symbol in enumerate(dict.fromkeys((*reference, *heard)))}
    found = jiwer.process_words(
        " ".join(numbers[symbol] for symbol in reference), " ".join(numbers[symbol] for symbol in heard)
    )
    return found.substitutions + found.deletions + found.insertions
