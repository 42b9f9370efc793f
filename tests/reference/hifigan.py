"""The generator of unit HiFi-GAN by its definition, one tap at a time, from weights in the published layout."""

import numpy as np


def _weight(weights, layer):
    direction, size = weights[f"{layer}.weight_v"].numpy().astype(np.float64), weights[f"{layer}.weight_g"].numpy()
    length = np.sqrt(np.square(direction).sum((1, 2), keepdims=True))
    return direction / length * size, weights[f"{layer}.bias"].numpy().astype(np.float64)


def _convolved(x, weights, layer, dilation=1):
    """As many frames as before: zeros stand around ``x`` ``[channel, frame]``."""
    weight, bias = _weight(weights, layer)
    outputs, _, taps = weight.shape
    frames = x.shape[1]
    made = np.zeros((outputs, frames)) + bias[:, None]
    for tap in range(taps):
        shift = (tap - taps // 2) * dilation
        first, end = max(0, -shift), min(frames, frames - shift)
        if first < end:
            made[:, first:end] += weight[:, :, tap] @ x[:, first + shift : end + shift]
    return made


def _spread(x, weights, layer, rate):
    """Every frame becomes a kernel's length of frames, ``rate`` further on each; they add up, the ends are cut."""
    weight, bias = _weight(weights, layer)
    _, outputs, taps = weight.shape
    frames = x.shape[1]
    made = np.zeros((outputs, (frames - 1) * rate + taps))
    for tap in range(taps):
        made[:, tap : tap + (frames - 1) * rate + 1 : rate] += weight[:, :, tap].T @ x
    cut = (taps - rate) // 2
    return made[:, cut : cut + frames * rate] + bias[:, None]


def _rectified(x, slope):
    return np.where(x > 0, x, slope * x)


def _block(x, weights, name, dilations):
    for number, dilation in enumerate(dilations):
        inner = _convolved(_rectified(x, 0.1), weights, f"{name}.convs1.{number}", dilation)
        x = x + _convolved(_rectified(inner, 0.1), weights, f"{name}.convs2.{number}")
    return x


def sound(weights, config, codes, pitch=None, speaker=None):
    """Samples for ``codes`` ``[unit]``, the pitch unit of each, and a row of the table of speakers."""
    x = [weights["dict.weight"].numpy()[codes].T]
    if pitch is not None:
        x.append(weights["f0_dict.weight"].numpy()[pitch].T)
    if speaker is not None:
        x.append(np.repeat(weights["spkr.weight"].numpy()[speaker][:, None], len(codes), 1))
    x = _convolved(np.concatenate(x).astype(np.float64), weights, "conv_pre")
    kinds = len(config["resblock_kernel_sizes"])
    for step, rate in enumerate(config["upsample_rates"]):
        x = _spread(_rectified(x, 0.1), weights, f"ups.{step}", rate)
        branches = [
            _block(x, weights, f"resblocks.{step * kinds + kind}", config["resblock_dilation_sizes"][kind])
            for kind in range(kinds)
        ]
        x = sum(branches) / kinds
    return np.tanh(_convolved(_rectified(x, 0.01), weights, "conv_post"))[0]
