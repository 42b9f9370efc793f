"""What every encoder is: sound in, units out, and the vectors those units stand for.

An encoder normalises its features by statistics fixed in the bundle (``corpus``) or of each recording (``recording``),
or takes them as they are (``none``: networks that were trained elsewhere). Unless it takes them as they are, the speech
of each recording is first brought to one level, in training as in use. An encoder declares its ``context``: how many
feature frames left and right of a unit's own it looks at. Outside a recording there is silence in the normalised space
(zeros), so that a recording encoded in chunks, in a batch or alone gives the same units.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from protophone.errors import AudioError, InputError
from protophone.features.base import FeatureExtractor
from protophone.level import SPEECH_LEVEL, speech_gain
from protophone.tape import Tape
from protophone.types import AudioBatch, Codebook, FeatureBatch, FrameGrid, UnitBatch

__all__ = ["Encoder", "Moments", "Normalization", "at_rest"]

Normalization = Literal["recording", "corpus"]
_FLOOR = 1e-3  # standard deviations below this are a constant feature


@dataclass
class Moments:
    """Running count, sum and sum of squares of frames, in float64: what mean and deviation come from."""

    count: Tensor
    total: Tensor
    square: Tensor

    @classmethod
    def of(cls, batch: FeatureBatch) -> "Moments":
        """Moments of each row of a batch, padding left out."""
        real = _mask(batch)
        frames = batch.frames.double() * real
        return cls(batch.lengths.double(), frames.sum(1), frames.square().sum(1))

    def add(self, other: "Moments") -> "Moments":
        """Moments of both together."""
        return Moments(self.count + other.count, self.total + other.total, self.square + other.square)

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, float32 ``[batch, dim]``."""
        count = self.count.clamp_min(1)[:, None]
        mean = self.total / count
        variance = (self.square / count - mean.square()).clamp_min(0)
        return mean.float(), variance.sqrt().clamp_min(_FLOOR).float()


class Encoder(nn.Module, ABC):
    """Waveform to units.

    ``grid`` is the units' own, ``sizes`` the entries of each codebook, ``context`` the feature frames seen left of a
    unit's first and right of its last feature frame, ``reduction`` the feature frames a unit stands for.
    """

    config: Any
    features: FeatureExtractor
    reduction: int
    context: tuple[int, int]
    normalization: Normalization | Literal["none"]
    mean: Tensor  # of each feature over the corpus, and its deviation: there where ``normalization`` is ``corpus``
    deviation: Tensor
    spare: tuple[str, ...] = ()  # names of weights that only training needs begin so

    def __init__(self, features: FeatureExtractor, normalization: Normalization | Literal["none"]) -> None:
        super().__init__()
        self.features = features
        self.feature_network = features.network
        self.normalization = normalization
        if normalization == "corpus":
            self.register_buffer("mean", torch.zeros(features.dim))
            self.register_buffer("deviation", torch.ones(features.dim))

    @property
    def sample_rate(self) -> int:
        """Hertz of the sound it takes."""
        return self.features.sample_rate

    @property
    def grid(self) -> FrameGrid:
        """Where units lie: the centre of the feature frames each stands for."""
        fine = self.features.grid
        return FrameGrid(
            fine.sample_rate,
            fine.hop * self.reduction,
            fine.offset + fine.hop * (self.reduction - 1) // 2,
            fine.window,
        )

    @property
    def passes(self) -> int:
        """Number of times that ``encode_tape`` reads a long recording."""
        return 1 + (self.level is not None) + (self.normalization == "recording")

    @property
    def level(self) -> float | None:
        """Level in dB relative to full scale that the speech of a recording is brought to; None if it is left as is."""
        return None if self.normalization == "none" else SPEECH_LEVEL

    @property
    def lookahead(self) -> int | None:
        """Samples from the beginning of a unit's span to the last that it depends on; None of a whole recording.

        The gain that brings the recording to ``level`` is taken as known.
        """
        if self.normalization == "recording":
            return None
        grid = self.features.grid
        frames = self.reduction + self.context[1] + self.features.ahead
        return frames * grid.hop + max(0, grid.window - grid.hop)

    @property
    @abstractmethod
    def codebook(self) -> Codebook:
        """The code vectors; their hash tells whose units these are."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each codebook."""
        codebooks, entries, _ = self.codebook.vectors.shape
        return (entries,) * codebooks

    @abstractmethod
    def encode_frames(self, frames: Tensor) -> Tensor:
        """Codes int64 ``[batch, codebook, unit]`` of normalised frames that hold the context on both sides.

        ``frames`` is float32 ``[batch, context + unit * reduction + context, dim]``.
        """

    @abstractmethod
    def vectors(self, units: UnitBatch) -> FeatureBatch:
        """What ABX scores: a function of the codes alone, float32 ``[batch, frame, dim]`` on its own grid."""

    def normalize(self, batch: FeatureBatch, moments: Moments) -> FeatureBatch:
        """Frames less their mean, over their deviation; padding becomes zero."""
        if self.normalization == "none":
            return batch
        if self.normalization == "corpus":
            mean, deviation = self.mean[None], self.deviation[None]
        else:
            mean, deviation = moments.mean_and_deviation()
        frames = (batch.frames - mean[:, None]) / deviation[:, None] * _mask(batch)
        return FeatureBatch(frames, batch.lengths, batch.grid)

    @torch.inference_mode()
    def encode(self, audio: AudioBatch) -> UnitBatch:
        """Units of a batch of recordings, ``ceil(samples / hop)`` each."""
        frames, lengths = self.framed(audio)
        with at_rest(self):
            codes = self.encode_frames(frames)
        real = torch.arange(codes.shape[2], device=codes.device) < lengths[:, None]
        return UnitBatch(codes * real[:, None], lengths, self.sizes, self.grid, codebook=self.codebook.hash)

    def gain(self, blocks: Iterable[np.ndarray]) -> np.float32:
        """Return the factor that brings a recording, float32 ``[sample]`` in blocks, to ``level``."""
        return np.float32(1) if self.level is None else speech_gain(blocks, self.sample_rate, self.level)

    def leveled(self, blocks: Callable[[], Iterable[np.ndarray]]) -> Callable[[], Iterable[np.ndarray]]:
        """Return ``blocks``, a recording's samples each time it is called, at ``level``; it is read once to measure."""
        if self.level is None:
            return blocks
        gain = self.gain(blocks())
        return lambda: (block * gain for block in blocks())

    def _leveled_batch(self, audio: AudioBatch) -> AudioBatch:
        """Bring each row of a batch to ``level``."""
        if self.level is None or not len(audio.lengths):
            return audio
        rows = zip(audio.samples.cpu().numpy(), audio.lengths.tolist(), strict=True)
        gains = torch.tensor([self.gain([row[:length]]) for row, length in rows], device=audio.samples.device)
        return AudioBatch(audio.samples * gains[:, None], audio.lengths, audio.sample_rate)

    def framed(self, audio: AudioBatch) -> tuple[Tensor, Tensor]:
        """What ``encode_frames`` takes for a batch of recordings, and how many units each of them has."""
        features = self.features(self._leveled_batch(audio))
        batch = self.normalize(features, Moments.of(features))
        lengths = -(-batch.lengths // self.reduction)
        if not len(lengths) or not int(lengths.max()):
            raise AudioError("no sound to encode: no recording is as long as a frame; leave them out")
        left, right = self.context
        surplus = int(lengths.max()) * self.reduction - batch.frames.shape[1]
        return F.pad(batch.frames, (0, 0, left, right + surplus)), lengths

    @torch.inference_mode()
    def represent(self, audio: AudioBatch) -> FeatureBatch:
        """The vectors of the units of ``audio``."""
        return self.vectors(self.encode(audio))

    def encode_tape(self, tape: Tape) -> UnitBatch:
        """Units of one recording, a batch of one; a long one in chunks."""
        whole = tape.whole()
        if whole is None:
            return self.encode_stream(tape.blocks)
        return self.encode(AudioBatch.from_arrays([whole], self.sample_rate).to(self.codebook.vectors.device))

    @torch.inference_mode()
    def encode_stream(self, blocks: Callable[[], Iterable[np.ndarray]], chunk: int = 6000) -> UnitBatch:
        """Units of one long recording in bounded memory: a batch of one, equal to ``encode``'s.

        ``blocks()`` yields the recording's samples from its beginning, float32, and is called ``passes`` times: for
        its level, its statistics, and its units. ``chunk`` counts feature frames held at a time.
        """
        if chunk < 1:
            raise InputError(f"chunks of {chunk} frames; hold at least 1")
        blocks = self.leveled(blocks)
        device = self.codebook.vectors.device
        nothing = torch.zeros(1, self.features.dim, dtype=torch.float64, device=device)
        moments = Moments(nothing[:, 0], nothing, nothing)
        if self.normalization == "recording":
            for features in self.features.stream(blocks(), chunk, device):
                moments = moments.add(Moments.of(features))
        left, right = self.context
        codes: list[np.ndarray] = []
        held = torch.zeros(1, left, self.features.dim, device=device)
        with at_rest(self):
            for features in self.features.stream(blocks(), chunk, device):
                held = torch.cat([held, self.normalize(features, moments).frames], 1)
                units = (held.shape[1] - left - right) // self.reduction
                if units > 0:
                    codes.append(self._codes(held[:, : left + units * self.reduction + right]))
                    held = held[:, units * self.reduction :]
            # What is left has the end of the recording to its right, or lies right of it.
            remaining = held.shape[1] - left
            units = -(-remaining // self.reduction)
            if units > 0:
                codes.append(self._codes(F.pad(held, (0, 0, 0, units * self.reduction - remaining + right))))
        if not codes:
            raise AudioError("no sound to encode: a recording shorter than a frame; leave it out")
        return UnitBatch.from_arrays([np.concatenate(codes, 1)], self.sizes, self.grid, self.codebook.hash)

    def _codes(self, frames: Tensor) -> np.ndarray:
        return self.encode_frames(frames)[0].cpu().numpy()

    def check_units(self, units: UnitBatch) -> UnitBatch:
        """``units``, one code a frame; ``UnitsError`` where another codebook made them or they lie on another grid."""
        codebook = None if units.codebook is None else self.codebook.hash  # of some that are given as bare codes
        return units.of(codebook, self.sizes, self.grid, "this bundle's are")


@contextmanager
def at_rest(encoder: nn.Module) -> Iterator[None]:
    """Encoding never learns: batch normalisation keeps to its statistics, also in the midst of training."""
    training = encoder.training
    encoder.eval()
    try:
        yield
    finally:
        encoder.train(training)


def _mask(batch: FeatureBatch) -> Tensor:
    """1 where a frame is real, 0 where it is padding, ``[batch, frame, 1]``."""
    steps = torch.arange(batch.frames.shape[1], device=batch.frames.device)
    return (steps < batch.lengths[:, None]).unsqueeze(-1)
