"""Results on the terminal: a table of figures, or JSON; what was left out on standard error."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protophone.evaluate.compare import Comparison
    from protophone.evaluate.results import Results

__all__ = ["show", "show_comparison"]


def show(results: "Results", *, json: bool, out: Path | None = None, more: Mapping[str, Any] | None = None) -> None:
    """Prints ``results``, as JSON that begins with ``more``, and writes them to ``out``."""
    from protophone.evaluate.results import dumps, write_results

    if out is not None:
        write_results(out, results)
    if json:
        print(dumps(results, more))
    else:
        _print_table(results.title, ("figure", "value", "95 % interval", "on", ""), [f.row() for f in results.figures])
        for line in results.protocols():
            print(line)
    for each in results.left_out:
        print(each.line(), file=sys.stderr)
    if out is not None:
        print(f"{out}: results.json, results.md", file=sys.stderr)


def show_comparison(found: "Comparison", folder: Path, picture: Path | None) -> None:
    """Prints the systems' table and their differences."""
    _print_table("systems compared", ("figure", *found.systems), found.table())
    if found.differences:
        rows = [each.row() for each in found.differences]
        _print_table("differences", ("figure", "systems", "difference (95 % interval, paired)", ""), rows)
    elif len(found.systems) > 1:
        print("no figure that was measured alike of two systems differs")
    for each in found.apart:
        print(f"not compared: {each}", file=sys.stderr)
    if picture is None:
        print("no plot: no system has both a ZeroSpeech bit rate and an ABX error across speakers", file=sys.stderr)
    print(f"{folder}: compare.md, compare.json{'' if picture is None else ', ' + picture.name}", file=sys.stderr)


def _print_table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table on standard output, as wide as it needs to be where nobody watches."""
    from rich.console import Console
    from rich.table import Table

    kept = [number for number, column in enumerate(columns) if column or any(row[number] for row in rows)]
    table = Table(title=title, title_justify="left")
    for number in kept:
        last = number == len(columns) - 1
        table.add_column(columns[number], justify="left" if last or not number else "right", overflow="fold")
    for row in rows:
        table.add_row(*(row[number] for number in kept))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:  # a file or a pipe takes lines as long as they are
        console = Console(highlight=False, markup=False, width=200)
    console.print(table)
