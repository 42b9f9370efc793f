"""The door to the terminal: every line and table that a command prints, with names escaped."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from protophone.folder import Listing
from protophone.names import printable

__all__ = ["answer", "answer_json", "answer_table", "console", "introduce", "left_out", "say", "warn"]

console = Console(stderr=True, highlight=False, markup=False, emoji=False)
_NAMED = 40  # recordings at most that are named


def say(text: str) -> None:
    """Print a line on standard error, however long."""
    console.print(printable(text), soft_wrap=True)


def answer(text: str) -> None:
    """Print a line on standard output."""
    print(printable(text))


def answer_json(text: str) -> None:
    """Print JSON on standard output."""
    print(printable(text, keep="\n"))


def answer_table(
    title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: bool = False, width: int = 200
) -> None:
    """Print a table on standard output, without a head if ``columns`` are empty.

    ``right`` aligns all columns but the first and the last to the right. ``width`` holds unless it is a terminal.
    """
    table = Table(title=title and printable(title), title_justify="left", show_header=bool(columns))
    for number, column in enumerate(columns):
        inner = right and 0 < number < len(columns) - 1
        table.add_column(printable(column), justify="right" if inner else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:  # a file or a pipe takes lines as long as they are
        console = Console(highlight=False, markup=False, emoji=False, width=width)
    console.print(table)


def introduce(listing: Listing, seconds: Mapping[str, float]) -> None:
    """Say of the recordings of a source who speaks in them, and which other files are left out.

    ``seconds`` are those of each recording by its id; without them speakers are not listed.
    """
    for line in listing.lines(seconds):
        say(line)


def warn(warnings: Sequence[str]) -> None:
    """Print the faults of recordings' signals."""
    for warning in warnings[:_NAMED]:
        say(f"warning: {warning}")
    if len(warnings) > _NAMED:
        say(f"warning: {len(warnings) - _NAMED} more of this kind, {len(warnings)} in all")


def left_out(failures: Sequence[tuple[str, str]]) -> None:
    """Name the recordings that cannot be used, with the reason of each."""
    for _, reason in failures[:_NAMED]:
        say(f"left out: {reason}")
    if len(failures) > _NAMED:
        say(f"left out: {len(failures) - _NAMED} more recordings, {len(failures)} in all")
