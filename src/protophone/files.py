"""Files written whole or not at all, what may name them, and disks that are full or read-only said in one line."""

import codecs
import errno
import hashlib
import json
import os
import reprlib
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from protophone.errors import InputError

try:
    import fcntl
except ImportError:  # a system without such locks
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "atomic",
    "atomic_folder",
    "check_regular",
    "explained",
    "id_fault",
    "inside",
    "is_leftover",
    "open_regular",
    "read_bytes",
    "read_json",
    "read_text",
    "refuse_existing",
    "refuse_file",
    "refuse_unwritable",
    "restore_folder",
    "write_json",
    "write_text",
]

_LONGEST = 255  # bytes of a name, on nearly every file system
_DEEPEST = 2000  # bytes of an id; paths end at 4096, and the output's folder takes its part
_LARGEST = 2**29  # bytes of a file that is read whole: a manifest of two million recordings has fewer
_SUFFIX = len(".TextGrid")  # the longest that an id gets in an output
_CURES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the disk is read-only; choose another place to write to",
    errno.EACCES: "no permission to write here; choose another place to write to",
    errno.EPERM: "no permission to write here; choose another place to write to",
    errno.EISDIR: "it is a folder; name a file in it",
    errno.ENAMETOOLONG: "its name is too long; shorten it",
    errno.ELOOP: "a part of this path is a link to nothing or to itself; choose another place to write to",
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
    ``InputError`` while another process writes the same.
    """
    path = Path(path)
    temporary = _beside(path, "writing", path.suffix)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
    with explained(path), _held(temporary, path):
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
    """A temporary folder beside ``path`` that takes its place, replacing what was there, when the block ends well.

    ``InputError`` while another process writes the same.
    """
    path = Path(path)
    restore_folder(path)
    temporary, old = _beside(path, "writing"), _beside(path, "old")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if temporary.exists():  # what a kill left
            with _held(temporary, path):
                shutil.rmtree(temporary)
        temporary.mkdir()
    with explained(path), _held(temporary, path):
        try:
            yield temporary
            if path.exists():
                _remove(old)
                path.replace(old)
            temporary.replace(path)
            _remove(old)
        finally:
            _remove(temporary)


@contextmanager
def _held(temporary: Path, path: Path) -> Iterator[None]:
    """Keeps other processes from ``temporary``, which will be ``path``; ``InputError`` where one has it."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError(
            f"{path}: another process is writing it; wait for its end, and give the same command again"
        ) from None
    finally:
        os.close(descriptor)


def restore_folder(path: str | Path) -> None:
    """Puts the folder back that ``atomic_folder`` had moved aside when a kill came between its two renames."""
    path = Path(path)
    old = _beside(path, "old")
    if old.exists() and not path.exists():
        with explained(path):
            old.replace(path)


def id_fault(name: str) -> str | None:
    """Why ``name`` cannot be a recording's id, with the cure; None where it can.

    Ids name files in every output, and each "/" in one makes a folder. They must not lead out of the output, and be no
    longer than file systems allow.
    """
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts) or "\\" in name or "\0" in name:
        return 'cannot name a file; use names without "..", "\\" or NUL, parted by single "/"'
    rooms = [_LONGEST] * (len(parts) - 1) + [_LONGEST - _SUFFIX]
    for part, room in zip(parts, rooms, strict=True):
        if (size := _size(part)) > room:
            return f"is too long for outputs: {part[:20]}... has {size} bytes, and may have {room}; shorten it"
    if (size := _size(name)) > _DEEPEST:
        return f"is too long for outputs: it has {size} bytes, and may have {_DEEPEST}; shorten it"
    return None


def refuse_file(path: Path) -> None:
    """``InputError`` where ``path`` is there: it may hold somebody's work."""
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: exists already; name another file to write to, or move this one away")


def inside(folder: str | Path, name: str, suffix: str) -> Path:
    """The file for the recording ``name`` (its id, where a "/" makes a subfolder) in ``folder``.

    ``InputError`` for what cannot be an id (``id_fault``).
    """
    if fault := id_fault(name):
        raise InputError(f"id {name!r} {fault}")
    return Path(folder, name + suffix)


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` as UTF-8, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def check_regular(path: str | Path) -> None:
    """Raise ``InputError`` for a pipe, socket or device: opening one may wait for ever, reading one may never end.

    Files, folders and what is not there pass.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - Path.stat is slower and says no more
    except (OSError, ValueError):  # what is amiss is said when it is opened
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError(f"{path}: a pipe, socket or device, not a file; write its content to a file, and name that")


def open_regular(path: str | Path) -> BufferedReader:
    """Open a file for reading bytes. Raises ``InputError`` as ``check_regular`` does, ``OSError`` as ``open`` does."""
    check_regular(path)
    return Path(path).open("rb")


def read_bytes(path: str | Path) -> bytes:
    """Read a whole file.

    Raises ``InputError`` for a file larger than 512 MiB and as ``check_regular`` does, ``OSError`` as ``open`` does.
    """
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > _LARGEST:
            raise InputError(
                f"{path}: {size / 2**20:.0f} MiB, and a file of this kind may have {_LARGEST / 2**20:.0f}; "
                "is it the right one? if so, split it"
            )
        return file.read()


def read_text(path: str | Path) -> str:
    """Read a whole text without its byte order mark, its lines ended by newlines alone: UTF-8 or UTF-16.

    UTF-16 is known by its mark, or by a first character of ASCII.

    Raises ``InputError`` and ``OSError`` as ``read_bytes`` does, ``UnicodeDecodeError`` for another encoding.
    """
    content = read_bytes(path)
    return content.decode(_encoding(content[:2])).replace("\r\n", "\n").replace("\r", "\n")


def _encoding(start: bytes) -> str:
    if start in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return "utf-16"
    if len(start) == 2 and start.count(0) == 1:
        return "utf-16-be" if start[0] == 0 else "utf-16-le"
    return "utf-8-sig"


def read_json(path: str | Path, **fields: type | tuple[type, ...]) -> Any:
    """Return the JSON in ``path``; ``InputError`` if it is missing or broken.

    With ``fields`` it is an object that has at least these keys, each with a value of the type that is named.
    """
    path = Path(path)
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        raise InputError(f"{path}: not there") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None
    if fields and not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object with {', '.join(fields)}; make this file again")
    for name, kind in fields.items():
        value = content.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            fault = f"is {reprlib.repr(value)}" if name in content else "is missing"
            raise InputError(f"{path}: {name} {fault}; make this file again")
    return content


def is_leftover(path: Path) -> bool:
    """Return whether a kill may have left ``path`` in an output: a file half written, or a lock."""
    return path.name.startswith(".writing-")


def refuse_existing(path: str | Path) -> None:
    """``InputError`` when an output folder exists and holds something other than what a kill left of a first file."""
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(not is_leftover(part) for part in path.iterdir())):
        raise InputError(f"{path}: exists already and is not empty; name another output or move this one away")


def refuse_unwritable(path: str | Path) -> None:
    """``InputError`` where the file ``path`` could not be written: a folder, a name or a disk forbids it."""
    path = Path(path)
    with explained(path):
        if any(_size(part) > _LONGEST for part in path.parts):  # of folders yet to be made, too
            raise OSError(errno.ENAMETOOLONG, "")
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "")
        place = path.absolute().parent
        while not place.exists():
            if place.is_symlink():
                raise OSError(errno.ELOOP, "")
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass


def _size(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


def _beside(path: Path, why: str, suffix: str = "") -> Path:
    """A hidden name beside ``path``, as short for a long name as for any other."""
    path = path.absolute()
    return path.parent / f".{why}-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}{suffix}"


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
