"""Which layer of which self-supervised model, and everything else its frames depend on."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from protophone.config import FrameCount, Whole, bounds, config
from protophone.errors import ConfigError
from protophone.memory import check_network

if TYPE_CHECKING:
    from protophone.features.ssl.extractor import SelfSupervised

__all__ = ["SSLConfig", "Tap"]

Tap = Literal["after_residual", "before_residual", "final_norm"]


@config
class SSLConfig:
    """A layer of a HuBERT, wav2vec 2.0 or WavLM model.

    ``model`` is the folder of a transformers model, a fairseq checkpoint (a file), or a name on the Hugging Face hub
    with its ``revision``: looked up in the cache, and fetched only where ``download`` says so. Layers count from 1;
    layer 0 is what enters the first. ``tap`` says what of a layer:

    * ``after_residual``: its output, as fairseq's ``extract_features(output_layer=layer)`` gives it and transformers
      as ``hidden_states[layer]``;
    * ``before_residual``: what its feed-forward part adds to that, fairseq's ``layer_results[layer - 1][2]``;
    * ``final_norm``: the last layer's output through the norm that large models (``do_stable_layer_norm``, fairseq's
      ``layer_norm_first``) have after it: ``last_hidden_state``.

    ``waveform`` says whether the sound of each window is brought to mean 0 and variance 1 before the model hears it;
    ``model`` leaves it to the model's own files. A recording is read in windows of ``window`` frames, of which
    ``overlap`` at each inner end are heard but not kept; one no longer than a window is read whole.

    ``sha256`` is that of the weights, from the convolutions to ``layer``, as they are used: filled in when a model is
    first loaded and checked ever after. ``weights`` says what a bundle holds of them, this ``reference`` or all of them
    (``bundle``); with the latter, ``architecture`` is filled in and the model's own files are not needed again.
    """

    kind: Literal["ssl"] = "ssl"
    model: str
    layer: Annotated[int, bounds(0, 256)]  # of so many at most
    revision: str | None = None
    tap: Tap = "after_residual"
    waveform: Literal["model", "normalized", "plain"] = "model"
    window: FrameCount = 1500
    overlap: Whole = 100
    download: bool = False
    weights: Literal["reference", "bundle"] = "reference"
    sha256: str = ""
    architecture: str = ""

    def __post_init__(self) -> None:
        if 2 * self.overlap >= self.window:
            raise ConfigError(f"overlap {self.overlap}: twice it must be less than window {self.window}")
        if self.layer == 0 and self.tap != "after_residual":
            raise ConfigError(f"layer 0 is what enters the first layer and has no {self.tap}; take after_residual")
        if self.architecture and not (self.weights == "bundle" and self.sha256 and _is_json(self.architecture)):
            raise ConfigError("architecture is filled in for bundles that hold the weights; leave it out of a recipe")

    def build(self) -> "SelfSupervised":
        """The extractor, its config completed with what the model's files say."""
        from protophone.features.ssl.extractor import SelfSupervised
        from protophone.features.ssl.network import blank, digest, load

        if self.architecture:
            network = blank(json.loads(self.architecture), self.layer, self.tap)
            check_network(network, "encoder.features.architecture")
            return SelfSupervised(self, network.to_empty(device="cpu").requires_grad_(requires_grad=False))
        loaded = load(self)
        waveform = self.waveform
        if waveform == "model":
            waveform = "normalized" if loaded.normalized else "plain"
        found = replace(
            self,
            revision=loaded.revision,
            waveform=waveform,
            download=False,
            sha256=digest(loaded.network),
            architecture=json.dumps(loaded.architecture) if self.weights == "bundle" else "",
        )
        if self.sha256 not in {"", found.sha256}:
            raise ConfigError(
                f"{self.model}: its weights up to layer {self.layer} have sha256 {found.sha256[:16]}..., where "
                f"{self.sha256[:16]}... was used before; put the model there that these features were made with"
            )
        return SelfSupervised(found, loaded.network)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
