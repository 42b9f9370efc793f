"""Runs cases and prints what was wrong: ``python -m tests.fuzz [--cases N] [--seed S] [--only WORDS] [--child]``."""

import argparse
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.fuzz.cases import cases, sound_calls
from tests.fuzz.running import faults, files, in_child, in_folder, in_process
from tests.fuzz.world import build, quick


def main() -> None:
    """Prints each case that fails, and how many did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--world", type=Path)
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        world = options.world or Path(tempfile.mkdtemp())
        world.mkdir(exist_ok=True)
        os.chdir(world)
        if not any(world.iterdir()):
            build(world)
        if options.sound:
            for name, prepare in sound_calls(every=True).items():
                with in_folder(world):
                    found = in_process(prepare())
                said = found.error[-600:] or (found.err if found.code else "")
                print(f"{found.seconds:5.2f} s, exit {found.code} {name} {said}")
            return
        failed, slow, begun = 0, Counter(), time.monotonic()
        for number, case in enumerate(cases(options.cases, options.seed)):
            if options.only not in case.name:
                continue
            if number < options.first:
                continue
            with in_folder(world):
                arguments = case.prepare()
                before = files()
                found = (in_child if options.child else in_process)(arguments)
                wrong = faults(case, arguments, found, before)
            slow[case.name] = found.seconds
            for each in wrong:
                lines = each.splitlines()
                told = lines if len(lines) < 9 else [*lines[:1], "...", *lines[-8:]]
                print(
                    f"\n## {number} {case.name}\n$ protophone {' '.join(map(repr, arguments))[:300]}\n"
                    + "\n".join(line[:400] for line in told),
                    flush=True,
                )
            failed += bool(wrong)
        print(f"\n{failed} of {len(slow)} cases failed, {time.monotonic() - begun:.0f} s")
        for name, seconds in slow.most_common(12):
            print(f"{seconds:6.2f} s {name}")


if __name__ == "__main__":
    main()
