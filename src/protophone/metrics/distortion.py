"""How far the sound of a resynthesis is from its original, by their spectra; smaller is nearer, 0 is the same sound.

All are of two mono sounds at 16 kHz, levels as they are, silences counted like speech, and every figure names its
settings here, for none of them compares across other settings.

* **Mel-cepstral distortion** (Kubichek 1993), in dB, along the cheapest alignment in time. The formula's factor makes
  decibels only of cepstra scaled so that the log amplitude of a band is their cosine sum, as here: MFCC straight from a
  toolbox give numbers in no unit. Without c0, so without the level.
* **Multi-resolution STFT distance** (Yamamoto et al. 2020, equations 4 to 6 and table 1): spectral convergence and the
  mean difference of natural-log magnitudes, each the mean over three resolutions. Not symmetric: it is relative to
  the original.
* **Log-spectral distance** (Gray and Markel 1976), in dB; others print it in bels, or as natural logarithms.

The last two compare frame by frame: lengths may differ by 50 ms, and the longer sound is cut at its end. A delay is
not searched for.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from protophone.audio import check_speech
from protophone.errors import AudioError, InputError
from protophone.spectral import dct_ortho, mel_power, power_to_db, stft

__all__ = [
    "RATE",
    "SETTINGS",
    "StftDistance",
    "aligned",
    "checked",
    "log_spectral_distance",
    "measurable",
    "mel_cepstra",
    "mel_cepstral_distortion",
    "stft_distance",
]

RATE = 16000
TOLERANCE = 0.05  # seconds by which lengths may differ
WINDOW = 400  # 25 ms, of cepstra and of the log-spectral distance
MCD_FFT, MCD_HOP, BANDS, ORDER = 1024, 80, 80, 24
LSD_FFT, LSD_HOP = 512, 160
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # FFT, hop, window: table 1, in samples
LEAST_POWER = 1e-7  # of an STFT bin before its logarithm, as in the paper's own code

SETTINGS: dict[str, dict[str, Any]] = {
    "mcd_db": {"n_fft": MCD_FFT, "window": WINDOW, "hop": MCD_HOP, "mel_bands": BANDS, "cepstra": f"1 to {ORDER}"},
    "spectral_convergence": {"fft_hop_window": RESOLUTIONS},
    "log_stft_magnitude": {"fft_hop_window": RESOLUTIONS, "least_power": LEAST_POWER, "logarithm": "natural"},
    "lsd_db": {"n_fft": LSD_FFT, "window": WINDOW, "hop": LSD_HOP, "least_power_db": -100},
}
"""What each figure was computed with; lengths in samples at 16 kHz."""


class StftDistance(NamedTuple):
    """``convergence``: norm of the difference over the original's; ``magnitude``: mean difference of logarithms."""

    convergence: float
    magnitude: float


def mel_cepstral_distortion(original: np.ndarray, made: np.ndarray, sample_rate: int) -> float:
    """Mel-cepstral distortion in dB of two sounds ``[sample]`` of any lengths.

    The distance of two frames is ``10 / ln 10 * sqrt(2 * sum_d (c_d - c'_d)^2)`` over cepstra 1 to 24; dynamic time
    warping (steps of one frame in either or both sounds, ends tied) finds the path of the least sum, and the distortion
    is the mean over its frame pairs. Time grows with the product of the lengths. Raises ``AudioError`` where the
    original is silent, or either sound is too short.
    """
    original, made = measurable(original, made, sample_rate)
    total, steps = _warp(mel_cepstra(original), np.ascontiguousarray(mel_cepstra(made).T))
    return 10 / math.log(10) * math.sqrt(2) * total / steps


def mel_cepstra(samples: np.ndarray) -> np.ndarray:
    """Mel-cepstra 1 to 24 of 16 kHz sound ``[sample]``: float64 ``[frame, 24]``, every 5 ms.

    The natural log amplitude in 80 mel bands is ``c_0 + sum_d c_d cos(pi d (n + 1/2) / 80)`` in band *n*, so that
    distances of cepstra are root-mean-square distances of smooth spectra.
    """
    power = mel_power(torch.from_numpy(samples)[None], RATE, MCD_FFT, MCD_HOP, WINDOW, BANDS)
    amplitude = power_to_db(power)[0].double() * (math.log(10) / 20)
    basis = dct_ortho(BANDS, ORDER + 1)[1:].double() * math.sqrt(2 / BANDS)
    return (amplitude @ basis.T).numpy()


@numba.njit(cache=True, nogil=True)
def _warp(one: np.ndarray, other: np.ndarray) -> tuple[float, int]:
    """Least sum of distances along a path through frames ``[n, dim]`` and ``[dim, m]``, and how many pairs it has.

    Of paths of one sum the shortest counts, so that the answer is the same with the sounds exchanged.
    """
    n, (dim, m) = len(one), other.shape
    sums, steps = np.full(m + 1, np.inf), np.zeros(m + 1, np.int64)
    sums[0] = 0
    row = np.empty(m)
    for i in range(n):
        row[:] = 0
        for d in range(dim):  # frame by frame of the other sound inside, which the compiler turns into wide sums
            here = one[i, d]
            for j in range(m):
                row[j] += (here - other[d, j]) ** 2
        corner, corner_steps = sums[0], steps[0]  # of the path to the frame before, in both sounds
        sums[0] = np.inf
        for j in range(m):
            best, least = corner, corner_steps
            corner, corner_steps = sums[j + 1], steps[j + 1]
            if corner < best or (corner == best and corner_steps < least):
                best, least = corner, corner_steps
            if sums[j] < best or (sums[j] == best and steps[j] < least):
                best, least = sums[j], steps[j]
            sums[j + 1], steps[j + 1] = best + math.sqrt(row[j]), least + 1
    return float(sums[m]), int(steps[m])


def stft_distance(original: np.ndarray, made: np.ndarray, sample_rate: int) -> StftDistance:
    """Multi-resolution STFT distance of two sounds ``[sample]`` of one length; ``AudioError`` as in ``aligned``."""
    sounds = _together(original, made, sample_rate)
    found = []
    for n_fft, hop, window in RESOLUTIONS:
        wanted, other = stft(sounds, n_fft, hop, window).abs().square().clamp_min(LEAST_POWER).sqrt()
        found.append((float((wanted - other).norm() / wanted.norm()), float((wanted.log() - other.log()).abs().mean())))
    return StftDistance(*(sum(each) / len(RESOLUTIONS) for each in zip(*found, strict=True)))


def log_spectral_distance(original: np.ndarray, made: np.ndarray, sample_rate: int) -> float:
    """Log-spectral distance in dB of two sounds ``[sample]`` of one length; ``AudioError`` as in ``aligned``.

    The root of the mean over bins of squared differences in dB, and its mean over frames.
    """
    sounds = _together(original, made, sample_rate)
    wanted, other = power_to_db(stft(sounds, LSD_FFT, LSD_HOP, WINDOW).abs().square())
    return float((wanted - other).square().mean(1).sqrt().mean())


def _together(original: np.ndarray, made: np.ndarray, sample_rate: int) -> Tensor:
    """Both sounds in one batch ``[2, sample]``."""
    return torch.from_numpy(np.stack(aligned(original, made, sample_rate)))


def aligned(original: np.ndarray, made: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sounds, ``measurable`` and cut to the shorter; ``AudioError`` where lengths differ by more than 50 ms."""
    original, made = measurable(original, made, sample_rate)
    apart = abs(len(original) - len(made)) / RATE
    if apart > TOLERANCE:
        raise AudioError(
            f"{len(original) / RATE:.3f} and {len(made) / RATE:.3f} s: lengths {1000 * apart:.0f} ms apart, and "
            f"{1000 * TOLERANCE:.0f} ms is the most that is cut to compare frame by frame"
        )
    length = min(len(original), len(made))
    return original[:length], made[:length]


def measurable(original: np.ndarray, made: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sounds ``checked``; ``AudioError`` where the original is silent, or either shorter than a window of 25 ms.

    A silent resynthesis is as far from speech as its spectrum says, and is measured.
    """
    original, made = checked(original, sample_rate), checked(made, sample_rate)
    check_speech(original, "the original", RATE)
    if len(made) < WINDOW:
        raise AudioError(f"the resynthesis: too short: {len(made)} samples, where one analysis window is {WINDOW}")
    return original, made


def checked(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """A sound as float32 ``[sample]``; ``InputError`` for what is not finite mono floats at 16 kHz."""
    if sample_rate != RATE:
        raise InputError(
            f"sound at {sample_rate} Hz; these measures are defined at {RATE} Hz: resample it as it is read"
        )
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating) or not np.isfinite(samples).all():
        raise InputError(f"sound of {samples.dtype} {samples.shape}; give finite floats [sample] in -1 to 1")
    return samples.astype(np.float32)
