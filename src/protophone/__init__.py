"""protophone learns the sound units of a language from recordings alone, and speaks them again."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protophone.errors import ProtophoneError
    from protophone.model import Model, load

__all__ = ["Model", "ProtophoneError", "__version__", "load"]
__version__ = "0.1.0"

_HOMES = {"Model": "protophone.model", "ProtophoneError": "protophone.errors", "load": "protophone.model"}


def __getattr__(name: str) -> Any:
    """Public names, imported when first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'protophone' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
