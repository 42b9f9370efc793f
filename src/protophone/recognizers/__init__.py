"""Recognisers by name. A new kind is one file and one line in ``load_recognizer``."""

from pathlib import Path

from protophone.recognizers.base import TextRecognizer, transcribe_all
from protophone.recognizers.pocketsphinx import NAME as _POCKETSPHINX
from protophone.recognizers.pocketsphinx import PocketsphinxRecognizer
from protophone.recognizers.remembered import Remembered
from protophone.recognizers.whisper import WhisperRecognizer

__all__ = [
    "PocketsphinxRecognizer",
    "Remembered",
    "TextRecognizer",
    "WhisperRecognizer",
    "load_recognizer",
    "transcribe_all",
]


def load_recognizer(name: str | Path) -> TextRecognizer:
    """The recogniser called ``name``: ``pocketsphinx``, or a faster-whisper model.

    That is a folder (``./pocketsphinx`` for one so called), or the name of a model in the Hugging Face cache, such as
    ``base``. Nothing is fetched. Raises ``InputError`` where there is no such recogniser, or what it needs is missing.
    """
    return PocketsphinxRecognizer() if str(name) == _POCKETSPHINX else WhisperRecognizer(name)
