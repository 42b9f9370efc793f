"""Class files of discovered terms (Zero Resource 2015, 2017 and 2020): which stretches of speech are said to be alike.

A class is a line ``Class k``, where a name may follow, then a fragment a line as ``file onset offset`` in seconds, then
an empty line. ZeroSpeech's own tool wants the empty line behind the last class too; here it may be missing.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from protophone.errors import InputError
from protophone.files import read_text, write_text

__all__ = ["read_classes", "write_classes"]

Fragment = tuple[str, float, float]


def read_classes(path: str | Path) -> dict[str, list[Fragment]]:
    """The fragments ``(file, onset, offset)``, in seconds, of each class by what follows the word ``Class``.

    ``InputError``, naming the line, for fragments of other fields than three or outside a class, times that are no
    stretch of time, and two classes of one number; also where the file holds no fragment.
    """
    path = Path(path)
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable class file ({error}); give ZeroSpeech's `Class k` blocks") from error
    out: dict[str, list[Fragment]] = {}
    numbers: dict[str, int] = {}
    members: list[Fragment] | None = None
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            members = None
        elif members is None:
            if fields[0] != "Class" or len(fields) < 2:
                raise InputError(f"{path}:{number}: {line.strip()!r} where a class begins; begin each with `Class k`")
            key = fields[1].removesuffix(":")
            if key in numbers:
                raise InputError(f"{path}:{number}: class {key} was on line {numbers[key]}; number each differently")
            numbers[key] = number
            members = out.setdefault(" ".join([key, *fields[2:]]), [])
        else:
            members.append(_fragment(fields, path, number))
    if not any(out.values()):
        raise InputError(f"{path}: no fragments in it; give ZeroSpeech's `Class k` blocks")
    return out


def write_classes(path: str | Path, classes: Mapping[str, Sequence[Fragment]]) -> None:
    """Writes fragments ``(file, onset, offset)``, in seconds, by the number of their class (and a name behind it).

    ``InputError`` for files or classes whose names would not come back, times that are no stretch of time, and where
    there is no fragment at all.
    """
    blocks, numbers = [], set()
    for name, fragments in classes.items():
        words = name.split()
        if not words or name != " ".join(words) or words[0].endswith(":"):
            raise InputError(f"{path}: a class named {name!r}; give a number, and words apart by single spaces")
        if words[0] in numbers:
            raise InputError(f"{path}: two classes numbered {words[0]}; number each differently")
        numbers.add(words[0])
        lines = [f"Class {name}"]
        for file, onset, offset in fragments:
            if file == "Class" or file.split() != [file]:
                raise InputError(f"{path}: a recording named {file!r}; class files need names without spaces")
            _check(onset, offset, str(path))
            lines.append(f"{file} {float(onset)!r} {float(offset)!r}")
        blocks.append("\n".join(lines) + "\n\n")
    if not any(classes.values()):
        raise InputError(f"{path}: no fragments to write; is this the output of a term discovery?")
    write_text(path, "".join(blocks))


def _fragment(fields: list[str], path: Path, number: int) -> Fragment:
    where = f"{path}:{number}"
    if fields[0] == "Class":
        raise InputError(f"{where}: a class begins without an empty line above; end each class with one")
    if len(fields) != 3:
        raise InputError(f"{where}: {len(fields)} fields where a fragment has three (file onset offset)")
    try:
        onset, offset = float(fields[1]), float(fields[2])
    except ValueError:
        onset = offset = math.nan
    _check(onset, offset, where)
    return fields[0], onset, offset


def _check(onset: float, offset: float, where: str) -> None:
    if not 0 <= onset < offset < math.inf:
        raise InputError(f"{where}: a fragment from {onset} to {offset}; give onset < offset in seconds")
