"""A layer of a self-supervised model as frames, in the model's own framing.

A frame is there where its whole receptive field is: 400 samples every 320 for the published models,
``floor((samples - 400) / 320) + 1`` frames. Such models attend to all they are given, so a recording is read in windows
that overlap, whole files and streams alike; each window's sound is normalised by itself where the model wants that.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from protophone.errors import AudioError
from protophone.features.base import FeatureExtractor
from protophone.features.ssl.config import SSLConfig
from protophone.types import AudioBatch, FeatureBatch, FrameGrid

__all__ = ["SelfSupervised"]

_AT_ONCE = 16  # windows at once on a GPU
_QUIET = 1e-7  # added to the variance before dividing by its root, as transformers does


class SelfSupervised(FeatureExtractor):
    """Frames of the layer ``config`` names; ``network`` is transformers' model up to there."""

    config: SSLConfig
    context = 0  # windows overlap instead: see ``stream``

    @property
    def ahead(self) -> int:
        """A window is heard as a whole."""
        return self.config.window - 1

    def __init__(self, config: SSLConfig, network: Any) -> None:
        self.config = config
        self._model = network
        self.network = network if config.weights == "bundle" else None
        shape = network.config
        self.sample_rate = 16000
        self.dim = shape.hidden_size
        field, hop = 1, 1
        for kernel, stride in zip(shape.conv_kernel, shape.conv_stride, strict=True):
            field, hop = field + (kernel - 1) * hop, hop * stride
        self.grid = FrameGrid(self.sample_rate, hop, field // 2, window=field)
        # One group norm after the first convolution hears the whole row, its padding too.
        self._by_length = shape.feat_extract_norm == "group"

    def __call__(self, audio: AudioBatch) -> FeatureBatch:
        """Frames of each row; ``AudioError`` at another sample rate."""
        if audio.sample_rate != self.sample_rate:
            raise AudioError(
                f"sound at {audio.sample_rate} Hz given to features at {self.sample_rate} Hz; resample it as it is read"
            )
        counts = [self.grid.num_frames(samples) for samples in audio.lengths.tolist()]
        frames = audio.samples.new_zeros(len(counts), max(counts, default=0), self.dim)
        sounds, places = [], []
        for row, (count, samples) in enumerate(zip(counts, audio.lengths.tolist(), strict=True)):
            for start, first, end in self._windows(count):
                stop = samples if end == count else self._samples(start + self.config.window)
                sounds.append(audio.samples[row, start * self.grid.hop : stop])
                places.append((row, start, first, end))
        for (row, start, first, end), heard in zip(places, self._heard(sounds), strict=True):
            frames[row, first:end] = heard[first - start : end - start]
        return FeatureBatch(frames, torch.tensor(counts, dtype=torch.int64, device=audio.lengths.device), self.grid)

    def stream(
        self, blocks: Iterable[np.ndarray], chunk: int = 6000, device: torch.device | str = "cpu"
    ) -> Iterator[FeatureBatch]:
        """Frames of a recording, those of a window at a time, equal to those of the whole.

        ``chunk`` says nothing here: how much is read at once is the model's business, not the caller's.
        """
        del chunk
        hop, size = self.grid.hop, self.config.window
        held, start, first = np.zeros(0, np.float32), 0, 0  # samples from frame ``start`` on; frames yielded
        waiting: list[np.ndarray] = []
        heard = 0
        for block in chain(blocks, [None]):
            if block is not None:
                waiting.append(block)
                heard += len(block)
            count = self.grid.num_frames(heard)
            while block is None or count > start + size:
                held, waiting = np.concatenate([held, *waiting]), []
                last = count <= start + size
                end = count if last else start + size - self.config.overlap
                sound = held if last else held[: self._samples(size)]
                if end > first:
                    (frames,) = self._heard([torch.from_numpy(sound).to(device)])
                    kept = frames[None, first - start : end - start]
                    yield FeatureBatch(kept, torch.tensor([end - first], device=device), self.grid)
                if last:
                    return
                step = size - 2 * self.config.overlap
                held, start, first = held[step * hop :], start + step, end

    def _samples(self, frames: int) -> int:
        """Samples that so many frames take."""
        return (frames - 1) * self.grid.hop + self.grid.window

    def _windows(self, count: int) -> Iterator[tuple[int, int, int]]:
        """Of a recording of ``count`` frames: where each window starts, and which frames are kept of it."""
        size, overlap = self.config.window, self.config.overlap
        start = first = 0
        while first < count:
            end = count if count <= start + size else start + size - overlap
            yield start, first, end
            start, first = start + size - 2 * overlap, end

    def _heard(self, sounds: list[Tensor]) -> list[Tensor]:
        """Frames ``[frame, dim]`` of each window: one at a time on the processor, several at once on a GPU."""
        if self.config.waveform == "normalized":
            sounds = [_normalized(sound) for sound in sounds]
        if not sounds or sounds[0].device.type != "cpu":
            return self._in_batches(sounds)
        return [self._together([sound])[0] for sound in sounds]

    def _in_batches(self, sounds: list[Tensor]) -> list[Tensor]:
        """Frames of each window, as each would give alone, several of like length heard at once."""
        order = sorted(range(len(sounds)), key=lambda index: len(sounds[index]))
        batches: list[list[int]] = []
        for index in order:
            ragged = batches and self._by_length and len(sounds[index]) != len(sounds[batches[-1][0]])
            if not batches or ragged or len(batches[-1]) == _AT_ONCE:
                batches.append([])
            batches[-1].append(index)
        found: dict[int, Tensor] = {}
        for batch in batches:
            found |= zip(batch, self._together([sounds[index] for index in batch]), strict=True)
        return [found[index] for index in range(len(sounds))]

    @torch.no_grad()
    def _together(self, sounds: list[Tensor]) -> list[Tensor]:
        """Frames ``[frame, dim]`` of sounds ``[sample]``, as the model takes them, heard in one padded batch."""
        network = self._model.to(sounds[0].device).eval()
        lengths = torch.tensor([len(sound) for sound in sounds])
        padded = nn.utils.rnn.pad_sequence(sounds, batch_first=True)
        mask = None
        if int(lengths.min()) < padded.shape[1]:
            mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long().to(padded.device)
        frames = self._tapped(network, padded, mask)
        return [row[: self.grid.num_frames(int(length))] for row, length in zip(frames, lengths, strict=True)]

    def _tapped(self, network: Any, samples: Tensor, mask: Tensor | None) -> Tensor:
        if self.config.tap != "before_residual":
            return network(samples, attention_mask=mask).last_hidden_state
        added: list[Tensor] = []
        part = network.encoder.layers[-1].feed_forward
        hook = part.register_forward_hook(lambda _module, _inputs, output: added.append(output))
        try:
            network(samples, attention_mask=mask)
        finally:
            hook.remove()
        return added[0]


def _normalized(sound: Tensor) -> Tensor:
    """``sound`` with mean 0 and variance 1, but for a little less of what is nearly silent."""
    exact = sound.double()
    return ((exact - exact.mean()) / (exact.var(correction=0) + _QUIET).sqrt()).float()
