"""Devices that torch can compute on, by name; those that are not here are refused before any work."""

import torch

from protophone.errors import InputError

__all__ = ["device_of"]


def device_of(name: str) -> torch.device:
    """Return the device called ``name``: cpu, cuda, cuda:1, mps, xpu, or auto, a GPU if there is one.

    ``InputError`` for any other name, and for a device that this machine does not have.
    """
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    here["xpu"] = torch.xpu.device_count()
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "xpu", "cpu") if here[kind]))
    kind, colon, index = name.partition(":")
    number = int(index) if index.isascii() and index.isdigit() and len(index) < 4 else None
    if kind not in here or (colon and number is None) or (number or 0) >= here[kind]:
        found = ", ".join(each if each == "cpu" else f"{each}:{at}" for each, n in here.items() for at in range(n))
        raise InputError(f"device {name!r} cannot be used here (there is: {found}); use cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # a driver that does not fit
        raise InputError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); use cpu") from None
    return device
