"""Every number has a least and a greatest value: of every config, and of every option of the command line."""

import importlib
import json
import math
import pkgutil
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from cyclopts import App, Parameter
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic.dataclasses import is_pydantic_dataclass

import protophone
from protophone import config as door
from protophone import memory
from protophone.cli import app
from protophone.cli.numbers import Checked
from protophone.config import build, number
from protophone.device import device_of
from protophone.encoders.augment import AugmentConfig
from protophone.encoders.content import ContentVQVAEConfig
from protophone.encoders.vqvae import VQVAEConfig
from protophone.errors import ConfigError, InputError
from protophone.fabric import fabric_of
from protophone.features import LogMelConfig
from protophone.vad import speech_segments
from tests.calls import one_line
from tests.tiny import ENCODER


def _configs() -> list[type]:
    """Every class made with ``@config`` in the package."""
    found: dict[str, type] = {}
    for module in pkgutil.walk_packages(protophone.__path__, "protophone."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and is_pydantic_dataclass(value):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return [found[name] for name in sorted(found)]


CONFIGS = _configs()
GRID = {"sample_rate": 16000, "hop": 640}
every = pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)


def _numbers(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Every place in a JSON schema where any number may stand."""
    if isinstance(schema, dict):
        if schema.get("type") in {"integer", "number"} and "const" not in schema and "enum" not in schema:
            yield path, schema
        for key, value in schema.items():
            if key not in {"default", "examples"}:
                yield from _numbers(value, (*path, key))
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from _numbers(value, (*path, str(index)))


def test_the_configs_are_found():
    assert {"DiscoverConfig", "TrainConfig", "VQVAEConfig", "VadConfig", "SSLConfig"} <= {c.__name__ for c in CONFIGS}
    assert len(CONFIGS) >= 25


@every
def test_every_number_of_a_config_has_finite_bounds(kind):
    for path, schema in _numbers(TypeAdapter(kind).json_schema()):
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        most = schema.get("maximum", schema.get("exclusiveMaximum"))
        for bound in (least, most):
            assert bound is not None, (kind, path)
            assert math.isfinite(bound), (kind, path)


def test_a_number_without_bounds_would_be_found():
    schema = TypeAdapter(tuple[int, ...] | float | None).json_schema()
    assert len(list(_numbers(schema))) == 2


ODD = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0, -1, -0.5, 0.5, 1, 1.0, 2.5, True, None, "", "3", "\ud800"]),
    st.sampled_from([2**31, 2**63, 2**64, 10**30, 10**400, 1e300, 5e-324, -(2**70), 10**5000]),
    st.sampled_from([[], [0], [1] * 40, [[1]], {}, {"kind": 3}, {"a": {"b": 1}}]),
    st.integers(-3, 70_000),
    st.floats(),
)


def _refused(beginning: str, make: Any, *arguments: Any, **named: Any) -> Any:
    """What is made, None where it is refused in one line that begins so."""
    try:
        return make(*arguments, **named)
    except ConfigError as error:
        said = str(error)
    assert said.startswith(beginning)
    assert "\n" not in said.removeprefix(beginning)
    return None


def _tables(value: Any) -> dict[str, Any]:
    """A config as the tables it is written in."""
    return json.loads(json.dumps(TypeAdapter(type(value)).dump_python(value)))


def _places(tables: Any, path: tuple = ()) -> Iterator[tuple]:
    for key, value in tables.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from _places(value, (*path, key))


def _least(kind: type) -> dict[str, Any]:
    """The values of a config that has only what it must have."""
    schema = TypeAdapter(kind).json_schema()
    return _some(schema, schema.get("$defs", {}))


def _some(schema: dict, named: dict) -> Any:
    """A value that fits a JSON schema, with only the keys that it must have."""
    if "$ref" in schema:
        return _some(named[schema["$ref"].rsplit("/", 1)[1]], named)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return _some(schema[choice][0], named)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("type") == "object":
        tables = {key: _some(schema["properties"][key], named) for key in schema.get("required", ())}
        # a union is told by its kind, which has a default
        return tables | (
            {"kind": schema["properties"]["kind"]["const"]} if "kind" in schema.get("properties", {}) else {}
        )
    if schema.get("type") == "array":
        return [_some(each, named) for each in schema.get("prefixItems", [])]
    plain = {"string": "x", "integer": 1, "number": 1.0, "boolean": True}.get(schema.get("type", ""))
    return max(plain, schema["minimum"]) if "minimum" in schema else plain


@every
def test_any_value_at_any_key_is_taken_in_bounds_or_refused_in_one_line(kind):
    tables = _tables(build(kind, _least(kind)))

    @settings(max_examples=25, derandomize=True, deadline=None, database=None)
    @given(st.sampled_from(sorted(_places(tables), key=str)), ODD)
    def check(path, value):
        changed = json.loads(json.dumps(tables))
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        made = _refused("x.toml: ", build, kind, changed, source="x.toml")
        assert made is None or build(kind, _tables(made)) == made

    check()


@every
def test_a_config_that_is_constructed_is_checked_as_one_that_is_read(kind):
    for key in (field for field in _least(kind) | {"no such key": 1}):
        with pytest.raises(ConfigError):
            kind(**{**_least(kind), key: object()})


NUMBERS = [name for name in door.__all__ if name[0].isupper() and name not in {"KIND", "Counts"}]


@pytest.mark.parametrize("name", NUMBERS)
@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(text=st.one_of(ODD.map(lambda value: "9" * 5000 if value == 10**5000 else str(value)), st.text(max_size=5)))
def test_a_number_on_the_command_line_is_in_bounds_or_refused(name, text):
    kind = getattr(door, name)
    schema = TypeAdapter(kind).json_schema()
    got = _refused("--seed ", number, kind, text, source="--seed")
    if "enum" in schema:
        assert got is None or (type(got) is int and got in schema["enum"])
        return
    assert got is None or type(got) is {"integer": int, "number": float}[schema["type"]]
    assert got is None or schema.get("minimum", schema.get("exclusiveMinimum")) <= got <= schema["maximum"]


def _options(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Every parameter of every command, with its annotation."""
    for name in app:
        if name.startswith("-"):
            continue
        command = app[name]
        yield from _options(command, (*path, name))
        if command.default_command is not None:
            hints = get_type_hints(command.default_command, include_extras=True)
            yield from (((*path, name), key, hint) for key, hint in hints.items() if key != "return")


def _leaves(annotation: Any, extras: tuple = ()) -> Iterator[tuple[Any, tuple]]:
    """The types an annotation is made up of, with what annotates each."""
    if hasattr(annotation, "__metadata__"):
        yield from _leaves(annotation.__origin__, (*extras, *annotation.__metadata__))
    elif get_args(annotation):
        for part in get_args(annotation):
            yield from _leaves(part, extras)
    else:
        yield annotation, extras


def test_every_number_of_the_command_line_goes_through_the_one_door():
    numbers = []
    for path, key, hint in _options(app):
        for kind, extras in _leaves(hint):
            if kind in (int, float):
                parameters = [extra for extra in extras if isinstance(extra, Parameter)]
                assert any(isinstance(each.converter, Checked) for each in parameters), (path, key)
                numbers.append(key)
    assert {"units", "seed", "minutes", "max_bad", "rate", "frame_rate", "tolerance"} <= set(numbers)


@pytest.mark.parametrize("kind", [VQVAEConfig, ContentVQVAEConfig])
def test_an_axis_of_one_band_is_not_warped(kind):
    with pytest.raises(ConfigError, match=r"augment\.warp .* stretches the axis of 2 bands or more"):
        kind(features=LogMelConfig(n_mels=1))
    assert kind(features=LogMelConfig(n_mels=1), augment=AugmentConfig()).features.n_mels == 1


def test_features_have_a_rate_that_speech_is_found_at():
    least = TypeAdapter(LogMelConfig).json_schema()["properties"]["sample_rate"]["minimum"]
    assert speech_segments([np.zeros(least)], least) == []
    with pytest.raises(InputError, match="too low for speech"):
        speech_segments([np.zeros(least)], least - 1)


ABX = ("evaluate", "abx", "{0}", "--items", "i", "--speaker", "within")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("discover", "{0}", "--seed", "-1"), "--seed -1: Input should be greater than or equal to 0"),
        (
            ("discover", "{0}", "--seed", str(2**70)),
            f"--seed {2**70}: Input should be less than or equal to 4294967295",
        ),
        (("discover", "{0}", "--units", "2.5"), "--units 2.5: Input should be a valid integer"),
        (("discover", "{0}", "--units", "1"), "--units 1: Input should be greater than or equal to 2"),
        (("discover", "{0}", "--units", "x"), "--units x: Input should be a valid integer"),
        (("discover", "{0}", "--minutes", "nan"), "--minutes nan: Input should be a finite number"),
        (("discover", "{0}", "--max-bad", "7"), "--max-bad 7: Input should be less than or equal to 1"),
        (("encode", "b", "{0}", "--max-bad", "inf"), "--max-bad inf: Input should be a finite number"),
        (("decode", "b", "{0}", "--rate", "0"), "--rate 0: Input should be greater than 0"),
        (("decode", "b", "{0}", "--rate", "1e9"), "--rate 1e9: Input should be less than or equal to 1000000"),
        (("decode", "b", "{0}", "--rate", "5"), "rate 5: from 0.25 (slower) to 4 (faster)"),
        (("decode", "b", "{0}", "--pitch", "shift:nan"), "pitch 'shift:nan': write target, copy, flat, or a shift"),
        (("decode", "b", "{0}", "--pitch", "shift:+1e9st"), "pitch 'shift:+1e9st': write target"),
        (("decode", "b", "{0}", "--pitch", "shift:+99999st"), "at most 36 semitones"),
        (("evaluate", "units", "{0}", "--seed", "-1"), "--seed -1: "),
        (("evaluate", "units", "{0}", "--tolerance", "-1"), "--tolerance -1: "),
        (
            ("evaluate", "abx", "{0}", "--items", "i", "--speaker", "within", "--frame-rate", "nan"),
            "--frame-rate nan: ",
        ),
        (
            ("evaluate", "abx", "{0}", "--items", "i", "--speaker", "within", "--max-x-across", "0"),
            "--max-x-across 0: ",
        ),
    ],
)
def test_numbers_out_of_bounds_are_refused_before_any_work(call, tmp_path, command, says):
    out = () if command[0] == "evaluate" else ("--out", tmp_path / "o")
    one_line(call(*(part.format(tmp_path / "none") for part in command), *out), says)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("device", ["cpu:99", "cpu:-1", "cpu:", "cuda:77", "meta", "tpu", "", "0", "cuda:1x"])
def test_a_device_that_is_not_here_is_refused_by_every_command(call, tiny_bundle, tiny_corpus, tmp_path, device):
    sound, out = tiny_corpus / "ana/0.wav", tmp_path / "o"
    (tmp_path / "r.toml").write_text(ENCODER.format(recordings=tiny_corpus).replace('"cpu"', json.dumps(device)))
    one_line(call("train", tmp_path / "r.toml", "--out", out), f"device {device!r}", "use cpu")
    for command in (
        ("discover", tiny_corpus, "--out", out),
        ("encode", tiny_bundle, sound, "--out", out),
        ("convert", tiny_bundle, sound, out.with_suffix(".wav")),
        ("evaluate", "all", tiny_bundle, tiny_corpus / "manifest.jsonl", "--out", out),
    ):
        one_line(call(*command, "--device", device), f"device {device!r}", "use cpu")
    assert not out.exists()


def test_a_device_that_is_here_is_taken():
    assert device_of("cpu").type == device_of("cpu:0").type == "cpu"
    assert device_of("auto").type in {"cpu", "cuda", "mps", "xpu"}
    assert fabric_of("cpu:0", "32-true").device.type == "cpu"


@pytest.mark.parametrize(
    ("files", "bytes_left"),
    [
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    4000 kB\n"}, 4_096_000),
        ({"proc/meminfo": "MemAvailable: 4000 kB\n", "sys/fs/cgroup/memory.max": "max\n"}, 4_096_000),
        (
            {
                "proc/meminfo": "MemAvailable: 4000 kB\n",
                "sys/fs/cgroup/memory.max": "5000\n",
                "sys/fs/cgroup/memory.current": "2000\n",
                "sys/fs/cgroup/memory.stat": "anon 900\ninactive_file 500\n",
            },
            3500,
        ),
    ],
)
def test_memory_is_that_of_the_machine_or_of_its_control_group(files, bytes_left, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory.available(tmp_path) == bytes_left
    assert memory.available() > 0
