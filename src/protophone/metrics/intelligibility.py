"""Word and character error rates of what a recogniser hears: whether the words are still there.

Conventions: rates are corpus-level, errors of all clips over length of all references, so a clip weighs by its
length; every clip counts, and an empty answer is as many deletions as its reference is long. Characters include the
single spaces between words. Texts are compared after ``normalize_text``; numbers stay as they are written.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jiwer
import numpy as np

from protophone.errors import InputError
from protophone.metrics.interval import bootstrap_ratio

__all__ = [
    "ErrorRate",
    "ErrorRatio",
    "WhisperRecognizer",
    "character_errors",
    "count_errors",
    "error_rate",
    "error_ratio",
    "normalize_text",
    "word_errors",
]

_APOSTROPHES = frozenset("'’‘`´ʹ＇")  # noqa: RUF001 - what people type where an apostrophe is meant
_ELIDING = frozenset({"br", "ca", "co", "fr", "it", "oc", "sc"})  # an apostrophe ends a word: l'eau, dell'arte


def normalize_text(text: str, language: str) -> str:
    """What is compared of a text: lower-case words of letters, marks and digits, one space between them.

    Unicode NFKC, casefolded; punctuation and symbols become spaces, hyphens too. An apostrophe inside a word vanishes
    (``don't`` is ``dont``), but parts words in languages (``language``, ISO 639-1) that elide: French ``l'eau`` is
    ``l eau``, as in Italian, Catalan and their neighbours. In Russian ё is written е, as most printed text does.
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
    return " ".join("".join(kept).split())


@dataclass(frozen=True)
class ErrorRate:
    """``errors`` over ``length`` (words or characters) of ``clips`` clips, ``empty`` of them with no answer.

    ``interval`` is the 95 % bootstrap interval over clips.
    """

    rate: float
    errors: int
    length: int
    interval: tuple[float, float]
    clips: int
    empty: int


@dataclass(frozen=True)
class ErrorRatio:
    """How many times the errors of another system a system makes on the same clips; 95 % paired bootstrap interval."""

    ratio: float
    interval: tuple[float, float]


def count_errors(
    references: Sequence[str], hypotheses: Sequence[str], unit: Literal["word", "character"]
) -> tuple[np.ndarray, np.ndarray]:
    """Errors and reference length of each clip, both int64 ``[clip]``, of texts that are normalised already.

    Errors are the substitutions, deletions and insertions of the cheapest alignment, each costing one.
    """
    if len(references) != len(hypotheses):
        raise InputError(f"{len(references)} references and {len(hypotheses)} answers; give one answer a clip")
    process = jiwer.process_words if unit == "word" else jiwer.process_characters
    errors, lengths = np.zeros(len(references), np.int64), np.zeros(len(references), np.int64)
    for clip, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        lengths[clip] = len(reference.split()) if unit == "word" else len(reference)
        if not reference:  # an aligner refuses it: all that was heard is insertions
            errors[clip] = len(hypothesis.split()) if unit == "word" else len(hypothesis)
            continue
        found = process(reference, hypothesis)
        errors[clip] = found.substitutions + found.deletions + found.insertions
    return errors, lengths


def error_rate(errors: np.ndarray, lengths: np.ndarray, *, empty: int = 0, seed: int = 0) -> ErrorRate:
    """The corpus-level rate of the per-clip counts that ``count_errors`` gives, ``empty`` of them unanswered.

    Raises ``InputError`` where the references hold nothing to count.
    """
    if not np.sum(lengths):
        raise InputError(f"references of {len(lengths)} clips with no word in them; an error rate needs their text")
    return ErrorRate(
        rate=float(np.sum(errors) / np.sum(lengths)),
        errors=int(np.sum(errors)),
        length=int(np.sum(lengths)),
        interval=bootstrap_ratio(errors, lengths, seed=seed),
        clips=len(errors),
        empty=empty,
    )


def word_errors(references: Sequence[str], hypotheses: Sequence[str], *, seed: int = 0) -> ErrorRate:
    """Word error rate of ``hypotheses``, every clip counted; texts are normalised already."""
    return error_rate(*count_errors(references, hypotheses, "word"), empty=_empty(hypotheses), seed=seed)


def character_errors(references: Sequence[str], hypotheses: Sequence[str], *, seed: int = 0) -> ErrorRate:
    """Character error rate of ``hypotheses``, every clip counted; texts are normalised already."""
    return error_rate(*count_errors(references, hypotheses, "character"), empty=_empty(hypotheses), seed=seed)


def error_ratio(errors: np.ndarray, baseline: np.ndarray, *, seed: int = 0) -> ErrorRatio:
    """Ratio of two systems' error rates on the same clips, from the errors of each clip, ``[clip]``.

    The references are the same, so their lengths cancel. The bootstrap is paired: both systems are counted on the
    clips of each draw. Raises ``InputError`` where the baseline makes no error.
    """
    interval = bootstrap_ratio(errors, baseline, seed=seed)
    if not np.sum(baseline):
        raise InputError(f"the baseline makes no error on {len(baseline)} clips; a ratio to it has no meaning")
    return ErrorRatio(float(np.sum(errors) / np.sum(baseline)), interval)


def _empty(hypotheses: Sequence[str]) -> int:
    return sum(not hypothesis.strip() for hypothesis in hypotheses)


class WhisperRecognizer:
    """A Whisper model through faster-whisper, set so that figures can be compared.

    ``model`` is a folder with ``model.bin``, or the name of a model that lies in the Hugging Face cache already;
    nothing is fetched. Beam search at temperature 0 alone, language given, no voice detector, no conditioning on
    previous text, int8 on the CPU; ``settings`` says so, with the model's hash. Raises ``InputError`` where
    faster-whisper or the model is missing.
    """

    def __init__(self, model: str | Path, *, beam_size: int = 5, threads: int = 0) -> None:
        try:
            import faster_whisper
        except ImportError as error:
            raise InputError("faster-whisper is not installed; pip install 'protophone[asr]'") from error
        folder = Path(model)
        if not folder.is_dir():
            try:
                folder = Path(faster_whisper.download_model(str(model), local_files_only=True))
            except (ValueError, OSError) as error:
                raise InputError(f"{model}: {_NO_MODEL}") from error
        weights = folder / "model.bin"
        if not weights.is_file():
            raise InputError(f"{folder}: no model.bin in it; {_NO_MODEL}")
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.settings: dict[str, Any] = {
            "recognizer": f"faster-whisper {faster_whisper.__version__}",
            "model": digest[:16],
            "compute_type": "int8",
            "beam_size": beam_size,
            "temperature": 0.0,
            "vad_filter": False,
            "condition_on_previous_text": False,
            "without_timestamps": False,
        }
        self._decoding = {key: self.settings[key] for key in list(self.settings)[3:]}
        try:
            self._model = faster_whisper.WhisperModel(
                str(folder), device="cpu", compute_type="int8", cpu_threads=threads
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{folder}: faster-whisper cannot load it ({error}); fetch the model again") from error

    def transcribe(self, samples: np.ndarray, language: str) -> str:
        """What is said in ``samples`` (float32 ``[sample]``, 16 kHz), known to be in ``language`` (ISO 639-1)."""
        if language not in self._model.supported_languages:
            raise InputError(f"{language}: not a language of this model; it knows {self._model.supported_languages}")
        if samples.ndim != 1 or samples.dtype != np.float32:
            raise InputError(
                f"sound of {samples.dtype} {samples.shape}; the recogniser takes float32 [sample] at 16 kHz"
            )
        segments, _ = self._model.transcribe(samples, language=language, **self._decoding)
        return " ".join(segment.text.strip() for segment in segments)


_NO_MODEL = (
    "not a faster-whisper model on this machine; give a folder with model.bin "
    "(python -c \"import faster_whisper; faster_whisper.download_model('base', 'FOLDER')\" fetches one)"
)
