"""Memory, computed before it is taken: of a network, of the batches that train it, of a sound."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from protophone.errors import ConfigError, InputError, ProtophoneError

__all__ = [
    "MOST_PARAMETERS",
    "available",
    "blank",
    "check_memory",
    "check_network",
    "check_trainable",
    "is_short",
    "kept_for_gradients",
    "naming_memory",
]

MOST_PARAMETERS = 2 * 10**9
_UNKNOWN = 8 * 2**30  # bytes, if the system does not report its memory
M = TypeVar("M", bound=nn.Module)


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


def available(root: Path = Path("/")) -> int:
    """Return the bytes of memory that can be taken now: of the machine, or of the control group that limits it.

    ``root`` is where the system's ``proc`` and ``sys`` lie. It is 8 GB if the system does not report its memory.
    """
    lines = _lines(root / "proc/meminfo")
    limits = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    group = root / "sys/fs/cgroup"
    most, used = (_lines(group / name) for name in ("memory.max", "memory.current"))
    if most and used and most[0].isdigit():  # else it is "max"
        cached = [int(line.split()[1]) for line in _lines(group / "memory.stat") if line.startswith("inactive_file ")]
        limits.append(max(0, int(most[0]) - int(used[0]) + sum(cached)))  # the cache of files is given back
    if not limits and hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=_UNKNOWN)


def _lines(path: Path) -> list[str]:
    """Lines of a file of the system; none if the system has no such file."""
    return path.read_text(encoding="ascii").splitlines() if path.is_file() else []


def check_memory(needed: float, what: str, cure: str, fault: type[ProtophoneError] = ConfigError) -> None:
    """Raise ``fault`` if ``what`` needs more bytes than are available."""
    if needed > (free := available()):
        raise fault(f"{what} needs {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are available; {cure}")


def blank(build: Callable[[], M], what: str, bytes_each: int = 4) -> M:
    """Return the network that ``build`` makes, without memory for its weights: their names and shapes alone.

    ``ConfigError`` as ``check_network``.
    """
    with torch.device("meta"), _Uninitialized():
        network = build()
    check_network(network, what, bytes_each)
    return network


def check_network(network: nn.Module, what: str, bytes_each: int = 4) -> None:
    """Raise ``ConfigError`` naming ``what`` for a network whose weights are too many, or do not fit in memory.

    ``MOST_PARAMETERS`` are allowed, and each takes ``bytes_each``.
    """
    count = sum(tensor.numel() for tensor in network.state_dict().values())
    cure = "write fewer channels, blocks, layers or units"
    if count > MOST_PARAMETERS:
        raise ConfigError(f"{what}: a network of {count:,} weights, at most {MOST_PARAMETERS:,} are allowed; {cure}")
    check_memory(count * bytes_each, f"{what}: a network of {count:,} weights", cure)


def check_trainable(build: Callable[[], nn.Module], what: str) -> None:
    """Raise ``ConfigError`` if the network that ``build`` makes is too large to be trained.

    Training holds each weight four times: itself, its gradient and two moments of it.
    """
    blank(build, what, bytes_each=16)


def kept_for_gradients(losses: Callable[[], Iterable[tuple[str, Tensor]]]) -> int:
    """Return the bytes that computing the ``losses`` of a batch keeps until their gradients are computed."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        alive = list(losses())  # so that no storage takes the place of another
    del alive
    return sum(kept.values())


def is_short(error: BaseException) -> bool:
    """Return whether ``error`` says that memory is short; torch has no class of its own for the processor's."""
    if isinstance(error, MemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and any(each in said for each in ("allocate memory", "out of memory"))


@contextmanager
def naming_memory(what: str, cure: str) -> Iterator[None]:
    """Make one line of running out of memory within the block: ``InputError`` that names ``what`` and the ``cure``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_short(error):
            raise
        raise InputError(f"{what}: not enough memory ({' '.join(str(error).split())[:200]}); {cure}") from None
