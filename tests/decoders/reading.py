"""The promises of a file that is read."""

import numpy as np

from protophone import audio
from protophone.errors import AudioError
from protophone.types import Recording


def fault_of(path):
    """Return why a file cannot be read, one line that names it; None if it can."""
    try:
        audio.read(path)
    except AudioError as error:
        said = str(error)
        assert said.startswith(f"{path}: ")
        assert "\n" not in said
        return said
    return None


def check_contract(path, sound=None, tolerance=0.0):
    """The length is that of what is read; blocks and segments are the whole's; ``sound`` lies in it to a lag."""
    info = audio.probe(path)
    whole = audio.read(path, info.sample_rate)
    assert whole.dtype == np.float32
    assert len(whole) == info.num_samples
    np.testing.assert_array_equal(np.concatenate(list(audio.stream(path, info.sample_rate, 1777))), whole)
    for start, count in ((0, 100), (info.num_samples // 3, info.num_samples // 2), (info.num_samples - 50, 50)):
        part = audio.read(Recording(id="x", path=path, start=start, num_samples=count), info.sample_rate)
        np.testing.assert_allclose(part, whole[start : start + count], atol=0.01 * np.abs(whole).max())
    if sound is not None:
        inner = slice(3000, min(len(sound), len(whole)) - 3000)
        lags = np.fft.irfft(np.conj(np.fft.rfft(sound, 2**17)) * np.fft.rfft(whole, 2**17))
        lag = int(lags.argmax())
        lag -= 2**17 * (lag > 2**16)
        assert abs(lag) <= 2500
        moved = np.roll(whole, -lag)[inner]
        assert np.abs(moved - sound[inner]).mean() <= tolerance * np.abs(sound).max()
    return whole
