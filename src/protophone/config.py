"""Configs: frozen dataclasses read from TOML, overridden by TOML lines, checked at this one door.

A class becomes a config with ``@config``; a union of configs told apart by their ``kind`` is written
``Annotated[A | B, KIND]``. Unknown keys are refused, listing the known ones.
"""

import dataclasses
import difflib
import json
import reprlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from protophone.errors import ConfigError
from protophone.files import read_text

__all__ = [
    "KIND",
    "Count",
    "Counts",
    "Positive",
    "Share",
    "Weight",
    "Whole",
    "build",
    "config",
    "dump",
    "load",
    "parse",
    "tables",
]

KIND = Field(discriminator="kind")
Count = Annotated[int, Field(ge=1)]
Counts = Annotated[tuple[Count, ...], Field(max_length=16)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(cls: type[T]) -> type[T]:
    """Makes ``cls`` a frozen, keyword-only dataclass that refuses unknown keys and wrong types."""
    checked: Any = checked_dataclass(cls, frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
    return checked


def load(cls: type[T], path: str | Path, overrides: list[str] | None = None) -> T:
    """The config in the TOML file ``path``, with ``overrides`` such as ``train.steps = 2000`` laid over it."""
    return parse(cls, _text(Path(path)), overrides, source=str(path))


def tables(path: str | Path) -> frozenset[str]:
    """Names of the tables and keys at the top of the TOML file ``path``: what tells one kind of config from another."""
    return frozenset(_toml(_text(Path(path)), str(path)))


def parse(cls: type[T], text: str, overrides: list[str] | None = None, *, source: str = "config") -> T:
    """Like ``load``, from the text of a TOML file; ``source`` names it in messages."""
    data = _toml(text, source)
    for line in overrides or []:
        _merge(data, _toml(line, f"--set '{line}'"))
    return build(cls, data, source=source)


def build(cls: type[T], values: Mapping[str, Any], *, source: str = "config") -> T:
    """The config with these ``values`` (as TOML or JSON has them); ``ConfigError`` says what is wrong with which."""
    try:
        return TypeAdapter(cls).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        faults = [_fault(cls, fault) for fault in error.errors()]
        raise ConfigError(f"{source}: " + "; ".join(faults)) from None
    except ConfigError as error:  # of values that do not go together
        raise ConfigError(f"{source}: {error}") from None


def dump(value: Any) -> str:
    """``value`` as TOML text that ``parse`` reads back to an equal config."""
    return "\n".join(_table(dataclasses.asdict(value), ())).strip() + "\n"


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a TOML config, such as those in configs/") from error


def _toml(text: str, source: str) -> dict:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not TOML ({error}); write for example train.steps = 2000") from None
    except RecursionError:
        raise ConfigError(f"{source}: lists or tables in each other without end; write them flat") from None


def _merge(base: dict, over: dict) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _fault(cls: Any, fault: Any) -> str:
    """One fault in a sentence; an unknown key or kind gets the list of known ones."""
    where, holder = _followed(cls, fault["loc"])
    name = ".".join(where)
    match fault["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            known = sorted({field.name for option in _members(holder) for field in dataclasses.fields(option)})
            return f"unknown key {name}; {_near(where[-1], known)}known keys here: {', '.join(known)}"
        case "union_tag_invalid":
            kinds, kind = _kinds(holder), fault["ctx"]["tag"]
            key = ".".join([*where, "kind"])
            return f"{key}: no kind {kind!r}; {_near(kind, kinds)}the kinds are: {', '.join(sorted(kinds))}"
        case "union_tag_not_found":
            return f"{'.'.join([*where, 'kind'])} is missing; the kinds are: {', '.join(sorted(_kinds(holder)))}"
        case "missing" | "missing_keyword_only_argument":
            return f"{name} is missing"
    return f"{name}: {fault['msg']} (got {reprlib.repr(fault.get('input'))})"


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""


def _followed(cls: Any, where: Sequence[str | int]) -> tuple[list[str], Any]:
    """The keys a user writes for a place in a config, and the class, or union, that the last of them lies in.

    Where it passes through a union, pydantic's account of the place also has the kind, which is no key.
    """
    keys: list[str] = []
    inner = cls
    for step in map(str, where):
        if inner is not None and step in (kinds := _kinds(inner)):
            inner = kinds[step]
            continue
        keys.append(step)
        cls = inner
        inner = _field(cls, step)
    return keys, cls if inner is None else inner


def _members(annotation: Any) -> list[Any]:
    """The config classes in an annotation: itself, or the members of a union."""
    if dataclasses.is_dataclass(annotation):
        return [annotation]
    return [member for part in getattr(annotation, "__args__", ()) for member in _members(part)]


def _kinds(annotation: Any) -> dict[str, Any]:
    """The members of a union of configs by their kinds; nothing where it is no such union."""
    members = _members(annotation)
    if len(members) < 2:
        return {}
    return {
        str(field.default): member for member in members for field in dataclasses.fields(member) if field.name == "kind"
    }


def _field(annotation: Any, name: str) -> Any:
    """The type of a field of a config, or of the first member of a union that has it; None where none has."""
    types = [
        field.type for member in _members(annotation) for field in dataclasses.fields(member) if field.name == name
    ]
    return types[0] if types else None


def _table(data: dict, path: tuple[str, ...]) -> list[str]:
    lines = []
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    plain = {key: value for key, value in data.items() if key not in tables and value is not None}
    if path and (plain or not tables):
        lines.append(f"\n[{'.'.join(path)}]")
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]
    for key, value in tables.items():
        lines += _table(value, (*path, key))
    return lines
