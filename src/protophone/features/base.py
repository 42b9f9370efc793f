"""What every feature extractor promises."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from protophone.types import AudioBatch, FeatureBatch, FrameGrid

__all__ = ["FeatureExtractor"]


class FeatureExtractor(ABC):
    """Turns sound into frames.

    ``sample_rate`` in Hz is the only one accepted; ``dim`` values a frame; ``grid`` where the frames lie. ``context``
    is how many frames on each side a stretch of a recording must be read with (less where the recording begins or
    ends) for its frames, the context cut off again, to be those of the whole recording.

    A batch gives for each row what the row gives alone: padding is never looked at.

    ``network`` is what a bundle must hold of it beside its config, None of what can be had without.
    """

    network: nn.Module | None = None
    config: Any
    sample_rate: int
    dim: int
    grid: FrameGrid
    context: int

    @property
    def ahead(self) -> int:
        """Frames after its own, at most, whose sound a frame of a long recording depends on."""
        return self.context

    @abstractmethod
    def __call__(self, audio: AudioBatch) -> FeatureBatch:
        """Frames of each row, ``grid.num_frames(length)`` of them; zeros after that. On the device of ``audio``."""

    def stream(
        self, blocks: Iterable[np.ndarray], chunk: int = 6000, device: torch.device | str = "cpu"
    ) -> Iterator[FeatureBatch]:
        """Frames of a recording, ``chunk`` at a time (maybe fewer at the end), equal to those of the whole.

        ``blocks`` are its samples, float32; no more than a chunk and a block of them is held.
        """
        hop, context = self.grid.hop, self.context
        held, first, done = np.zeros(0, np.float32), 0, 0  # samples from frame ``first`` on; frames yielded
        waiting: list[np.ndarray] = []
        heard, ended = 0, False  # samples so far, and whether these are all
        for block in chain(blocks, [None]):
            if block is None:
                ended = True
            else:
                waiting.append(block)
                heard += len(block)
            # Before the end, the last frame may lack samples, and ``context`` frames before it wait for their own.
            frames = self.grid.num_frames(heard)
            ready = frames if ended else frames - 1 - context
            if done >= ready or (not ended and ready - done < chunk):
                continue
            held, waiting = np.concatenate([held, *waiting]), []
            while done < ready and (ended or ready - done >= chunk):
                stop = min(done + chunk, ready)
                part = held[: (stop + context - first) * hop]
                features = self(AudioBatch.from_arrays([part], self.sample_rate).to(device))
                kept = features.frames[:, done - first : stop - first]
                yield FeatureBatch(kept, torch.tensor([kept.shape[1]], device=device), features.grid)
                done = stop
                keep = max(0, done - context)
                held, first = held[(keep - first) * hop :], keep
