"""The interface of an open sound file."""

from typing import Protocol

import numpy as np

__all__ = ["Decoder"]


class Decoder(Protocol):
    """An open sound file. ``num_samples`` counts samples of one channel, as many as can be read."""

    sample_rate: int
    channels: int
    num_samples: int
    format: str

    def read(self, at: int, count: int) -> np.ndarray:
        """Return ``count`` samples from sample ``at``, float32 ``[sample, channel]``; fewer if the file ends before.

        Raises ``AudioError`` if they cannot be decoded.
        """

    def close(self) -> None:
        """Close the file."""
