"""How work tells the way it has come: in stages, each of so many steps, whoever shows them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Advance", "Stage", "silent"]

Advance = Callable[..., None]
"""Called with how many steps were done, and maybe ``note=``, a few words on how it goes."""


class Stage(Protocol):
    """Opens a stage: ``with stage("reading", 200) as advance: ... advance(1)``."""

    def __call__(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """A stage called ``title``, of ``total`` steps."""


@contextmanager
def silent(title: str, total: int) -> Iterator[Advance]:  # noqa: ARG001 - as every stage
    """A stage that nobody watches."""

    def advance(count: int, *, note: str = "") -> None:
        pass

    yield advance
