"""Results on disk: figures with settings, versions, hashes and what was left out, and the draws that compare needs."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from protophone.config import build
from protophone.errors import ConfigError, InputError
from protophone.evaluate.document import Document, Row
from protophone.evaluate.figure import Figure, Found, LeftOut
from protophone.files import atomic, open_regular, read_json, refuse_unwritable, write_json, write_text
from protophone.metrics.interval import Estimate

__all__ = ["Results", "digest", "dumps", "read_results", "refuse_others", "write_results"]

FORMAT = 1
_PACKAGES = ("protophone", "numpy", "scipy", "torch", "numba", "scikit-learn", "jiwer")


@dataclass(kw_only=True)
class Results(Found):
    """What one evaluation found.

    ``settings`` are the options it ran with, ``hashes`` SHA-256 of what it read, by its role, ``versions`` those of the
    packages that computed it.
    """

    title: str
    hashes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.versions:
            self.versions = _versions()

    def __getitem__(self, name: str) -> Figure:
        """The figure of that name; ``KeyError`` where there is none."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)

    def protocols(self) -> list[str]:
        """The settings without which figures cannot be compared: a line for all figures that share them."""
        sharing: dict[str, list[str]] = {}
        for figure in self.figures:
            if figure.protocol:
                sharing.setdefault(", ".join(_stated(figure.protocol)), []).append(figure.name)
        return [
            f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {stated}"
            for stated, names in sharing.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """As ``results.json`` holds them."""
        lists: dict[str, list[str]] = {}
        figures = []
        for figure in self.figures:
            row: dict[str, Any] = {
                "name": figure.name,
                "value": figure.value,
                "unit": figure.unit,
                "better": figure.better,
                "interval": list(figure.interval) if figure.interval else None,
                "count": figure.count,
                "over": figure.over,
                "protocol": dict(figure.protocol),
                "note": figure.note,
            }
            if figure.estimate is not None:
                names = sorted(figure.estimate.names)
                row["drawn"] = _digest_of("\n".join(names).encode())[:8]
                lists[row["drawn"]] = names
            figures.append(row)
        return {
            "format": FORMAT,
            "title": self.title,
            "figures": figures,
            "left_out": [
                {"what": each.what, "count": each.count, "reason": each.reason, "examples": list(each.examples)}
                for each in self.left_out
            ],
            "settings": self.settings,
            "versions": self.versions,
            "hashes": self.hashes,
            "drawn": lists,
        }

    def markdown(self) -> str:
        """The table as Markdown, with what was left out below it."""
        lines = [f"# {self.title}", "", "| figure | value | 95 % interval | on | |", "|---|---|---|---|---|"]
        lines += ["| " + " | ".join(cell.replace("|", "/") for cell in figure.row()) + " |" for figure in self.figures]
        lines += ["", *(f"- {each}" for each in self.protocols())]
        lines += ["", *(f"- {each.line()}" for each in self.left_out)] if self.left_out else []
        return "\n".join([*lines, ""])


def write_results(folder: str | Path, results: Results) -> Path:
    """``results.json``, ``results.md`` and ``draws.safetensors`` into ``folder``; the first of them is written last.

    A folder of results of another kind is refused.
    """
    folder = Path(folder)
    path = folder / "results.json"
    refuse_others(folder, results.title)
    draws = {
        str(number): figure.estimate.draws.astype(np.float64)
        for number, figure in enumerate(results.figures)
        if figure.estimate is not None
    }
    with atomic(folder / "draws.safetensors") as temporary:
        temporary.write_bytes(save(draws))
    write_text(folder / "results.md", results.markdown())
    write_json(path, results.as_dict() | {"draws": digest(folder / "draws.safetensors")})
    return path


def refuse_others(folder: str | Path, title: str) -> None:
    """``InputError`` where ``folder`` cannot be written or holds results not called ``title``: known before the work.

    Results of that title are overwritten, broken ones too, as a kill may leave them.
    """
    path = Path(folder) / "results.json"
    refuse_unwritable(path)
    if path.exists() and _content(path).get("title") != title:
        raise InputError(f"{folder}: holds results of another evaluation; name another folder")


def _content(path: Path) -> dict[str, Any]:
    """What is in a ``results.json``; ``InputError`` for anything else, and for a newer format."""
    content = read_json(path)
    if not isinstance(content, dict) or type(content.get("format")) is not int or "figures" not in content:
        raise InputError(f"{path}: not results of protophone evaluate; give a folder that --out named")
    if content["format"] > FORMAT:
        raise InputError(f"{path}: of format {content['format']}, newer than this protophone's {FORMAT}; update it")
    return content


def read_results(path: str | Path) -> Results:
    """Results that ``write_results`` wrote, from their folder or ``results.json``; ``InputError`` for anything else."""
    path = Path(path)
    path = path / "results.json" if path.is_dir() else path
    drawn = path.with_name("draws.safetensors")
    try:
        document = build(Document, _content(path), source="results")
        if digest(drawn) != document.draws:
            raise ValueError("it was cut short, or is of other results")  # noqa: TRY301 (one message for every fault)
        draws = load_file(drawn)
        figures = [_figure(row, document, draws.get(str(number))) for number, row in enumerate(document.figures)]
    except (OSError, SafetensorError, ConfigError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: broken, or its draws.safetensors is ({error}); evaluate again") from error
    return Results(
        title=document.title,
        figures=figures,
        left_out=[LeftOut(each.what, each.count, each.reason, each.examples) for each in document.left_out],
        settings=document.settings,
        hashes=document.hashes,
        versions=document.versions,
    )


def _figure(row: Row, document: Document, draws: np.ndarray | None) -> Figure:
    estimate = None
    if row.drawn is not None:
        if draws is None or draws.ndim != 1 or draws.dtype != np.float64 or not len(draws) or np.isnan(draws).any():
            raise ValueError(f"no draws of {row.name}")
        estimate = Estimate(row.value, draws, document.drawn[row.drawn])
    return Figure(
        name=row.name,
        value=row.value,
        unit=row.unit,
        better=row.better,
        count=row.count,
        over=row.over,
        estimate=estimate,
        interval=row.interval,
        protocol=row.protocol,
        note=row.note,
    )


def _stated(protocol: Mapping[str, Any]) -> list[str]:
    parts = []
    for name, value in protocol.items():
        if isinstance(value, list | tuple):
            value = " ".join(map(str, value))  # noqa: PLW2901
        parts.append(
            f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        )
    return parts


def _versions() -> dict[str, str]:
    """Versions of Python and of the packages that figures come from; those of extras stand in their protocols."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def digest(path: str | Path) -> str:
    """Sixteen hex digits of the SHA-256 of a file, or of the names and contents of all files of a folder."""
    path = Path(path)
    if path.is_dir():
        parts = (
            f"{each.relative_to(path).as_posix()}\0{digest(each)}\n"
            for each in sorted(path.rglob("*"))
            if each.is_file()
        )
        return _digest_of(os.fsencode("".join(parts)))
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def dumps(results: Results, more: Mapping[str, Any] | None = None) -> str:
    """Results as JSON for machines, without the names that were drawn; ``more`` comes first."""
    content = results.as_dict()
    del content["drawn"]
    return json.dumps({**(more or {}), **content}, indent=1, ensure_ascii=False)
