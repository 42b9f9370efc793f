"""Options that several commands of ``evaluate`` take."""

from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

__all__ = ["Missing", "Over", "Seed"]

Missing = Literal["error", "skip"]
Over = Literal["recordings", "speakers"]
Seed = Annotated[int, Parameter(validator=Number(gte=0))]
