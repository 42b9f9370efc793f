"""Networks between a melody and its latents, without padding: what lies outside a recording is the caller's to say.

Blocks as in the F0 encoder of Polyak et al. 2021, which is Jukebox's (Dhariwal et al. 2020): convolutions of stride 2,
dilated residual blocks between them; but shallower, for what a block sees ahead is what a listener waits for.
"""

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Coarser", "Finer"]

_SLOPE = 0.1  # of LeakyReLU on the negative side


class _Dilated(nn.Module):
    """A dilated kernel of 3 and one of 1 beside a shortcut; takes ``dilation`` steps from each side."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.layers = nn.Sequential(
            nn.LeakyReLU(_SLOPE),
            nn.Conv1d(channels, channels, 3, dilation=dilation),
            nn.LeakyReLU(_SLOPE),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, channel, time + 2 * dilation]`` to ``[batch, channel, time]``."""
        return x[..., self.dilation : -self.dilation] + self.layers(x)


class Coarser(nn.Module):
    """Frames to latents, one for every ``2 ** levels`` frames; ``context`` frames are seen on each side."""

    def __init__(self, inputs: int, channels: int, outputs: int, levels: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.context = 0
        for level in range(levels):
            layers.append(nn.Conv1d(channels if level else inputs, channels, 4, stride=2))
            layers += [_Dilated(channels, dilation) for dilation in dilations]
            self.context += 2**level + sum(dilations) * 2 ** (level + 1)
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(_SLOPE), nn.Conv1d(channels, outputs, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """``[batch, inputs, context + latent * 2 ** levels + context]`` to ``[batch, latent, outputs]``."""
        return self.layers(frames).transpose(1, 2)


class Finer(nn.Module):
    """Latents to frames, ``2 ** levels`` for each; ``context`` latents are seen on each side."""

    def __init__(self, inputs: int, channels: int, outputs: int, levels: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(inputs, channels, 3)]
        self.reduction = 2**levels
        lost = self.reduction  # frames that cannot be made at each end
        for level in range(levels, 0, -1):
            layers += [_Dilated(channels, dilation) for dilation in dilations]
            layers += [nn.LeakyReLU(_SLOPE), nn.ConvTranspose1d(channels, channels, 4, stride=2, padding=2)]
            lost += sum(dilations) * 2**level + 2 ** (level - 1)
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(_SLOPE), nn.Conv1d(channels, outputs, 3))
        lost += 1
        self.context = -(-lost // self.reduction)
        self.surplus = self.context * self.reduction - lost

    def forward(self, latents: Tensor) -> Tensor:
        """``[batch, context + latent + context, inputs]`` to ``[batch, outputs, latent * 2 ** levels]``."""
        frames = self.layers(latents.transpose(1, 2))
        return frames[..., self.surplus : frames.shape[2] - self.surplus]

    def ended(self, latents: Tensor) -> Tensor:
        """Like ``forward`` for whole sequences ``[batch, latent, inputs]``: beyond their ends there is nothing."""
        return self(F.pad(latents, (0, 0, self.context, self.context)))
