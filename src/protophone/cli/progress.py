"""Progress on standard error, with the time left of the whole command; without a terminal, a line every half minute."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from protophone.cli.terminal import console, say
from protophone.names import printable
from protophone.progress import Advance, Unit

__all__ = ["Terminal", "bar"]

_EVERY = 30  # seconds between lines if there is no terminal


@contextmanager
def bar(
    title: str, total: float, unit: Unit = "steps", *, expected: float = math.nan, later: float = 0.0
) -> Iterator[Advance]:
    """Show a stage: calling the yielded function with an amount of ``total``, and maybe a ``note=``, moves the bar.

    ``expected`` is the time in seconds that the stage is expected to take, ``later`` that of the stages after it; NaN
    if unknown.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[place]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[note]}", markup=False),
    )
    begun = spoken = time.monotonic()
    done = 0.0
    left = _left(expected, later)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(printable(title), total=total, note="", place=_place(0.0, total, unit), left=left)

        def advance(count: float = 1, *, note: str = "") -> None:
            nonlocal spoken, done
            done = min(done + count, total)
            now = time.monotonic()
            own = (now - begun) * (total - done) / done if done else expected
            left, place = _left(own, later), _place(done, total, unit)
            progress.update(task, completed=done, note=printable(note), left=left, place=place)
            if not console.is_terminal and now - spoken > _EVERY:
                spoken = now
                say("; ".join(part for part in (f"{title}: {place}", left, note) if part))

        yield advance
    if not console.is_terminal:
        say(f"{title}: done")


def _place(done: float, total: float, unit: Unit) -> str:
    if unit == "seconds":
        return f"{done / 60:.1f} of {total / 60:.1f} min of sound"
    return f"{done:.0f} of {total:.0f}"


def _left(own: float, later: float) -> str:
    """Time left in words, of this stage and those after it."""
    if math.isnan(own):
        return ""
    least = "over " if math.isnan(later) else ""
    seconds = own + (0.0 if least else later)
    return f"{least}{seconds / 60:.0f} min left" if seconds >= 60 else f"{least}{seconds:.0f} s left"


class Terminal:
    """Shows the stages of a command, and how long the whole command will still take."""

    def __init__(self) -> None:
        self._ahead: list[tuple[str, float]] = []

    def say(self, text: str) -> None:
        """A line of text."""
        say(text)

    def expect(self, stages: Sequence[tuple[str, float]]) -> None:
        """Take note of the stages to come, in order, with the seconds that each is expected to take, NaN if unknown."""
        self._ahead = list(stages)

    def stage(self, title: str, total: float, unit: Unit = "steps") -> AbstractContextManager[Advance]:
        """A bar for a stage."""
        expected = math.nan
        titles = [name for name, _ in self._ahead]
        if title in titles:
            at = titles.index(title)
            expected, self._ahead = self._ahead[at][1], self._ahead[at + 1 :]
        return bar(title, total, unit, expected=expected, later=sum(seconds for _, seconds in self._ahead))
