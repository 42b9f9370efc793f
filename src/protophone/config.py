"""Configs: frozen dataclasses read from TOML, overridden by TOML lines, checked at this one door.

A class becomes a config with ``@config``; a union of configs told apart by their ``kind`` is written
``Annotated[A | B, KIND]``. Unknown keys are refused, listing the known ones. Every number has a least and a greatest
value: its type is one of those below, or a ``Field`` with both. The command line and the files of a bundle check their
numbers by the same types, with ``number`` and ``fits``.
"""

import dataclasses
import difflib
import json
import re
import reprlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from protophone.errors import ConfigError
from protophone.files import read_text

__all__ = [
    "KIND",
    "Bands",
    "Batch",
    "Bits",
    "Count",
    "Counts",
    "Depth",
    "FrameCount",
    "Iterations",
    "Measured",
    "Minutes",
    "Points",
    "Positive",
    "Reduction",
    "SampleCount",
    "SampleRate",
    "Seconds",
    "Seed",
    "Share",
    "SpeechRate",
    "Steps",
    "Units",
    "Weight",
    "Whole",
    "Width",
    "bounds",
    "build",
    "config",
    "dump",
    "fits",
    "load",
    "number",
    "parse",
    "tables",
]

_DEEPEST = 100  # parts of a key


def _no_flag(value: object) -> object:
    if isinstance(value, bool):  # which Python takes for 0 or 1
        raise ValueError("must be a number")  # noqa: TRY004 - as pydantic wants it
    return value


KIND = Field(discriminator="kind")
Reduction = Annotated[Literal[1, 2, 4, 8], BeforeValidator(_no_flag)]


def bounds(least: float, most: float) -> Any:
    """Return what annotates an int or, with floats for bounds, a float that lies from ``least`` to ``most``."""
    if isinstance(least, int):
        return Field(ge=least, le=most)
    return Field(ge=least, le=most, allow_inf_nan=False)


Count = Annotated[int, bounds(1, 2**20)]
Whole = Annotated[int, bounds(0, 2**53)]  # of samples, of what was counted
Measured = Annotated[float, bounds(-1e15, 1e15)]
Counts = Annotated[tuple[Count, ...], Field(max_length=16)]
Steps = Annotated[int, bounds(1, 10**9)]  # of a training
Batch = Annotated[int, bounds(1, 2**16)]
FrameCount = Annotated[int, bounds(1, 2**20)]  # of a crop or a window: three hours at 100 a second
Iterations = Annotated[int, bounds(0, 10_000)]  # of Griffin and Lim's search for phases
Depth = Annotated[int, bounds(1, 256)]  # blocks or layers of a network
Width = Annotated[int, bounds(1, 2**14)]  # channels, dimensions
Units = Annotated[int, bounds(2, 2**16)]  # entries of a codebook
SampleRate = Annotated[int, bounds(1, 768_000)]
SpeechRate = Annotated[int, bounds(4000, 768_000)]  # of sound that speech is found in
SampleCount = Annotated[int, bounds(1, 2**16)]  # of a hop or a window
Points = Annotated[int, bounds(2, 2**14)]  # of a Fourier transform
Bands = Annotated[int, bounds(1, 512)]  # on the mel scale
Seed = Annotated[int, bounds(0, 2**32 - 1)]  # numpy's, torch's and scikit-learn's
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Weight = Annotated[float, bounds(0.0, 1e6)]
Bits = Annotated[float, Field(gt=0, le=16, allow_inf_nan=False)]  # of a code: of 65,536 at most
Share = Annotated[float, bounds(0.0, 1.0)]
Seconds = Annotated[float, bounds(0.0, 3600.0)]
Minutes = Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)]  # up to a year
T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen, keyword-only dataclass that refuses unknown keys, wrong types and numbers out of bounds.

    Constructing it raises ``ConfigError`` for these, as ``build`` does.
    """
    checked: Any = checked_dataclass(cls, frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
    plain = checked.__init__

    @wraps(plain)
    def init(self: Any, **values: Any) -> None:
        try:
            plain(self, **values)
        except ValidationError as error:
            raise ConfigError("; ".join(_fault(checked, fault) for fault in error.errors())) from None

    checked.__init__ = init
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
        values = _toml(line, f"--set '{line}'")
        if not values:
            raise ConfigError(f"--set '{line}': sets nothing; write for example train.steps = 2000")
        _merge(data, values)
    return build(cls, data, source=source)


def build(cls: type[T], values: Mapping[str, Any], *, source: str = "config") -> T:
    """The config with these ``values`` (as TOML or JSON has them); ``ConfigError`` says what is wrong with which."""
    try:
        _check_texts(values)
        return TypeAdapter(cls).validate_json(_json(values))
    except ValidationError as error:
        faults = [_fault(cls, fault) for fault in error.errors()]
        raise ConfigError(f"{source}: " + "; ".join(faults)) from None
    except ConfigError as error:  # of values that do not go together
        raise ConfigError(f"{source}: {error}") from None
    except (TypeError, ValueError, RecursionError) as error:  # numbers of thousands of digits, keys that are no text
        raise ConfigError(f"{source}: {error}; write plain tables, texts and numbers") from None


def number(kind: Any, text: str, *, source: str) -> Any:
    """Return the number that ``text`` states, of one of this module's types; ``ConfigError`` names ``source``."""
    value: int | float | str = text
    for read in (float, int):
        with suppress(ValueError):
            value = read(text)
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        said = " ".join(text.split())[:40]
        raise ConfigError(f"{source} {said}: {_sentence(error.errors()[0])}") from None


def fits(kind: Any, value: Any) -> bool:
    """Return whether ``value``, as JSON has it, is of ``kind``: one of this module's types, or made up of such."""
    try:
        TypeAdapter(kind).validate_json(_json(value), strict=True)
    except (ValidationError, TypeError, ValueError, RecursionError):
        return False
    return True


def dump(value: Any) -> str:
    """``value`` as TOML text that ``parse`` reads back to an equal config."""
    return "\n".join(_table(dataclasses.asdict(value), ())).strip() + "\n"


def _check_texts(values: Any) -> None:
    """``ConfigError`` for texts that are not UTF-8, as arguments of a command may be."""
    for key, value in values.items() if isinstance(values, Mapping) else ():
        try:
            json.dumps(value, default=str, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{key}: {value!r} is not UTF-8; write it in UTF-8") from None


def _json(values: Any) -> str:
    return json.dumps(values, default=str)


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a TOML config, such as those in configs/") from error


def _toml(text: str, source: str) -> dict:
    # The time that tomllib takes grows with the square of a key's depth.
    if any(part.count(".") > _DEEPEST for part in re.split(r"[\n,=\[\]{}]", text)):
        raise ConfigError(f"{source}: a key of more than {_DEEPEST} parts; write it shorter")
    try:
        return tomllib.loads(text)
    except ValueError as error:  # not TOML, or a number of thousands of digits
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
    return f"{name}: {_sentence(fault)} (got {_short(fault.get('input'))})"


def _sentence(fault: Any) -> str:
    return fault["msg"].partition("\n")[0]


def _short(value: Any) -> str:
    """``value`` as a message quotes it; a number of thousands of digits has no text."""
    try:
        return reprlib.repr(value)
    except ValueError:
        return "a number of thousands of digits"


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
