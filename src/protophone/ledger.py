"""Answers that took long to find, kept in a JSONL file as they come, so that interrupted work goes on.

A line is ``{"key": ..., "value": ...}``, its key the SHA-256 of what the value follows from; a file serves any number
of questions. Lines are appended; one that a kill cut short is made again.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from protophone.errors import InputError
from protophone.files import explained, read_bytes

__all__ = ["Ledger"]


class Ledger:
    """The answers in ``path``, which is made with the first of them; None keeps nothing beyond this run.

    Raises ``InputError`` where ``path`` holds anything else. May be used from several threads.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self._known = {} if self.path is None else _read(self.path)
        self._writing = Lock()

    def get(self, question: Any, answer: Callable[[], Any]) -> Any:
        """What is known to ``question``, ready for JSON; otherwise ``answer()``, ready for JSON too, which is kept."""
        key = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
        if key not in self._known:
            value = answer()
            with self._writing:
                if key not in self._known:  # another thread may have been asked the same meanwhile
                    if self.path is not None:
                        _append(self.path, json.dumps({"key": key, "value": value}, ensure_ascii=False))
                    self._known[key] = value
        return self._known[key]


def _append(path: Path, line: str) -> None:
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as file:
            _drop_torn(file.fileno())
            file.write(line.encode() + b"\n")  # in one piece: of two programs that append, neither cuts the other's


def _read(path: Path) -> dict[str, Any]:
    """Values by key, of all lines that are whole."""
    try:
        *whole, _ = read_bytes(path).split(b"\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name another file, or move it away") from error
    known = {}
    for number, line in enumerate(whole, start=1):
        try:
            entry = json.loads(line)
            known[str(entry["key"])] = entry["value"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}:{number}: not a kept answer; name another file, or delete this one") from error
    return known


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
