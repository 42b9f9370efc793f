"""Speech segments of a recording, on its own time line: energy in bands, with hysteresis, above the noise around.

The recording is heard in six bands, so that hum, wind or hiss in some of them leaves the others to tell speech. In
each, the noise floor is a low percentile of the seconds around a frame, and what counts is the mean excess of the
three bands that stand out most. Speech begins where that exceeds a threshold and lasts until it falls below a lower
one; both thresholds rise with how far the loudest sounds around stand out, so that breath and rustling in a quiet room
are not taken for speech. Steady noise is not speech however loud it is; neither is a vowel held from end to end.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from protophone.config import Seconds, Share, Weight, bounds, config
from protophone.errors import ConfigError, InputError

__all__ = ["Segment", "VadConfig", "speech_segments"]

_EDGES = (100, 300, 600, 1200, 2400, 4000, 7000)  # Hz, between the bands
_STANDING_OUT = 3  # bands whose excess is averaged
_HOP = 0.01  # seconds
_WINDOW = 0.025  # seconds
_SMOOTHED = 9  # frames averaged around each: a syllable's length
_SILENT = 1e-10  # power below the least bit of 16: no microphone, an edit or a gate
_SILENT_SHARE = 1e-9  # of the loudest frame's power: the same in a recording that is quiet as a whole
_CHUNK = 512  # frames worked on at once, always from the same places, so that no bit depends on the blocks
_STEP = 100  # frames between two estimates of the floor


@dataclass(frozen=True)
class Segment:
    """From sample ``start`` up to but not including sample ``end``."""

    start: int
    end: int


@config
class VadConfig:
    """What counts as speech; times in seconds, thresholds in dB above the noise floor.

    ``floor_percentile`` of the energies in ``floor_window`` is the noise floor. The threshold to enter speech is
    ``enter_db``, or ``enter_share`` of what the loudest twentieth of the window has, if that is more; so too to leave.
    Pauses shorter than ``min_silence`` are bridged, then sounds shorter than ``min_speech`` dropped, the rest widened
    by ``padding`` on both sides, and what is longer than ``max_speech`` cut where it is quietest.
    """

    floor_percentile: Annotated[float, bounds(0.1, 94.0)] = 8.0
    floor_window: Annotated[float, bounds(1.0, 3600.0)] = 20.0
    enter_db: Weight = 8.0
    leave_db: Weight = 4.0
    enter_share: Share = 0.45
    leave_share: Share = 0.25
    min_speech: Seconds = 0.08
    min_silence: Seconds = 0.3
    padding: Seconds = 0.1
    max_speech: Annotated[float, bounds(1.0, 3600.0)] = 20.0

    def __post_init__(self) -> None:
        if not (0 < self.leave_db <= self.enter_db and self.leave_share <= self.enter_share < 1):
            raise ConfigError(
                f"leave_db {self.leave_db}, enter_db {self.enter_db}, leave_share {self.leave_share}, enter_share "
                f"{self.enter_share}: write 0 < leave_db <= enter_db and 0 <= leave_share <= enter_share < 1"
            )


def speech_segments(
    blocks: Iterable[np.ndarray] | np.ndarray, sample_rate: int, config: VadConfig | None = None
) -> list[Segment]:
    """Where there is speech, in order and without overlap, in samples at ``sample_rate`` from the first of ``blocks``.

    ``blocks`` is mono sound ``[sample]``, whole or in blocks of any lengths; the segments do not depend on them. Only
    the energies of frames are kept, with what is computed from them at most 50 MB an hour. ``InputError`` for a rate
    below 4 kHz, which no speech survives.
    """
    if sample_rate < 4000:
        raise InputError(f"a rate of {sample_rate} Hz is too low for speech; give recordings of 8000 Hz or more")
    config = config or VadConfig()
    hop = round(_HOP * sample_rate)
    power, num_samples = _band_power(blocks, sample_rate, hop)
    if not len(power):
        return []
    speech = _hysteresis(_excess(power, config), config)
    runs = _durations(_runs(speech), len(power), config)
    loudness = power.sum(axis=1)
    longest = int(config.max_speech / _HOP)
    return [
        Segment(start * hop, min(end * hop, num_samples))
        for run in runs
        for start, end in _split(*run, loudness, longest)
    ]


def _band_power(blocks: Iterable[np.ndarray] | np.ndarray, sample_rate: int, hop: int) -> tuple[np.ndarray, int]:
    """Power in each band, float32 ``[frame, band]``, smoothed over a syllable; and the number of samples.

    Frame *t* is the window centred on the middle of samples ``t * hop`` to ``(t + 1) * hop``.
    """
    window = round(_WINDOW * sample_rate)
    n_fft = 1 << (window - 1).bit_length()
    shape = np.hanning(window + 2)[1:-1].astype(np.float32)
    edges = [edge for edge in _EDGES if edge < sample_rate / 2]
    cuts = np.ceil(np.array([*edges, sample_rate / 2])[: len(_EDGES)] * n_fft / sample_rate).astype(int)
    scale = 2 / (n_fft * float(np.square(shape).sum()))
    parts = []
    num_samples = 0
    for chunk, count in _chunks(blocks, hop, window):
        frames = np.lib.stride_tricks.sliding_window_view(chunk, window)[::hop]
        spectrum = np.fft.rfft(frames * shape, n_fft)
        bins = scale * (np.square(spectrum.real) + np.square(spectrum.imag))
        parts.append(np.add.reduceat(bins[:, : cuts[-1]], cuts[:-1], axis=1).astype(np.float32))
        num_samples += count
    power = np.concatenate(parts)[: -(-num_samples // hop)] if parts else np.zeros((0, len(cuts) - 1), np.float32)
    return _smooth(power), num_samples


def _chunks(blocks: Iterable[np.ndarray] | np.ndarray, hop: int, window: int) -> Iterator[tuple[np.ndarray, int]]:
    """Sound for ``_CHUNK`` frames at a time, and how many new samples each brings; zeros before the first and last."""
    size = (_CHUNK - 1) * hop + window
    fresh = _CHUNK * hop
    lead = (window - hop) // 2
    held = [np.zeros(lead, np.float32)]
    length = lead
    total = given = 0
    for block in [blocks] if isinstance(blocks, np.ndarray) else blocks:
        held.append(np.asarray(block, np.float32))
        length += len(block)
        total += len(block)
        if length < size:
            continue
        joined = np.concatenate(held)
        while len(joined) >= size:
            count = min(fresh, total - given)
            yield joined[:size], count
            given += count
            joined = joined[fresh:]
        held, length = [joined], len(joined)
    while given < total:
        joined = np.concatenate(held)
        count = min(fresh, total - given)
        yield np.pad(joined[:size], (0, max(0, size - len(joined)))), count
        given += count
        held = [joined[fresh:]]


def _smooth(power: np.ndarray) -> np.ndarray:
    """Each frame the mean of those around it; at the ends, of those there are."""
    at = np.arange(len(power))
    low, high = np.maximum(at - _SMOOTHED // 2, 0), np.minimum(at + _SMOOTHED // 2 + 1, len(power))
    for column in power.T:  # one band at a time and in place, for hours of frames
        sums = np.concatenate([[0.0], np.cumsum(column, dtype=np.float64)])
        column[:] = np.maximum((sums[high] - sums[low]) / (high - low), 0)
    return power


def _excess(power: np.ndarray, config: VadConfig) -> np.ndarray:
    """How far each frame stands out from the noise around it, in dB: the bands that stand out most."""
    level = 10 * np.log10(np.maximum(power, 1e-14))
    # digital silence says nothing about the noise in which the speech beside it was recorded
    total = power.sum(axis=1)
    heard = total > min(_SILENT, _SILENT_SHARE * float(total.max()))
    over = level - _around(level, heard, config.floor_percentile, config)
    bands = min(_STANDING_OUT, over.shape[1])
    excess = np.sort(over, axis=1)[:, -bands:].mean(axis=1)
    excess[~heard] = -np.inf
    return excess


def _hysteresis(excess: np.ndarray, config: VadConfig) -> np.ndarray:
    """True from where the excess is above the upper threshold, both ways to where it falls below the lower."""
    heard = np.isfinite(excess)
    loud = _around(excess[:, None], heard, 95.0, config)[:, 0]
    enter = excess > np.maximum(config.enter_db, config.enter_share * loud)
    stay = excess > np.maximum(config.leave_db, config.leave_share * loud)
    speech = np.zeros(len(excess), bool)
    for start, end in _runs(stay):
        speech[start:end] = enter[start:end].any()
    return speech


def _around(values: np.ndarray, heard: np.ndarray, percentile: float, config: VadConfig) -> np.ndarray:
    """A percentile of the ``heard`` frames in the window around each frame, ``[frame, dim]``; straight in between."""
    width = round(config.floor_window / _HOP)
    last = max(0, len(values) - width)
    places = np.arange(0, len(values) + _STEP, _STEP)
    known: list[int] = []
    found: list[np.ndarray] = []
    for place in places:
        start = int(np.clip(place - width // 2, 0, last))
        inside = values[start : start + width][heard[start : start + width]]
        if len(inside):
            known.append(int(place))
            found.append(np.percentile(inside, percentile, axis=0))
    out = np.zeros(values.shape, np.float32)
    for column in range(values.shape[1] if known else 0):
        out[:, column] = np.interp(np.arange(len(values)), known, [row[column] for row in found])
    return out


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and end frame of each stretch of true flags."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _durations(runs: list[tuple[int, int]], num_frames: int, config: VadConfig) -> list[tuple[int, int]]:
    """Short pauses bridged, short sounds dropped, the rest padded; those that then touch are one."""
    long_enough = [
        (start, end)
        for start, end in _joined(runs, config.min_silence / _HOP)
        if end - start >= config.min_speech / _HOP
    ]
    padding = round(config.padding / _HOP)
    return _joined([(max(0, start - padding), min(num_frames, end + padding)) for start, end in long_enough], 0.5)


def _joined(runs: list[tuple[int, int]], gap: float) -> list[tuple[int, int]]:
    """Runs less than ``gap`` frames apart become one."""
    out: list[tuple[int, int]] = []
    for start, end in runs:
        if out and start - out[-1][1] < gap:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _split(start: int, end: int, loudness: np.ndarray, longest: int) -> Iterator[tuple[int, int]]:
    """A run in pieces of at most ``longest`` frames, each cut at the quietest frame of its second half."""
    while end - start > longest:
        # the rest is cut off no shorter than a quarter of what is allowed
        low = start + longest // 2
        high = max(low + 1, min(start + longest, end - math.ceil(longest / 4)))
        cut = low + int(np.argmin(loudness[low:high]))
        yield start, cut
        start = cut
    yield start, end
