"""Speech level: how loud the speech in a recording is, and the gain that brings it to the level of training.

Features follow the level of a recording: at 20 dB less, quiet sounds fall below the floor of the bands, and with
statistics of a corpus the codes become those of silence. One gain for the whole recording removes that.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from protophone.vad import speech_segments

__all__ = ["SPEECH_LEVEL", "speech_gain", "speech_level"]

SPEECH_LEVEL = -15.7
"""Level in dB relative to full scale that encoders bring speech to: that of studio prompts."""

_FRAME = 0.02  # seconds
_PERCENTILE = 75  # of the frames in speech: vowels; neither pauses nor a slammed door move it far
_MOST = 60.0  # dB of gain: more would amplify rounding errors


def speech_level(blocks: Iterable[np.ndarray], sample_rate: int) -> float | None:
    """Return the level of the speech in a recording, in dB relative to full scale.

    It is the 75th percentile, over the frames of 20 ms that voice activity detection takes for speech, of their power.
    Unlike the active speech level of ITU-T P.56 it does not follow single loud sounds.

    Parameters
    ----------
    blocks
        Mono sound, float32 ``[sample]``, in blocks of any lengths; the level does not depend on them.
    sample_rate
        Of the sound, in Hz.

    Returns
    -------
    float or None
        The level; None if no speech is found.

    """
    frame = round(_FRAME * sample_rate)
    powers: list[np.ndarray] = []

    def followed() -> Iterator[np.ndarray]:
        rest = np.zeros(0, np.float32)
        for block in blocks:
            yield block
            rest = np.concatenate([rest, block])
            whole = len(rest) // frame * frame
            powers.append(np.square(rest[:whole].reshape(-1, frame), dtype=np.float64).mean(axis=1))
            rest = rest[whole:]

    segments = speech_segments(followed(), sample_rate)
    power = np.concatenate(powers) if powers else np.zeros(0)
    speech = np.zeros(len(power), bool)
    for segment in segments:
        speech[segment.start // frame : segment.end // frame] = True
    power = power[speech]
    return 10 * float(np.log10(np.percentile(power, _PERCENTILE))) if power.any() else None


def speech_gain(blocks: Iterable[np.ndarray], sample_rate: int, target: float) -> np.float32:
    """Return the factor that brings the speech in a recording to the level ``target`` in dB; 1 if no speech is found.

    Arguments as of ``speech_level``. The gain is 60 dB at most.
    """
    level = speech_level(blocks, sample_rate)
    return np.float32(1.0 if level is None else 10 ** (min(target - level, _MOST) / 20))
