"""A judge of spectrograms for the inverter's adversarial losses (Tjandra et al. 2019, equations 7 and 8)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

__all__ = ["SpectrogramDiscriminator", "discriminator_loss", "generator_loss"]

Adversary = Literal["lsgan", "wgan"]


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
    """Equation 7: how far the judge is from taking what was made for real."""
    return (fake - 1).square().mean() if kind == "lsgan" else -fake.mean()


def discriminator_loss(
    judge: SpectrogramDiscriminator, real: Tensor, fake: Tensor, kind: Adversary, penalty: float = 10.0
) -> Tensor:
    """Equation 8; for WGAN with the gradient penalty of Gulrajani et al. 2017 in place of clipped weights."""
    if kind == "lsgan":
        return judge(fake).square().mean() + (judge(real) - 1).square().mean()
    share = torch.rand(len(real), 1, 1, device=real.device)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
    steepness = slope.flatten(1).norm(dim=1)
    return judge(fake).mean() - judge(real).mean() + penalty * (steepness - 1).square().mean()
