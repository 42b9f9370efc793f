"""Systems beside each other: one table, ABX against bit rate, and which differences are real.

A difference is real where its paired 95 % bootstrap interval over the same recordings excludes zero. Of twenty
differences between equal systems one looks real by chance: the table says how many were looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from protophone.errors import InputError
from protophone.evaluate.figure import Figure
from protophone.evaluate.plots import Point, scatter
from protophone.evaluate.results import Results, read_results
from protophone.files import write_json, write_text
from protophone.metrics.interval import difference

__all__ = ["Comparison", "Difference", "compare", "systems_in", "write_comparison"]

_LEAST, _MOST = 1e-3, 1e9  # bit/s that a plot can show
RATE, ERROR = "bit rate, ZeroSpeech 2019", "ABX, across speakers"


@dataclass(frozen=True)
class Difference:
    """How much higher a figure of ``one`` is than of ``other``; real where ``interval`` excludes zero."""

    figure: Figure
    one: str
    other: str
    value: float
    interval: tuple[float, float]

    @property
    def real(self) -> bool:
        """Whether chance in the choice of recordings does not explain it."""
        low, high = self.interval
        return low > 0 or high < 0

    @property
    def verdict(self) -> str:
        """Who is better, where that can be said."""
        if not self.real:
            return "not real"
        if not self.figure.better:
            return "real"
        ahead = self.one if (self.value < 0) == (self.figure.better == "lower") else self.other
        return f"real: {ahead} is better"

    def row(self) -> tuple[str, str, str, str]:
        """Figure, systems, difference with its interval, verdict."""
        value, low, high = (self.figure.shown(number) for number in (self.value, *self.interval))
        unit = "points" if self.figure.unit == "share" else self.figure.unit
        value, low, high = (number.removesuffix(self.figure.unit).rstrip(" %") for number in (value, low, high))
        return (
            self.figure.name,
            f"{self.one} - {self.other}",
            f"{value} ({low} to {high}) {unit}".rstrip(),
            self.verdict,
        )


@dataclass(frozen=True)
class Comparison:
    """Figures of several systems: ``rows`` hold a figure's name and each system's figure or None."""

    systems: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Figure | None, ...]], ...]
    differences: tuple[Difference, ...]
    apart: tuple[str, ...]  # what could not be compared, and why

    def table(self) -> list[tuple[str, ...]]:
        """A row a figure, a cell a system: the value with its interval."""
        return [(name, *(_cell(figure) for figure in figures)) for name, figures in self.rows]


def systems_in(paths: Sequence[str | Path]) -> dict[str, Path]:
    """The folders of results that ``paths`` name, by the system's name, which is the folder's.

    A path within a folder of results stands for that folder, so that ``results/*`` does whether it holds one system or
    several. ``InputError`` where a path is of no results.
    """
    folders: dict[Path, None] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path}: not there; name folders that protophone evaluate wrote with --out")
        for folder in (path, path.parent):
            if (folder / "results.json").is_file():
                folders[folder.resolve()] = None
                break
        else:
            raise InputError(f"{path}: no results.json in it; name folders that protophone evaluate wrote with --out")
    found: dict[str, Path] = {}
    for folder in folders:
        name = folder.name
        if name in found:  # runs/a/results and runs/b/results
            name = f"{folder.parent.name}/{name}"
        if name in found:
            raise InputError(f"{folder}: two systems are called {name}; rename one folder")
        found[name] = folder
    return found


def compare(results: dict[str, Results]) -> Comparison:
    """Every figure of the systems, and for each pair the differences of those measured alike."""
    keys: dict[str, str] = {}
    for result in results.values():
        keys |= {figure.key: figure.name for figure in result.figures}
    names = list(keys.values())
    by_system = {name: {figure.key: figure for figure in result.figures} for name, result in results.items()}
    rows, differences = [], []
    unlike: dict[str, list[str]] = {}
    for key, name in keys.items():
        row = tuple(figures.get(key) for figures in by_system.values())
        shown = name if names.count(name) == 1 else f"{name} [{_told_apart(key, name, results)}]"
        rows.append((shown, row))
        for (one, a), (other, b) in combinations(zip(by_system, row, strict=True), 2):
            if a is None or b is None or a.estimate is None or b.estimate is None:
                continue
            try:
                found = difference(a.estimate, b.estimate)
            except InputError as error:
                unlike.setdefault(f"{one} and {other}: {error}", []).append(name)
                continue
            if found.draws.any():  # else they are one figure: the untouched recordings', or the same system twice
                differences.append(Difference(a, one, other, found.value, found.interval))
    if several := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        unlike["measured in different ways, so compared only where the settings are the same"] = several
    apart = tuple(f"{'; '.join(figures)}: {reason}" for reason, figures in unlike.items())
    return Comparison(tuple(results), tuple(rows), tuple(differences), apart)


def write_comparison(folder: str | Path, paths: dict[str, Path]) -> tuple[Comparison, Path | None]:
    """``compare.json``, ``compare.md`` and the plot ``abx_bitrate.png`` of the systems' results, into ``folder``.

    The plot's path is None where no system has both a ZeroSpeech bit rate above 0 and an ABX error.
    """
    folder = Path(folder)
    results = {name: read_results(path) for name, path in paths.items()}
    found = compare(results)
    points = _points(results)
    picture = None
    if points:
        picture = folder / "abx_bitrate.png"
        scatter(picture, points, across="bit/s (ZeroSpeech 2019)", up="ABX error across speakers, %")
    write_text(folder / "compare.md", _markdown(found, with_plot=picture is not None))
    write_json(
        folder / "compare.json",
        {
            "systems": {name: str(path) for name, path in paths.items()},
            "figures": {
                name: {
                    system: None if figure is None else {"value": figure.value, "interval": figure.interval}
                    for system, figure in zip(found.systems, figures, strict=True)
                }
                for name, figures in found.rows
            },
            "differences": [
                {
                    "figure": each.figure.name,
                    "one": each.one,
                    "other": each.other,
                    "value": each.value,
                    "interval": each.interval,
                    "real": each.real,
                }
                for each in found.differences
            ],
            "not_compared": found.apart,
        },
    )
    return found, picture


def _points(results: dict[str, Results]) -> list[Point]:
    """The systems with both figures, and a rate that a logarithmic scale can show.

    Where ABX was measured in several ways, names say which.
    """
    found: list[tuple[str, Figure, Figure]] = []
    for name, result in results.items():
        figures = {figure.name: figure for figure in result.figures}
        rate, error = figures.get(RATE), figures.get(ERROR)
        if rate is not None and error is not None and _LEAST <= rate.value <= _MOST and 0 <= error.value <= 1:
            found.append((name, rate, error))
    alike = len({error.key for _, _, error in found}) == 1
    points = []
    for name, rate, error in found:
        low, high = error.interval or (error.value, error.value)
        shown = name if alike else f"{name} [{_told_apart(error.key, ERROR, results)}]"
        points.append(Point(shown, rate.value, 100 * error.value, (100 * low, 100 * high)))
    return points


def _told_apart(key: str, name: str, results: dict[str, Results]) -> str:
    """The settings in which figures of one name differ, with the values that ``key`` stands for."""
    found = {
        figure.key: figure.protocol for result in results.values() for figure in result.figures if figure.name == name
    }
    settings = {setting for protocol in found.values() for setting in protocol}
    differ = [
        setting for setting in sorted(settings) if len({str(protocol.get(setting)) for protocol in found.values()}) > 1
    ]
    return ", ".join(f"{setting} {found[key].get(setting)}" for setting in differ)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    _, value, interval, _, _ = figure.row()
    return f"{value} ({interval})" if interval else value


def _markdown(found: Comparison, *, with_plot: bool) -> str:
    lines = ["# Systems compared", "", "| figure | " + " | ".join(found.systems) + " |"]
    lines.append("|---" * (len(found.systems) + 1) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in found.table()]
    if with_plot:
        lines += ["", "![ABX error against bit rate](abx_bitrate.png)"]
    if found.differences:
        real = sum(each.real for each in found.differences)
        lines += ["", f"{len(found.differences)} differences, {real} of them real (paired interval without zero):", ""]
        lines += ["| figure | systems | difference | |", "|---|---|---|---|"]
        lines += ["| " + " | ".join(each.row()) + " |" for each in found.differences]
    lines += ["", *(f"- not compared: {each}" for each in found.apart)]
    return "\n".join([*lines, ""])
