"""Runs jobs in children of one process, some of which kill themselves on the way: ``python -m tests.kills JOBS.json``.

A job is ``{"do": encoder | voice | encode, "cwd": folder, "die": [moment, count] or null, ...}``; moments are a file
put into place (``replace``, or ``replaced`` just after), an optimiser's step, a record appended.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from protophone import corpus
from protophone.manifest import build
from protophone.model import load
from protophone.recipe import load_recipe, run_recipe
from protophone.store import UnitsWriter, writer

corpus._WINDOW = 4
writer.RECORDS_PER_SHARD = 2
PLACES = {"replace": (Path, "replace"), "step": (torch.optim.AdamW, "step"), "append": (UnitsWriter, "append")}


def die_at(moment: str, count: int) -> None:
    after = moment == "replaced"
    owner, name = PLACES["replace" if after else moment]
    real = getattr(owner, name)
    calls = [0]

    def counted(*arguments, **options):
        calls[0] += 1
        if calls[0] == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        out = real(*arguments, **options)
        if calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return out

    setattr(owner, name, counted)


def work(job: dict) -> None:
    os.chdir(job["cwd"])
    if job["die"]:
        die_at(*job["die"])
    if job["do"] == "encode":
        found = build("corpus", "parent").recordings
        corpus.encode_corpus(load(job["bundle"]), found, "out", form=job["form"])
    else:
        run_recipe(load_recipe(job["recipe"], []), "run", failures=[])


def main() -> None:
    torch.set_num_threads(1)
    for job in json.loads(Path(sys.argv[1]).read_text()):
        child = os.fork()
        if not child:
            try:
                work(job)
                os._exit(0)
            except BaseException as error:  # noqa: BLE001 - told to the parent, which fails the test
                print(f"{job}: {error!r}", file=sys.stderr)
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != (-signal.SIGKILL if job["die"] else 0):
            sys.exit(f"{job} ended with {code}")


if __name__ == "__main__":
    main()
