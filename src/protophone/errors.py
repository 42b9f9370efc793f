"""What goes wrong, in one family: each message names the value, the cause and the cure."""

__all__ = ["AudioError", "BundleError", "ConfigError", "InputError", "ProtophoneError", "UnitsError"]


class ProtophoneError(Exception):
    """A fault the user can mend; the command line prints it as one line and exits with 1."""


class InputError(ProtophoneError):
    """A file, folder or argument that cannot be used."""


class AudioError(InputError):
    """A recording that cannot be read or holds nothing to learn from."""


class ConfigError(ProtophoneError):
    """A config with an unknown key, a value out of range, or a file that is not TOML."""


class BundleError(ProtophoneError):
    """A bundle with a part missing, altered, or of a newer format."""


class UnitsError(InputError):
    """Units that do not fit: another codebook, another grid, codes out of range."""
