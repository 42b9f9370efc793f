"""What every quantizer is: frames in, codes out, and the vector each code stands for."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from protophone.types import Codebook

__all__ = ["Quantizer"]


class Quantizer(nn.Module, ABC):
    """Frames of ``dim`` numbers to codes below ``sizes``; weights are buffers or parameters."""

    dim: int

    @abstractmethod
    def encode(self, frames: Tensor) -> Tensor:
        """Codes int64 ``[batch, codebook, frame]`` of ``frames`` float32 ``[batch, frame, dim]``."""

    @property
    @abstractmethod
    def codebook(self) -> Codebook:
        """The code vectors, float32 ``[codebook, entry, dim]``."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each codebook."""
        codebooks, entries, _ = self.codebook.vectors.shape
        return (entries,) * codebooks

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors float32 ``[batch, frame, dim]`` of ``codes`` int64 ``[batch, codebook, frame]``."""
        return self.codebook.lookup(codes)
