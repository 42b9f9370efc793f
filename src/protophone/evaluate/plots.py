"""Pictures of figures: systems in the plane of bit rate and error, and which unit falls on which phone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from protophone.files import atomic
from protophone.metrics.units import order_units

__all__ = ["Point", "heat_map", "scatter"]

_TICKS = (10, 20, 30, 50, 70, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 6400)


@dataclass(frozen=True)
class Point:
    """A system: its bit rate, its error, and the interval of that."""

    name: str
    x: float
    y: float
    interval: tuple[float, float]


def scatter(path: str | Path, points: Sequence[Point], *, across: str, up: str) -> None:
    """Systems as points with upright intervals, the bit rate on a logarithmic scale; a PNG."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, point in enumerate(points):
        low, high = point.interval
        bars = [[max(0.0, point.y - low)], [max(0.0, high - point.y)]]
        colour = f"C{number % 10}"
        axes.errorbar([point.x], [point.y], yerr=bars, fmt="os^Dv"[number // 10 % 5], color=colour, capsize=3)
        axes.annotate(point.name, (point.x, point.y), xytext=(7, 4), textcoords="offset points", color=colour)
    left, right = min(point.x for point in points) / 1.5, max(point.x for point in points) * 1.8
    axes.set(xscale="log", xlabel=across, ylabel=up, xlim=(left, right))
    axes.set_xticks([tick for tick in _TICKS if left <= tick <= right])
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    _save(figure, path)


def heat_map(path: str | Path, counts: np.ndarray, phones: Sequence[str]) -> None:
    """Which share of each unit's frames falls on which phone, ``counts`` ``[unit, phone]``; a PNG.

    Units that were used are ordered by their likeliest phone, phones by how often they occur.
    """
    columns = np.argsort(-counts.sum(0), kind="stable")
    columns = columns[counts.sum(0)[columns] > 0]
    rows = counts[:, columns][order_units(counts[:, columns])]
    share = rows / rows.sum(1, keepdims=True)
    figure = Figure(figsize=(max(5.0, 0.24 * len(columns) + 1.5), 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(share, aspect="auto", interpolation="nearest", cmap="magma", vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), [phones[column] for column in columns], fontsize=7)
    axes.set(xlabel="phone, the most frequent first", ylabel=f"{len(share)} units, by their likeliest phone", yticks=[])
    figure.colorbar(image, label="share of the unit's frames")
    _save(figure, path)


def _save(figure: Figure, path: str | Path) -> None:
    path = Path(path)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)
