"""What fairseq computes of its own weights, by its own names: HuBERT and wav2vec 2.0, one sound at a time, no module.

Written from fairseq's ``ConvFeatureExtractionModel``, ``TransformerEncoder`` and ``TransformerSentenceEncoderLayer``.
"""

import math

import torch
from torch.nn import functional as F


def fairseq_layers(weights, settings, samples):
    """Each layer's output and what its feed-forward part adds, from layer 1; then what the encoder's forward gives.

    ``samples`` is ``[sample]``; frames are ``[frame, dim]``.
    """
    group, first = settings["extractor_mode"] == "default", settings["layer_norm_first"]

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    x = samples[None]
    for index, stride in enumerate((5, 2, 2, 2, 2, 2, 2)):
        block = f"feature_extractor.conv_layers.{index}"
        x = F.conv1d(x[None], weights[f"{block}.0.weight"], weights.get(f"{block}.0.bias"), stride)[0]
        if group and index == 0:  # one group a channel: each normalised over time
            deviation = (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
            x = (x - x.mean(1, keepdim=True)) / deviation
            x = x * weights[f"{block}.2.weight"][:, None] + weights[f"{block}.2.bias"][:, None]
        elif not group:
            x = norm(x.T, f"{block}.2.1").T
        x = F.gelu(x)
    x = linear(norm(x.T, "layer_norm"), "post_extract_proj")

    gain, direction = weights["encoder.pos_conv.0.weight_g"], weights["encoder.pos_conv.0.weight_v"]
    kernel = gain * direction / direction.square().sum((0, 1), keepdim=True).sqrt()
    width = kernel.shape[2]
    groups = x.shape[1] // kernel.shape[1]
    placed = F.conv1d(x.T[None], kernel, weights["encoder.pos_conv.0.bias"], padding=width // 2, groups=groups)[0]
    x = x + F.gelu(placed[:, : len(x)]).T
    if not first:
        x = norm(x, "encoder.layer_norm")

    heads = settings["encoder_attention_heads"]

    def attention(x, layer):
        query, key, value = (
            linear(x, f"{layer}.self_attn.{name}_proj").unflatten(1, (heads, -1)).transpose(0, 1) for name in "qkv"
        )
        shares = (query @ key.transpose(1, 2) / math.sqrt(query.shape[2])).softmax(2)
        return linear((shares @ value).transpose(0, 1).flatten(1), f"{layer}.self_attn.out_proj")

    outputs, added = [], []
    for index in range(settings["encoder_layers"]):
        layer = f"encoder.layers.{index}"
        if first:
            x = x + attention(norm(x, f"{layer}.self_attn_layer_norm"), layer)
            into = norm(x, f"{layer}.final_layer_norm")
        else:
            into = x = norm(x + attention(x, layer), f"{layer}.self_attn_layer_norm")
        added.append(linear(F.gelu(linear(into, f"{layer}.fc1")), f"{layer}.fc2"))
        x = x + added[-1]
        if not first:
            x = norm(x, f"{layer}.final_layer_norm")
        outputs.append(x)
    return outputs, added, norm(x, "encoder.layer_norm") if first else x


def framed(samples: int) -> int:
    """Frames of seven convolutions without padding, one after the other."""
    for kernel, stride in ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)):
        samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
    return samples


def as_double(weights):
    """The same weights in double precision."""
    return {name: tensor.to(torch.float64) for name, tensor in weights.items()}
