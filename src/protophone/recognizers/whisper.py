"""Whisper (Radford et al. 2022, arXiv 2212.04356) through faster-whisper, set so that figures can be compared."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from protophone.errors import InputError
from protophone.recognizers.base import TextRecognizer

__all__ = ["WhisperRecognizer"]

_FILES = ("model.bin", "config.json", "tokenizer.json")  # and maybe others; each of them shapes the answers
_MOST_WORKERS = 8  # each holds the activations of 30 s of sound, which in the large models is hundreds of MB

# One answer for one sound: no sampling at higher temperatures when the first answer looks bad, no detector of voices
# or languages before it, no text of the window before. The rest are faster-whisper's defaults, written out.
_DECODING: dict[str, Any] = {
    "task": "transcribe",
    "beam_size": 5,
    "patience": 1.0,
    "length_penalty": 1.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "temperature": 0.0,
    "log_prob_threshold": -1.0,
    "no_speech_threshold": 0.6,
    "condition_on_previous_text": False,
    "initial_prompt": None,
    "suppress_blank": True,
    "suppress_tokens": [-1],
    "without_timestamps": False,
    "max_initial_timestamp": 1.0,
    "vad_filter": False,
}


class WhisperRecognizer(TextRecognizer):
    """A Whisper model in int8 on the CPU: beam search at temperature 0 alone, language given.

    ``model`` is a folder with ``model.bin``, or the name of a model that lies in the Hugging Face cache already;
    nothing is fetched. ``settings`` has all decoding options, and one hash over the model's files. ``workers``, by
    default as many as cores, hear at once, a thread each, and answer the same as one. Raises ``InputError`` where
    faster-whisper or the model is missing.
    """

    def __init__(self, model: str | Path, *, beam_size: int = 5, workers: int | None = None) -> None:
        try:
            import ctranslate2
            import faster_whisper
        except ImportError as error:
            raise InputError("faster-whisper is not installed; pip install 'protophone[asr]'") from error
        self.workers = min(_cores(), _MOST_WORKERS) if workers is None else workers
        if self.workers < 1 or beam_size < 1:
            raise InputError(f"{workers} workers, beam of {beam_size}; give 1 or more of both")
        folder = Path(model)
        if not folder.is_dir():
            try:
                folder = Path(faster_whisper.download_model(str(model), local_files_only=True))
            except (ValueError, OSError) as error:
                raise InputError(f"{model}: {_NO_MODEL}") from error
        # without its tokenizer, faster-whisper would fetch one
        if absent := [name for name in _FILES if not (folder / name).is_file()]:
            raise InputError(f"{folder}: no {' or '.join(absent)} in it; {_NO_MODEL}")
        self._decoding = _DECODING | {"beam_size": beam_size}
        self.settings = {
            "recognizer": f"faster-whisper {faster_whisper.__version__}",
            "ctranslate2": ctranslate2.__version__,
            "model": _digest(folder),
            "device": "cpu",
            "compute_type": "int8",
            **self._decoding,
        }
        try:
            self._model = faster_whisper.WhisperModel(
                str(folder), device="cpu", compute_type="int8", cpu_threads=1, num_workers=self.workers
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{folder}: faster-whisper cannot load it ({error}); fetch the model again") from error
        self.languages = frozenset(self._model.supported_languages)
        # The last bits of a product of full matrices hang on how many threads BLAS has (OMP_NUM_THREADS), and through
        # int8 some transcripts hung on them; a product with a sparse matrix is the same with any number.
        extractor = self._model.feature_extractor
        extractor.mel_filters = csr_array(extractor.mel_filters)

    def transcribe(self, samples: np.ndarray, language: str) -> str:
        """What is said in ``samples`` (float32 ``[sample]``, 16 kHz), known to be in ``language``."""
        self.check(samples, language)
        segments, _ = self._model.transcribe(samples, language=language, **self._decoding)
        return " ".join(segment.text.strip() for segment in segments)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _digest(folder: Path) -> str:
    """Sixteen hex digits of the SHA-256 over names and contents of the model's files."""
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name in _FILES or path.name == "preprocessor_config.json" or path.stem == "vocabulary":
            with path.open("rb") as file:
                found.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return found.hexdigest()[:16]


_NO_MODEL = (
    "not a faster-whisper model on this machine; give a folder with model.bin "
    "(python -c \"import faster_whisper; faster_whisper.download_model('base', 'FOLDER')\" fetches one)"
)
