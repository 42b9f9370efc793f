"""A recording's sound in blocks, as often as it is asked for: an hour of tape takes no more memory than a minute."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from protophone import audio
from protophone.errors import AudioError
from protophone.types import Recording

__all__ = ["Tape"]

_BLOCK = 10  # seconds
_SHORT = 60  # seconds up to which the sound is kept between passes


class Tape:
    """The sound of ``source`` at ``sample_rate``, read anew at each pass unless it is short.

    ``num_samples`` is its length once it has been heard to the end.
    """

    def __init__(self, source: str | Path | Recording, sample_rate: int) -> None:
        self.source = source
        self.sample_rate = sample_rate
        self.num_samples = 0
        self._kept: list[np.ndarray] | None = None

    @property
    def name(self) -> str:
        """What messages call it: the path of its file."""
        return str(self.source.path if isinstance(self.source, Recording) else self.source)

    def blocks(self) -> Iterator[np.ndarray]:
        """Mono float32 blocks ``[sample]`` from the beginning.

        ``AudioError``, at the end at the latest, where it cannot be read, or holds no speech for being too short or
        one value all along.
        """
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[np.ndarray] = []
        heard, flat = 0, True
        for block in audio.stream(self.source, self.sample_rate, _BLOCK * self.sample_rate):
            heard += len(block)
            flat = flat and audio.is_flat(block, self.sample_rate)
            if heard <= _SHORT * self.sample_rate:
                kept.append(block)
            else:
                kept.clear()
            yield block
        self.num_samples = heard
        if heard <= _SHORT * self.sample_rate:
            audio.check_speech(np.concatenate([np.zeros(0, np.float32), *kept]), self.name, self.sample_rate)
            self._kept = kept
        elif flat:
            raise AudioError(f"{self.name}: digital silence from end to end; record it again or leave it out")

    def beginning(self) -> np.ndarray:
        """The samples ``[sample]`` of the first minute; ``AudioError`` where there is no speech in them."""
        samples = np.concatenate([np.zeros(0, np.float32), *islice(self.blocks(), _SHORT // _BLOCK)])
        audio.check_speech(samples, self.name, self.sample_rate)
        return samples

    def whole(self) -> np.ndarray | None:
        """All samples ``[sample]`` of a recording of up to a minute; None of a longer one, which is not read on."""
        heard = 0
        for block in self.blocks():
            heard += len(block)
            if heard > _SHORT * self.sample_rate:
                return None
        return np.concatenate(self._kept or [])
