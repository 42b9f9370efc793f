"""Is the tune still there? Pitch of each sound beside that of its original, by one tracker."""

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from protophone.errors import AudioError, InputError
from protophone.evaluate.figure import Found, LeftOut, estimated
from protophone.evaluate.pairs import RATE, Pair
from protophone.features.pitch import PitchConfig, Tracker
from protophone.features.praat import PraatConfig
from protophone.metrics.f0 import GROSS, f0_scores
from protophone.progress import Stage
from protophone.types import AudioBatch

if TYPE_CHECKING:
    from protophone.metrics.interval import Estimate

__all__ = ["compare_pitch", "load_tracker"]

_FRAMES = 3  # 5 ms each: what vocoders add or lack at the end, and is cut


def compare_pitch(
    pairs: Sequence[Pair], names: Sequence[str], tracker: Literal["praat", "protophone"] | None, *, stage: Stage
) -> Found:
    """GPE, VDE, FFE, RMSE and correlations of the sounds' pitch; ``names`` are what intervals are over, one a pair.

    Without a ``tracker`` it is Praat's where parselmouth is installed, so that a vocoder of ours is not judged by the
    tracker it learned from. A sound longer or shorter than its original by more than 10 ms is left out.
    """
    by, judge = load_tracker(tracker)
    references, estimates, kept, unlike = [], [], [], []
    with stage("tracking pitch", len(pairs)) as advance:
        for pair, name in zip(pairs, names, strict=True):
            try:
                batch = AudioBatch.from_arrays([pair.read_original(), pair.read_sound()], RATE)
            except AudioError as error:
                unlike.append((pair.id, str(error)))
                advance(1)
                continue
            tracks = judge.track(batch)
            one, other = tracks[0], tracks[1]
            advance(1)
            if abs(len(one) - len(other)) >= _FRAMES:
                unlike.append((pair.id, f"{len(other) / 200:.2f} s where the original has {len(one) / 200:.2f} s"))
                continue
            references.append(one)
            estimates.append(other)
            kept.append(name)
    if not kept:
        raise InputError(f"no pitch to compare in any of {len(pairs)} recordings, the first {': '.join(unlike[0])}")
    left_out = []
    if unlike:
        left_out.append(LeftOut("recordings", len(unlike), f"no pitch to compare: {unlike[0][1]}", _first(unlike)))
    scores = f0_scores(references, estimates, kept)
    protocol = {"tracker": by, "gross": GROSS, **judge.settings}
    measures: list[tuple[str, Estimate | None, str, Literal["lower", "higher"]]] = [
        ("F0 gross pitch error (GPE)", scores.gpe, "share", "lower"),
        ("F0 voicing decision error (VDE)", scores.vde, "share", "lower"),
        ("F0 frame error (FFE)", scores.ffe, "share", "lower"),
        ("F0 RMSE", scores.rmse_cents, "cents", "lower"),
        ("F0 RMSE in Hz", scores.rmse_hz, "Hz", "lower"),
        ("F0 correlation", scores.correlation, "", "higher"),
        ("F0 contour correlation", scores.contour_correlation, "", "higher"),
    ]
    figures = [
        estimated(title, found, unit, better=better, protocol=protocol)
        for title, found, unit, better in measures
        if found is not None
    ]
    lacking = [title for title, found, _, _ in measures if found is None]
    if lacking:
        left_out.append(
            LeftOut(
                "measures",
                len(lacking),
                "too few frames are voiced in both sounds, or the pitch never moves",
                tuple(lacking),
            )
        )
    if scores.without_pitch:
        reason = "no frame is voiced in both sounds: they count in VDE and FFE alone"
        left_out.append(LeftOut("recordings", scores.without_pitch, reason))
    return Found(figures=figures, left_out=left_out, settings={"f0": protocol})


def load_tracker(tracker: Literal["praat", "protophone"] | None) -> tuple[str, Tracker]:
    """The tracker of that name, and its name; ``InputError`` where it is not installed."""
    by = tracker or ("praat" if importlib.util.find_spec("parselmouth") else "protophone")
    return by, PraatConfig().build() if by == "praat" else PitchConfig().build()


def _first(unlike: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(name for name, _ in unlike[:3])
