"""Pictures of sound and of tables: ink on transparent paper, so that a page can be light or dark around them."""

import base64
import io

import numpy as np
import torch
from matplotlib.image import imsave

from protophone import spectral

__all__ = ["heat_map", "spectrogram"]

_WINDOW = 0.008  # seconds: short enough to smear harmonics into formants, as phoneticians like them
_STEP = 0.005
_RANGE = 60.0  # decibels from the darkest down to white
_PRE_EMPHASIS = 0.97
_LEVELS = 24  # shades: more cannot be told apart and doubles the file


def spectrogram(samples: np.ndarray, sample_rate: int) -> str:
    """Data URI of a wide-band spectrogram, low frequencies below, as wide as the sound is long.

    Decibels over the loudest place, the last 60 of them drawn in black ink of more or less strength, with high
    frequencies raised by 6 dB an octave. Silence is blank.
    """
    sound = np.asarray(samples, np.float32)
    raised = np.append(sound[:1], sound[1:] - _PRE_EMPHASIS * sound[:-1])
    window, hop = round(_WINDOW * sample_rate), max(1, round(_STEP * sample_rate))
    spectrum = spectral.stft(torch.from_numpy(raised)[None], 2 * window, hop, window)[0].abs().numpy()
    loudest = spectrum.max(initial=0.0)
    if loudest <= 0:
        return _ink(np.zeros((spectrum.shape[1], max(1, len(spectrum)))), (0, 0, 0))
    decibels = 20 * np.log10(np.maximum(spectrum / loudest, 1e-9))
    return _ink(np.clip(1 + decibels / _RANGE, 0, 1).T[::-1], (0, 0, 0))


def heat_map(values: np.ndarray, colour: tuple[int, int, int]) -> str:
    """Data URI of ``values`` in [0, 1], ``[row, column]``, one pixel each, as more or less ink of ``colour``."""
    return _ink(np.sqrt(values), colour)  # the square root lets small shares be seen


def _ink(strength: np.ndarray, colour: tuple[int, int, int]) -> str:
    pixels = np.zeros((*strength.shape, 4), np.uint8)
    pixels[..., 3] = np.rint(np.rint(strength * (_LEVELS - 1)) * (255 / (_LEVELS - 1)))
    pixels[..., :3] = np.where(pixels[..., 3:] > 0, np.array(colour, np.uint8), 0)
    file = io.BytesIO()
    # an empty software name: the same picture is the same bytes under another matplotlib
    imsave(file, pixels, format="png", metadata={"Software": ""}, pil_kwargs={"compress_level": 7})
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
