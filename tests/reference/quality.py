"""Distances of two sounds at 16 kHz, slowly: from the formulas, by loops, on librosa's spectra."""

import math
import warnings

import librosa
import numpy as np


def magnitudes(samples: np.ndarray, n_fft: int, hop: int, window: int) -> np.ndarray:
    """``[frame, bin]``, a frame every hop that begins inside the sound."""
    found = librosa.stft(samples, n_fft=n_fft, hop_length=hop, win_length=window, pad_mode="constant")
    return np.abs(found).T[: -(-len(samples) // hop)]


def mel_cepstra(samples: np.ndarray) -> list[list[float]]:
    """Cepstra 1 to 24 whose cosine sum is the natural log amplitude in 80 mel bands, every 5 ms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filters = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=80)
    frames = []
    for magnitude in magnitudes(samples, 1024, 80, 400):
        power = np.maximum(filters @ magnitude**2, 1e-10)
        amplitude = [0.5 * math.log(p) for p in power]
        frames.append(
            [
                2 / 80 * sum(a * math.cos(math.pi * d * (n + 0.5) / 80) for n, a in enumerate(amplitude))
                for d in range(1, 25)
            ]
        )
    return frames


def mel_cepstral_distortion(one: np.ndarray, other: np.ndarray) -> float:
    """In dB, over the cheapest path through a table of all pairs of frames."""
    a, b = mel_cepstra(one), mel_cepstra(other)
    table: dict[tuple[int, int], tuple[float, int]] = {}
    for i in range(len(a)):
        for j in range(len(b)):
            apart = 10 / math.log(10) * math.sqrt(2 * sum((x - y) ** 2 for x, y in zip(a[i], b[j], strict=True)))
            ways = [table[way] for way in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if way in table]
            total, steps = min(ways) if ways else (0.0, 0)
            table[i, j] = (total + apart, steps + 1)
    total, steps = table[len(a) - 1, len(b) - 1]
    return total / steps


def stft_distance(original: np.ndarray, made: np.ndarray) -> tuple[float, float]:
    """Spectral convergence and mean absolute difference of natural logs, over three resolutions."""
    convergence, logarithms = [], []
    for n_fft, hop, window in ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200)):
        one, other = (np.sqrt(np.maximum(magnitudes(s, n_fft, hop, window) ** 2, 1e-7)) for s in (original, made))
        convergence.append(math.sqrt(np.sum((one - other) ** 2)) / math.sqrt(np.sum(one**2)))
        logarithms.append(np.mean(np.abs(np.log(one) - np.log(other))))
    return float(np.mean(convergence)), float(np.mean(logarithms))


def log_spectral_distance(one: np.ndarray, other: np.ndarray) -> float:
    """In dB: of each frame the root mean square over bins, and their mean."""
    total = 0.0
    first, second = magnitudes(one, 512, 160, 400), magnitudes(other, 512, 160, 400)
    for x, y in zip(first, second, strict=True):
        bels = [math.log10(max(p**2, 1e-10)) - math.log10(max(q**2, 1e-10)) for p, q in zip(x, y, strict=True)]
        total += 10 * math.sqrt(sum(b**2 for b in bels) / len(bels))
    return total / len(first)
