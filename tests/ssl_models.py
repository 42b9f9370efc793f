"""Small self-supervised models with random weights, saved as transformers saves them and as fairseq does."""

import re
from argparse import Namespace
from collections import OrderedDict
from itertools import product
from pathlib import Path

import torch

KINDS = [
    (kind, norm, stable)
    for kind, norm, stable in product(("hubert", "wav2vec2", "wavlm"), ("group", "layer"), (False, True))
]
NAMES = ["-".join((kind, norm, "stable" if stable else "post")) for kind, norm, stable in KINDS]
LAYERS, DIM = 3, 24


def tiny_model(kind="hubert", norm="group", *, stable=False, seed=0):
    """A transformers model of 24 dimensions and three layers, whose seven convolutions frame as the published do."""
    import transformers

    torch.manual_seed(seed)
    settings = {
        "hidden_size": DIM,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "conv_dim": (8,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
        "feat_extract_norm": norm,
        "do_stable_layer_norm": stable,
        "conv_bias": norm == "layer",
    }
    names = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2", "wavlm": "WavLM"}
    config = getattr(transformers, f"{names[kind]}Config")(**settings)
    model = getattr(transformers, f"{names[kind]}Model")(config).eval()
    with torch.no_grad():  # norms and biases begin as ones and zeros, which would hide their being mixed up
        for name, parameter in model.named_parameters():
            if name.endswith(".bias") or "norm" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def save_folder(model, folder: Path, *, normalized=None) -> Path:
    """The model as a transformers folder, with a ``preprocessor_config.json`` where ``normalized`` is given."""
    model.save_pretrained(folder)
    if normalized is not None:
        from transformers import Wav2Vec2FeatureExtractor

        Wav2Vec2FeatureExtractor(do_normalize=normalized).save_pretrained(folder)
    return folder


# transformers' names and fairseq's, written from fairseq's modules: the inverse of what the package does.
FAIRSEQ = [
    (r"masked_spec_embed", "mask_emb"),
    (r"feature_extractor.conv_layers.(\d).conv.(.*)", r"feature_extractor.conv_layers.\1.0.\2"),
    (r"feature_projection.layer_norm.(.*)", r"layer_norm.\1"),
    (r"feature_projection.projection.(.*)", r"post_extract_proj.\1"),
    (r"encoder.pos_conv_embed.conv.parametrizations.weight.original0", "encoder.pos_conv.0.weight_g"),
    (r"encoder.pos_conv_embed.conv.parametrizations.weight.original1", "encoder.pos_conv.0.weight_v"),
    (r"encoder.pos_conv_embed.conv.bias", "encoder.pos_conv.0.bias"),
    (r"encoder.layer_norm.(.*)", r"encoder.layer_norm.\1"),
    (r"encoder.layers.(\d).attention.(.*)", r"encoder.layers.\1.self_attn.\2"),
    (r"encoder.layers.(\d).layer_norm.(.*)", r"encoder.layers.\1.self_attn_layer_norm.\2"),
    (r"encoder.layers.(\d).feed_forward.intermediate_dense.(.*)", r"encoder.layers.\1.fc1.\2"),
    (r"encoder.layers.(\d).feed_forward.output_dense.(.*)", r"encoder.layers.\1.fc2.\2"),
    (r"encoder.layers.(\d).final_layer_norm.(.*)", r"encoder.layers.\1.final_layer_norm.\2"),
]


def fairseq_weights(model) -> OrderedDict:
    """The model's weights as fairseq names them, among others that only its training needs."""
    norm = model.config.feat_extract_norm
    # the group norm is third in the first block of convolutions; layer norms lie between two transpositions, in each
    inner = r"feature_extractor.conv_layers.\1.2.\2" if norm == "group" else r"feature_extractor.conv_layers.\1.2.1.\2"
    table = [(r"feature_extractor.conv_layers.(\d).layer_norm.(.*)", inner), *FAIRSEQ]
    found = OrderedDict(label_embs_concat=torch.randn(504, 16))
    for name, tensor in model.state_dict().items():
        (renamed,) = (re.sub(pattern, theirs, name) for pattern, theirs in table if re.fullmatch(pattern, name))
        found[renamed] = tensor
    found["final_proj.weight"] = torch.randn(16, DIM)
    found["quantizer.vars"] = torch.randn(1, 64, 8)
    return found


def fairseq_settings(model) -> dict:
    """What fairseq's config says of such a model."""
    config = model.config
    return {
        "_name": config.model_type,
        "extractor_mode": {"group": "default", "layer": "layer_norm"}[config.feat_extract_norm],
        "encoder_layers": LAYERS,
        "encoder_embed_dim": DIM,
        "encoder_ffn_embed_dim": 32,
        "encoder_attention_heads": 2,
        "activation_fn": "gelu",
        "dropout": 0.1,
        "layer_norm_first": config.do_stable_layer_norm,
        "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2",
        "conv_bias": config.conv_bias,
        "conv_pos": 16,
        "conv_pos_groups": 2,
        "mask_prob": 0.8,
    }


def save_fairseq(model, path: Path, *, normalized=False, old=False, legacy=False) -> Path:
    """The model as fairseq saves it: with a tree of settings, or, before 2021, a flat ``Namespace``."""
    settings = fairseq_settings(model)
    held = {
        "model": fairseq_weights(model),
        "optimizer_history": [{"num_updates": 400000}],
        "extra_state": {"epoch": 9},
    }
    if old:
        settings["arch"] = settings.pop("_name")
        held["args"] = Namespace(**settings, normalize=normalized, sample_rate=16000, task="audio_pretraining")
    else:
        task = {"_name": "hubert_pretraining", "normalize": normalized, "sample_rate": 16000, "data": "/checkpoint/x"}
        held |= {"args": None, "cfg": {"model": settings, "task": task, "common": {"fp16": True}}, "task_state": {}}
    torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    return path
