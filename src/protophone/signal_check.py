"""Faults of a recording's signal that do not stop it from being read: phase, a dead channel, clipping, DC offset."""

import numpy as np

from protophone.types import Channel

__all__ = ["SignalCheck"]

_CANCELED = 0.1  # variance of the channels' mean, as a share of theirs, below which they nearly cancel: -10 dB
_NOTHING = 1e-4  # below which nothing is left of them: -40 dB
_DEAD = 1e-4  # variance of a channel, as a share of the loudest, below which it is silent: -40 dB
_FLAT_VARIANCE = 1e-12  # and as one value all along, but for rounding errors: -120 dB
_FULL = 0.98  # of full scale; mu-law ends at 0.980
_CLIPPED = 1e-3  # share of samples in runs of three or more at full scale, in compressed sound too
_FLAT = 1e-4  # share of samples in runs of three or more equal ones at full scale
_OFFSET = 0.01  # of full scale
_HEARD = 0.1  # an offset smaller than this share of the standard deviation does no harm
_NAMES = ("left", "right")


class SignalCheck:
    """Statistics of a recording's channels, added up block by block; ``channel`` is the one that is read."""

    def __init__(self, channel: Channel | None = None) -> None:
        self._channel = channel
        self._count = 0
        self._sums = self._products = np.zeros(0)
        self._full = self._flat = np.zeros(0, np.int64)
        self._last = np.zeros((0, 0), np.float32)

    def add(self, block: np.ndarray) -> None:
        """Add the next samples of all channels, float32 ``[sample, channel]``."""
        if not len(self._sums):
            channels = block.shape[1]
            self._sums, self._products = np.zeros(channels), np.zeros((channels, channels))
            self._full, self._flat = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
            self._last = block[:0]
        values = block.astype(np.float64)
        self._count += len(block)
        self._sums += values.sum(0)
        self._products += values.T @ values
        joined = np.concatenate([self._last, block])
        if np.abs(joined).max(initial=0) >= _FULL:
            full = np.abs(joined) >= _FULL
            runs = full[:-2] & full[1:-1] & full[2:]
            self._full += runs.sum(0)
            self._flat += (runs & (joined[:-2] == joined[1:-1]) & (joined[1:-1] == joined[2:])).sum(0)
        self._last = joined[-2:]

    def refused(self, name: str) -> str | None:
        """Return the fault of the recording ``name`` if nothing is left of its channels, or of the one that is read.

        None if something is left, or if another channel would be no better.
        """
        return self.warnings(name)[0] if self._left() < _NOTHING or self._is_flat() else None

    def _is_flat(self) -> bool:
        """Return whether one of two channels is read, and is one value all along, but the other is not."""
        if self._channel not in _NAMES or len(self._sums) != 2:
            return False
        variance = np.diag(self._covariance())
        return bool(variance[self._read()[0]] <= _FLAT_VARIANCE * variance.max() and variance.max() > 0)

    def _left(self) -> float:
        """Variance of the channels' mean, as a share of theirs; 1 if it is not their mean that is read."""
        if self._channel in _NAMES or len(self._sums) < 2:
            return 1.0
        covariance = self._covariance()
        loudness = float(np.diag(covariance).mean())
        return float(covariance.mean()) / loudness if loudness > 0 else 1.0

    def warnings(self, name: str) -> list[str]:
        """Return what is wrong with the signal of the recording ``name``, a line for each fault."""
        if self._count == 0:
            return []
        mean, variance = self._sums / self._count, np.diag(self._covariance())
        read = self._read()
        found = []
        if self._left() < _CANCELED:
            which = "its two channels are" if len(mean) == 2 else "its channels are"
            found.append(f"{which} of opposite phase, and their mean nearly cancels; choose one: --channel left")
        elif len(mean) == 2 and variance.max() > 0 and variance.min() < _DEAD * variance.max():
            dead, other = _NAMES[int(variance.argmin())], _NAMES[int(variance.argmax())]
            if self._channel in {None, "mix", dead}:
                found.append(f"its {dead} channel is silent; choose the other: --channel {other}")
        share = float((self._full[read] / self._count).max())
        if share >= _CLIPPED or float((self._flat[read] / self._count).max()) >= _FLAT:
            found.append(
                f"clipped: {100 * share:.2g} % of its samples lie at full scale; record at a lower level, or take the "
                "recording before it was made louder"
            )
        offset = float(mean[read].mean())
        if abs(offset) >= _OFFSET and abs(offset) >= _HEARD * float(variance[read].max()) ** 0.5:
            found.append(
                f"a DC offset of {100 * offset:.2g} % of full scale; remove it with a high-pass filter, and check the "
                "recorder"
            )
        return [f"{name}: {text}" for text in found]

    def _read(self) -> list[int]:
        """Channels that are read: all for their mean, or the one that is chosen."""
        channels = len(self._sums)
        return [min(_NAMES.index(self._channel), channels - 1)] if self._channel in _NAMES else list(range(channels))

    def _covariance(self) -> np.ndarray:
        """Covariance of the channels, float64 ``[channel, channel]``."""
        mean = self._sums / self._count
        return self._products / self._count - np.outer(mean, mean)
