"""The speaker-conditional VQ-VAE of Tjandra et al. 2019 (arXiv 1905.11449, section 2): units that rebuild the frames.

An encoder turns features into one latent every ``time_reduction`` frames, the quantizer replaces it by its nearest
code vector, and a decoder told who speaks rebuilds the target features. What the speaker embedding can say, the
codes need not.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from protophone.config import KIND, Depth, Reduction, Share, Width, config
from protophone.crops import Crops
from protophone.encoders.augment import AugmentConfig, augment, check_bands
from protophone.encoders.base import Encoder, Normalization, at_rest
from protophone.encoders.convolution import Downsampler, Upsampler
from protophone.errors import ConfigError
from protophone.features import LogMelConfig, MfccConfig
from protophone.quantizers.vq import VQConfig
from protophone.types import Codebook, FeatureBatch, UnitBatch

__all__ = ["VQVAE", "VQVAEConfig"]


@config
class VQVAEConfig:
    """Options of the VQ-VAE; the defaults are the recipe of ``configs/vqvae.toml``, without its price on bits.

    ``features`` go in, ``target`` must come out; ``represent`` says what ABX scores: the decoder's output for a voice
    that is nobody's (``decoded``), or the code vectors themselves (``codes``), both functions of the codes alone.
    """

    kind: Literal["vqvae"] = "vqvae"
    features: Annotated[MfccConfig | LogMelConfig, KIND] = LogMelConfig()
    target: Annotated[MfccConfig | LogMelConfig, KIND] = MfccConfig()
    normalization: Normalization = "recording"
    time_reduction: Reduction = 4
    quantizer: VQConfig = VQConfig()
    channels: Width = 256
    blocks: Depth = 3
    speaker_dim: Width = 32
    jitter: Share = 0.0
    augment: AugmentConfig = AugmentConfig(warp=0.08, noise=0.2, tilt=0.3)
    represent: Literal["decoded", "codes"] = "decoded"

    def __post_init__(self) -> None:
        if self.features.kind != "logmel" and (self.augment.warp or self.augment.tilt):
            raise ConfigError(
                f"augment.warp {self.augment.warp:g} and augment.tilt {self.augment.tilt:g} distort bands, and "
                f"{self.features.kind} features are none; set both to 0, or encoder.features.kind to logmel"
            )
        check_bands(self.augment, self.features.n_mels)

    def build(self, speakers: tuple[str, ...]) -> "VQVAE":
        """An untrained model that can tell ``speakers`` apart in its decoder."""
        return VQVAE(self, speakers)


class VQVAE(Encoder):
    """Encoder, codebook and speaker-conditional decoder."""

    def __init__(self, config: VQVAEConfig, speakers: tuple[str, ...]) -> None:
        super().__init__(config.features.build(), config.normalization)
        self.config = config
        self.speakers = speakers
        self.target = config.target.build()
        self.reduction = config.time_reduction
        self.quantizer = config.quantizer.build()
        dim = self.quantizer.dim
        self.encoder = Downsampler(self.features.dim, config.channels, dim, self.reduction, config.blocks)
        self.voices = nn.Embedding(len(speakers), config.speaker_dim)
        self.decoder = Upsampler(dim + config.speaker_dim, config.channels, self.target.dim, self.reduction)
        self.context = (self.encoder.context, self.encoder.context)

    @property
    def codebook(self) -> Codebook:
        """The code vectors, ``[1, num_units, dim]``."""
        return self.quantizer.codebook

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Codes of normalised frames with their context: nearest code vectors of the encoder's latents."""
        return self.quantizer.encode(self.encoder(frames))

    @torch.inference_mode()
    def vectors(self, units: UnitBatch) -> FeatureBatch:
        """Decoded frames on the features' grid, or code vectors on the units' grid, as the config says."""
        units = self.check_units(units)
        vectors = self.quantizer.lookup(units.codes)
        if self.config.represent == "codes":
            return FeatureBatch(vectors, units.lengths, units.grid)
        nobody = self.voices.weight.mean(0).expand(len(vectors), -1)
        with at_rest(self):
            frames = self.decode_frames(vectors, nobody, units.lengths)
        return FeatureBatch(frames, units.lengths * self.reduction, self.target.grid)

    def decode_frames(self, vectors: Tensor, voice: Tensor, lengths: Tensor) -> Tensor:
        """Target frames ``[batch, unit * reduction, dim]`` of code vectors in a ``voice`` ``[batch, speaker_dim]``."""
        told = torch.cat([vectors, voice[:, None].expand(-1, vectors.shape[1], -1)], -1)
        return self.decoder.masked(told, lengths)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Everything is stepped by the one loss."""
        return {"vqvae": list(self.parameters())}

    def losses(self, batch: Crops) -> Iterator[tuple[str, Tensor]]:
        """Equation 3: reconstruction, and the quantizer's own terms; one optimiser for both."""
        latents = self.encoder(augment(batch.frames, self.config.augment))
        with torch.autocast(latents.device.type, enabled=False):
            quantized = self.quantizer(latents.float())
        vectors = _jittered(quantized.vectors, self.config.jitter)
        units = vectors.shape[1]
        lengths = torch.full((len(vectors),), units, device=vectors.device)
        rebuilt = self.decode_frames(vectors, self.voices(batch.speakers), lengths)
        error = (rebuilt.float() - batch.target).square().mean(-1)
        reconstruction = (error * batch.mask).sum() / batch.mask.sum()
        self.figures = {"reconstruction": reconstruction.detach(), "quantizer": quantized.loss.detach()}
        yield "vqvae", reconstruction + quantized.loss


def _jittered(vectors: Tensor, share: float) -> Tensor:
    """Each vector replaced by its left or right neighbour with probability ``share`` (Chorowski et al. 2019)."""
    if not share:
        return vectors
    batch, time, _ = vectors.shape
    draw = torch.rand(batch, time, device=vectors.device)
    step = (draw > 1 - share / 2).long() - (draw < share / 2).long()
    index = (torch.arange(time, device=vectors.device) + step).clamp(0, time - 1)
    return vectors.gather(1, index.unsqueeze(-1).expand_as(vectors))
