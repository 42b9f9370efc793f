"""Numbers on the command line: checked by the types of ``protophone.config``, imported only if a number is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

__all__ = ["Checked", "Count", "Minutes", "Positive", "Seconds", "Seed", "Share", "Units"]


@dataclass(frozen=True)
class Checked:
    """Converter of an option whose values are of the type ``name`` of ``protophone.config``.

    The converter of cyclopts would round 2.5 to 2, and accept infinity.
    """

    name: str

    def __call__(self, kind: Any, tokens: Sequence[Any]) -> Any:
        """Return the number; ``ConfigError`` names the option."""
        del kind
        from protophone import config

        return config.number(getattr(config, self.name), tokens[0].value, source=str(tokens[0].keyword))


Count = Annotated[int, Parameter(converter=Checked("Count"))]
Minutes = Annotated[float, Parameter(converter=Checked("Minutes"))]
Positive = Annotated[float, Parameter(converter=Checked("Positive"))]
Seconds = Annotated[float, Parameter(converter=Checked("Seconds"))]
Seed = Annotated[int, Parameter(converter=Checked("Seed"))]
Share = Annotated[float, Parameter(converter=Checked("Share"))]
Units = Annotated[int, Parameter(converter=Checked("Units"))]
