"""The whole command line on nonsense: each case ends in time with its work, one line that names the fault, or a usage.

Every run tries 300 cases, 30 of them in processes of their own; ``make slow`` tries 2,000, 60 of them by the console
script. ``python -m tests.fuzz --seed S --only WORDS`` runs those whose names hold these words.
"""

import fcntl
import os
from pathlib import Path
from stat import S_ISDIR

import pytest

from tests.fuzz.cases import cases, sound_calls, unknown_arguments
from tests.fuzz.running import Outcome, by_script, faults, files, in_child, in_folder, in_process
from tests.fuzz.world import build, quick

SEED = int(os.environ.get("FUZZ_SEED", "0"))
BATCH = 30


@pytest.fixture(scope="session")
def world(tmp_path_factory, worker_id):
    """The sound inputs, made by one worker for all."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "world"
    with (place.parent / "world.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            place.mkdir()
            patch.chdir(place)
            quick(patch)
            build(place)
    return place


@pytest.fixture
def tried(world, monkeypatch):
    """Runs some of the cases; lists what was wrong."""
    quick(monkeypatch)
    monkeypatch.chdir(world)
    before = state(world)

    def run(total, first, run_one):
        wrong = []
        for number, case in list(enumerate(cases(total, SEED)))[first : first + BATCH]:
            with in_folder(world):
                arguments = case.prepare()
                held = files()
                found: Outcome = run_one(arguments)
                said = faults(case, arguments, found, held)
            if (now := state(world)) != before:
                said.append(f"changed what it was given: {[name for name in now if now[name] != before.get(name)]}")
            wrong += [f"\n{number} {case.name}\n$ protophone {' '.join(map(repr, arguments))}\n{each}" for each in said]
        return wrong

    return run


def state(world: Path) -> dict[str, tuple[int, int]]:
    """Sizes and times of all sound inputs."""
    stats = {str(path): path.lstat() for path in world.rglob("*")}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items() if not S_ISDIR(stat.st_mode)}


def test_every_argument_that_must_be_given_has_a_sound_value():
    assert unknown_arguments() == []


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_nothing_sound_is_refused(every, world, monkeypatch):
    """What the cases change one thing of is right as it is."""
    quick(monkeypatch)
    monkeypatch.chdir(world)
    for name, prepare in sound_calls(every=every).items():
        with in_folder(world):
            found = in_process(prepare())
        assert (found.code, found.error) == (0, ""), (name, found)


@pytest.mark.parametrize("batch", range(9))
def test_nonsense_in_this_process(tried, batch):
    assert tried(300, batch * BATCH, in_process) == []


def test_nonsense_in_processes_of_their_own(tried):
    assert tried(300, 9 * BATCH, in_child) == []


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(10, 65))
def test_more_nonsense_in_this_process(tried, batch):
    assert tried(2000, batch * BATCH, in_process) == []


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(65, 67))
def test_nonsense_given_to_the_console_script(tried, batch):
    assert tried(2000, batch * BATCH, by_script) == []
