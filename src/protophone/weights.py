"""The weights of a network in a safetensors file: their shapes are compared before they are read."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn

from protophone.errors import BundleError
from protophone.files import check_regular
from protophone.memory import blank

__all__ = ["Weights", "filled"]

M = TypeVar("M", bound=nn.Module)


class Weights(Mapping[str, Tensor]):
    """The weights in a safetensors file, each read when asked for; ``shapes`` is all that is read at first."""

    def __init__(self, path: Path) -> None:
        check_regular(path)
        self._file = safe_open(path, "pt")
        self.shapes = {name: torch.Size(self._file.get_slice(name).get_shape()) for name in self._file.keys()}  # noqa: SIM118 - not a dict

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.shapes:
            raise KeyError(name)
        return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def filled(build: Callable[[], M], weights: Mapping[str, Tensor], path: Path, *, network: bool = True) -> M:
    """Return the module that ``build`` makes with the weights ``weights``, read from ``path``, ready for use.

    Before memory is taken, the shapes of the weights are compared with those of the module, unless it is no
    ``network`` of its config alone. ``ConfigError`` for a network that memory does not hold, ``BundleError`` for
    weights that do not fit.
    """
    misfit = BundleError(f"{path}: weights do not fit the config beside them; copy the whole bundle again")
    if network:
        empty = blank(build, str(path.with_suffix(".toml")))
        spare = getattr(empty, "spare", ())
        wanted = {name: tensor.shape for name, tensor in empty.state_dict().items()}
        found = weights.shapes if isinstance(weights, Weights) else {name: each.shape for name, each in weights.items()}
        needed = {name for name in wanted if not (spare and name.startswith(spare))}
        if not needed <= set(found) or any(wanted.get(name) != shape for name, shape in found.items()):
            raise misfit
    module = build()
    try:
        module.load_state_dict(dict(weights), strict=not network)
    except RuntimeError:  # others, or of other shapes
        raise misfit from None
    return module.eval()
