"""Content units: a VQ-VAE whose decoder is told who speaks and the melody, so that neither needs to be in the codes.

The speaker-conditional VQ-VAE of Tjandra et al. 2019 carried over to the streams of Polyak et al. 2021: what is said in
the codes, how it is sung and by whom beside them. Frames go in and come out as log-mel bands; the encoder sees three
units' frames at once, everything else runs at the rate of units, which makes it quick.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from protophone.config import Depth, Width, config
from protophone.convnext import ConvNeXt
from protophone.crops import Crops
from protophone.encoders.augment import AugmentConfig, augment, check_bands
from protophone.encoders.base import Encoder, Normalization, at_rest
from protophone.errors import UnitsError
from protophone.features import LogMelConfig
from protophone.features.contour import scaled
from protophone.quantizers.vq import VQConfig
from protophone.types import Codebook, FeatureBatch, UnitBatch

__all__ = ["ContentVQVAE", "ContentVQVAEConfig"]

_KERNEL = 5  # units, of the encoder's and the decoder's blocks
_FINE_KERNEL = 7  # frames, of the blocks behind them


@config
class ContentVQVAEConfig:
    """Options of the content units; ``configs/content.toml`` has the defaults.

    ``channels``, ``encoder_blocks`` and ``decoder_blocks`` run once a unit, the ``fine`` ones once a frame.
    ``represent`` says what ABX scores: the decoder's bands for a voice that is nobody's and a level melody
    (``decoded``), or the code vectors (``codes``).
    """

    kind: Literal["content"] = "content"
    features: LogMelConfig = LogMelConfig(n_fft=1024, window_length=1024, floor=4.5e-5)
    normalization: Normalization = "corpus"
    time_reduction: Literal[2, 4, 8] = 4
    quantizer: VQConfig = VQConfig(num_units=2048, dim=64, bits=10.2)
    channels: Width = 352
    encoder_blocks: Depth = 5
    decoder_blocks: Depth = 6
    fine_channels: Width = 192
    fine_blocks: Depth = 3
    speaker_dim: Width = 64
    augment: AugmentConfig = AugmentConfig(warp=0.03, noise=0.1, tilt=0.0)
    represent: Literal["decoded", "codes"] = "decoded"

    def __post_init__(self) -> None:
        check_bands(self.augment, self.features.n_mels)

    def build(self, speakers: tuple[str, ...]) -> "ContentVQVAE":
        """An untrained model that can tell ``speakers`` apart in its decoder."""
        return ContentVQVAE(self, speakers)


class _Decoder(nn.Module):
    """Code vectors, a voice and a melody to bands."""

    def __init__(self, config: ContentVQVAEConfig, bands: int, speakers: int) -> None:
        super().__init__()
        self.reduction = config.time_reduction
        channels, fine = config.channels, config.fine_channels
        self.voices = nn.Embedding(speakers, config.speaker_dim)
        self.told = nn.Linear(config.quantizer.dim + config.speaker_dim + self.reduction, channels)
        self.coarse = nn.Sequential(*(ConvNeXt(channels, _KERNEL, padded=True) for _ in range(config.decoder_blocks)))
        self.up = nn.Linear(channels, fine * self.reduction)
        self.sung = nn.Linear(fine + 1, fine)
        self.fine = nn.Sequential(*(ConvNeXt(fine, _FINE_KERNEL, padded=True) for _ in range(config.fine_blocks)))
        self.bands = nn.Linear(fine, bands)

    def forward(self, vectors: Tensor, voice: Tensor, melody: Tensor) -> Tensor:
        """Normalised bands ``[batch, frame, band]`` of code vectors ``[batch, unit, dim]``.

        ``voice`` is ``[batch, speaker_dim]``, ``melody`` ``[batch, frame]`` in deviations from its middle.
        """
        rows, units, _ = vectors.shape
        told = [vectors, voice[:, None].expand(-1, units, -1), melody.view(rows, units, self.reduction)]
        x = self.coarse(self.told(torch.cat(told, -1)))
        x = self.up(x).view(rows, units * self.reduction, -1)
        return self.bands(self.fine(self.sung(torch.cat([x, melody[..., None].to(x.dtype)], -1))))


class ContentVQVAE(Encoder):
    """Encoder, codebook, and a decoder told the voice and the melody."""

    def __init__(self, config: ContentVQVAEConfig, speakers: tuple[str, ...]) -> None:
        super().__init__(config.features.build(), config.normalization)
        self.config = config
        self.speakers = speakers
        self.target = self.features
        self.reduction = config.time_reduction
        self.quantizer = config.quantizer.build()
        self.stem = nn.Linear(3 * self.reduction * self.features.dim, config.channels)
        self.blocks = nn.Sequential(
            *(ConvNeXt(config.channels, _KERNEL, padded=False) for _ in range(config.encoder_blocks))
        )
        self.latents = nn.Linear(config.channels, config.quantizer.dim)
        reach = (1 + config.encoder_blocks * (_KERNEL // 2)) * self.reduction
        self.context = (reach, reach)
        self.decoder = _Decoder(config, self.features.dim, len(speakers))
        if config.represent == "codes":
            self.spare = ("decoder.",)  # no longer needed where training has ended

    @property
    def codebook(self) -> Codebook:
        """The code vectors, ``[1, num_units, dim]``."""
        return self.quantizer.codebook

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Codes of normalised frames with their context: of the nearest code vectors, rare ones at a price."""
        return self.quantizer.encode(self.latents_of(frames).float())

    def latents_of(self, frames: Tensor) -> Tensor:
        """Latents ``[batch, unit, dim]`` of frames with their context."""
        windows = frames.unfold(1, 3 * self.reduction, self.reduction)
        return self.latents(self.blocks(self.stem(windows.flatten(2))))

    @torch.inference_mode()
    def vectors(self, units: UnitBatch) -> FeatureBatch:
        """The decoder's bands or the code vectors, as the config says."""
        units = self.check_units(units)
        vectors = self.quantizer.lookup(units.codes)
        if self.config.represent == "codes":
            return FeatureBatch(vectors, units.lengths, units.grid)
        nobody = self.decoder.voices.weight.mean(0, keepdim=True)
        frames = torch.zeros(len(vectors), vectors.shape[1] * self.reduction, self.target.dim, device=vectors.device)
        with at_rest(self):
            for row, length in enumerate(units.lengths.tolist()):  # what lies past a row's end would be heard in it
                level = vectors.new_zeros(1, length * self.reduction)
                frames[row, : length * self.reduction] = self.decoder(vectors[row : row + 1, :length], nobody, level)
        return FeatureBatch(frames, units.lengths * self.reduction, self.target.grid)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Everything is stepped by the one loss."""
        return {"content": list(self.parameters())}

    def losses(self, batch: Crops) -> Iterator[tuple[str, Tensor]]:
        """Squared error of the bands, and the quantizer's own terms."""
        if batch.pitch is None:
            raise UnitsError("crops without a melody cannot train these units; pack the pitch beside the frames")
        latents = self.latents_of(augment(batch.frames, self.config.augment))
        with torch.autocast(latents.device.type, enabled=False):
            quantized = self.quantizer(latents.float())
        melody = scaled(batch.pitch.mean(-1))
        rebuilt = self.decoder(quantized.vectors, self.decoder.voices(batch.speakers), melody).float()
        error = rebuilt - batch.target
        reconstruction = (error.square().mean(-1) * batch.mask).sum() / batch.mask.sum().clamp_min(1)
        self.figures = {"reconstruction": reconstruction.detach(), "quantizer": quantized.loss.detach()}
        yield "content", reconstruction + quantized.loss
