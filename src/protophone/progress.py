"""Progress of work in stages, for whoever shows it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

__all__ = ["Advance", "Stage", "Unit", "expected", "portion", "silent"]

Advance = Callable[..., None]
"""Called with the amount that was done, and maybe ``note=``, a few words on the result so far."""

Unit = Literal["steps", "seconds"]
"""Counted things, or seconds of sound."""

_SPEEDS = {  # seconds of sound in a second, on two cores of a server in 2026; a stage that runs measures its own
    "listening": 210.0,
    "computing statistics": 200.0,
    "computing features": 200.0,
    "tracking pitch": 120.0,
    "embedding voices": 100.0,
    "encoding": 90.0,
    "encoding for training": 115.0,
    "reading sound": 180.0,
    "speaking": 50.0,
    "recognizing": 4.0,
    "hearing voices": 30.0,
    "judging quality": 10.0,
}


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


def expected(sound: float, *titles: str) -> list[tuple[str, float]]:
    """Return stages with the seconds that each is expected to take for ``sound`` seconds of sound."""
    return [(title, sound / _SPEEDS[title]) for title in titles]
