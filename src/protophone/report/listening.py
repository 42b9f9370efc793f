"""Originals and resyntheses to listen to, with their spectrograms and the units between them."""

from collections.abc import Sequence

import numpy as np

from protophone.report.contents import Pair
from protophone.report.markup import amount, name, plain, plural
from protophone.report.pictures import spectrogram
from protophone.report.sounds import SoundShelf
from protophone.report.strip import STRIP, runs_of, strip

__all__ = ["MOST_PAIRS", "listening"]

MOST_PAIRS = 12
_LONGEST = 20.0  # seconds of a recording that are drawn and played
_SPEC, _GAP, _AXIS = 132, 4, 18  # heights in pixels


def listening(pairs: Sequence[Pair], sounds: SoundShelf, *, link_units: bool) -> str:
    """The section of held-out recordings; with ``link_units`` a unit leads to its row of the table."""
    shown = pairs[:MOST_PAIRS]
    left_out = f" Of {len(pairs)}, the first {MOST_PAIRS} are here." if len(pairs) > len(shown) else ""
    intro = (
        "<p>These recordings were kept out of training. Above, what was recorded; between, the units it was written "
        "as (equal neighbours are one run, and a unit keeps its colour); below, what the voice made of those units "
        f"alone. Compare the two by ear.{left_out}</p>"
    )
    return intro + "".join(_pair(pair, index, sounds, link_units=link_units) for index, pair in enumerate(shown))


def _pair(pair: Pair, index: int, sounds: SoundShelf, *, link_units: bool) -> str:
    rate = sounds.sample_rate
    most = round(_LONGEST * rate)
    original, resynthesis = pair.original[:most], pair.resynthesis[:most]
    length = max(len(original), len(resynthesis))
    codes = np.asarray(pair.codes, np.int64)[: -(-length // pair.hop)]
    runs = runs_of(codes)
    seconds = length / rate
    scale = min(420.0, max(180.0, 940 / seconds))  # pixels a second
    speaker = f' <span class="by">{name(pair.speaker)}</span>' if pair.speaker else ""
    cut = f", the first {_LONGEST:.0f} s of them" if max(len(pair.original), len(pair.resynthesis)) > most else ""
    full = max(len(pair.original), len(pair.resynthesis)) / rate
    facts = f"{amount(full)}\u202fs{cut} · {plural(len(runs), 'run')} over {plural(len(codes), 'frame')}"
    first, second = sounds.add(original), sounds.add(resynthesis)
    picture = _picture(pair, (original, resynthesis), runs, scale, rate, link_units=link_units)
    written = " ".join(f"{unit}&times;{count}" if count > 1 else f"{unit}" for unit, _, count in runs)
    return (
        f'<article class="pair" aria-labelledby="pair-{index}"><h3 id="pair-{index}">{name(pair.id)}{speaker} '
        f'<small>{facts}</small></h3><div class="duo"><div class="rail">'
        f"{_button(first, 'original', pair)}{_button(second, 'resynthesis', pair)}</div>"
        f'<div class="roll" tabindex="0" role="group" aria-label="spectrograms of {plain(pair.id)}">'
        f"{picture}</div></div>"
        f"<details><summary>The units in writing</summary><p class='code'>{written}</p></details></article>"
    )


def _button(sound: int, what: str, pair: Pair) -> str:
    return (
        f'<button class="play" type="button" data-sound="{sound}" aria-pressed="false" '
        f'aria-label="play the {what} of {plain(pair.id)}"><span class="mark" aria-hidden="true"></span>{what}</button>'
    )


def _picture(
    pair: Pair,
    both: tuple[np.ndarray, np.ndarray],
    runs: list[tuple[int, int, int]],
    scale: float,
    rate: int,
    *,
    link_units: bool,
) -> str:
    width = max(map(len, both)) / rate * scale
    below = _SPEC + _GAP + STRIP + _GAP
    height = below + _SPEC + _AXIS
    label = plain(
        f"Spectrograms, 0 to {rate // 2} hertz, of {pair.id}: the original above, the resynthesis below, "
        f"{len(runs)} runs of units between them"
    )
    parts = [
        _image(spectrogram(sound, rate), y, len(sound) / rate * scale)
        for sound, y in zip(both, (0, below), strict=True)
    ]
    hop = pair.hop / rate * scale
    edges = "".join(f"M{start * hop:.1f} 0V{below + _SPEC}" for _, start, _ in runs[1:])
    parts.append(f'<path class="edge" d="{edges}"/>')
    parts.append(strip(runs, hop, width, _SPEC + _GAP, link=link_units))
    parts += [
        f'<text class="time" x="{second * scale + 3:.1f}" y="{height - 4}">{second}\u202fs</text>'
        f'<path class="tick" d="M{second * scale:.1f} {height - _AXIS}v{_AXIS - 6}"/>'
        for second in range(int(width / scale) + 1)
        if second * scale < width - 20
    ]
    parts.append(f'<line class="head" x1="0" x2="0" y1="0" y2="{height - _AXIS}"/>')
    return (
        f'<svg width="{width:.0f}" height="{height}" viewBox="0 0 {width:.1f} {height}" role="img" '
        f'aria-label="{label}" data-scale="{scale:.3f}">' + "".join(parts) + "</svg>"
    )


def _image(uri: str, y: int, width: float) -> str:
    return (
        f'<rect class="paper" y="{y}" width="{width:.1f}" height="{_SPEC}"/>'
        f'<image class="ink" href="{uri}" y="{y}" width="{width:.1f}" height="{_SPEC}" preserveAspectRatio="none"/>'
    )
