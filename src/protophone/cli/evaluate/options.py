"""Options that several commands of ``evaluate`` take."""

from typing import Literal

__all__ = ["Missing", "Over"]

Missing = Literal["error", "skip"]
Over = Literal["recordings", "speakers"]
