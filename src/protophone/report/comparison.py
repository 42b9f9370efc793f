"""A page of sounds beside each other: what a recording became on several ways, to hear, see and weigh."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protophone.report.document import document
from protophone.report.markup import amount, name, plain
from protophone.report.pictures import spectrogram
from protophone.report.sounds import SoundShelf
from protophone.report.strip import STRIP, runs_of, strip

__all__ = ["Scene", "Take", "comparison"]

_HEIGHT = 96  # of a spectrogram, in pixels
_LONGEST = 20.0  # seconds of a sound that are drawn and played


@dataclass(frozen=True, eq=False)
class Take:
    """A sound of a scene: ``samples`` float ``[sample]``, and in ``note`` what is to be said of it."""

    label: str
    samples: np.ndarray
    note: str = ""


@dataclass(frozen=True, eq=False)
class Scene:
    """A recording, the first of ``takes``, and what became of it; ``facts`` are names and values below it.

    ``codes`` int ``[frame]`` are its units, each of ``hop`` samples, drawn below the recording.
    """

    name: str
    takes: Sequence[Take]
    facts: Sequence[tuple[str, str]] = ()
    codes: Sequence[int] | np.ndarray = ()
    hop: int = 0


def comparison(title: str, intro: str, scenes: Sequence[Scene], sample_rate: int) -> str:
    """The page as HTML text; ``intro`` is plain text, each of its lines a paragraph."""
    sounds = SoundShelf(sample_rate)
    words = "".join(f"<p>{plain(line)}</p>" for line in intro.splitlines() if line)
    body = words + "".join(_scene(scene, index, sounds) for index, scene in enumerate(scenes))
    return document(title, "Sounds beside each other", [("listen", "Listen", body)], sounds)


def _scene(scene: Scene, index: int, sounds: SoundShelf) -> str:
    rate = sounds.sample_rate
    longest = max((len(take.samples) for take in scene.takes), default=0) / rate
    scale = min(420.0, max(180.0, 940 / longest)) if longest else 180.0  # pixels a second
    rows = [_take(take, scene.name, scale, sounds) for take in scene.takes]
    if len(scene.codes):
        rows.insert(1, _units(scene, scale, rate))
    seconds = len(scene.takes[0].samples) / rate if scene.takes else 0.0
    facts = "".join(
        f'<tr><th scope="row">{plain(key)}</th><td class="figure">{plain(value)}</td></tr>'
        for key, value in scene.facts
    )
    table = f'<div class="wide"><table><tbody>{facts}</tbody></table></div>' if facts else ""
    return (
        f'<article aria-labelledby="scene-{index}"><h3 id="scene-{index}">{name(scene.name)} '
        f"<small>{amount(seconds)}\u202fs</small></h3>{''.join(rows)}{table}</article>"
    )


def _units(scene: Scene, scale: float, rate: int) -> str:
    """The units of the recording in a row."""
    width = min(len(scene.takes[0].samples), _LONGEST * rate) / rate * scale
    hop = scene.hop / rate * scale
    runs = [run for run in runs_of(np.asarray(scene.codes)) if run[1] * hop < width]
    label = plain(f"units of {scene.name}, {len(runs)} runs")
    return (
        f'<div class="duo take"><div>units</div><div class="roll" tabindex="0" role="group" aria-label="{label}">'
        f'<svg width="{width:.0f}" height="{STRIP}" viewBox="0 0 {width:.1f} {STRIP}" role="img" aria-label="{label}">'
        f"{strip(runs, hop, width, 0, link=False)}</svg></div></div>"
    )


def _take(take: Take, scene: str, scale: float, sounds: SoundShelf) -> str:
    rate = sounds.sample_rate
    samples = take.samples[: round(_LONGEST * rate)]
    number = sounds.add(samples)
    width = max(1.0, len(samples) / rate * scale)
    label = plain(f"spectrogram, 0 to {rate // 2} hertz, of {take.label} of {scene}")
    picture = (
        f'<svg width="{width:.0f}" height="{_HEIGHT}" viewBox="0 0 {width:.1f} {_HEIGHT}" role="img" '
        f'aria-label="{label}" data-scale="{scale:.3f}">'
        f'<rect class="paper" width="{width:.1f}" height="{_HEIGHT}"/>'
        f'<image class="ink" href="{spectrogram(samples, rate)}" width="{width:.1f}" height="{_HEIGHT}" '
        f'preserveAspectRatio="none"/><line class="head" x1="0" x2="0" y1="0" y2="{_HEIGHT}"/></svg>'
    )
    note = f" <small>{plain(take.note)}</small>" if take.note else ""
    return (
        f'<div class="duo take pair"><div><button class="play" type="button" data-sound="{number}" '
        f'aria-pressed="false" aria-label="play {plain(take.label)} of {plain(scene)}">'
        f'<span class="mark" aria-hidden="true"></span>{plain(take.label)}</button>{note}</div>'
        f'<div class="roll" tabindex="0" role="group" aria-label="{label}">{picture}</div></div>'
    )
