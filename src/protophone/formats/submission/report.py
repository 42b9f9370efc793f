"""What is found wrong with a submission, all of it, and how much was looked at."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from protophone.errors import InputError

__all__ = ["Fault", "Inspection", "Report"]


@dataclass(frozen=True)
class Fault:
    """A file or folder of the submission that is wrong, why, and what to do about it."""

    file: str
    cause: str
    cure: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.file}: {self.cause}; {self.cure}"


@dataclass(frozen=True)
class Report:
    """The faults of a submission, how many ``files`` were read, and what was not checked."""

    kind: str
    faults: tuple[Fault, ...]
    files: int
    unchecked: tuple[str, ...]

    @property
    def valid(self) -> bool:
        """Whether no fault was found."""
        return not self.faults


class Inspection:
    """Faults noted while a folder is looked at; names are paths below it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._faults: dict[Fault, None] = {}
        self._files: set[str] = set()

    def fault(self, name: str, cause: str, cure: str) -> None:
        """Notes a fault of the file or folder ``name``."""
        self._faults[Fault(name or ".", cause, cure)] = None

    def refused(self, name: str, error: InputError) -> None:
        """Notes what a reader said of the file ``name``: where, why and the cure in one line."""
        text = str(error).removeprefix(str(self.folder / name)).lstrip(": ")
        cause, _, cure = text.rpartition("; ")
        self.fault(name, cause or text, cure if cause else "write it again")

    def read(self, name: str) -> Path:
        """The path of a file that is looked at, which counts."""
        self._files.add(name)
        return self.folder / name

    def is_folder(self, name: str) -> bool:
        """Whether there is such a folder; a fault where there is none."""
        there = (self.folder / name).is_dir()
        if not there:
            self.fault(name, "no such folder", "make it, with what the challenge wants in it")
        return there

    def folders(self, name: str, wanted: Collection[str], *, others: Collection[str] = ()) -> None:
        """Notes what is in the folder ``name`` beyond ``wanted`` and ``others``, and which of ``wanted`` is not."""
        there = {path.name for path in (self.folder / name).iterdir()}
        for part in sorted(there - {*wanted, *others}):
            self.fault(_join(name, part), "nothing the challenge knows", "take it away, or give it its right name")
        for part in sorted({*wanted} - there):
            self.fault(_join(name, part), "not there", "the challenge wants it: write it")

    def named(self, name: str, suffix: str) -> list[str]:
        """The files in the folder ``name`` that end in ``suffix``; a fault where there is none."""
        paths = {path.relative_to(self.folder).as_posix(): path for path in (self.folder / name).rglob(f"*{suffix}")}
        found = sorted(part for part, path in paths.items() if path.is_file())
        for part in sorted(paths.keys() - set(found)):
            self.fault(part, "not a file", f"write a {suffix} file there, or take it away")
        if not found:
            self.fault(name, f"no {suffix} file in it", "write one for each recording the challenge gives")
        return found

    def report(self, kind: str, unchecked: tuple[str, ...]) -> Report:
        """All that was found."""
        return Report(kind, tuple(self._faults), len(self._files), unchecked)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
