"""Results on the terminal: a table of figures, or JSON; what was left out on standard error."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protophone.cli.terminal import answer, answer_json, answer_table, say

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
        answer_json(dumps(results, more))
    else:
        _print_table(results.title, ("figure", "value", "95 % interval", "on", ""), [f.row() for f in results.figures])
        for line in results.protocols():
            answer(line)
    for each in results.left_out:
        say(each.line())
    if out is not None:
        say(f"{out}: results.json, results.md")


def show_comparison(found: "Comparison", folder: Path, picture: Path | None) -> None:
    """Prints the systems' table and their differences."""
    _print_table("systems compared", ("figure", *found.systems), found.table())
    if found.differences:
        rows = [each.row() for each in found.differences]
        _print_table("differences", ("figure", "systems", "difference (95 % interval, paired)", ""), rows)
    elif len(found.systems) > 1:
        answer("no figure that was measured alike of two systems differs")
    for each in found.apart:
        say(f"not compared: {each}")
    if picture is None:
        say("no plot: no system has both a ZeroSpeech bit rate and an ABX error across speakers")
    say(f"{folder}: compare.md, compare.json{'' if picture is None else ', ' + picture.name}")


def _print_table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table without the columns that are empty."""
    kept = [number for number, column in enumerate(columns) if column or any(row[number] for row in rows)]
    answer_table(title, [columns[number] for number in kept], [[row[at] for at in kept] for row in rows], right=True)
