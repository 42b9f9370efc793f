"""Memory, computed before it is taken: of a network, of the batches that train it, of a sound."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from protophone.errors import ConfigError, InputError, ProtophoneError

__all__ = ["MOST_PARAMETERS", "available", "check_memory", "check_trainable", "is_short", "names_memory", "shapes_of"]

MOST_PARAMETERS = 2 * 10**9
_UNKNOWN = 8 * 2**30  # bytes, if the system does not report its memory


class _Uninitialized(TorchFunctionMode):
    """Skips the initialization of weights: without effect on the meta device, and some of it seconds to load."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func is torch.norm_except_dim:  # of weight normalization
            weight, _, kept = args
            return weight.new_empty([size if dim == kept else 1 for dim, size in enumerate(weight.shape)])
        return func(*args, **kwargs)


def available() -> int:
    """Return the bytes of memory that can be taken now, as the system reports it; 8 GB if it does not."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN


def check_memory(needed: float, what: str, cure: str, fault: type[ProtophoneError] = ConfigError) -> None:
    """Raise ``fault`` if ``what`` needs more bytes than are available."""
    if needed > (free := available()):
        raise fault(f"{what} needs {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are available; {cure}")


def shapes_of(build: Callable[[], nn.Module], what: str, bytes_each: int = 4) -> dict[str, torch.Size]:
    """Return the shapes of the weights of the network that ``build`` makes, without making room for them.

    ``ConfigError`` naming ``what`` if it has more than ``MOST_PARAMETERS``, or ``bytes_each`` of them do not fit in
    memory.
    """
    with torch.device("meta"), _Uninitialized():
        shapes = {name: tensor.shape for name, tensor in build().state_dict().items()}
    count = sum(shape.numel() for shape in shapes.values())
    cure = "write fewer channels, blocks, layers or units"
    if count > MOST_PARAMETERS:
        raise ConfigError(f"{what}: a network of {count:,} weights, at most {MOST_PARAMETERS:,} are allowed; {cure}")
    check_memory(count * bytes_each, f"{what}: a network of {count:,} weights", cure)
    return shapes


def check_trainable(build: Callable[[], nn.Module], what: str) -> None:
    """Raise ``ConfigError`` if the network that ``build`` makes is too large to be trained.

    Training holds each weight four times: itself, its gradient and two moments of it.
    """
    shapes_of(build, what, bytes_each=16)


def is_short(error: BaseException) -> bool:
    """Return whether ``error`` says that memory is short; torch has no class of its own for the processor's."""
    if isinstance(error, MemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and any(each in said for each in ("allocate memory", "out of memory"))


@contextmanager
def names_memory(what: str, cure: str) -> Iterator[None]:
    """Make one line of running out of memory within the block: ``InputError`` that names ``what`` and the ``cure``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_short(error):
            raise
        raise InputError(f"{what}: not enough memory ({' '.join(str(error).split())[:200]}); {cure}") from None
