"""Files written whole or not at all, and disks that are full or read-only said in one line."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from protophone.errors import InputError

__all__ = [
    "atomic",
    "atomic_folder",
    "explained",
    "inside",
    "read_json",
    "refuse_existing",
    "restore_folder",
    "write_json",
    "write_text",
]

_CURES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the disk is read-only; choose another place to write to",
    errno.EACCES: "no permission to write here; choose another place to write to",
    errno.EPERM: "no permission to write here; choose another place to write to",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another place to write to",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what the operating system says against writing ``path`` into one line with the cure."""
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0, error.strerror or str(error))
        raise InputError(f"{path}: cannot be written: {cure}") from error


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` (same suffix) that takes its place when the block ends without an error.

    Its name follows from that of ``path``: what a kill leaves behind is overwritten when the command runs again.
    """
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path, "writing", path.suffix)
        try:
            temporary.write_bytes(b"")
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that takes its place, replacing what was there, when the block ends well."""
    path = Path(path)
    restore_folder(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, old = _beside(path, "writing"), _beside(path, "old")
        _remove(temporary)
        temporary.mkdir()
        try:
            yield temporary
            if path.exists():
                _remove(old)
                path.replace(old)
            temporary.replace(path)
            _remove(old)
        finally:
            _remove(temporary)


def restore_folder(path: str | Path) -> None:
    """Puts the folder back that ``atomic_folder`` had moved aside when a kill came between its two renames."""
    path = Path(path)
    old = _beside(path, "old")
    if old.exists() and not path.exists():
        with explained(path):
            old.replace(path)


def inside(folder: str | Path, name: str, suffix: str) -> Path:
    """The file for the recording ``name`` (its id, where a "/" makes a subfolder) in ``folder``.

    ``InputError`` for an id that would lead out of it.
    """
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts) or "\\" in name or "\0" in name:
        raise InputError(f"id {name!r} makes no file name; name recordings without .., \\ or empty parts")
    return Path(folder, *parts[:-1], parts[-1] + suffix)


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` as UTF-8, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """The JSON in ``path``; ``InputError`` where it is missing or broken."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not there") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None


def refuse_existing(path: str | Path) -> None:
    """``InputError`` when an output folder exists and holds something other than what a kill left of a first file."""
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(not part.name.startswith(".writing-") for part in path.iterdir())):
        raise InputError(f"{path}: exists already and is not empty; name another output or move this one away")


def _beside(path: Path, why: str, suffix: str = "") -> Path:
    """A hidden name beside ``path``, as short for a long name as for any other."""
    path = path.absolute()
    return path.parent / f".{why}-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}{suffix}"


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
