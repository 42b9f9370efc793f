"""Where training computes, and in which precision."""

import logging
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from protophone.device import device_of
from protophone.errors import InputError

__all__ = ["Precision", "fabric_of"]

Precision = Literal["auto", "32-true", "bf16-mixed"]


def fabric_of(device: str, wanted: Precision) -> Fabric:
    """A device, such as auto, cpu, cuda or cuda:1, and a precision: Fabric's, or ``auto``."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # what it says of itself is no news to the user
    found = device_of(device)
    devices = 1 if found.index is None or found.type == "cpu" else [found.index]
    try:
        precision = wanted
        if precision == "auto":
            precision = "bf16-mixed" if _computes_in_bf16(found) else "32-true"
        return Fabric(accelerator=found.type, devices=devices, precision=precision)
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"device {device!r} cannot be used here ({said}); use cpu") from None


def _computes_in_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is the hardware's own, not emulated."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 - torch has no public one
