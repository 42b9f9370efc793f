"""Finding a self-supervised model's files and building it, cut off above the layer that is wanted.

Of a transformers model the settings are read from ``config.json`` and ``preprocessor_config.json``, the weights from
safetensors or, through ``checkpoints``, from ``pytorch_model.bin``. A fairseq checkpoint is brought into the same form
first (``fairseq.py``), so that a model is the same, to its hash, whichever files it came from.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from protophone.checkpoints import read_torch
from protophone.errors import ConfigError, InputError
from protophone.features.ssl.config import SSLConfig, Tap
from protophone.features.ssl.fairseq import read_fairseq
from protophone.files import read_json

__all__ = ["Loaded", "blank", "digest", "load"]

_KINDS = ("hubert", "wav2vec2", "wavlm")
_SETTINGS = ["config.json", "preprocessor_config.json"]
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # or, in parts, the same with .index.json
_OLD_NAMES = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}


@dataclass(frozen=True)
class Loaded:
    """A model up to a layer; ``normalized`` where its sound is to have mean 0 and variance 1.

    ``network`` is transformers', ``architecture`` its config of that part, ``revision`` the hub's commit where it came
    from there.
    """

    network: Any
    architecture: dict[str, Any]
    normalized: bool
    revision: str | None


def load(config: SSLConfig) -> Loaded:
    """The model that ``config`` names; ``InputError`` where it is not there, not whole or of another kind."""
    path, revision = Path(config.model), config.revision
    if path.is_file():
        settings, weights, normalized = read_fairseq(path)
    else:
        if not path.is_dir():
            path, revision = _cached(config)
        settings = read_json(path / "config.json")
        if not isinstance(settings, dict) or settings.get("model_type") not in _KINDS:
            kind = settings.get("model_type") if isinstance(settings, dict) else settings
            raise InputError(f"{path}: a model of kind {kind!r}; give one of {', '.join(_KINDS)}")
        weights = _weights(path, settings["model_type"])
        normalized = _normalized(path, settings)
    network = blank(settings, config.layer, config.tap, source=config.model)
    wanted = network.state_dict()
    used = ("feature_extractor.", "feature_projection.", *(f"encoder.layers.{index}." for index in range(config.layer)))
    amiss = [name for name, tensor in wanted.items() if name not in weights or weights[name].shape != tensor.shape]
    amiss += [name for name in weights if name.startswith(used) and name not in wanted]
    if amiss:
        raise InputError(
            f"{config.model}: its weights do not fit its settings ({amiss[0]} is missing, of another shape or too "
            "much); fetch the model again"
        )
    if broken := [name for name in wanted if not bool(torch.isfinite(weights[name]).all())]:
        raise InputError(f"{config.model}: its weights {broken[0]} are not all finite; fetch the model again")
    # Clones: what is read from a checkpoint is a view of the file.
    network.load_state_dict({name: weights[name].to(torch.float32, copy=True) for name in wanted}, assign=True)
    return Loaded(network.requires_grad_(requires_grad=False), network.config.to_diff_dict(), normalized, revision)


def blank(settings: dict[str, Any], layer: int, tap: Tap, source: str = "bundle") -> Any:
    """The part of a model up to ``layer``, its weights yet to be loaded; ``ConfigError`` where it has fewer layers.

    ``settings`` is transformers' config, whole or as ``Loaded`` has it.
    """
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise InputError("transformers is not installed; pip install 'protophone[ssl]'") from error
    with _usable(source):
        config = AutoConfig.for_model(**settings)
        layers, stable = config.num_hidden_layers, config.do_stable_layer_norm
        fits = layer <= layers
    if not fits:
        raise ConfigError(f"{source}: layer {layer} of a model of {layers}; give one from 0 to {layers}")
    if tap == "final_norm" and not (stable and layer == layers):
        raise ConfigError(
            f"{source}: final_norm is what the last of {layers} layers gives in models with a norm after it"
            f"{'' if stable else ', which this one has not'}; take after_residual"
        )
    with _usable(source):
        config.num_hidden_layers = layer
        config.mask_time_prob = config.mask_feature_prob = 0.0  # training's; leaves out the vector that masks
        config.add_adapter = False
        with torch.device("meta"):
            network = AutoModel.from_config(config, dtype=torch.float32)
    if stable and tap != "final_norm":
        network.encoder.layer_norm = nn.Identity()
    return network


@contextmanager
def _usable(source: str) -> Iterator[None]:
    """``InputError`` for whatever transformers makes of settings of a wrong kind: its own errors share no family."""
    try:
        yield
    except Exception as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{source}: its config.json cannot be used ({said}); fetch the model again") from error


def digest(network: nn.Module) -> str:
    """SHA-256 of the weights as they are used, whatever files they came from."""
    found = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        found.update(f"{name} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().astype("<f4", copy=False).tobytes())
    return found.hexdigest()


def _cached(config: SSLConfig) -> tuple[Path, str]:
    """Folder and commit of a hub's model, fetched first where that is asked for."""
    name = config.model
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise InputError(
            f"{name}: no such folder or file; give the folder of a transformers model, a fairseq checkpoint, or a "
            "name on the hub such as facebook/hubert-base-ls960"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise InputError("huggingface_hub is not installed; pip install 'protophone[ssl]'") from error
    asked = f"hf download {name}" + (f" --revision {config.revision}" if config.revision else "")
    folder = Path()
    for weights in _WEIGHTS:
        stem, suffix = weights.split(".")
        patterns = [*_SETTINGS, f"{stem}*.{suffix}", f"{weights}.index.json"]
        try:
            folder = Path(
                snapshot_download(
                    name, revision=config.revision, allow_patterns=patterns, local_files_only=not config.download
                )
            )
        except (OSError, ValueError) as error:
            why = f"cannot be fetched ({str(error).splitlines()[0]})" if config.download else "not in the hub's cache"
            raise InputError(
                f"{name}: no such folder, and {why}; run '{asked}' where there is a network, or give the model's folder"
            ) from error
        if _files(folder, weights):
            return folder, folder.name
    raise InputError(f"{name}: its weights are not in the hub's cache; run '{asked}' where there is a network")


def _files(folder: Path, weights: str) -> list[Path]:
    """The files that hold a model's weights under this name, whole or in parts; none where they are not there."""
    if (folder / weights).is_file():
        return [folder / weights]
    index = folder / f"{weights}.index.json"
    if not index.is_file():
        return []
    stated = read_json(index)
    places = stated.get("weight_map") if isinstance(stated, dict) else None
    if not isinstance(places, dict) or not all(isinstance(part, str) for part in places.values()):
        raise InputError(f"{index}: no weight_map of names to files in it; fetch the model again")
    return [folder / Path(part).name for part in sorted(set(places.values()))]


def _weights(folder: Path, kind: str) -> dict[str, Tensor]:
    """All weights of a transformers model by the names a bare model has for them."""
    files = _files(folder, _WEIGHTS[0]) or _files(folder, _WEIGHTS[1])
    if not files:
        raise InputError(f"{folder}: no {' or '.join(_WEIGHTS)} in it; give the whole folder of a transformers model")
    found: dict[str, Tensor] = {}
    for path in files:
        try:
            held = load_file(path) if path.suffix == ".safetensors" else read_torch(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be read ({error}); fetch the model again") from error
        if not isinstance(held, dict):
            raise InputError(f"{path}: no table of weights; fetch the model again")
        found |= {str(name): tensor for name, tensor in held.items() if isinstance(tensor, Tensor)}
    return {_renamed(name.removeprefix(f"{kind}.")): tensor for name, tensor in found.items()}


def _renamed(name: str) -> str:
    """A weight's name today: torch has changed those of weight normalisation."""
    for old, new in _OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _normalized(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether the model was trained on sound of mean 0 and variance 1: as its files say, or as its kind is."""
    path = folder / "preprocessor_config.json"
    stated = read_json(path) if path.is_file() else {}
    if isinstance(stated, dict) and isinstance(stated.get("do_normalize"), bool):
        return stated["do_normalize"]
    # fairseq's rule: models with a norm in every convolution are trained on normalised sound, the others are not.
    return settings.get("feat_extract_norm") == "layer"
