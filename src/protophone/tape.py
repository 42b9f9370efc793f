"""A recording's sound in blocks, as often as it is asked for: an hour of tape takes no more memory than a minute."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from protophone import audio
from protophone.errors import AudioError, ProtophoneError
from protophone.signal_check import SignalCheck
from protophone.types import Recording

__all__ = ["Tape", "seconds_of"]

_BLOCK = 10  # seconds
_SHORT = 60  # seconds up to which the sound is kept between passes


class Tape:
    """The sound of ``source`` at ``sample_rate``, read anew at each pass unless it is short.

    ``num_samples`` is its length once it has been heard to the end, ``warnings`` says what is wrong with its signal.
    ``heard`` is called with the seconds of sound of each block that is read from the file, divided by ``passes``, the
    number of times it will be read.
    """

    passes = 1

    def __init__(
        self, source: str | Path | Recording, sample_rate: int, heard: Callable[[float], None] | None = None
    ) -> None:
        self.source = source
        self.sample_rate = sample_rate
        self.heard = heard
        self.num_samples = 0
        self.warnings: list[str] = []
        self._kept: list[np.ndarray] | None = None

    @property
    def name(self) -> str:
        """What messages call it: the path of its file."""
        return str(self.source.path if isinstance(self.source, Recording) else self.source)

    @property
    def speaker(self) -> str | None:
        """Name of the recording's speaker, None if not known."""
        return self.source.speaker if isinstance(self.source, Recording) else None

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
        check = SignalCheck(self.source.channel if isinstance(self.source, Recording) else None)
        for block in audio.stream(self.source, self.sample_rate, _BLOCK * self.sample_rate, check.add):
            heard += len(block)
            flat = flat and audio.is_flat(block, self.sample_rate)
            if heard <= _SHORT * self.sample_rate:
                kept.append(block)
            else:
                kept.clear()
            yield block
            if self.heard is not None:
                self.heard(len(block) / self.sample_rate / self.passes)
        self.num_samples = heard
        self.warnings = check.warnings(self.name)
        if fault := check.refused(self.name):
            raise AudioError(fault)
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


def seconds_of(recordings: Iterable[Recording]) -> dict[str, float]:
    """Return the seconds of each recording by its id, from its file's header; 0 if that cannot be read."""
    seconds = {}
    for recording in recordings:
        seconds[recording.id] = 0.0
        with suppress(ProtophoneError):
            info = audio.probe(recording.path)
            seconds[recording.id] = audio.extent(recording, info)[1] / info.sample_rate
    return seconds
