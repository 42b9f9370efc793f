"""Files that are not what their name says: cut, flipped, emptied, swapped, hostile, or with nonsense for values."""

import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.pickles import Calls

__all__ = ["DAMAGES", "FOREIGN", "Damage", "reseal"]


@dataclass(frozen=True)
class Damage:
    """``make`` changes the file at a path, by draws; ``refused`` where no reader may take what is left."""

    name: str
    make: Callable[[Path, Random], None]
    refused: bool = False


FOREIGN = ("sound.wav", "sound.flac", "sound.mp3", "corpus/manifest.jsonl", "units/units.jsonl", "features.npz")
FOREIGN += (
    "features.safetensors",
    "items.item",
    "phones.ctm",
    "classes.txt",
    "elan/r1.eaf",
    "grids/r1.TextGrid",
    "packed.ppn",
    "km.bin",
)
FOREIGN += ("encoder.toml", "one/results.json", "bundle/bundle.json", "tensors/r0.pt", "features/r0.npy")


def _cut(path: Path, draw: Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draw.randrange(len(data))])


def _flip(path: Path, draw: Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 1, 3, 20))):
        # most of what can go wrong stands in heads
        data[draw.randrange(min(len(data), draw.choice((64, 4096, len(data)))))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def _splice(path: Path, draw: Random) -> None:
    data = path.read_bytes()
    at = draw.randrange(len(data))
    path.write_bytes(data[:at] + draw.randbytes(draw.choice((1, 8, 1000))) + data[at:])


def _double(path: Path, _: Random) -> None:
    path.write_bytes(path.read_bytes() * 2)


def _written(data: bytes | Callable[[Random], bytes]) -> Callable[[Path, Random], None]:
    return lambda path, draw: path.write_bytes(data(draw) if callable(data) else data) and None


def _foreign(path: Path, draw: Random) -> None:
    before = path.read_bytes()
    others = [Path(name).read_bytes() for name in FOREIGN if _family(name) != _family(path.name)]
    path.write_bytes(draw.choice([other for other in others if other != before]))


def _family(name: str) -> str:
    """Formats that are read alike, whatever their suffix says."""
    suffix = name.rsplit(".", 1)[-1]
    sounds = ("wav", "flac", "ogg", "mp3", "opus", "aiff", "au", "caf", "w64", "sph", "m4a")
    return "sound" if suffix in sounds else {"bin": "pickle", "pt": "pickle", "toml": "toml"}.get(suffix, suffix)


def _replaced(make: Callable[[Path], object]) -> Callable[[Path, Random], None]:
    def change(path: Path, _: Random) -> None:
        path.unlink()
        make(path)

    return change


_NUMBERS = (-1, 0, 1e11, 2**70, 10**30, -(2**63), 1e300, float("nan"), float("inf"), 0.5, True)
_OTHERS = (
    None,
    "",
    "x" * 100_000,
    "\x1b[31m",
    "../../x",
    "/etc/passwd",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    "\ud800",
    "NaN",
)


def _value(path: Path, draw: Random) -> None:
    """Puts nonsense in the place of one value of a JSON, JSON lines or TOML file, or of a word of a text."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in {".json", ".jsonl"}:
        lines = text.split("\n") if path.suffix == ".jsonl" else [text]
        at = draw.choice([number for number, line in enumerate(lines) if line.strip()])
        lines[at] = json.dumps(_changed(json.loads(lines[at]), draw))
        path.write_text("\n".join(lines))
        return
    pattern = r"(?<== )[^\n]+" if path.suffix == ".toml" else r"[^\s<>\"=]+"
    found = draw.choice(list(re.finditer(pattern, text)))
    new = json.dumps(draw.choice(_NUMBERS + _OTHERS)) if path.suffix == ".toml" else str(draw.choice(_NUMBERS))
    path.write_text(text[: found.start()] + new.replace("Infinity", "inf").replace("NaN", "nan") + text[found.end() :])


def _changed(value: Any, draw: Random) -> Any:
    """``value`` with one value in it, maybe itself, replaced or left out."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        if draw.random() < 0.15:
            return {name: inner for name, inner in value.items() if name != key}
        return value | {key: _changed(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.8:
        at = draw.randrange(len(value))
        return [*value[:at], _changed(value[at], draw), *value[at + 1 :]]
    number = isinstance(value, int | float) and draw.random() < 0.6
    return draw.choice(_NUMBERS if number else _NUMBERS + _OTHERS)


def _safetensors_head(path: Path, draw: Random) -> None:
    """Nonsense in the head of a safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    head = json.dumps(_changed(json.loads(data[8 : 8 + size]), draw)).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data[8 + size :])


def _tensors(path: Path, draw: Random) -> None:
    """Other numbers in a safetensors file: NaN, another shape, another type, one left out, huge ones."""
    from safetensors import safe_open
    from safetensors.numpy import save

    with safe_open(path, "np") as file:
        about, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    name = draw.choice(list(arrays))
    array = arrays[name]
    other = draw.choice(("nan", "huge", "shape", "type", "left out", "empty", "scalar", "another"))
    if other == "left out":
        del arrays[name]
    elif other == "another":
        arrays["another"] = array
    elif other in {"nan", "huge"}:
        arrays[name] = np.full_like(array, {"nan": np.nan, "huge": 1e38}[other] if array.dtype.kind == "f" else 127)
    else:
        shapes = {"shape": array.reshape(-1), "type": array.astype("int8"), "empty": array[:0] if array.ndim else array}
        arrays[name] = shapes.get(other, np.zeros((), array.dtype))
    path.write_bytes(save({key: np.ascontiguousarray(each) for key, each in arrays.items()}, about))


def _npy(shape: str, kind: str = "<f4") -> bytes:
    head = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\0" + len(head).to_bytes(2, "little") + head


def _zipped(*entries: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def _bomb(_: Random) -> bytes:
    """Two gigabytes of zeros by their head, in an archive of some kilobytes."""
    return _zipped(("r0.npy", _npy("(536870912,)") + bytes(1 << 24)), ("r1.npy", _npy("(4,)") + bytes(16)))


_PICKLE = pickle.dumps(Calls(os.system, "touch executed"))
_ENTITIES = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x0 "ha">' + b"".join(
    b'<!ENTITY x%d "%s">' % (n, b"&x%d;" % (n - 1) * 10) for n in range(1, 10)
)
_HEAD = b'{"a":{"dtype":"F32","shape":[1000000000000,1000],"data_offsets":[0,4000000000000000]}}'
_HOSTILE: Mapping[str, bytes | Callable[[Random], bytes]] = {
    "zeros": bytes(1 << 20),
    "random bytes": lambda draw: draw.randbytes(10_000),
    "a byte-order mark alone": b"\xef\xbb\xbf",
    "deep lists": b"[" * 100_000,
    "deep tables": b'{"a":' * 100_000,
    "a deep key": b"a" + b".a" * 50_000 + b" = 1",
    "a deep element": b"<?xml version='1.0'?>" + b"<a>" * 100_000,
    "a line without end": b"x" * 3_000_000,
    "a number without end": b'{"format": ' + b"9" * 10_000 + b"}",
    "entities in entities": _ENTITIES + b"]><a>&x9;</a>",
    "an entity from elsewhere": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "a pickle that runs": _PICKLE,
    "a pickle in an archive": _zipped(("archive/data.pkl", _PICKLE), ("archive/version", b"3")),
    "a pickle in an array": _npy("(1,)", "|O") + _PICKLE,
    "a huge array": _npy("(1000000000000,)"),
    "an array of negative size": _npy("(-5, 4)"),
    "a deep array": _npy("(" + "1, " * 100 + ")"),
    "an archive that unfolds": _bomb,
    "a huge head": (1 << 60).to_bytes(8, "little") + b"{}",
    "a huge tensor": len(_HEAD).to_bytes(8, "little") + _HEAD,
    "a WAV of huge counts": b"RIFF"
    + b"\xff" * 4
    + b"WAVEfmt \x10\0\0\0\1\0"
    + b"\xff" * 12
    + b"\x10\0data\xff\xff\xff\xff",
    "a WAV of no rate": b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0\2\0\x10\0data\x64\0\0\0"
    + bytes(100),
    "ID3 without end": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(1000) + b"\xff\xfb" * 500,
    "UTF-16": "[encoder]\nkind = 'vqvae'\n".encode("utf-16"),
    "NULs among letters": b"a\0b 0.0 1.0\0\n" * 100,
}
DAMAGES = (
    *(Damage(name, make) for name, make in (("cut", _cut), ("flipped", _flip), ("spliced", _splice))),
    Damage("cut again", _cut),
    Damage("flipped again", _flip),
    Damage("twice over", _double),
    Damage("nonsense for a value", _value),
    Damage("nonsense for a value again", _value),
    Damage("nonsense in the head", _safetensors_head),
    Damage("other tensors", _tensors),
    Damage("empty", _written(b""), refused=True),
    Damage("a foreign format", _foreign, refused=True),
    Damage("a folder", _replaced(Path.mkdir), refused=True),
    Damage("a FIFO", _replaced(os.mkfifo), refused=True),
    Damage("a device without end", _replaced(lambda path: path.symlink_to("/dev/zero")), refused=True),
    Damage("a link to itself", _replaced(lambda path: path.symlink_to(path)), refused=True),
    *(Damage(name, _written(data), refused=True) for name, data in _HOSTILE.items()),
)


def reseal(bundle: Path) -> None:
    """Writes the digests of a bundle anew, as somebody would who changed it on purpose."""
    from protophone.bundle import _seal

    _seal(bundle, json.loads((bundle / "bundle.json").read_text()))
