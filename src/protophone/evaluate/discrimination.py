"""ABX of features or units on disk."""

from pathlib import Path
from typing import Literal

import numpy as np

from protophone.errors import InputError
from protophone.evaluate.figure import Found, LeftOut, Over, estimated
from protophone.evaluate.references import items_of
from protophone.evaluate.representation import Representation
from protophone.evaluate.results import digest
from protophone.files import write_text
from protophone.metrics.abx import ABXResult, Distance, abx

__all__ = ["evaluate_abx", "write_cells"]

SYMBOLIC = ("identical", "levenshtein")


def evaluate_abx(
    source: Representation,
    items: str | Path,
    *,
    speaker: Literal["within", "across"],
    context: Literal["within", "any"] = "within",
    distance: Distance | None = None,
    max_size_group: int | None = None,
    max_x_across: int | None = None,
    seed: int = 0,
    missing: Literal["error", "skip"] = "error",
    over: Over = "recordings",
) -> tuple[Found, ABXResult]:
    """The ABX error of a representation on an item file, and the scores it was made from.

    ``distance`` is by default angular for features, identical for symbols. ``missing`` says what to do about items of
    recordings that are not there, or that end past their features: stop, or leave them out and report how many; the
    interval is over ``over``. Raises ``InputError`` for features where the distance needs symbols, and the other way
    round.
    """
    if distance is None:
        distance = "identical" if source.symbols else "angular"
    if source.symbols != (distance in SYMBOLIC):
        raise InputError(
            f"{source.what} cannot be compared by the {distance} distance; "
            + (
                "give --distance identical or levenshtein, or --bundle to score the vectors of the units"
                if source.symbols
                else "it compares symbols: give units, or --distance angular"
            )
        )
    tokens, names, absent = items_of(source.ids, items)
    if absent and missing == "error":
        files = sorted({token.file for token in absent})
        raise InputError(
            f"{items}: {len(absent)} items are of {len(files)} recordings that are not there, the first {files[0]}; "
            "encode these too, or leave the items out and have them counted: --missing skip"
        )
    try:
        result = abx(
            lambda file: source.frames(names[file]),
            tokens,
            speaker=speaker,
            context=context,
            distance=distance,
            frame_rate=float(source.frame_rate),
            max_size_group=max_size_group,
            max_x_across=max_x_across,
            seed=seed,
            short=missing,
            over=over,
        )
    except InputError as error:
        raise InputError(f"ABX on {items}: {error}") from None
    protocol = {
        "items": Path(items).name,
        "items_hash": digest(items),
        "context": context,
        "distance": distance,
        "subsampling": _subsampling(max_size_group, max_x_across if speaker == "across" else None, seed),
    }
    title = f"ABX, {speaker} speaker{'s' if speaker == 'across' else ''}"
    figure = estimated(title, result.estimate, "share", better="lower", protocol=protocol, over=over)
    left_out = [
        LeftOut("items", len(absent), "their recordings are not there"),
        LeftOut("items", result.short, "they end past their features"),
        LeftOut("tokens", result.tokens_not_drawn, "not drawn (--max-size-group)"),
        LeftOut("cells", result.x_not_drawn, "their speakers of X were not drawn (--max-x-across)"),
        LeftOut("cells", result.without_x, "phones A and B in one context by one speaker, but no X to them"),
    ]
    stated = {**result.as_dict(), "frame_rate": float(source.frame_rate), "representation": source.what}
    return Found(figures=[figure], left_out=[each for each in left_out if each.count], settings={title: stated}), result


def write_cells(path: Path, result: ABXResult) -> None:
    """Every cell with its triplets and its error, a line each, apart by tabs; and by pairs of phones beside it."""
    for rows, name in ((result.cells, "cells.tsv"), (result.by_phone_pair(), "phone_pairs.tsv")):
        lines = ["\t".join(rows.dtype.names or ())]
        lines += ["\t".join(_plain(value) for value in row) for row in rows.tolist()]
        write_text(path / name, "\n".join([*lines, ""]))


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _subsampling(max_size_group: int | None, max_x_across: int | None, seed: int) -> str:
    if max_size_group is None and max_x_across is None:
        return "none, every triplet"
    return f"{max_size_group or 'all'} tokens a group, {max_x_across or 'all'} speakers of X, seed {seed}"
