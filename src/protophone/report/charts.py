"""Curves and bars as SVG that takes its colours from the page around it."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from protophone.report.contents import Curve
from protophone.report.markup import amount, plain

__all__ = ["bar_chart", "line_chart"]

_WIDTH, _HEIGHT = 420, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 40
_POINTS = 300  # of a curve; more are averaged in equal stretches
_LOG_FROM = 20.0  # a curve that falls by this factor is drawn on a logarithmic scale


def line_chart(curves: Sequence[Curve], *, across: str) -> str:
    """One picture of curves over steps, training solid and held-out dashed; logarithmic where they fall far.

    Points that are NaN or infinite are left out.
    """
    lines = [(curve.split, *_thinned(curve)) for curve in curves]
    lines = [line for line in lines if len(line[1])]
    label = plain(f"{curves[0].name}: " + "; ".join(_course(curve.split, *_finite(curve)) for curve in curves))
    if not lines:
        return _frame(label, ['<text class="none" x="50%" y="50%">no finite values</text>'], across)
    steps = np.concatenate([line[1] for line in lines])
    values = np.concatenate([line[2] for line in lines])
    logarithmic = bool(values.min() > 0 and values.max() > _LOG_FROM * values.min())
    low, high = _span(np.log10(values) if logarithmic else values)
    first, last = min(0.0, float(steps.min())), max(1.0, float(steps.max()))
    parts = _y_axis(low, high, logarithmic=logarithmic)
    parts += _x_axis(_ticks(first, last, 5, whole=True), first, last)
    for split, x, y in lines:
        height = np.log10(y) if logarithmic else y
        points = " ".join(
            f"{_across(a, first, last):.1f},{_up(b, low, high):.1f}" for a, b in zip(x, height, strict=True)
        )
        if len(x) == 1:
            at, up = points.split(",")
            parts.append(f'<circle class="dot {split}" cx="{at}" cy="{up}" r="3"/>')
        else:
            parts.append(f'<polyline class="curve {split}" points="{points}"/>')
    return _frame(label, parts, across + (" (upright: logarithmic)" if logarithmic else ""))


def bar_chart(
    heights: Sequence[float] | np.ndarray, labels: Sequence[str], titles: Sequence[str], *, label: str, across: str
) -> str:
    """Upright bars of ``heights`` in percent.

    ``labels`` stand below where they are not empty, ``titles`` show under the pointer, ``label`` is read out.
    """
    top = _span(np.append(np.asarray(heights, float), 0.0))[1]
    parts = _y_axis(0.0, top, logarithmic=False, unit="%")
    pitch = (_WIDTH - _LEFT - _RIGHT) / max(1, len(heights))
    gap = min(2.0, pitch * 0.2)
    for index, (height, below, title) in enumerate(zip(heights, labels, titles, strict=True)):
        left, y = _LEFT + index * pitch, _up(height, 0.0, top)
        floor = _HEIGHT - _BOTTOM
        parts.append(
            f'<rect class="bar" x="{left + gap / 2:.1f}" y="{y:.1f}" width="{pitch - gap:.1f}" '
            f'height="{floor - y:.1f}"><title>{plain(title)}</title></rect>'
        )
        if below:
            parts.append(f'<text class="below" x="{left + pitch / 2:.1f}" y="{floor + 15}">{plain(below)}</text>')
    return _frame(plain(label), parts, across)


def _frame(label: str, parts: list[str], across: str) -> str:
    title = f'<text class="axis" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}">{plain(across)}</text>'
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        + "".join(parts)
        + title
        + "</svg>"
    )


def _y_axis(low: float, high: float, *, logarithmic: bool, unit: str = "") -> list[str]:
    """Rules across the picture and their numbers; ``low`` and ``high`` are powers of ten where logarithmic."""
    ticks = _log_ticks(low, high) if logarithmic else _ticks(low, high, 4)
    parts = []
    for tick, words in ticks:
        y = _up(tick, low, high)
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="left" x="{_LEFT - 6}" y="{y + 4:.1f}">{words}{unit}</text>')
    return parts


def _x_axis(ticks: list[tuple[float, str]], first: float, last: float) -> list[str]:
    y = _HEIGHT - _BOTTOM + 15
    return [f'<text class="below" x="{_across(tick, first, last):.1f}" y="{y}">{words}</text>' for tick, words in ticks]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers between two powers of ten: 1, 2, 5 of each decade, or decades alone where there are many."""
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    decades = range(math.floor(low), math.ceil(high) + 1)
    values = [step * 10.0**decade for decade in decades for step in steps]
    return [(math.log10(value), amount(value)) for value in values if low <= math.log10(value) <= high]


def _ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[tuple[float, str]]:
    """Round numbers from ``low`` to ``high``, with as many digits as tell them apart; ``whole`` ones alone if so."""
    places = MaxNLocator(count, integer=whole).tick_values(low, high)
    step = float(places[1] - places[0])
    # What rounding leaves of nought would be written out.
    ticks = [0.0 if abs(place) < step / 2 else float(place) for place in places if low <= place <= high]
    # Three digits, and more until the numbers written are those meant, to a hundredth of what lies between them.
    digits = next((d for d in range(3, 17) if all(abs(float(f"{t:.{d}g}") - t) < step / 100 for t in ticks)), 17)
    return [(tick, amount(tick, digits)) for tick in ticks]


def _span(values: np.ndarray) -> tuple[float, float]:
    """From least to most with a little room above and below; never empty."""
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or max(abs(high), 1.0) * 0.05
    return low - room, high + room


def _across(value: float, low: float, high: float) -> float:
    return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)


def _up(value: float, low: float, high: float) -> float:
    return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _finite(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    steps, values = np.asarray(curve.steps, float), np.asarray(curve.values, float)
    keep = np.isfinite(values)
    return steps[keep], values[keep]


def _thinned(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values, each the mean of a stretch where there are more than can be drawn."""
    steps, values = _finite(curve)
    if len(steps) <= _POINTS:
        return steps, values
    edges = np.linspace(0, len(steps), _POINTS + 1).astype(int)
    sizes = np.diff(edges)
    return np.add.reduceat(steps, edges[:-1]) / sizes, np.add.reduceat(values, edges[:-1]) / sizes


def _course(split: str, steps: np.ndarray, values: np.ndarray) -> str:
    if not len(steps):
        return f"{split}, no finite values"
    return f"{split}, {amount(values[0])} at step {amount(steps[0])}, {amount(values[-1])} at step {amount(steps[-1])}"
