"""Published unit HiFi-GAN checkpoints, read into this package's vocoder.

Two layouts: of the paper's code (facebookresearch/speech-resynthesis: content, pitch units, 200 speakers), and of
fairseq (``CodeHiFiGANVocoder``: content and, in some, speakers). Both are a file of ``torch.save`` that holds
``generator``, a dict of weights, with a ``config.json`` beside it; names of weights are the same, and are mapped
here.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from protophone.checkpoints import read_torch
from protophone.config import build
from protophone.errors import InputError
from protophone.files import read_json
from protophone.types import Codebook, FrameGrid
from protophone.vocoders.hifigan import HiFiGAN, HiFiGANConfig

__all__ = ["Published", "read_published"]

_LAYERS = {"conv_pre": "first", "ups": "raise_rate", "convs1": "dilated", "convs2": "plain", "conv_post": "last"}
_TABLES = {
    "dict.weight": "content.0.weight",
    "f0_dict.weight": "melody.weight",
    "spkr.weight": "speaker.table.weight",
}
_NORM, _DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"
_BESIDE = ("quantizer", "dur_predictor")  # of pitch and of durations: parts of their own in a checkpoint
_PREDICTS = {
    "embedder_params": "takes its voices from a speaker encoder that is not in the file",
    "lambda_commit": "learned pitch units together with the vocoder",
    "lambda_commit_code": "learned content units together with the vocoder",
    "code_vq_params": "learned content units together with the vocoder",
}


@dataclass(frozen=True)
class Published:
    """What a published checkpoint holds.

    ``vocoder`` is ready for use. ``beside`` are the weights of parts that are no vocoder, by the checkpoint's names for
    part and weight: the paper's ``quantizer`` of pitch, fairseq's ``dur_predictor``. The vocoder's pitch units
    are those of that quantizer and of no other.
    """

    vocoder: HiFiGAN
    beside: dict[str, dict[str, Tensor]]


def read_published(
    checkpoint: str | Path,
    codebook: Codebook,
    grid: FrameGrid,
    *,
    settings: str | Path | None = None,
    voices: tuple[str, ...] | None = None,
) -> Published:
    """The vocoder in the file ``checkpoint``, for the units of ``codebook`` on ``grid`` that it was trained on.

    ``settings`` is its JSON config; without it, the ``config.json`` beside. ``voices`` names the first rows of its
    table of speakers, in the order of the data it was trained on; without names the rows are numbered, and the paper's
    table has 200 whether they were trained or not. Raises ``InputError`` where the file is another kind of checkpoint,
    does not fit its config, the codebook or the grid, or is of a variant that this vocoder is not.
    """
    path = Path(checkpoint)
    about = path.parent / "config.json" if settings is None else Path(settings)
    published = read_json(about)
    whole = read_torch(path)
    weights = whole.get("generator") if isinstance(whole, dict) else None
    if not isinstance(weights, dict) or any(
        not isinstance(name, str) or not isinstance(weight, Tensor) for name, weight in weights.items()
    ):
        raise InputError(f"{path}: holds no dict of weights named 'generator'; give a unit HiFi-GAN checkpoint (g_*)")
    config = _config(published, weights, about)
    entries = (1, weights["dict.weight"].shape[0])
    if tuple(codebook.vectors.shape[:2]) != entries:
        raise InputError(
            f"{path}: speaks units of one codebook of {entries[1]}, and these have {list(codebook.vectors.shape[:2])}; "
            "give the codebook that the units of its training were made with"
        )
    rate = published.get("sampling_rate", grid.sample_rate)
    if math.prod(config.rates or ()) != grid.hop or rate != grid.sample_rate:
        raise InputError(
            f"{about}: units of {math.prod(config.rates or ())} samples at {rate} Hz, and these are of {grid.hop} at "
            f"{grid.sample_rate} Hz; give the grid of the units it was trained on"
        )
    names = _names(weights, voices, path)
    with torch.device("meta"):  # shapes alone: no room is made for what the file does not hold
        shape = HiFiGAN(config, codebook, grid, names)
    ours = _ours(shape, weights, path)
    vocoder = HiFiGAN(config, codebook, grid, names)
    vocoder.load_state_dict(ours)
    beside = {
        part: {key.removeprefix(f"{part}."): weight.clone() for key, weight in weights.items() if _part(key) == part}
        for part in _BESIDE
    }
    return Published(vocoder.eval(), {part: found for part, found in beside.items() if found})


def _part(key: str) -> str:
    return key.split(".", 1)[0]


def _config(published: Any, weights: Mapping[str, Tensor], path: Path) -> HiFiGANConfig:
    """The shape that a published config and the weights say."""
    needed = [
        "embedding_dim",
        "upsample_rates",
        "upsample_kernel_sizes",
        "upsample_initial_channel",
        "resblock_kernel_sizes",
        "resblock_dilation_sizes",
    ]
    missing = [key for key in needed if not isinstance(published, dict) or key not in published]
    if missing:
        raise InputError(f"{path}: not the config of a unit HiFi-GAN ({missing[0]} is missing); give the one beside it")
    for key, does in _PREDICTS.items():
        if published.get(key):
            raise InputError(f"{path}: {key} says that this vocoder {does}; such variants are not read")
    for key in _TABLES:
        if key in weights and weights[key].ndim != 2:
            raise InputError(f"{path}: {key} of shape {list(weights[key].shape)} is no table; fetch the file again")
    if "dict.weight" not in weights or (bool(published.get("f0")) != ("f0_dict.weight" in weights)):
        raise InputError(
            f"{path}: this vocoder is not told units of content (dict.weight), or pitch as numbers in place of units "
            "(f0 without f0_dict.weight); such variants are not read"
        )
    dilations = published["resblock_dilation_sizes"]
    alike = isinstance(dilations, list) and dilations and all(each == dilations[0] for each in dilations)
    if published.get("resblock", "1") != "1" or not alike:
        raise InputError(
            f"{path}: residual blocks of kind {published.get('resblock')!r} with dilations {dilations}; read are those "
            "of kind '1' whose dilations are all the same"
        )
    values = {
        "kind": "hifigan",
        "pitch": "units" if "f0_dict.weight" in weights else "none",
        "speaker": "spkr.weight" in weights,
        "dim": published["embedding_dim"],
        "channels": published["upsample_initial_channel"],
        "rates": published["upsample_rates"],
        "kernels": published["upsample_kernel_sizes"],
        "block_kernels": published["resblock_kernel_sizes"],
        "dilations": dilations[0],
        "discriminators": {"kinds": []},
    }
    if "f0_dict.weight" in weights:
        values["pitch_units"] = weights["f0_dict.weight"].shape[0]
    return build(HiFiGANConfig, values, source=str(path))


def _names(weights: Mapping[str, Tensor], voices: tuple[str, ...] | None, path: Path) -> tuple[str, ...]:
    """Names of the rows of the table of speakers that are kept."""
    rows = len(weights["spkr.weight"]) if "spkr.weight" in weights else 1
    if voices is not None and not 0 < len(voices) <= rows:
        raise InputError(f"{path}: {len(voices)} names for {rows} voices; name the first of them, or none")
    return tuple(map(str, range(rows))) if voices is None else voices


def _ours(vocoder: HiFiGAN, weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Published weights by the names of ``vocoder``; ``InputError`` where any is missing, too many, or misshapen."""
    kernels = len(vocoder.config.block_kernels)
    ours: dict[str, Tensor] = {}
    for key, weight in weights.items():
        if _part(key) in _BESIDE:
            continue
        if key in _TABLES:
            ours[_TABLES[key]] = weight[: len(vocoder.voices)] if key == "spkr.weight" else weight
            continue
        layer, _, name = _renamed(key, kernels).rpartition(".")
        match name:
            case "weight_g":
                ours[f"{layer}.{_NORM}"] = weight
            case "weight_v":
                ours[f"{layer}.{_DIRECTION}"] = weight
            case "weight" if weight.ndim:  # normalised for good, as its authors do before they speak
                ours[f"{layer}.{_NORM}"] = weight.flatten(1).norm(dim=1).view(-1, 1, 1)
                ours[f"{layer}.{_DIRECTION}"] = weight
            case _:
                ours[f"{layer}.{name}"] = weight
    wanted = vocoder.state_dict()
    faults = [f"no {key}" for key in wanted if key not in ours]
    faults += [f"unknown {key}" for key in ours if key not in wanted]
    faults += [
        f"{key} of shape {list(ours[key].shape)}, not {list(weight.shape)}"
        for key, weight in wanted.items()
        if key in ours and ours[key].shape != weight.shape
    ]
    if faults:
        raise InputError(f"{path}: the weights do not fit the config ({faults[0]}); give the config.json of this file")
    return {key: ours[key].float() for key in wanted}


def _renamed(key: str, kernels: int) -> str:
    """The name here of a published layer's weight; residual blocks are counted through there, by step here."""
    block = re.fullmatch(r"resblocks\.(\d+)\.(convs[12])\.(.+)", key)
    if block:
        step, which = divmod(int(block[1]), kernels)
        return f"upsampler.blocks.{step}.{which}.{_LAYERS[block[2]]}.{block[3]}"
    first, _, rest = key.partition(".")
    return f"upsampler.{_LAYERS.get(first, first)}.{rest}"
