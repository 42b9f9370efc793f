"""Options that several commands of ``evaluate`` take."""

from typing import Literal

__all__ = ["Channel", "Missing", "Over"]

Channel = Literal["mix", "left", "right"]
Missing = Literal["error", "skip"]
Over = Literal["recordings", "speakers"]
