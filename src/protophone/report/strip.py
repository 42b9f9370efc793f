"""Units of a recording as a strip of colored boxes, one for each run of equal units."""

from collections.abc import Sequence

import numpy as np

from protophone.report.markup import plural

__all__ = ["STRIP", "hue", "runs_of", "strip"]

STRIP = 26  # height in pixels
_NARROWEST = 7.0  # pixels of a run that its number, written upwards, fits into


def strip(runs: Sequence[tuple[int, int, int]], hop: float, width: float, top: float, *, link: bool) -> str:
    """Draw runs of frames that are ``hop`` pixels wide, up to ``width``; with ``link`` they lead to the units' rows."""
    parts = []
    for unit, start, count in runs:
        left, right = start * hop, min((start + count) * hop, width)
        parts.append(_run(unit, left, right - left, top, plural(count, "frame"), link=link))
    return "".join(parts)


def hue(unit: int) -> int:
    """Colour angle of a unit: neighbours in number lie far apart on the wheel."""
    return round(unit * 137.508) % 360


def runs_of(codes: np.ndarray) -> list[tuple[int, int, int]]:
    """Unit, first frame and number of frames of each run of equal codes."""
    if not len(codes):
        return []
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    counts = np.diff(np.append(starts, len(codes)))
    return [(int(codes[at]), int(at), int(count)) for at, count in zip(starts, counts, strict=True)]


def _run(unit: int, left: float, width: float, top: float, lasts: str, *, link: bool) -> str:
    """A run as a coloured box with the unit's number, upright where there is room, upwards where there is less."""
    digits = len(str(unit))
    centre, middle = left + width / 2, top + STRIP / 2
    number = ""
    if width >= 7 * digits + 2:
        number = f'<text x="{centre:.1f}" y="{middle + 4:.1f}">{unit}</text>'
    elif width >= _NARROWEST:
        number = f'<text class="steep" transform="translate({centre + 3:.1f} {middle:.1f})rotate(-90)">{unit}</text>'
    box = (
        f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{STRIP}"/>{number}'
        f"<title>unit {unit}, {lasts}</title>"
    )
    style = f'class="run" style="--h:{hue(unit)}"'
    return f'<a {style} href="#unit-{unit}" tabindex="-1">{box}</a>' if link else f"<g {style}>{box}</g>"
