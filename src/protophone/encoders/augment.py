"""What the code must ignore: the voice's size, noise, the channel's colour; distortions of the encoder's input."""

from typing import Annotated

import torch
from torch import Tensor

from protophone.config import bounds, config
from protophone.errors import ConfigError

__all__ = ["AugmentConfig", "augment", "check_bands"]

_Deviations = Annotated[float, bounds(0.0, 100.0)]


@config
class AugmentConfig:
    """How strongly the input of the encoder is distorted while the target stays clean.

    ``warp`` stretches the mel axis by up to this share (vocal tract length), ``noise`` adds Gaussian noise of up to
    this many deviations, ``tilt`` a straight line over the bands of this deviation. ``warp`` and ``tilt`` need bands
    for features, so they are for log-mel input.
    """

    warp: Annotated[float, bounds(0.0, 0.5)] = 0.0
    noise: _Deviations = 0.0
    tilt: _Deviations = 0.0


def check_bands(config: AugmentConfig, bands: int) -> None:
    """Raise ``ConfigError`` if the axis of so many ``bands`` is too short to be warped."""
    if config.warp and bands < 2:
        raise ConfigError(
            f"augment.warp {config.warp:g} stretches the axis of 2 bands or more; set it to 0, or n_mels to 2"
        )


def augment(frames: Tensor, config: AugmentConfig) -> Tensor:
    """Distorted copy of normalised ``frames`` float32 ``[batch, frame, dim]``, each row in its own way."""
    batch, time, dim = frames.shape
    if config.warp:
        factor = 1 + config.warp * (2 * torch.rand(batch, device=frames.device) - 1)
        at = (torch.arange(dim, device=frames.device) * factor[:, None]).clamp(0, dim - 1)
        low = at.floor().long().clamp(max=dim - 2)
        share = (at - low)[:, None]
        index = low[:, None].expand(-1, time, -1)
        frames = frames.gather(2, index) * (1 - share) + frames.gather(2, index + 1) * share
    if config.tilt:
        line = torch.linspace(-1, 1, dim, device=frames.device)
        frames = frames + config.tilt * torch.randn(batch, 1, 1, device=frames.device) * line
    if config.noise:
        strength = config.noise * torch.rand(batch, 1, 1, device=frames.device)
        frames = frames + strength * torch.randn_like(frames)
    return frames
