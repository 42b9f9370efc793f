"""What every feature extractor promises."""

from abc import ABC, abstractmethod
from typing import Any

from protophone.types import AudioBatch, FeatureBatch, FrameGrid

__all__ = ["FeatureExtractor"]


class FeatureExtractor(ABC):
    """Turns sound into frames.

    ``sample_rate`` in Hz is the only one accepted; ``dim`` values a frame; ``grid`` where the frames lie. ``context``
    is how many frames on each side a stretch of a recording must be read with (less where the recording begins or
    ends) for its frames, the context cut off again, to be those of the whole recording.

    A batch gives for each row what the row gives alone: padding is never looked at.
    """

    config: Any
    sample_rate: int
    dim: int
    grid: FrameGrid
    context: int

    @abstractmethod
    def __call__(self, audio: AudioBatch) -> FeatureBatch:
        """Frames of each row, ``grid.num_frames(length)`` of them; zeros after that. On the device of ``audio``."""
