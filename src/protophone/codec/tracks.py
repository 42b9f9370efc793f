"""Tracks of codes, one coded after the other, and what each code is guessed from.

A track is one codebook of the content or of the pitch. The contexts of a code are the voice, the codes before it in its
own track, and those of every earlier track around it, on both sides: of those the whole recording is known by then.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from protophone.errors import UnitsError
from protophone.types import FrameGrid, UnitBatch

__all__ = ["Stream", "Track", "tracks_of"]

_AROUND = 2  # codes of an earlier track seen before and after the span of a code


@dataclass(frozen=True)
class Stream:
    """Units of one kind: the entries of each codebook, where they lie, and the hash of their codebook."""

    sizes: tuple[int, ...]
    grid: FrameGrid
    codebook: str | None

    @classmethod
    def of(cls, units: UnitBatch) -> "Stream":
        """The stream these units belong to."""
        return cls(units.sizes, units.grid, units.codebook)

    def codes(self, units: UnitBatch, num_samples: int) -> np.ndarray:
        """Codes int64 ``[codebook, frame]`` of a batch of one; ``UnitsError`` where they are not of this stream."""
        units = units.of(self.codebook, self.sizes, self.grid, "packed are")
        codes, wanted = units[0], self.grid.num_frames(num_samples)
        if codes.shape[1] != wanted:
            raise UnitsError(
                f"{codes.shape[1]} frames of units for {num_samples} samples, which make {wanted}; "
                "give the number of samples of the recording they were made from"
            )
        return codes

    def units(self, codes: np.ndarray) -> UnitBatch:
        """Codes ``[codebook, frame]`` as a batch of one."""
        return UnitBatch.from_arrays([codes], self.sizes, self.grid, self.codebook)


@dataclass(frozen=True)
class Track:
    """One codebook: its ``size``, how many ``lags`` of its own it looks back, and the tracks before it.

    ``sources`` are the earlier tracks, and how many of their frames one of this track's spans. ``voices`` counts the
    voices, one for all that are not known included.
    """

    name: str
    size: int
    lags: int
    sources: tuple[tuple["Track", int], ...]
    voices: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Values each context takes; the last of a code's means that there is none."""
        seen = [source.size + 1 for source, ratio in self.sources for _ in range(ratio + 2 * _AROUND)]
        return (self.voices, *[self.size + 1] * self.lags, *seen)

    @property
    def groups(self) -> tuple[str, ...]:
        """What each context is: the voice, or a code of the track of that name."""
        seen = [source.name for source, ratio in self.sources for _ in range(ratio + 2 * _AROUND)]
        return ("voice", *[self.name] * self.lags, *seen)

    def contexts(self, frames: range, voice: int, earlier: list[np.ndarray]) -> np.ndarray:
        """Contexts int64 ``[frame, context]`` of ``frames`` given all codes ``[frame]`` of earlier tracks.

        The track's own codes are left blank.
        """
        parts = [np.full((len(frames), 1), voice), np.full((len(frames), self.lags), self.size)]
        for codes, (source, ratio) in zip(earlier, self.sources, strict=True):
            low, high = frames.start * ratio - _AROUND, frames.stop * ratio + _AROUND
            width = ratio + 2 * _AROUND
            padded = np.full(max(high - low, width), source.size)
            kept = codes[max(0, low) : high]
            padded[max(0, -low) : max(0, -low) + len(kept)] = kept
            parts.append(sliding_window_view(padded, width)[: len(frames) * ratio : ratio])
        return np.concatenate(parts, 1)

    def told(self, contexts: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """``contexts`` with the track's own codes ``[frame]`` filled in, the nearest first."""
        padded = np.concatenate([np.full(self.lags, self.size), codes])
        contexts[:, 1 : 1 + self.lags] = sliding_window_view(padded, self.lags)[: len(codes), ::-1]
        return contexts


def tracks_of(content: Stream, pitch: Stream | None, voices: int, lags: int, pitch_lags: int) -> tuple[Track, ...]:
    """The tracks of a recording in the order they are coded; ``UnitsError`` where pitch lies across the content."""
    tracks: list[Track] = []
    for book, size in enumerate(content.sizes):
        sources = tuple((track, 1) for track in tracks)
        tracks.append(Track(f"content{book}", size, lags, sources, voices + 1))
    if pitch is None:
        return tuple(tracks)
    if pitch.grid.sample_rate != content.grid.sample_rate or pitch.grid.hop % content.grid.hop:
        raise UnitsError(
            f"pitch units {pitch.grid.hop} samples apart over content units {content.grid.hop} apart; "
            "train them on a hop that is a multiple of the content's, at the same rate"
        )
    ratio = pitch.grid.hop // content.grid.hop
    books = len(content.sizes)
    for book, size in enumerate(pitch.sizes):
        sources = tuple((track, 1 if at >= books else ratio) for at, track in enumerate(tracks))
        tracks.append(Track(f"pitch{book}", size, pitch_lags, sources, voices + 1))
    return tuple(tracks)
