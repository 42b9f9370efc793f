"""Files that libsndfile decodes: WAV, FLAC, Ogg, MP3, AIFF, AU, CAF, W64, NIST SPHERE and others."""

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from protophone.containers import Unclosed, is_unclosed
from protophone.decoders.mpeg import Frames, Lengthened, uncounted
from protophone.errors import AudioError

__all__ = ["UNREADABLE", "SndfileDecoder"]

UNREADABLE = (soundfile.SoundFileError, TypeError)  # TypeError: headerless .raw needs a rate
_BLOCK = 2**20  # samples
_FRAME = 1152  # samples of an MPEG frame: a longer block would be lost whole at an error in its last frame


class SndfileDecoder:
    """A file that libsndfile decodes. Raises one of ``UNREADABLE`` if libsndfile cannot open it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        try:
            frames = uncounted(path)
            if frames is not None:
                stat = path.stat()
                self.num_samples = _count(path, frames, stat.st_size, stat.st_mtime_ns)
                self._file = self._opened(self._stack.enter_context(Lengthened(path, frames)))
            else:
                self._file = self._opened(path)
                if self._file.frames == 0 and is_unclosed(path):
                    self._file = self._opened(self._stack.enter_context(Unclosed(path)))
                self.num_samples = self._file.frames
        except BaseException:
            self._stack.close()
            raise
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.format = f"{self._file.format} {self._file.subtype}"
        self._at = 0

    def _opened(self, source: "Path | Lengthened | Unclosed") -> soundfile.SoundFile:
        with _quiet():
            return self._stack.enter_context(soundfile.SoundFile(source))

    def read(self, at: int, count: int) -> np.ndarray:
        """Return ``count`` samples from sample ``at``, float32 ``[sample, channel]``."""
        try:
            with _quiet():
                if at != self._at and self._file.seekable():
                    self._file.seek(at)
                    self._at = at
                while self._at < at:  # WAV of GSM can only be read up to there
                    self._at += len(self._file.read(min(at - self._at, _BLOCK), dtype="float32"))
                part = self._file.read(count, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            said = str(error).removeprefix("Error : ").rstrip(". ")
            raise AudioError(
                f"{self._path}: broken or cut off after sample {at} of {self.num_samples} ({said}); copy it again or "
                "leave it out"
            ) from error
        self._at += len(part)
        return part

    def close(self) -> None:
        """Close the file."""
        with _quiet():
            self._stack.close()


@lru_cache(maxsize=2**12)
def _count(path: Path, frames: Frames, size: int, changed: int) -> int:  # noqa: ARG001 - they tell versions apart
    """Samples that MPEG audio without a frame count decodes to: decoding is the only way to count them.

    Frames that are cut off and other data at the end of the file, which libmpg123 takes for errors, are left out.
    """
    count = 0
    with Lengthened(path, frames) as longer, _quiet(), soundfile.SoundFile(longer) as file:
        block = np.empty((_FRAME, file.channels), np.float32)
        try:
            while read := len(file.read(out=block)):
                count += read
        except soundfile.SoundFileError:
            if count == 0 or longer.frames_left():
                raise
    return count


_lock = threading.Lock()
_quieted = 0  # threads that have the C library's messages suppressed
_messages = 0  # where they went before


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard what libmpg123 prints to the C library's ``stderr``: libsndfile does not let it be turned off.

    Python's own ``sys.stderr`` and the file descriptor are left alone, so no other thread loses a message. Only glibc
    lets its ``stderr`` be set.
    """
    global _quieted, _messages  # noqa: PLW0603 - the C library has but one
    if (sink := _sink()) is None:
        yield
        return
    stderr = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
    with _lock:
        if _quieted == 0:
            _messages, stderr.value = stderr.value or 0, sink
        _quieted += 1
    try:
        yield
    finally:
        with _lock:
            _quieted -= 1
            if _quieted == 0:
                stderr.value = _messages


@lru_cache(maxsize=1)
def _sink() -> int | None:
    """Open a C stream that discards what is written to it; None without glibc."""
    if platform.libc_ver()[0] != "glibc":
        return None
    fopen = ctypes.CDLL(None).fopen
    fopen.restype = ctypes.c_void_p
    return fopen(b"/dev/null", b"w")
