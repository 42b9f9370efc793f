"""The commands with their arguments, read from the cyclopts app, so that new ones are tried without an edit."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from cyclopts import App

from protophone.cli import app

__all__ = ["Argument", "Command", "commands"]


@dataclass(frozen=True)
class Argument:
    """One argument or option: ``kind`` is path, text, int, float, choice or flag; ``name`` as on the command line."""

    name: str
    kind: str
    positional: bool
    required: bool
    many: bool


@dataclass(frozen=True)
class Command:
    """A command: its words, such as ``("evaluate", "abx")``, and its arguments in order."""

    words: tuple[str, ...]
    arguments: tuple[Argument, ...]

    def __str__(self) -> str:
        return " ".join(self.words)


def commands() -> tuple[Command, ...]:
    """Every command, by its words."""
    return tuple(sorted(_found(app, ()), key=lambda command: command.words))


def _found(group: App, words: tuple[str, ...]) -> Iterator[Command]:
    for name in group:
        if name.startswith("-"):  # --help and --version
            continue
        inner, path = group[name], (*words, name)
        if inner.default_command is None:
            yield from _found(inner, path)
        else:
            yield Command(path, tuple(map(_argument, inner.assemble_argument_collection())))


def _argument(found: Any) -> Argument:
    kinds, many = _kinds(found.hint)
    positional = found.field_info.kind is not found.field_info.KEYWORD_ONLY
    return Argument(found.name.removeprefix("--").lower(), kinds, positional, found.required, many)


def _kinds(hint: Any) -> tuple[str, bool]:
    """The kind of an annotation, and whether it takes several values."""
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        (inner,) = (part for part in get_args(hint) if part is not type(None))
        return _kinds(inner)
    if origin is tuple:
        return _kinds(get_args(hint)[0])[0], True
    if origin is Literal:
        return "choice", False
    return {Path: "path", str: "text", int: "int", float: "float", bool: "flag"}[hint], False
