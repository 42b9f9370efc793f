"""Values that no option should take, by the kind of the option, and paths that are not what is wanted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

__all__ = ["INPUTS", "OUTPUTS", "VALUES", "Nonsense", "Place", "examples"]


@dataclass(frozen=True)
class Nonsense:
    """Text of one kind; ``refused`` where no option of its type may take it."""

    name: str
    texts: st.SearchStrategy[str]
    refused: bool = True


@dataclass(frozen=True)
class Place:
    """A path that is wrong: ``make`` puts it there, in the current folder, and returns it."""

    name: str
    make: Callable[[str], str]
    refused: bool = True


def examples(strategy: st.SearchStrategy, count: int, seed: int) -> list:
    """``count`` draws, the same whenever the seed is."""
    found: list = []

    @seeded(seed)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def take(value: object) -> None:
        found.append(value)

    take()
    return (found * (1 + count // len(found)))[:count]


def _one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


_WORDS = st.text(st.characters(exclude_characters="\0-", exclude_categories=["Cs"]), max_size=12).map("~".__add__)
_CONTROL = st.text(st.characters(categories=["Cc"], exclude_characters="\0"), min_size=1, max_size=8).map(
    "\x1b[31m".__add__
)
_BYTES = st.binary(min_size=1, max_size=8).map(
    lambda data: "z" + os.fsdecode(data.replace(b"\0", b"\xff") + b"\xff\xfe")
)
_LONG = st.integers(300, 100_000).map("x".__mul__)
_NO_NUMBER = (
    Nonsense("a word", _WORDS),
    Nonsense("no text", st.just("")),
    Nonsense("control characters", _CONTROL),
    Nonsense("bytes that are not UTF-8", _BYTES),
    Nonsense("a long word", _LONG),
    Nonsense("NaN", _one_of("nan", "NaN", "-nan")),
    Nonsense("infinity", _one_of("inf", "-inf", "Infinity", "1e999", "-1e999")),
    Nonsense("more digits than a number has", st.integers(4400, 9000).map("9".__mul__)),
    Nonsense("huge", _one_of("1e30", "1e300", str(10**30))),
    Nonsense("negative", st.integers(1, 10**6).map(lambda number: str(-number))),
)
VALUES = {
    "float": (
        *_NO_NUMBER,
        Nonsense("zero", _one_of("0", "-0.0", "0.0"), refused=False),
        Nonsense("tiny", _one_of("1e-300", "5e-324", "0.1e-9"), refused=False),
        Nonsense("any", st.floats(0, 1e6).map(repr), refused=False),
    ),
    "int": (
        *_NO_NUMBER,
        Nonsense("a fraction", st.floats(0.001, 1e6).filter(lambda value: value % 1).map(repr)),
        Nonsense("above 64 bits", st.integers(2**63, 2**80).map(str)),
        Nonsense("zero", _one_of("0", "-0", "+0", "00"), refused=False),
        Nonsense("any", st.integers(0, 10**4).map(str), refused=False),
    ),
    "choice": _NO_NUMBER,
    "flag": tuple(each for each in _NO_NUMBER if each.name in {"a word", "control characters", "NaN", "a long word"}),
    "text": tuple(each for each in _NO_NUMBER if each.name != "more digits than a number has"),
}


def _fifo(name: str) -> str:
    os.mkfifo(name)
    return name


def _file(name: str, data: bytes = b"") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(data)
    return name


def _folder(name: str, *, full: bool = False) -> str:
    Path(name).mkdir()
    if full:
        Path(name, "thesis.txt").write_text("three years of work")
    return name


def _link(name: str, target: str) -> str:
    Path(name).symlink_to(target)
    return name


def _named(before: str, after: str) -> Callable[[str], str]:
    """A name that keeps the suffix, for that is looked at first."""
    return lambda name: before + name + after


_NAMES = (
    Place("a name too long", lambda name: "x" * 300 + name),
    Place("a path too long", lambda name: "a/" * 3000 + name),
    Place("below a file", lambda name: _file("file") + "/" + name),
    Place("a link to itself", lambda name: _link("loop-" + name, "loop-" + name)),
    Place("below a device", lambda name: "/dev/null/" + name),
)
INPUTS = (
    *_NAMES,
    Place("no text", lambda _: "", refused=False),
    Place("not there", lambda name: "missing-" + name),
    Place("not there, control characters", lambda name: "\x1b[2J\r\n\t" + name),
    Place("not there, bytes that are not UTF-8", lambda name: "\udcff\udcfe" + name),
    Place("a link to nothing", lambda name: _link("dangling-" + name, "nowhere")),
    Place("an empty file", lambda name: _file("empty-" + name)),
    Place("an empty folder", lambda name: _folder("folder-" + name)),
    Place("a folder of something else", lambda name: _folder("full-" + name, full=True)),
    Place("a FIFO", lambda name: _fifo("fifo-" + name)),
    Place("a device without end", lambda name: _link("zero-" + name, "/dev/zero")),
    Place("a device that is empty", lambda name: _link("null-" + name, "/dev/null")),
    Place("zeros", lambda name: _file("zeros-" + name, bytes(4096))),
    Place("another suffix", lambda name: _file(name + ".xyz", b"abc")),
)
OUTPUTS = (
    *_NAMES,
    Place("no text", lambda _: "", refused=False),
    Place("control characters", lambda name: "\x1b[2J\r\n\t" + name, refused=False),
    Place("bytes that are not UTF-8", lambda name: "\udcff\udcfe" + name, refused=False),
    Place("a file with text", lambda name: _file("thesis-" + name, b"three years of work")),
    Place("a folder of something else", lambda name: _folder("full-" + name, full=True)),
    Place("a FIFO", lambda name: _fifo("fifo-" + name)),
    Place("a device without end", lambda name: _link("zero-" + name, "/dev/zero")),
    Place("where nothing can be written", lambda name: "/proc/" + name),
    Place("folders yet to be made", lambda name: "new/and/deep/" + name, refused=False),
)
