"""fairseq's HuBERT and wav2vec 2.0 checkpoints in transformers' terms: settings and names of weights.

Weights have one name each in both, and the same shapes and values; what only the training needs (quantizer, final
projections, label embeddings) has no place in a bare model and is left.
"""

import ast
import re
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from torch import Tensor

from protophone.checkpoints import read_torch
from protophone.errors import InputError

__all__ = ["read_fairseq"]

_KINDS = {"hubert": "hubert", "hubert_pretraining": "hubert", "wav2vec2": "wav2vec2"}
_NAMES = [  # of weights: fairseq's, as a pattern, and transformers'
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.(?:1\.)?", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"layer_norm\.", "feature_projection.layer_norm."),
    (r"post_extract_proj\.", "feature_projection.projection."),
    (r"encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"encoder\.pos_conv\.0\.weight_v$", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"encoder\.pos_conv\.0\.bias$", "encoder.pos_conv_embed.conv.bias"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.layers.\1.layer_norm."),
    (r"encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
    (r"encoder\.layers\.(\d+)\.fc1\.", r"encoder.layers.\1.feed_forward.intermediate_dense."),
    (r"encoder\.layers\.(\d+)\.fc2\.", r"encoder.layers.\1.feed_forward.output_dense."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"encoder.layers.\1.final_layer_norm."),
    (r"encoder\.layer_norm\.", "encoder.layer_norm."),
]
_CONVOLUTIONS = "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"
_SETTINGS: dict[str, tuple[str, Any]] = {  # transformers' name: fairseq's, and what is meant where it is not stated
    "num_hidden_layers": ("encoder_layers", 12),
    "hidden_size": ("encoder_embed_dim", 768),
    "intermediate_size": ("encoder_ffn_embed_dim", 3072),
    "num_attention_heads": ("encoder_attention_heads", 12),
    "num_conv_pos_embeddings": ("conv_pos", 128),
    "num_conv_pos_embedding_groups": ("conv_pos_groups", 16),
    "hidden_act": ("activation_fn", "gelu"),
    "do_stable_layer_norm": ("layer_norm_first", False),
    "conv_bias": ("conv_bias", False),
}


def read_fairseq(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor], bool]:
    """A checkpoint's settings and weights in transformers' terms, and whether it was trained on normalised sound.

    Raises ``InputError`` where it is not fairseq's, or another model than HuBERT or wav2vec 2.0 before fine-tuning.
    """
    held = read_torch(path)
    if not isinstance(held, dict) or not isinstance(held.get("model"), dict):
        raise InputError(f"{path}: no fairseq checkpoint (no table of weights called model); give another file")
    # Since 2021 a tree of settings, before that one flat table of everything.
    tree, flat = held.get("cfg"), held.get("args")
    if isinstance(tree, dict) and isinstance(tree.get("model"), dict):
        model, task = tree["model"], tree.get("task")
        kind = model.get("_name")
    elif isinstance(flat, dict):
        model = task = flat
        kind = flat.get("arch")
    else:
        raise InputError(f"{path}: a checkpoint without settings (neither cfg nor args); give fairseq's own file")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(
            f"{path}: a fairseq model of kind {brief(kind)}; give HuBERT or wav2vec 2.0 before fine-tuning"
        )
    task = task if isinstance(task, dict) else {}
    if task.get("sample_rate", 16000) != 16000:
        raise InputError(f"{path}: a model of sound at {brief(task['sample_rate'])} Hz; those at 16000 Hz can be used")
    weights = {_renamed(str(name)): tensor for name, tensor in held["model"].items() if isinstance(tensor, Tensor)}
    return _settings(path, _KINDS[kind], model), weights, bool(task.get("normalize", False))


def _settings(path: str | Path, kind: str, stated: dict[str, Any]) -> dict[str, Any]:
    found = {ours: stated.get(theirs, default) for ours, (theirs, default) in _SETTINGS.items()}
    if found["hidden_act"] not in ("gelu", "relu"):
        raise InputError(f"{path}: its activation {brief(found['hidden_act'])} is not known here; gelu and relu are")
    layers = _convolutions(path, stated.get("conv_feature_layers", _CONVOLUTIONS))
    found |= dict(zip(("conv_dim", "conv_kernel", "conv_stride"), map(list, zip(*layers, strict=True)), strict=True))
    mode = stated.get("extractor_mode", "default")
    norm = {"default": "group", "layer_norm": "layer"}.get(mode) if isinstance(mode, str) else None
    if norm is None:
        raise InputError(f"{path}: its extractor_mode {brief(mode)} is not known here")
    return {"model_type": kind, "num_feat_extract_layers": len(layers), "feat_extract_norm": norm, **found}


def _convolutions(path: str | Path, stated: Any) -> list[tuple[int, int, int]]:
    """Channels, kernel and stride of each layer, which fairseq writes as a sum of Python lists, some of them repeated.

    The text is read, not run.
    """
    try:
        layers = _sum(ast.parse(str(stated), mode="eval").body)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{path}: conv_feature_layers {str(stated)[:60]!r} is no list of layers ({error})") from error
    if not layers or any(len(layer) != 3 or any(type(n) is not int or n < 1 for n in layer) for layer in layers):
        raise InputError(f"{path}: conv_feature_layers {str(stated)[:60]!r} is no list of (channels, kernel, stride)")
    return layers


def _sum(node: ast.expr) -> list[tuple[int, int, int]]:
    match node:
        case ast.BinOp(left, ast.Add(), right):
            return _sum(left) + _sum(right)
        case ast.BinOp(left, ast.Mult(), ast.Constant(int(times))) if 0 <= times <= 100:
            return (_sum(left) * times)[:100]
        case ast.List() as listed:
            return [tuple(layer) for layer in ast.literal_eval(listed)]
    raise ValueError("other than lists, + and *")


def _renamed(name: str) -> str:
    for pattern, ours in _NAMES:
        if re.match(pattern, name):
            return re.sub(f"^{pattern}", ours, name)
    return f"unused.{name}"
