"""One process at a time writes an output folder."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from protophone.errors import InputError
from protophone.files import explained, refuse_existing

__all__ = ["sole_writer"]

_LOCK = ".writing-lock"  # a name that outputs take for a leftover
_FILES = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".json", ".jsonl", ".toml", ".ppn", ".npy", ".npz"}
    | {".safetensors", ".html", ".md", ".txt", ".csv", ".zip"}
)


@contextmanager
def sole_writer(folder: str | Path) -> Iterator[None]:
    """Keep other processes from writing ``folder``, which is made if need be, and removed if it stays empty.

    A kill leaves nothing that hinders the next process. Raises ``InputError`` if another process holds the folder, if
    it is a file or named like one, or cannot be made.
    """
    folder = Path(folder)
    if folder.suffix.lower() in _FILES and not folder.is_dir():
        raise InputError(f"{folder}: a folder is written, and this is the name of a file; name a folder")
    if folder.exists() and not folder.is_dir():
        refuse_existing(folder)
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = _acquired(folder)
        try:
            yield
        finally:
            with suppress(OSError):  # a system that keeps a file that is open: it is taken for a leftover
                Path(lock.lock_file).unlink()
            lock.release()
    finally:
        with suppress(OSError):
            for each in made:
                each.rmdir()


def _acquired(folder: Path) -> BaseFileLock:
    """The lock of ``folder``, held."""
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{folder}: another process is writing it; wait for its end, and give the same command again"
        ) from None
    return lock
