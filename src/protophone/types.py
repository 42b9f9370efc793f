"""The containers every part meets through; each checks itself where it is made.

Time is counted in integer samples and frames. Shapes are ``[batch, ...]``, time before dimension; ``lengths`` say how
much of each row is real, the rest is padding on the right.
"""

import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from protophone.errors import UnitsError

__all__ = [
    "NOBODY",
    "AudioBatch",
    "Channel",
    "Codebook",
    "FeatureBatch",
    "FrameGrid",
    "Recording",
    "Transcript",
    "UnitBatch",
    "Utterance",
]

Channel = Literal["mix", "left", "right"]  # of a recording with several; the mix is their mean

NOBODY = "speaker"  # the name of whoever speaks where no speaker is named


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording or a segment of one: a line of a manifest.

    ``start`` and ``num_samples`` count samples of the file at ``sample_rate``; ``channel`` is the one
    that is read, None as ``mix``; ``extra`` keeps unknown keys.
    """

    id: str
    path: Path
    speaker: str | None = None
    start: int = 0
    num_samples: int | None = None
    sample_rate: int | None = None
    channel: Channel | None = None
    split: str | None = None
    language: str | None = None
    text: str | None = None
    extra: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class FrameGrid:
    """Where frames lie: frame *t* is centred on ``offset + t * hop`` samples.

    It is there where the recording has ``window`` samples from ``t * hop`` on: with 1, there are as many frames as it
    takes to cover the recording, ``ceil(samples / hop)``; a model that frames sound without padding declares the
    samples it needs for one frame, and has fewer.
    """

    sample_rate: int
    hop: int
    offset: int = 0
    window: int = 1

    def __post_init__(self) -> None:
        if self.sample_rate <= 0 or self.hop <= 0 or self.window <= 0:
            raise ValueError(
                f"sample_rate {self.sample_rate}, hop {self.hop} and window {self.window} must be positive"
            )

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second, exactly."""
        return Fraction(self.sample_rate, self.hop)

    def num_frames(self, num_samples: int) -> int:
        """Frames of a recording of ``num_samples`` samples."""
        return max(0, (num_samples - self.window) // self.hop + 1)

    def time(self, frame: int) -> float:
        """Seconds at the centre of ``frame``."""
        return (self.offset + frame * self.hop) / self.sample_rate


def _check(name: str, tensor: Tensor, dtype: torch.dtype, rank: int) -> None:
    if tensor.dtype != dtype or tensor.ndim != rank:
        raise ValueError(f"{name} must be {dtype} of rank {rank}, got {tensor.dtype} of shape {tuple(tensor.shape)}")


def _check_lengths(name: str, lengths: Tensor, batch: int, longest: int) -> None:
    _check(name, lengths, torch.int64, 1)
    if len(lengths) != batch or (batch and (int(lengths.min()) < 0 or int(lengths.max()) > longest)):
        raise ValueError(f"{name} {lengths.tolist()} do not fit a batch of {batch} padded to {longest}")


@dataclass(frozen=True)
class AudioBatch:
    """Mono sound: ``samples`` float32 ``[batch, sample]`` in [-1, 1], ``lengths`` int64 ``[batch]`` in samples."""

    samples: Tensor
    lengths: Tensor
    sample_rate: int

    def __post_init__(self) -> None:
        _check("samples", self.samples, torch.float32, 2)
        _check_lengths("lengths", self.lengths, *self.samples.shape)

    @classmethod
    def from_arrays(cls, arrays: "list[np.ndarray]", sample_rate: int) -> "AudioBatch":
        """Pads mono float arrays on the right into one batch."""
        lengths = torch.tensor([len(array) for array in arrays], dtype=torch.int64)
        samples = torch.zeros(len(arrays), int(lengths.max()) if len(arrays) else 0)
        for row, array in zip(samples, arrays, strict=True):
            row[: len(array)] = torch.as_tensor(array, dtype=torch.float32)
        return cls(samples, lengths, sample_rate)

    def __getitem__(self, index: int) -> np.ndarray:
        """One row without its padding, float32 ``[sample]``."""
        return self.samples[index, : int(self.lengths[index])].cpu().numpy()

    def to(self, device: torch.device | str) -> "AudioBatch":
        """The same batch on another device."""
        return replace(self, samples=self.samples.to(device), lengths=self.lengths.to(device))


@dataclass(frozen=True)
class FeatureBatch:
    """Frames: float32 ``[batch, frame, dim]``, ``lengths`` int64 ``[batch]`` in frames, on ``grid``."""

    frames: Tensor
    lengths: Tensor
    grid: FrameGrid

    def __post_init__(self) -> None:
        _check("frames", self.frames, torch.float32, 3)
        _check_lengths("lengths", self.lengths, *self.frames.shape[:2])

    def __getitem__(self, index: int) -> np.ndarray:
        """One row without its padding, float32 ``[frame, dim]``."""
        return self.frames[index, : int(self.lengths[index])].cpu().numpy()


@dataclass(frozen=True)
class UnitBatch:
    """Units: ``codes`` int64 ``[batch, codebook, frame]`` with ``0 <= codes[:, k] < sizes[k]``.

    With ``durations`` int64 ``[batch, run]``, the last axis counts runs of equal codes and each lasts that many
    frames. ``lengths`` counts the last axis, frames or runs. ``codebook`` is the hash of the codebook that made them.
    """

    codes: Tensor
    lengths: Tensor
    sizes: tuple[int, ...]
    grid: FrameGrid
    durations: Tensor | None = None
    codebook: str | None = None

    def __post_init__(self) -> None:
        _check("codes", self.codes, torch.int64, 3)
        _check_lengths("lengths", self.lengths, self.codes.shape[0], self.codes.shape[2])
        if self.codes.shape[1] != len(self.sizes):
            raise ValueError(f"codes have {self.codes.shape[1]} codebooks, sizes name {len(self.sizes)}")
        for k, size in enumerate(self.sizes):
            book = self.codes[:, k]
            if book.numel() and not 0 <= int(book.min()) <= int(book.max()) < size:
                raise UnitsError(
                    f"codes of codebook {k} run from {int(book.min())} to {int(book.max())}, outside 0 to {size - 1}; "
                    "are these the units of another bundle?"
                )
        if self.durations is not None:
            _check("durations", self.durations, torch.int64, 2)
            if self.durations.shape != (self.codes.shape[0], self.codes.shape[2]):
                raise ValueError(f"durations {tuple(self.durations.shape)} for codes {tuple(self.codes.shape)}")

    @classmethod
    def from_arrays(
        cls, rows: "list[np.ndarray]", sizes: tuple[int, ...], grid: FrameGrid, codebook: str | None = None
    ) -> "UnitBatch":
        """Pads rows of codes, ``[frame]`` or ``[codebook, frame]``, into one batch."""
        tensors = [torch.as_tensor(np.atleast_2d(row), dtype=torch.int64) for row in rows]
        lengths = torch.tensor([tensor.shape[1] for tensor in tensors], dtype=torch.int64)
        codes = torch.zeros(len(rows), len(sizes), int(lengths.max()) if rows else 0, dtype=torch.int64)
        for out, tensor in zip(codes, tensors, strict=True):
            out[:, : tensor.shape[1]] = tensor
        return cls(codes, lengths, sizes, grid, codebook=codebook)

    def __getitem__(self, index: int) -> np.ndarray:
        """Codes of one row without padding, int64 ``[codebook, frame or run]``."""
        return self.codes[index, :, : int(self.lengths[index])].cpu().numpy()

    def __len__(self) -> int:
        return len(self.codes)

    def row(self, index: int) -> "UnitBatch":
        """A batch of one of these rows, without its padding."""
        end = int(self.lengths[index])
        durations = None if self.durations is None else self.durations[index : index + 1, :end]
        one = slice(index, index + 1)
        return replace(self, codes=self.codes[one, :, :end], lengths=self.lengths[one], durations=durations)

    def of(self, codebook: str | None, sizes: tuple[int, ...], grid: FrameGrid, whose: str) -> "UnitBatch":
        """These units, one code a frame; ``UnitsError`` where they are not of this codebook and as far apart as here.

        ``whose`` says in the message who wants them so: "this voice speaks".
        """
        theirs = (self.codebook, self.sizes, self.grid.hop, self.grid.sample_rate)
        ours = (codebook, sizes, grid.hop, grid.sample_rate)
        if theirs != ours:
            told = [
                f"codebook {each[0]}, of sizes {list(each[1])}, {each[2]} samples apart at {each[3]} Hz"
                for each in (theirs, ours)
            ]
            raise UnitsError(
                f"these are units of {told[0]}; {whose} those of {told[1]}; use the bundle they were encoded with, or "
                "encode the recordings again"
            )
        return self if self.durations is None else self.expand()

    def collapse(self) -> "UnitBatch":
        """Runs of equal codes merged, their lengths in ``durations``. The inverse of ``expand``."""
        if self.durations is not None:
            raise ValueError("these units are collapsed already")
        runs, durations = [], []
        for index in range(len(self)):
            row = self.codes[index, :, : int(self.lengths[index])]
            starts = torch.ones(row.shape[1], dtype=torch.bool)
            if row.shape[1]:
                starts[1:] = (row[:, 1:] != row[:, :-1]).any(0).cpu()
            first = torch.nonzero(starts)[:, 0]
            runs.append(row[:, first.to(row.device)].cpu().numpy())
            durations.append(torch.diff(first, append=torch.tensor([row.shape[1]])))
        out = UnitBatch.from_arrays(runs, self.sizes, self.grid, self.codebook)
        padded = torch.zeros(len(self), out.codes.shape[2], dtype=torch.int64)
        for row, duration in zip(padded, durations, strict=True):
            row[: len(duration)] = duration
        return replace(out, durations=padded)

    def expand(self) -> "UnitBatch":
        """One code a frame again. The inverse of ``collapse``."""
        if self.durations is None:
            raise ValueError("these units are expanded already")
        rows = [
            np.repeat(self[i], self.durations[i, : int(self.lengths[i])].cpu().numpy(), 1) for i in range(len(self))
        ]
        return UnitBatch.from_arrays(rows, self.sizes, self.grid, self.codebook)


@dataclass(frozen=True)
class Utterance:
    """What encoding yields and what decoding, conversion and the codec take.

    ``content`` and ``pitch`` are batches of one recording; ``pitch`` has its own, slower grid. ``voice`` is a name, an
    embedding float32 ``[dim]``, or None; ``num_samples`` is the recording's length at the grid's rate.
    ``pitch_statistics``, mean and deviation of natural log F0 on voiced frames, go with a pitch whose voice no bundle
    knows by its name.
    """

    content: UnitBatch
    num_samples: int
    pitch: UnitBatch | None = None
    voice: str | Tensor | None = None
    id: str = ""
    pitch_statistics: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if len(self.content) != 1 or (self.pitch is not None and len(self.pitch) != 1):
            raise ValueError("an utterance holds the units of one recording")

    @property
    def speaker(self) -> str | None:
        """The name of who speaks; None where none is said, and for an embedding."""
        return self.voice if isinstance(self.voice, str) else None

    def check_register(self) -> None:
        """``UnitsError`` for a pitch of which neither a name nor ``pitch_statistics`` says where it lies."""
        if self.pitch is not None and self.speaker is None and self.pitch_statistics is None:
            raise UnitsError(
                "these units name no speaker and say not where the pitch of theirs lies (pitch_statistics); encode the "
                "recording without a speaker, which measures it"
            )


@dataclass(frozen=True)
class Codebook:
    """Code vectors: ``vectors`` float32 ``[codebook, entry, dim]``."""

    vectors: Tensor

    def __post_init__(self) -> None:
        _check("vectors", self.vectors, torch.float32, 3)

    @property
    def hash(self) -> str:
        """Eight hex digits of the SHA-256 of shape and values: tells codebooks apart."""
        values = np.ascontiguousarray(self.vectors.cpu().numpy().astype("<f4"))
        return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()[:8]

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors float32 ``[batch, frame, codebook * dim]`` of ``codes`` int64 ``[batch, codebook, frame]``."""
        return torch.cat([self.vectors[k][codes[:, k]] for k in range(len(self.vectors))], dim=-1)


@dataclass(frozen=True)
class Transcript:
    """What a recogniser heard: symbols with their first sample, end sample and confidence in [0, 1]."""

    symbols: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    confidences: tuple[float, ...]
    sample_rate: int

    def __post_init__(self) -> None:
        if not len(self.symbols) == len(self.starts) == len(self.ends) == len(self.confidences):
            raise ValueError("symbols, starts, ends and confidences must be equally many")
