"""Runs jobs in children of one process, some of which kill themselves on the way: ``python -m tests.kills JOBS.json``.

A job is ``{"do": encoder | voice | encode | command, "cwd": folder, "die": [moment, count] or null, ...}``. Moments are
a file put into place (``replace``, or ``replaced`` just after), an optimizer's ``step``, a record to ``append`` (or
``appended``), a ``change`` of the folder (in it something is opened to be written, renamed, made or removed), and
``seconds`` from the start. ``["random", seed]`` draws one out of those of a run that was not killed, which left how
many it had of each in the file ``totals``. ``{"do": "beside", "jobs": [...]}`` does jobs at the same time.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import torch

from protophone import corpus
from protophone.cli import main as protophone
from protophone.manifest import build
from protophone.model import load
from protophone.recipe import load_recipe, run_recipe
from protophone.store import UnitsWriter, writer

corpus._WINDOW = 4
writer.RECORDS_PER_SHARD = 2
PLACES = {"replace": (Path, "replace"), "step": (torch.optim.AdamW, "step"), "append": (UnitsWriter, "append")}
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}


def counted(die: tuple[str, float] | None) -> Counter:
    """Counts changes of the current folder and the moments of ``PLACES`` from here on; kills at the one named."""
    counts: Counter = Counter()

    def count(moment: str) -> None:
        counts[moment] += 1
        if die is not None and (moment, counts[moment]) == tuple(die):
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(name: str, real):
        def call(*arguments, **options):
            if name != "step":
                count(name)
            out = real(*arguments, **options)
            count({"replace": "replaced", "append": "appended"}.get(name, name))
            return out

        return call

    for name, (owner, method) in PLACES.items():
        if die is None or die[0].startswith(name):
            setattr(owner, method, wrapped(name, getattr(owner, method)))
    here = str(Path.cwd()) + os.sep

    def hook(event: str, arguments: tuple) -> None:
        writes = event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if (writes or event in CHANGES) and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - resolve would ask the disk
            if path.startswith(here):
                count("change")

    if die is None or die[0] == "change":
        sys.addaudithook(hook)
    return counts


def work(job: dict) -> None:
    os.chdir(job["cwd"])
    die = job["die"]
    counts = counted(die) if die is not None or "totals" in job else Counter()
    begun = time.monotonic()
    if job["do"] == "encode":
        found = build("corpus", "parent").recordings
        corpus.encode_corpus(load(job["bundle"]), found, "out", form=job["form"])
    elif job["do"] == "command":
        command(job["command"], Path(job.get("said", "said")))
    else:
        run_recipe(load_recipe(job["recipe"], []), "run", failures=[])
    if die is None and "totals" in job:
        seconds = time.monotonic() - begun
        Path("totals.json").write_text(json.dumps({"seconds": seconds, **counts}))


def command(words: list[str], said: Path) -> None:
    """Runs the command line; what it prints and its exit code go to ``said`` with the suffixes out, err and code."""
    sys.argv = ["protophone", *words]
    with said.with_suffix(".out").open("wb") as out, said.with_suffix(".err").open("wb") as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
    code: object = 0
    try:
        protophone()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    said.with_suffix(".code").write_text(str(code))


def started(job: dict) -> int:
    """The child that does ``job``."""
    child = os.fork()
    if not child:
        try:
            work(job)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - told to the parent, which fails the test
            print(f"{job}: {error!r}", file=sys.stderr)
            os._exit(1)
    return child


def drawn(seed: int, totals: dict) -> tuple[str, float]:
    """A moment of a run that had so many of each."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    moment = draw.choice(["change", "change", *totals])
    return moment, draw.uniform(0, totals["seconds"]) if moment == "seconds" else draw.randint(1, totals[moment])


def main() -> None:
    torch.set_num_threads(1)
    jobs = json.loads(Path(sys.argv[1]).read_text())
    if any(job["do"] in {"command", "beside"} for job in jobs):
        import pytest

        import protophone.discover  # noqa: F401 - so that no child has to
        from tests.tiny import small_networks

        small_networks(pytest.MonkeyPatch(), measured=False)
    for job in jobs:
        if job["do"] == "beside":
            for child in [started(each) for each in job["jobs"]]:
                os.waitpid(child, 0)
            continue
        die = job["die"]
        if die is not None and die[0] == "random":
            job["die"] = die = drawn(die[1], json.loads(Path(job["totals"]).read_text()))
        child = started(job)
        if die is not None and die[0] == "seconds":
            time.sleep(die[1])
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != (-signal.SIGKILL if die else 0) and not (die and die[0] == "seconds" and code == 0):
            sys.exit(f"{job} ended with {code}")


if __name__ == "__main__":
    main()
