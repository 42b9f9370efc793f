"""Progress on standard error, with the time left; a line a stage where nobody watches."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Terminal", "bar", "console", "counted"]

T = TypeVar("T")
console = Console(stderr=True, highlight=False)


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar of ``total`` steps; calling what it yields with a count (``note=``, ``total=``) moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total, note="")

        def advance(count: int = 1, *, note: str = "", total: int | None = None) -> None:
            progress.update(task, advance=count, note=note)
            if total is not None:
                progress.update(task, total=total)

        yield advance
    if not console.is_terminal:
        console.print(f"{title}: done")


def counted(title: str) -> Callable[[Iterable[T]], Iterable[T]]:
    """A wrapper for a sequence that shows how far it has been gone through."""

    def wrap(items: Iterable[T]) -> Iterator[T]:
        items = list(items)
        with bar(title, len(items)) as advance:
            for item in items:
                yield item
                advance(1)

    return wrap


class Terminal:
    """Where ``discover`` says what it does."""

    def say(self, text: str) -> None:
        """A line of text."""
        console.print(text, markup=False)

    def stage(self, title: str, total: int):  # noqa: ANN201 - a context manager, as bar's
        """A bar for a stage."""
        return bar(title, total)
