"""``evaluate submission`` and ``compare``: what is handed in, and systems beside each other."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["compare", "submission"]


def submission(
    folder: Path,
    /,
    *,
    form: Annotated[Literal["zerospeech2019", "zerospeech2020", "abxLS"], Parameter(name="--as")],
    features: Path | None = None,
    rest: Path | None = None,
) -> None:
    """Check a folder that is to be submitted to a ZeroSpeech challenge, naming every fault; or write it first.

    Parameters
    ----------
    folder
        The folder.
    form
        The challenge whose layout it has.
    features
        Write the folder from these features, named as in it, such as dev-clean/84-121123-0000.npy.
    rest
        A folder with everything else that goes into it: its .yaml files, code, sounds.

    """
    from protophone.cli.terminal import answer
    from protophone.errors import InputError
    from protophone.formats import read_arrays
    from protophone.formats.submission import validate_submission, write_submission

    if features is not None or rest is not None:
        if features is None or rest is None:
            raise InputError("a submission is made of --features and --rest, its .yaml files and others; give both")
        if not rest.is_dir():
            raise InputError(f"{rest}: no such folder; give that of the submission's .yaml files and others")
        files = {path.relative_to(rest).as_posix(): path for path in sorted(rest.rglob("*")) if path.is_file()}
        report = write_submission(folder, form, read_arrays(features), {}, copies=files)
    else:
        report = validate_submission(folder, form)
    for fault in report.faults:
        answer(str(fault))
    if report.faults:
        raise InputError(f"{folder}: {len(report.faults)} faults, listed above; mend them before submitting")
    answer(f"{folder}: {report.files} files for {form}, no fault found")
    for each in report.unchecked:
        answer(f"not checked: {each}")


def compare(*results: Path, out: Path = Path("comparison")) -> None:
    """Systems beside each other: a table, the plot of ABX against bit rate, and which differences are real.

    Parameters
    ----------
    results
        Folders that evaluate wrote with --out.
    out
        A folder for the table and the plot.

    """
    from protophone.cli.tables import show_comparison
    from protophone.errors import InputError
    from protophone.evaluate.compare import systems_in, write_comparison
    from protophone.locks import sole_writer

    if not results:
        raise InputError("no results to compare; name folders that protophone evaluate wrote with --out")
    with sole_writer(out):
        found, picture = write_comparison(out, systems_in(results))
    show_comparison(found, out, picture)
