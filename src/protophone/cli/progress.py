"""Progress on standard error, with the time left; silent where nobody watches but a line now and then."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["bar", "console", "counted"]

T = TypeVar("T")
console = Console(stderr=True, highlight=False)


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar of ``total`` steps; calling what it yields with a count, and a note, moves it."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total, note="")

        def advance(count: int = 1, note: str = "", total: int | None = None) -> None:
            progress.update(task, advance=count, note=note, **({} if total is None else {"total": total}))

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
