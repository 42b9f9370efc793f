"""Transcripts that are kept, so that no clip is heard twice with the same settings and interrupted work goes on."""

import hashlib
from pathlib import Path

import numpy as np

from protophone.ledger import Ledger
from protophone.recognizers.base import TextRecognizer

__all__ = ["Remembered"]


class Remembered(TextRecognizer):
    """A recogniser whose answers are kept in the file ``path``, a ``Ledger``, by settings, language and samples.

    A file serves any number of recognisers. Raises ``InputError`` where ``path`` holds anything else.
    """

    def __init__(self, recognizer: TextRecognizer, path: str | Path) -> None:
        self.recognizer = recognizer
        self.languages = recognizer.languages
        self.settings = recognizer.settings
        self.workers = recognizer.workers
        self._ledger = Ledger(path)

    def transcribe(self, samples: np.ndarray, language: str) -> str:
        """What the recogniser hears, or heard before."""
        self.check(samples, language)
        sound = hashlib.sha256(samples.astype("<f4").tobytes()).hexdigest()
        question = [self.settings, language, sound]
        return self._ledger.get(question, lambda: self.recognizer.transcribe(samples, language))
