"""Losses of vocoders that learn against discriminators: of spectrograms for the inverter, of waveforms for the others.

The inverter's are equations 7 and 8 of Tjandra et al. 2019. Those of waveforms are equations 3 to 8 of Kong et al. 2020
(HiFi-GAN): least squares against every discriminator, what their layers see (features), and bands on the mel scale.
"""

from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from protophone.config import Weight, bounds, config
from protophone.errors import ConfigError
from protophone.spectral import mel_filters, stft
from protophone.vocoders.discriminators import (
    PERIODS,
    RESOLUTIONS,
    SCALES,
    ByPeriod,
    ByResolution,
    ByScale,
    Verdict,
)

__all__ = [
    "Discriminators",
    "DiscriminatorsConfig",
    "SpectrogramDiscriminator",
    "discriminator_loss",
    "generator_loss",
    "log_mel",
    "mel_loss",
]

Adversary = Literal["lsgan", "wgan"]
_BANDS, _POINTS, _HOP, _FLOOR = 80, 1024, 256, 1e-5  # of the mel loss, as published


@config
class DiscriminatorsConfig:
    """What tells a vocoder's waveforms from real ones, how wide its layers are, and from which step of the training.

    ``kinds``: ``period`` and ``scale`` are HiFi-GAN's discriminators, ``resolution`` UnivNet's, a small part of the
    work; none leaves the mel loss alone. ``width`` is a share of the published channels. ``features`` weighs the
    feature matching.
    """

    kinds: tuple[Literal["period", "scale", "resolution"], ...] = ("period", "scale")
    width: Annotated[float, bounds(0.01, 4.0)] = 1.0
    from_step: Annotated[int, bounds(0, 10**9)] = 0
    features: Weight = 2.0

    def __post_init__(self) -> None:
        if len(set(self.kinds)) != len(self.kinds):
            raise ConfigError(f"discriminators.kinds {list(self.kinds)} names one twice; name each once")

    def build(self) -> "Discriminators | None":
        """The discriminators, untrained; None where no kind is named."""
        return Discriminators(self) if self.kinds else None


class Discriminators(nn.Module):
    """All discriminators of a vocoder's waveforms, and the steps trained so far, which say when they join.

    A vocoder keeps them as ``discriminator``, and its ``losses`` go::

        if self.discriminator is not None and self.discriminator.joins():
            yield "discriminator", self.discriminator.discriminator_loss(real, fake)
            terms |= self.discriminator.generator_losses(real, fake)  # after the discriminators' own step
    """

    steps_done: Tensor

    def __init__(self, config: DiscriminatorsConfig) -> None:
        super().__init__()
        self.config = config
        discriminators: dict[str, list[nn.Module]] = {
            "period": [ByPeriod(period, config.width) for period in PERIODS if "period" in config.kinds],
            "scale": [ByScale(halvings, config.width) for halvings in SCALES if "scale" in config.kinds],
            "resolution": [ByResolution(*each, config.width) for each in RESOLUTIONS if "resolution" in config.kinds],
        }
        self.discriminators = nn.ModuleList(
            discriminator for kind in config.kinds for discriminator in discriminators[kind]
        )
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))

    @property
    def joins_at(self) -> int:
        """The step from which they judge."""
        return self.config.from_step

    def joins(self) -> bool:
        """Whether they judge this step; called once a step, and counts it, so that a resumed training knows."""
        joined = int(self.steps_done) >= self.config.from_step
        self.steps_done += 1
        return joined

    def forward(self, samples: Tensor) -> list[Verdict]:
        """Each discriminator's verdict on ``samples`` float32 ``[batch, sample]``."""
        return [discriminator(samples) for discriminator in self.discriminators]

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """How badly they tell ``real`` from ``fake``, ``[batch, sample]`` both; the vocoder gets no gradient."""
        both = self(torch.cat([real, fake.detach()]))
        scores = [verdict.scores.split(len(real)) for verdict in both]
        return torch.stack([(r - 1).square().mean() + f.square().mean() for r, f in scores]).sum()

    def generator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The vocoder's terms, weighted, to be summed: ``adversarial`` and ``features``.

        The discriminators get no gradient.
        """
        self.requires_grad_(requires_grad=False)
        try:
            with torch.no_grad():
                heard = self(real)
            made = self(fake)
        finally:
            self.requires_grad_(requires_grad=True)
        fooled = torch.stack([generator_loss(verdict.scores, "lsgan") for verdict in made]).sum()
        apart = [
            F.l1_loss(f, r)
            for verdict, wanted in zip(made, heard, strict=True)
            for f, r in zip(verdict.features, wanted.features, strict=True)
        ]
        return {"adversarial": fooled, "features": self.config.features * torch.stack(apart).sum()}


def log_mel(samples: Tensor, sample_rate: int) -> Tensor:
    """Logarithm of magnitudes in 80 mel bands every 256 samples, ``[batch, frame, band]`` of ``[batch, sample]``."""
    with torch.autocast(samples.device.type, enabled=False):
        magnitude = stft(samples.float(), _POINTS, _HOP, _POINTS).abs()
        bands = magnitude @ mel_filters(sample_rate, _POINTS, _BANDS, samples.device).T
        return bands.clamp_min(_FLOOR).log()


def mel_loss(real: Tensor, fake: Tensor, sample_rate: int) -> Tensor:
    """Mean absolute difference of ``log_mel``; the published weight is 45."""
    return F.l1_loss(log_mel(fake, sample_rate), log_mel(real, sample_rate))


class SpectrogramDiscriminator(nn.Module):
    """Patches of a spectrogram to scores, high for real ones; strides in frequency keep it cheap."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        widths = (1, channels, 2 * channels, 4 * channels, 4 * channels)
        strides = ((1, 4), (2, 4), (2, 4), (1, 4))
        layers: list[nn.Module] = []
        for narrow, wide, stride in zip(widths, widths[1:], strides, strict=False):
            layers += [weight_norm(nn.Conv2d(narrow, wide, (3, 7), stride, (1, 3))), nn.LeakyReLU(0.2)]
        layers.append(weight_norm(nn.Conv2d(widths[-1], 1, (3, 3), 1, (1, 1))))
        self.layers = nn.Sequential(*layers)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Scores ``[batch, frame, patch]`` of ``spectrogram`` float32 ``[batch, frame, bin]``."""
        return self.layers(spectrogram[:, None])[:, 0]


def generator_loss(fake: Tensor, kind: Adversary) -> Tensor:
    """Equation 7: how far the discriminator is from taking what was made for real."""
    return (fake - 1).square().mean() if kind == "lsgan" else -fake.mean()


def discriminator_loss(
    discriminator: SpectrogramDiscriminator, real: Tensor, fake: Tensor, kind: Adversary, penalty: float = 10.0
) -> Tensor:
    """Equation 8; for WGAN with the gradient penalty of Gulrajani et al. 2017 in place of clipped weights."""
    if kind == "lsgan":
        return discriminator(fake).square().mean() + (discriminator(real) - 1).square().mean()
    share = torch.rand(len(real), 1, 1, device=real.device)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    steepness = slope.flatten(1).norm(dim=1)
    return discriminator(fake).mean() - discriminator(real).mean() + penalty * (steepness - 1).square().mean()
