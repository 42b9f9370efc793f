"""Pitch: the fundamental frequency of a voice every 5 ms, by autocorrelation and the best path through its peaks.

The method is Boersma's (1993, Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise
ratio of a sampled sound), which is also that of Praat. The autocorrelation of a windowed frame over that of its window
is 1 at the period of a perfectly periodic sound, whatever its spectrum. Its peaks are the frame's candidates, no voice
is one more, and the path through the candidates of all frames weighs their strengths against jumps.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Literal

import numba
import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional as F

from protophone.config import Positive, SampleCount, SpeechRate, Weight, config
from protophone.errors import AudioError, ConfigError
from protophone.features.contour import PitchBatch
from protophone.types import AudioBatch, FrameGrid

__all__ = ["PitchConfig", "PitchTracker", "Tracker"]

_PERIODS = 3  # of the lowest pitch in a window: its slopes leave little of what lies one period apart in fewer
_FINER = 2  # points a sample at which the autocorrelation is evaluated; a parabola goes through three of them
_LONGEST = 2**14  # samples of a period, so that the candidates of a frame can be numbered in 16 bits
_WINDOW, _MARGIN = 12_000, 200  # frames tracked at a time of long recordings, and beside them: 60 s, 1 s
_BLOCK = 2**18  # values of the frames worked on at once: a core's cache


class Tracker(ABC):
    """Finds the pitch of recordings, row by row: a row of a batch gives what it gives alone, to the last bit.

    ``sample_rate`` in Hz is the only one accepted; ``grid`` is where the frames lie; ``settings`` are what its figures
    depend on.
    """

    def __init__(self, config: Any) -> None:
        self.config = config
        self.sample_rate: int = config.sample_rate
        self.grid = FrameGrid(config.sample_rate, config.hop)
        self.settings: dict[str, Any] = asdict(config)

    @property
    def ahead(self) -> int:
        """Frames after its own, at most, whose sound a frame depends on: those tracked together, and a window more."""
        return _WINDOW + _MARGIN

    def track(self, audio: AudioBatch) -> PitchBatch:
        """Pitch of each row, ``grid.num_frames(length)`` frames, given on the device of ``audio``.

        A silent row and one shorter than a window have none. ``AudioError`` at another sample rate, and for values
        that are not finite.
        """
        if audio.sample_rate != self.sample_rate:
            raise AudioError(
                f"sound at {audio.sample_rate} Hz given to a pitch tracker at {self.sample_rate} Hz; resample it as it "
                "is read, or set sample_rate and hop of the tracker"
            )
        lengths = torch.tensor([self.grid.num_frames(n) for n in audio.lengths.tolist()], dtype=torch.int64)
        f0_hz = torch.zeros(len(lengths), int(lengths.max()) if len(lengths) else 0)
        for row, frames in enumerate(lengths.tolist()):
            samples = audio.samples[row, : int(audio.lengths[row])].cpu()
            if not samples.isfinite().all():
                raise AudioError(f"row {row} of a batch has values that are not finite; mend or leave it out")
            long = len(samples) > (_WINDOW + _MARGIN) * self.grid.hop
            f0_hz[row, :frames] = self.track_blocks([samples.numpy()]).f0_hz[0] if long else self._pitch(samples)
        return PitchBatch(f0_hz.to(audio.samples.device), lengths.to(audio.lengths.device), self.grid)

    def track_blocks(self, blocks: Iterable[np.ndarray]) -> PitchBatch:
        """Pitch of one recording that comes in parts float32 ``[sample]``: a batch of one, in bounded memory.

        What is longer than a minute is tracked minute by minute, each with a second more on both sides. This is what
        ``track`` does with a long row.
        """
        hop, held, first, done = self.grid.hop, np.zeros(0, np.float32), 0, 0  # frames where held begins, and tracked
        parts = []
        for block in blocks:
            held = np.concatenate([held, block])
            while len(held) > (end := (done + _WINDOW + _MARGIN - first) * hop):
                pitch = self._pitch(torch.from_numpy(held[:end]))
                parts.append(pitch[done - first : done - first + _WINDOW])
                done += _WINDOW
                held, first = held[(done - _MARGIN - first) * hop :], done - _MARGIN
        parts.append(self._pitch(torch.from_numpy(held))[done - first :])
        f0_hz = torch.cat(parts)[None]
        return PitchBatch(f0_hz, torch.tensor([f0_hz.shape[1]]), self.grid)

    @abstractmethod
    def _pitch(self, samples: Tensor) -> Tensor:
        """Pitch of one recording ``[sample]``, on the CPU, in Hz: float32 ``[frame]``."""


@config
class PitchConfig:
    """Autocorrelation pitch between ``floor_hz`` and ``ceiling_hz``; thresholds and costs are those of Praat.

    ``silence_threshold`` is a share of the recording's greatest amplitude: frames that are softer are hardly ever
    voiced. This is a normalisation per recording; part of a recording may be judged otherwise than in the whole.
    ``voicing_threshold`` is the strength, at most 1, that a period must have to be preferred to no voice. The costs are
    taken from strengths: ``octave_cost`` for each octave below the ceiling, ``jump_cost`` for each octave between
    frames 10 ms apart, ``voicing_cost`` where the voice sets in or out; those of shorter hops are higher in proportion.
    """

    kind: Literal["autocorrelation"] = "autocorrelation"
    sample_rate: SpeechRate = 16000
    hop: SampleCount = 80
    floor_hz: Positive = 60.0
    ceiling_hz: Positive = 500.0
    silence_threshold: Positive = 0.03
    voicing_threshold: Positive = 0.45
    octave_cost: Weight = 0.01
    jump_cost: Weight = 0.35
    voicing_cost: Weight = 0.14

    def __post_init__(self) -> None:
        if not self.sample_rate / _LONGEST <= self.floor_hz < self.ceiling_hz <= self.sample_rate / 8:
            raise ConfigError(
                f"pitch from {self.floor_hz:g} to {self.ceiling_hz:g} Hz in sound at {self.sample_rate} Hz: the floor "
                f"must lie below the ceiling, both from {self.sample_rate / _LONGEST:g} to {self.sample_rate / 8:g} Hz"
            )

    def build(self) -> "PitchTracker":
        """The tracker."""
        return PitchTracker(self)


class PitchTracker(Tracker):
    """The tracker of this package: nothing to train, some hundreds of times as fast as speech on a CPU.

    Frame *t* is seen through a Hann window of three longest periods (50 ms) centred on sample ``t * hop``; beyond its
    ends a recording is silent. Memory is a few times that of the sound and does not grow with the batch.
    """

    config: PitchConfig

    def __init__(self, config: PitchConfig) -> None:
        super().__init__(config)
        self._period = round(config.sample_rate / config.floor_hz)
        half = round(_PERIODS * config.sample_rate / config.floor_hz / 2)
        self._reach = half - 1  # samples on each side of the centre whose weight is not zero
        self._first = int(_FINER * config.sample_rate / config.ceiling_hz)  # in points of the finer autocorrelation
        self._last = math.ceil(_FINER * config.sample_rate / config.floor_hz)
        self._n_fft = next_fast_len(2 * half + self._last // _FINER + 2, real=True)
        place = torch.arange(-self._reach, half, dtype=torch.float64)
        window = 0.5 + 0.5 * torch.cos(math.pi * place / half)
        lags, power = self._autocorrelation(window[None])
        self._window = window.float()
        self._correction = (power / lags[0]).float()  # undoes the fall of the window's own autocorrelation

    def _pitch(self, samples: Tensor) -> Tensor:
        c, frames = self.config, self.grid.num_frames(len(samples))
        if len(samples) < 2 * self._reach + 1:
            return torch.zeros(frames)
        samples = samples - samples.mean(dtype=torch.float64).float()
        peak = samples.abs().amax()
        if peak == 0:
            return torch.zeros(frames)
        padded = F.pad(samples / peak, (self._reach, self._reach + c.hop))
        windows = padded.unfold(0, 2 * self._reach + 1, c.hop)[:frames]
        step = max(1, _BLOCK // self._n_fft)
        parts = [self._candidates(part) for part in windows.split(step)]
        counts, unvoiced, f0, strength = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        hops = c.sample_rate / (100 * c.hop)  # in 10 ms
        return torch.from_numpy(
            _best_path(np.cumsum(counts), unvoiced, f0, strength, c.jump_cost * hops, c.voicing_cost * hops)
        )

    def _candidates(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What each frame may be, of ``windows`` ``[frame, sample]``, the greatest amplitude of the recording 1.

        Returns how many periods each has, and the strength of its having no voice, both ``[frame]``; and of all the
        periods ``[candidate]``, frame by frame, the pitch in Hz and the strength.
        """
        c, period, centre = self.config, self._period, self._reach
        windows = windows - windows[:, centre - period : centre + period + 1].mean(1, keepdim=True)
        windows = windows * self._window
        loudness = windows[:, centre - period // 2 : centre + period // 2 + 1].abs().amax(1)
        quiet = 2 - loudness * ((1 + c.voicing_threshold) / c.silence_threshold)
        unvoiced = c.voicing_threshold + quiet.clamp_min(0)  # equation 23

        lags, power = self._autocorrelation(windows)
        lags = lags * self._correction  # equation 9
        before, at, after = lags[:, :-2], lags[:, 1:-1], lags[:, 2:]
        least = 0.5 * c.voicing_threshold * power[:, None]
        frame, point = ((at > before) & (at >= after) & (at > least)).nonzero(as_tuple=True)
        before, at, after = (side[frame, point] / power[frame] for side in (before, at, after))
        slope, bend = (after - before) / 2, 2 * at - before - after
        f0 = _FINER * c.sample_rate / (self._first + point + slope / bend)
        height = at + slope * slope / (2 * bend)
        height = torch.where(height > 1, 1 / height, height)  # sound that swells or fades can correlate above 1
        strength = height - c.octave_cost * torch.log2(c.ceiling_hz / f0)  # equation 24, from the ceiling
        kept = (f0 >= c.floor_hz) & (f0 <= c.ceiling_hz)
        counts = torch.bincount(frame[kept], minlength=len(windows))
        return counts, unvoiced, f0[kept], strength[kept]

    def _autocorrelation(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Of frames ``[frame, sample]``: at the lags of interest and one more on each side, ``[frame, lag]``; at none.

        Zeros above a spectrum give the same function at points between the samples.
        """
        spectrum = torch.view_as_real(torch.fft.rfft(windows, self._n_fft)).square().sum(-1)
        if self._n_fft % 2 == 0:
            spectrum[:, -1] /= 2  # the bin is its own mirror image, but has one in the longer spectrum
        lags = torch.fft.irfft(spectrum, _FINER * self._n_fft)
        return lags[:, self._first - 1 : self._last + 2], lags[:, 0]


@numba.njit(cache=True, nogil=True)
def _best_path(
    ends: np.ndarray, unvoiced: np.ndarray, f0: np.ndarray, strength: np.ndarray, jump_cost: float, voicing_cost: float
) -> np.ndarray:
    """The path of greatest strength less costs, by Viterbi's algorithm: float32 ``[frame]`` in Hz, 0 for no voice.

    The periods of frame *t* end before ``ends[t]`` in ``f0`` and ``strength`` ``[candidate]``. Candidate 0 of a frame
    is no voice, *k* its *k*-th period.
    """
    frames = len(ends)
    octave = np.log2(f0)
    came = np.zeros(len(f0) + frames, np.int16)  # the best candidate of the frame before, for each
    score = np.zeros(1)
    start = before = 0  # first periods of this frame and of the one before
    for t in range(frames):
        fresh = np.empty(ends[t] - start + 1)
        for k in range(len(fresh)):
            best, origin = -np.inf, 0
            for j in range(len(score)):
                if k == 0 or j == 0:
                    cost = 0.0 if k == j or t == 0 else voicing_cost
                else:
                    cost = jump_cost * abs(octave[start + k - 1] - octave[before + j - 1])
                if score[j] - cost > best:
                    best, origin = score[j] - cost, j
            fresh[k] = best + (unvoiced[t] if k == 0 else strength[start + k - 1])
            came[start + t + k] = origin
        score, before, start = fresh, start, ends[t]
    path = np.zeros(frames, np.float32)
    k = int(np.argmax(score))
    for t in range(frames - 1, -1, -1):
        start = ends[t - 1] if t else 0
        if k:
            path[t] = f0[start + k - 1]
        k = came[start + t + k]
    return path
