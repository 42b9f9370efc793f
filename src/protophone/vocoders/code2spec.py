"""Code2Spec: units to a linear magnitude spectrogram, then Griffin-Lim (Tjandra et al. 2019, section 3).

Each code vector is repeated for the frames it stands for; four layers of convolutions with several kernels side by
side, batch normalisation and LeakyReLU see it at several scales at once; a last one writes 1025 bins. One inverter a
voice as in the paper, or one for many with a speaker embedding beside the code.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from protophone.config import Depth, Iterations, Points, Positive, SampleCount, Weight, Width, bounds, config
from protophone.crops import Crops
from protophone.errors import ConfigError, InputError
from protophone.features.contour import PitchBatch
from protophone.spectral import griffin_lim, magnitude_to_mel, stft
from protophone.types import Codebook, FrameGrid, UnitBatch
from protophone.vocoders.adversarial import SpectrogramDiscriminator, discriminator_loss, generator_loss
from protophone.vocoders.base import Vocoder

__all__ = ["Code2Spec", "Code2SpecConfig", "Listener"]

Listener = Callable[[Tensor], Tensor]
"""Normalised log-mel frames ``[batch, frame, band]`` to what an encoder makes of them, ``[batch, latent, dim]``."""

_FLOOR = 1e-5  # of magnitudes, about -100 dB
_KERNELS = (1, 3, 5, 7)
_BANDS = 80  # of the log-mel features that encoders listen to
_PART, _OVERLAP = 500, 10  # units spoken at a time, and how many of them twice
_EDGE = 3  # frames of a crop that its window reaches past


@config
class Code2SpecConfig:
    """Options of the inverter; ``configs/code2spec.toml`` has the defaults.

    ``scale`` says in which magnitudes the squared error is counted: ``linear`` as in the paper, or ``log``, which
    weighs quiet sounds as ears do. ``mse_weight`` and ``adversarial_weight`` are alpha and beta of equation 9;
    a discriminator (``adversary``) makes a step two to three times as long.
    ``unit_weight`` weighs how differently an encoder that listens to bands hears what was made and what was meant;
    other encoders do not listen. ``sharpness`` raises the magnitudes to this power before phases are sought.
    """

    kind: Literal["code2spec"] = "code2spec"
    channels: Width = 384
    layers: Depth = 4
    n_fft: Points = 2048
    window_length: SampleCount = 400
    hop: SampleCount = 160
    scale: Literal["log", "linear"] = "log"
    adversary: Literal["none", "lsgan", "wgan"] = "none"
    mse_weight: Positive = 10.0
    adversarial_weight: Weight = 1.0
    unit_weight: Weight = 1.0
    speaker_dim: Width = 64
    iterations: Iterations = 60
    sharpness: Annotated[float, bounds(0.01, 10.0)] = 1.0

    def __post_init__(self) -> None:
        if self.channels % len(_KERNELS):
            raise ConfigError(f"channels {self.channels}: {len(_KERNELS)} kernels share them; write a multiple of 4")
        if not self.hop <= self.window_length <= self.n_fft:
            raise ConfigError(
                f"window_length {self.window_length} must be no shorter than hop {self.hop}, and no longer than n_fft "
                f"{self.n_fft}"
            )

    def build(self, codebook: Codebook, grid: FrameGrid, voices: tuple[str, ...]) -> "Code2Spec":
        """An untrained inverter for the units of ``codebook`` on ``grid``, in ``voices``."""
        return Code2Spec(self, codebook, grid, voices)


class _MultiScale(nn.Module):
    """Kernels 1, 3, 5 and 7 side by side, a quarter of the channels each."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        quarter = channels // len(_KERNELS)
        self.scales = nn.ModuleList(nn.Conv1d(inputs, quarter, k, padding=k // 2) for k in _KERNELS)
        self.activated = nn.Sequential(nn.BatchNorm1d(channels), nn.LeakyReLU(0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.activated(torch.cat([scale(x) for scale in self.scales], 1))


class Code2Spec(Vocoder):
    """The inverter's network and its discriminator."""

    vectors: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Code2SpecConfig, codebook: Codebook, grid: FrameGrid, voices: tuple[str, ...]) -> None:
        super().__init__()
        if grid.hop % config.hop:
            raise ConfigError(f"voice.hop {config.hop}: units last {grid.hop} samples; write a hop that divides these")
        self.config = config
        self.grid = grid
        self.voices = voices
        self.codebook = codebook.hash
        self.repeat = grid.hop // config.hop
        # Convolutions see as many frames on each side, which lie at most as many units away.
        self.context = -(-config.layers * (max(_KERNELS) // 2) // self.repeat)
        self.register_buffer("vectors", codebook.vectors.clone())
        bins = config.n_fft // 2 + 1
        self.speakers = nn.Embedding(len(voices), config.speaker_dim)
        widths = [codebook.vectors.shape[0] * codebook.vectors.shape[2] + config.speaker_dim] + [
            config.channels
        ] * config.layers
        self.body = nn.ModuleList(_MultiScale(a, b) for a, b in pairwise(widths))
        self.head = nn.Conv1d(config.channels, bins, 1)
        self.register_buffer("mean", torch.zeros(bins))
        self.register_buffer("deviation", torch.ones(bins))
        self.discriminator = SpectrogramDiscriminator() if config.adversary != "none" else None
        self.listener: Listener | None = None

    def forward(self, codes: Tensor, voice: Tensor) -> Tensor:
        """Scaled spectrogram ``[batch, unit * repeat, bin]``; codes ``[batch, codebook, unit]``, voice ``[batch]``."""
        vectors = Codebook(self.vectors).lookup(codes).repeat_interleave(self.repeat, dim=1)
        told = self.speakers(voice)[:, None].expand(-1, vectors.shape[1], -1)
        x = torch.cat([vectors, told], -1).transpose(1, 2)
        for index, layer in enumerate(self.body):
            y = layer(x)
            x = x + y if index else y
        return self.head(x).transpose(1, 2)

    def scaled(self, samples: Tensor) -> Tensor:
        """Spectrogram of ``samples`` ``[batch, sample]`` as the network writes it, ``[batch, frame, bin]``."""
        magnitude = stft(samples, self.config.n_fft, self.config.hop, self.config.window_length).abs()
        if self.config.scale == "log":
            magnitude = magnitude.clamp_min(_FLOOR).log()
        return (magnitude - self.mean) / self.deviation

    def magnitude(self, scaled: Tensor) -> Tensor:
        """Linear magnitudes of what the network wrote."""
        raw = scaled * self.deviation + self.mean
        return raw.exp() if self.config.scale == "log" else raw.clamp_min(0)

    @torch.inference_mode()
    def stream(
        self,
        content: UnitBatch,
        pitch: UnitBatch | PitchBatch | None,  # noqa: ARG002 - it is told no pitch
        voice: str | Tensor | None,
    ) -> Iterator[Tensor]:
        """Sound of a batch of one in overlapping parts, each faded in over the end of the one before."""
        content = self.check_units(content)
        if isinstance(voice, Tensor):
            raise InputError("this voice knows speakers by name only, and was given an embedding; name one")
        speaker = torch.tensor([self.voice_index(voice)], device=self.vectors.device)
        codes = content.codes[..., : int(content.lengths[0])].to(self.vectors.device)
        ramp = torch.linspace(0, 1, _OVERLAP * self.grid.hop)
        ending = torch.zeros(0)  # of the part before
        for start in range(0, codes.shape[2], _PART):
            early, late = max(0, start - _OVERLAP), min(codes.shape[2], start + _PART)
            part = self._speak(codes[..., early:late], speaker)
            if len(ending):
                part[: len(ramp)] = ending * (1 - ramp) + part[: len(ramp)] * ramp
            kept = len(part) - len(ramp) if late < codes.shape[2] else len(part)
            yield part[:kept]
            ending = part[kept:]

    def _speak(self, codes: Tensor, speaker: Tensor) -> Tensor:
        """Sound ``[unit * hop]`` of codes ``[1, codebook, unit]``."""
        magnitude = self.magnitude(self(codes, speaker).float()) ** self.config.sharpness
        settings = self.config
        sound = griffin_lim(
            magnitude, settings.n_fft, settings.hop, settings.window_length, iterations=settings.iterations
        )
        return sound[0].cpu()

    @torch.no_grad()
    def calibrate(self, samples: Tensor) -> None:
        """Mean and deviation of each bin over ``samples`` ``[batch, sample]``, before training starts."""
        spectrogram = self.scaled(samples).flatten(0, 1)
        self.mean.copy_(spectrogram.mean(0))
        self.deviation.copy_(spectrogram.std(0).clamp_min(1e-3))

    def _misheard(self, fake: Tensor, real: Tensor, listener: Listener) -> Tensor:
        """Squared difference of what the encoder makes of both, over the variance of the latter."""
        heard, meant = (self._bands(spectrogram) for spectrogram in (fake, real))
        mean, deviation = meant.mean(1, keepdim=True), meant.std(1, keepdim=True).clamp_min(1e-2)
        with torch.no_grad():
            wanted = listener((meant - mean) / deviation).float()
        got = listener((heard - mean) / deviation).float()
        return F.mse_loss(got, wanted) / wanted.var().clamp_min(1e-3)

    def _bands(self, scaled: Tensor) -> Tensor:
        """Log-mel bands of a spectrogram as the network writes it."""
        magnitude = self.magnitude(scaled)
        return magnitude_to_mel(magnitude, self.grid.sample_rate, self.config.n_fft, _BANDS).clamp_min(1e-10).log()

    def losses(self, batch: Crops) -> Iterator[tuple[str, Tensor]]:
        """Equations 6 to 9 on crops of codes (``frames``) and samples (``target``)."""
        codes = batch.frames.long().transpose(1, 2)
        with torch.no_grad(), torch.autocast(codes.device.type, enabled=False):
            real = self.scaled(batch.target[..., 0] / 32767)[:, : codes.shape[2] * self.repeat]
        fake = self(codes, batch.speakers).float()
        # A crop's first and last frames see its cut edges: they are left out, and so is what lies past a recording.
        inner = slice(_EDGE, -_EDGE)
        fake, real = fake[:, inner], real[:, inner]
        mask = batch.mask.repeat_interleave(self.repeat, 1)[:, inner]
        error = ((fake - real).square().mean(-1) * mask).sum() / mask.sum().clamp_min(1)
        self.figures = {"mse": error.detach()}
        loss = self.config.mse_weight * error
        if self.listener is not None and self.config.unit_weight:
            # Past a recording's end nothing is meant, and nothing holds the network: there it counts as right.
            misheard = self._misheard(torch.where(mask.unsqueeze(-1) > 0, fake, real), real, self.listener)
            self.figures["units"] = misheard.detach()
            loss = loss + self.config.unit_weight * misheard
        if self.discriminator is not None and self.config.adversary != "none":
            judged = discriminator_loss(self.discriminator, real, fake.detach(), self.config.adversary)
            self.figures["discriminator"] = judged.detach()
            yield "discriminator", judged
            fooled = generator_loss(self.discriminator(fake), self.config.adversary)
            self.figures["adversarial"] = fooled.detach()
            loss = loss + self.config.adversarial_weight * fooled
        yield "vocoder", loss
