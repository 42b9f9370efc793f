"""How far the pitch of one sound is from that of another, frame by frame, on the same grid (5 ms).

Tracks are arrays of Hz, 0 where there is no voice. The measures, of *reference* and *estimate*:

* **GPE**, gross pitch error: the share of frames voiced in both whose pitch is off by more than 20 % of the reference.
* **VDE**, voicing decision error: the share of all frames that are voiced in one and not in the other.
* **FFE**, F0 frame error: the share of all frames with either error, so ``(gross + voicing errors) / frames`` (Chu and
  Alwan 2009, Reducing F0 frame error of F0 tracking algorithms under noisy conditions; all three as in Polyak et al.
  2021).
* **RMSE** in Hz, and in cents (hundredths of a semitone), over frames voiced in both, gross errors included: an octave
  is 1200 cents, so a few of them rule the figure, which is why GPE is beside it.
* **Correlation** of log F0 over frames voiced in both; and **contour correlation**, each recording's own mean removed.
  Where there are low and high voices, the first is high for that alone; the second knows only how the pitch moves.

Frames of all recordings are pooled, so a recording weighs by its frames; published code often takes the mean over
utterances instead, whose figures differ. All depend on the tracker and its floor: one that begins at 100 Hz drops the
low voices of men and lowers every error but VDE. State both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from protophone.errors import InputError
from protophone.metrics.interval import DRAWS, Estimate, estimate

__all__ = [
    "GROSS",
    "F0Scores",
    "f0_correlation",
    "f0_frame_error",
    "f0_scores",
    "gross_pitch_error",
    "rmse_cents",
    "rmse_hz",
    "voicing_decision_error",
]

GROSS = 0.2  # of the reference
_SPARE = 2  # frames by which two tracks of one recording may differ in length: codecs and vocoders pad
_STILL = 1e-8  # variance of log F0, a spread of 0.17 cents: rounding, not movement
_CENTRE = np.log(150.0)  # log F0 is summed as the distance from here, so that variances are not small differences


@dataclass(frozen=True)
class F0Scores:
    """Every measure over recordings, with intervals, and what they rest on.

    A measure that no frame allows is None: all but VDE and FFE where no frame of any recording is voiced in both
    tracks, a correlation where either pitch stays the same. ``without_pitch`` recordings have no frame voiced in both
    and count in VDE and FFE alone; ``cut_frames`` were at the end of one of two tracks and are left out.
    """

    gpe: Estimate | None
    vde: Estimate
    ffe: Estimate
    rmse_hz: Estimate | None
    rmse_cents: Estimate | None
    correlation: Estimate | None
    contour_correlation: Estimate | None
    recordings: int
    frames: int
    voiced_in_both: int
    without_pitch: int
    cut_frames: int


def f0_scores(
    references: Sequence[np.ndarray],
    estimates: Sequence[np.ndarray],
    names: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> F0Scores:
    """Every measure of pairs of tracks, ``[frame]`` in Hz, with bootstrap intervals over ``names``, one a recording.

    Raises ``InputError`` where tracks do not pair, differ by more than two frames, hold what is no pitch, or have no
    frame.
    """
    if not len(references) == len(estimates) == len(names):
        raise InputError(
            f"{len(references)} reference tracks, {len(estimates)} estimates, {len(names)} names; give one of each a "
            "recording"
        )
    rows = [_sums(*pair) for pair in zip(references, estimates, names, strict=True)]
    sums = _Sums(*np.array(rows).reshape(-1, len(fields(_Sums))).T)
    total = sums.weighed(np.ones(len(names)))
    if not total.frames:
        raise InputError(f"{len(names)} recordings without a frame; were they tracked?")

    def measure(name: str) -> Estimate:
        return estimate(lambda weights: getattr(sums.weighed(weights), name), names, draws=draws, seed=seed)

    return F0Scores(
        gpe=measure("gpe") if total.both else None,
        vde=measure("vde"),
        ffe=measure("ffe"),
        rmse_hz=measure("rmse_hz") if total.both else None,
        rmse_cents=measure("rmse_cents") if total.both else None,
        correlation=measure("correlation") if total.moves else None,
        contour_correlation=measure("contour_correlation") if total.bends else None,
        recordings=len(names),
        frames=int(total.frames),
        voiced_in_both=int(total.both),
        without_pitch=int((sums.both == 0).sum()),
        cut_frames=sum(abs(len(one) - len(other)) for one, other in zip(references, estimates, strict=True)),
    )


def gross_pitch_error(reference: np.ndarray, estimate: np.ndarray) -> float:
    """GPE of one recording; ``InputError`` where no frame is voiced in both."""
    return float(_voiced(reference, estimate).gpe)


def voicing_decision_error(reference: np.ndarray, estimate: np.ndarray) -> float:
    """VDE of one recording; ``InputError`` where it has no frame."""
    return float(_framed(reference, estimate).vde)


def f0_frame_error(reference: np.ndarray, estimate: np.ndarray) -> float:
    """FFE of one recording; ``InputError`` where it has no frame."""
    return float(_framed(reference, estimate).ffe)


def rmse_hz(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Root of the mean squared error in Hz of one recording; ``InputError`` where no frame is voiced in both."""
    return float(_voiced(reference, estimate).rmse_hz)


def rmse_cents(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Root of the mean squared error in cents of one recording; ``InputError`` where no frame is voiced in both."""
    return float(_voiced(reference, estimate).rmse_cents)


def f0_correlation(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Correlation of log F0 of one recording; ``InputError`` where one of the pitches stays the same."""
    sums = _voiced(reference, estimate)
    if not sums.moves:
        raise InputError(f"pitch that stays the same over {int(sums.both)} frames; a correlation needs one that moves")
    return float(sums.correlation)


@dataclass(frozen=True)
class _Sums:
    """What every measure is a function of: sums over frames, ``[recording]`` each, or over recordings, ``[draw]``.

    ``x`` and ``y`` are the log F0 of reference and estimate where both are voiced, from ``_CENTRE``; those of the
    ``contour`` from their means in the recording.
    """

    frames: np.ndarray
    both: np.ndarray
    gross: np.ndarray
    voicing: np.ndarray
    square_hz: np.ndarray
    square_cents: np.ndarray
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    contour_xx: np.ndarray
    contour_yy: np.ndarray
    contour_xy: np.ndarray

    def weighed(self, weights: np.ndarray) -> "_Sums":
        """The sums over recordings by ``weights``, ``[draw, recording]`` or ``[recording]``."""
        return _Sums(*(weights @ getattr(self, field.name) for field in fields(self)))

    @property
    def gpe(self) -> np.ndarray:
        return self.gross / self.both

    @property
    def vde(self) -> np.ndarray:
        return self.voicing / self.frames

    @property
    def ffe(self) -> np.ndarray:
        return (self.gross + self.voicing) / self.frames

    @property
    def rmse_hz(self) -> np.ndarray:
        return np.sqrt(self.square_hz / self.both)

    @property
    def rmse_cents(self) -> np.ndarray:
        return np.sqrt(self.square_cents / self.both)

    @property
    def correlation(self) -> np.ndarray:
        mean_x, mean_y = self.x / self.both, self.y / self.both
        return _cosine(self.xx - self.x * mean_x, self.yy - self.y * mean_y, self.xy - self.x * mean_y)

    @property
    def contour_correlation(self) -> np.ndarray:
        return _cosine(self.contour_xx, self.contour_yy, self.contour_xy)

    @property
    def moves(self) -> bool:
        """Whether both pitches vary at all."""
        least = _STILL * self.both
        return bool(self.both and self.xx - self.x**2 / self.both > least and self.yy - self.y**2 / self.both > least)

    @property
    def bends(self) -> bool:
        """Whether both pitches vary within recordings."""
        return bool(min(self.contour_xx, self.contour_yy) > _STILL * self.both)


def _cosine(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> np.ndarray:
    return np.clip(xy / np.sqrt(xx * yy), -1.0, 1.0)


def _sums(reference: np.ndarray, estimate: np.ndarray, name: str) -> np.ndarray:
    """The fields of ``_Sums`` of one recording, float64 ``[field]``."""
    tracks = [np.asarray(track, np.float64) for track in (reference, estimate)]
    for track in tracks:
        if track.ndim != 1 or not np.isfinite(track).all() or (track < 0).any():
            raise InputError(
                f"{name}: a pitch track of shape {track.shape} with values that are no pitch, or not [frame]; give Hz, "
                "and 0 where there is no voice"
            )
    length = min(map(len, tracks))
    if max(map(len, tracks)) > length + _SPARE:
        raise InputError(
            f"{name}: tracks of {len(tracks[0])} and {len(tracks[1])} frames; they may differ by {_SPARE}: track both "
            "on one grid, and trim the sound to the length of its original"
        )
    one, other = (track[:length] for track in tracks)
    both = (one > 0) & (other > 0)
    voicing = ((one > 0) != (other > 0)).sum()
    one, other = one[both], other[both]
    gross = (np.abs(other - one) > GROSS * one).sum()
    cents = 1200 * np.log2(other / one)
    x, y = np.log(one) - _CENTRE, np.log(other) - _CENTRE
    plain = x.sum(), y.sum(), x @ x, y @ y, x @ y
    if len(x):
        x, y = x - x.mean(), y - y.mean()
    hz = other - one
    squares = hz @ hz, cents @ cents
    return np.array([length, len(x), gross, voicing, *squares, *plain, x @ x, y @ y, x @ y], np.float64)


def _framed(reference: np.ndarray, estimate: np.ndarray) -> _Sums:
    """The sums of one recording that has a frame."""
    sums = _Sums(*_sums(reference, estimate, "the recording"))
    if not sums.frames:
        raise InputError("tracks without a frame; was the recording tracked?")
    return sums


def _voiced(reference: np.ndarray, estimate: np.ndarray) -> _Sums:
    """The sums of one recording that has a frame voiced in both tracks."""
    sums = _framed(reference, estimate)
    if not sums.both:
        raise InputError(
            f"no frame of {int(sums.frames)} is voiced in both tracks, so there is no pitch to compare; the voicing "
            "decision error says how they differ"
        )
    return sums
