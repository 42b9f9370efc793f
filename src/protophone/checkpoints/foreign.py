"""Inert stand-ins for what a foreign file names, the plain values they become, and what a pickle of such may call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from protophone.errors import InputError

__all__ = ["CALLS", "Calls", "Foreign", "Name", "attributes", "keys", "plain", "stand_in"]

Calls = Mapping[str, Callable[..., Any]]

_DEEPEST = 100  # lists in lists
_MOST_PARTS = 1 << 26  # of a value that is written out, with each letter of a text
_LONGEST_NAME = 1000
_KEYS = (str, int, float, bytes, type(None))


@dataclass(frozen=True, eq=False)
class Name:
    """A class or function the file names; never looked up."""

    module: str
    name: str

    def __post_init__(self) -> None:
        for part in (self.module, self.name):
            if not isinstance(part, str) or len(part) > _LONGEST_NAME:
                raise TypeError("a name that is no text, or a very long one")

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)  # to write out what it holds could take for ever
class Foreign:
    """What the file says of an object: its class, what it was made of, and its state."""

    kind: Name
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)


_HOLDS = (dict, list, tuple, set, Name, Foreign)  # what is turned into something else, or holds such


def plain(value: Any, name: str) -> Any:
    """``value`` with dicts, lists and texts for stand-ins: their state, or what they were made of; names as texts.

    ``InputError`` where it holds itself, is nested too deeply, has keys that are no numbers or texts, or refers to its
    parts so often that to print or compare it would take for ever; ``name`` is the file's.
    """
    turned = _Plain(name).of(value, 0)
    _Measures(name).of(turned)
    return turned


class _Plain:
    """Turns each object once, however often it is referred to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._done: dict[int, Any] = {}
        self._open: set[int] = set()

    def of(self, value: Any, depth: int) -> Any:
        if not isinstance(value, _HOLDS):
            return value
        key = id(value)
        if key in self._open or depth > _DEEPEST:
            raise InputError(f"{self.name}: holds a list or table within itself; give another file")
        if key not in self._done:
            self._open.add(key)
            self._done[key] = self._turned(value, depth + 1)
            self._open.discard(key)
        return self._done[key]

    def _turned(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return {self._key(key, depth): self.of(each, depth) for key, each in value.items()}
        if isinstance(value, Name):
            return str(value)
        if isinstance(value, Foreign):
            return self._foreign(value, depth)
        turned = [self.of(each, depth) for each in value]
        return tuple(turned) if isinstance(value, tuple) else turned

    def _key(self, key: Any, depth: int) -> Any:
        turned = self.of(key, depth)
        if not isinstance(turned, _KEYS):
            raise InputError(
                f"{self.name}: a table in it has a key that is a {type(turned).__name__}; only checkpoints whose keys "
                "are numbers and texts can be read"
            )
        return turned

    def _foreign(self, value: Foreign, depth: int) -> Any:
        state = value.state
        if value.kind.module.startswith("omegaconf.") and isinstance(state, dict):
            # A node of a config: the rest of its state is the tree above it and its type.
            state = state["_content"] if "_content" in state else state.get("_val")
            return self.of(state, depth)
        for part in (state, value.entries, value.items):
            if part:
                return self.of(part, depth)
        if len(value.args) == 1:  # an enumeration's value
            return self.of(value.args[0], depth)
        return {} if state is not None or not value.args else self.of(value.args, depth)


class _Measures:
    """The parts of plain values as if written out, and how deep these lie; what is shared is measured once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._done: dict[int, tuple[int, int]] = {}

    def of(self, value: Any) -> tuple[int, int]:
        """Number of parts and depth of ``value``; ``InputError`` where either is beyond any checkpoint's."""
        if not isinstance(value, dict | list | tuple):
            return 1 + (len(value) if isinstance(value, str | bytes | bytearray) else 0), 0
        if id(value) not in self._done:
            parts = [self.of(part) for part in (chain(value, value.values()) if isinstance(value, dict) else value)]
            count, depth = 1 + sum(n for n, _ in parts), 1 + max((deep for _, deep in parts), default=0)
            if count > _MOST_PARTS or depth > _DEEPEST + 1:
                raise InputError(
                    f"{self.name}: refers to the same parts over and over, or nests them more than {_DEEPEST} deep; "
                    "it is no checkpoint, give another file"
                )
            self._done[id(value)] = count, depth
        return self._done[id(value)]


def attributes(state: Any) -> Any:
    """The state of an object as one value; ``TypeError`` where it is of a kind that no plain value can be made of."""
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):  # with slots
        if not isinstance(state[0], dict | None):
            raise TypeError(f"an object whose attributes are a {type(state[0]).__name__}")
        return {**(state[0] or {}), **state[1]}
    if not isinstance(state, (*_KEYS, *_HOLDS)):
        raise TypeError(f"an object whose state is a {type(state).__name__}")
    return state


def keys(values: Any) -> list[Any]:
    """``values``, each of which can safely be a key: to hash tuples in tuples could take for ever."""
    if not isinstance(values, list | tuple | set):
        raise TypeError(f"keys in a {type(values).__name__}")
    for value in values:
        if not isinstance(value, (*_KEYS, Name, Foreign)):
            raise TypeError(f"a key that is a {type(value).__name__}")
    return list(values)


def _set_of(values: Any = ()) -> set[Any]:
    return set(keys(values))


def _table_of(pairs: Any = ()) -> dict[Any, Any]:
    if isinstance(pairs, dict):
        return dict(pairs)
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise TypeError("a table of what are no pairs")
    return dict(zip(keys([key for key, _ in pairs]), [value for _, value in pairs], strict=True))


def _complex_of(real: Any, imaginary: Any) -> complex:
    if not isinstance(real, float) or not isinstance(imaginary, float):
        raise TypeError("a complex number of what are no numbers")
    return complex(real, imaginary)


def _bytes_of(data: Any = b"", *_: Any) -> bytes:
    if not isinstance(data, bytes):
        raise TypeError("bytes of what is none")
    return data


def stand_in(kind: Any, args: Any) -> Foreign:
    """A stand-in for an object of the class ``kind`` made of ``args``; ``TypeError`` where these are none."""
    if not isinstance(kind, Name) or not isinstance(args, tuple):
        raise TypeError("an object of what is no class")
    return Foreign(kind, args)


CALLS: Calls = {
    "builtins.bytearray": _bytes_of,
    "builtins.bytes": _bytes_of,
    "builtins.complex": _complex_of,
    "builtins.frozenset": _set_of,
    "builtins.set": _set_of,
    "collections.Counter": _table_of,
    "collections.OrderedDict": _table_of,
    "collections.defaultdict": lambda *_: {},
    "copyreg._reconstructor": lambda kind, *_: stand_in(kind, ()),
}
"""Functions a pickle of plain values calls."""
