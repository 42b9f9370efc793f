"""Progress of work in stages, for whoever shows it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

__all__ = ["Advance", "Stage", "Unit", "portion", "silent"]

Advance = Callable[..., None]
"""Called with the amount that was done, and maybe ``note=``, a few words on the result so far."""

Unit = Literal["steps", "seconds"]
"""Counted things, or seconds of sound."""


class Stage(Protocol):
    """Opens a stage: ``with stage("reading", 200) as advance: ... advance(1)``."""

    def __call__(self, title: str, total: float, unit: Unit = "steps") -> AbstractContextManager[Advance]:
        """Open a stage called ``title``, of ``total`` steps or seconds of sound."""


@contextmanager
def silent(title: str, total: float, unit: Unit = "steps") -> Iterator[Advance]:  # noqa: ARG001 - as every stage
    """Open a stage that is not shown."""

    def advance(count: float, *, note: str = "") -> None:
        pass

    yield advance


@contextmanager
def portion(advance: Advance, total: float) -> Iterator[Callable[[float], None]]:
    """Advance a stage by ``total``: by the amounts that the yielded function is called with, the rest at the end."""
    done = 0.0

    def move(amount: float) -> None:
        nonlocal done
        amount = min(amount, total - done)
        done += amount
        advance(amount)

    try:
        yield move
    finally:
        advance(total - done)
