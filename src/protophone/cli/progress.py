"""Progress on standard error, with the time left; a line a stage where nobody watches."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Terminal", "bar", "left_out", "say"]

console = Console(stderr=True, highlight=False)
_EVERY = 30  # seconds between lines where nobody watches


def say(text: str) -> None:
    """A line on standard error, however long."""
    console.print(text, markup=False, soft_wrap=True)


def left_out(failures: Iterable[tuple[str, str]]) -> None:
    """Names the recordings that could not be used, and why."""
    for _, reason in failures:
        say(f"left out: {reason}")


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar of ``total`` steps; calling what it yields with a count, and maybe a ``note=``, moves it."""
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

        spoken = time.monotonic()

        def advance(count: int = 1, *, note: str = "") -> None:
            nonlocal spoken
            progress.update(task, advance=count, note=note)
            if not console.is_terminal and time.monotonic() - spoken > _EVERY:
                spoken = time.monotonic()
                state = progress.tasks[0]
                left = state.time_remaining
                ahead = "" if left is None else f", {left / 60:.1f} min left"
                say(f"{title}: {state.completed:.0f} of {state.total:.0f}{ahead} {note}")

        yield advance
    if not console.is_terminal:
        say(f"{title}: done")


class Terminal:
    """Where ``discover`` says what it does."""

    def say(self, text: str) -> None:
        """A line of text."""
        say(text)

    def stage(self, title: str, total: int):  # noqa: ANN201 - a context manager, as bar's
        """A bar for a stage."""
        return bar(title, total)
