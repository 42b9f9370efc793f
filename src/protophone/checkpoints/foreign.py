"""Inert stand-ins for what a foreign file names, the plain values they become, and what a pickle of such may call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from protophone.errors import InputError

__all__ = ["CALLS", "Calls", "Foreign", "Name", "keys", "plain", "stand_in"]

Calls = Mapping[str, Callable[..., Any]]

_DEEPEST = 100  # lists in lists
_KEYS = (str, int, float, bytes, type(None))


@dataclass(frozen=True, eq=False)
class Name:
    """A class or function the file names; never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Foreign:
    """What the file says of an object: its class, what it was made of, and its state."""

    kind: Name
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)


def plain(value: Any, name: str) -> Any:
    """``value`` with dicts, lists and texts for stand-ins: their state, or what they were made of; names as texts.

    ``InputError`` where it holds itself or is nested too deeply; ``name`` is the file's.
    """
    return _Plain(name).of(value, 0)


class _Plain:
    """Turns each object once, however often it is referred to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._done: dict[int, Any] = {}
        self._open: set[int] = set()

    def of(self, value: Any, depth: int) -> Any:
        if not isinstance(value, dict | list | tuple | set | frozenset | Name | Foreign):
            return value
        key = id(value)
        if key in self._open or depth > _DEEPEST:
            raise InputError(f"{self.name}: holds a list or table within itself; it is no checkpoint")
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
        return turned if isinstance(turned, str | int | float | bool | bytes | None) else str(turned)

    def _foreign(self, value: Foreign, depth: int) -> Any:
        state = value.state
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):  # with slots
            state = {**(state[0] or {}), **state[1]}
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


def keys(values: Any) -> list[Any]:
    """``values``, each of which can safely be a key: to hash tuples in tuples could exhaust the stack."""
    held = list(values)
    for value in held:
        for part in value if isinstance(value, tuple) else (value,):
            if not isinstance(part, (*_KEYS, Name, Foreign)):
                raise TypeError(f"a key that is a {type(part).__name__}")
    return held


def _set_of(values: Any = ()) -> set[Any]:
    return set(keys(values))


def _table_of(pairs: Any = ()) -> dict[Any, Any]:
    held = list(pairs.items()) if isinstance(pairs, dict) else [tuple(pair) for pair in pairs]
    return dict(zip(keys([key for key, _ in held]), [value for _, value in held], strict=True))


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
    "builtins.complex": complex,
    "builtins.frozenset": _set_of,
    "builtins.set": _set_of,
    "collections.Counter": _table_of,
    "collections.OrderedDict": _table_of,
    "collections.defaultdict": lambda *_: {},
    "copyreg._reconstructor": lambda kind, *_: stand_in(kind, ()),
}
"""Functions a pickle of plain values calls."""
