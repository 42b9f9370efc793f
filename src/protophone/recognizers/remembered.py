"""Transcripts that are kept, so that no clip is heard twice with the same settings and interrupted work goes on."""

import hashlib
import json
import os
from pathlib import Path
from threading import Lock

import numpy as np

from protophone.errors import InputError
from protophone.files import explained
from protophone.recognizers.base import TextRecognizer

__all__ = ["Remembered"]


class Remembered(TextRecognizer):
    """A recogniser whose answers are kept in the JSONL file ``path``, which is made with the first of them.

    A line is ``{"key": ..., "text": ...}``, its key the SHA-256 of settings, language and samples: a file serves any
    number of recognisers. Lines are appended as answers come; one that a kill cut short is made again. Raises
    ``InputError`` where ``path`` holds anything else.
    """

    def __init__(self, recognizer: TextRecognizer, path: str | Path) -> None:
        self.recognizer = recognizer
        self.languages = recognizer.languages
        self.settings = recognizer.settings
        self.workers = recognizer.workers
        self.path = Path(path)
        self._heard = _read(self.path)
        self._writing = Lock()

    def transcribe(self, samples: np.ndarray, language: str) -> str:
        """What the recogniser hears, or heard before."""
        self.check(samples, language)
        key = self._key(samples, language)
        if key not in self._heard:
            text = self.recognizer.transcribe(samples, language)
            with self._writing:
                self._append(key, text)
        return self._heard[key]

    def _key(self, samples: np.ndarray, language: str) -> str:
        state = json.dumps([self.settings, language], sort_keys=True).encode()
        return hashlib.sha256(state + b"\0" + samples.astype("<f4").tobytes()).hexdigest()

    def _append(self, key: str, text: str) -> None:
        if key in self._heard:  # another worker heard the same sound meanwhile
            return
        line = json.dumps({"key": key, "text": text}, ensure_ascii=False).encode() + b"\n"
        with explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+", buffering=0) as file:
                _drop_torn(file.fileno())
                file.write(line)  # in one piece: of two programs that append, neither cuts the other's line
        self._heard[key] = text


def _read(path: Path) -> dict[str, str]:
    """Answers by key, of all lines that are whole."""
    try:
        *whole, _ = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name another file for transcripts") from error
    heard = {}
    for number, line in enumerate(whole, start=1):
        try:
            entry = json.loads(line)
            heard[str(entry["key"])] = str(entry["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: line {number} is no transcript; name another file or delete this one") from error
    return heard


def _drop_torn(file: int) -> None:
    """Cuts off what follows the last end of a line: the beginning of one that a kill cut short."""
    size = os.fstat(file).st_size
    keep, step = size, 4096
    while keep:
        start = max(0, keep - step)
        os.lseek(file, start, os.SEEK_SET)
        if (end := os.read(file, keep - start).rfind(b"\n")) >= 0:
            keep = start + end + 1
            break
        keep = start
    if keep < size:
        os.ftruncate(file, keep)
