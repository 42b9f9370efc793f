"""Sounds inside a page: coded small, stored once, called by number.

MP3 because every browser plays it, it codes the same samples to the same bytes, and at these settings it takes a
seventh of 16-bit WAV; where libsndfile was built without MP3, WAV.
"""

import base64
import io

import numpy as np
import soundfile

__all__ = ["SoundShelf"]

_COMPRESSION = 0.5  # of libsndfile's 0 to 1: 24 dB over its own coding noise on read speech, 5 kB a second
_FADE = 0.004  # seconds; a cut through a vowel would click


class SoundShelf:
    """The sounds of one page, as data URIs in the order they were put there; ``size`` counts their characters."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.uris: list[str] = []
        self.size = 0

    def add(self, samples: np.ndarray, *, fade: bool = False) -> int:
        """Stores ``samples``, float ``[sample]``, and gives their number; with ``fade`` both ends are softened."""
        sound = np.clip(np.asarray(samples, np.float32), -1, 1)
        if fade:
            sound = sound * _envelope(len(sound), round(_FADE * self.sample_rate))
        uri = encode(sound, self.sample_rate)
        self.uris.append(uri)
        self.size += len(uri)
        return len(self.uris) - 1


def encode(samples: np.ndarray, sample_rate: int) -> str:
    """Data URI of ``samples``, float32 ``[sample]`` in [-1, 1], that decodes to as many samples."""
    file = io.BytesIO()
    if "MP3" in soundfile.available_formats():
        soundfile.write(
            file, samples, sample_rate, format="MP3", compression_level=_COMPRESSION, bitrate_mode="VARIABLE"
        )
        kind = "audio/mpeg"
    else:
        soundfile.write(file, samples, sample_rate, format="WAV", subtype="PCM_16")
        kind = "audio/wav"
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _envelope(length: int, fade: int) -> np.ndarray:
    """Ones with half a Hann window's slope at both ends, float32 ``[length]``."""
    fade = min(fade, length // 2)
    out = np.ones(length, np.float32)
    slope = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / max(fade, 1))
    out[:fade] = slope
    out[length - fade :] = slope[::-1]
    return out
