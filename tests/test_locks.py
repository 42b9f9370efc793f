"""One process at a time writes an output folder, and a kill hinders nobody."""

import signal
import subprocess
import sys

import pytest

from protophone.errors import InputError
from protophone.files import refuse_existing
from protophone.locks import sole_writer
from tests.calls import fault_only
from tests.tiny import ENCODER, environment

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")

HELD = """
import sys, time
from protophone.locks import sole_writer
with sole_writer(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_made_for_its_writer_and_stays_unless_empty(tmp_path):
    with sole_writer(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with sole_writer(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "x").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["x"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError), sole_writer(tmp_path / "empty"):
        raise RuntimeError
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("name", ["a.wav", "a.jsonl", "A.JSON"])
def test_a_folder_named_like_a_file_is_refused(tmp_path, name):
    with (
        pytest.raises(InputError, match="a folder is written, and this is the name of a file"),
        sole_writer(tmp_path / name),
    ):
        pass
    (tmp_path / name).mkdir()
    with sole_writer(tmp_path / name):
        pass


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").write_text("mine")
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(InputError, match=f"{path}: .*; "), sole_writer(path):
            pass
    assert (tmp_path / "a").read_text() == "mine"


def test_two_processes_and_one_that_was_killed(call, tiny_bundle, tiny_corpus, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", HELD, out], stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout.readline() == "held\n"
        (tmp_path / "r.toml").write_text(ENCODER.format(recordings=tiny_corpus))
        for command in (
            ("discover", tiny_corpus),
            ("train", tmp_path / "r.toml"),
            ("encode", tiny_bundle, tiny_corpus),
            ("decode", tiny_bundle, tmp_path),
            ("evaluate", "all", tiny_bundle, tiny_corpus),
            ("compare", tmp_path),
        ):
            result = call(*command, "--out", out)
            fault_only(
                result, f"{out}: another process is writing it; wait for its end, and give the same command again"
            )
            assert len(result[2]) == 1
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    refuse_existing(out)  # what a kill leaves counts as nothing
    with sole_writer(out):
        (out / "x").touch()
    assert [path.name for path in out.iterdir()] == ["x"]


def test_a_run_that_has_only_begun_takes_another_recipe(call, tiny_corpus, tmp_path):
    (tmp_path / "r.toml").write_text(ENCODER.format(recordings=tiny_corpus))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text(ENCODER.format(recordings="elsewhere"))
    steps = ("--set", "train.steps = 2")
    assert call("train", tmp_path / "r.toml", *steps, "--out", tmp_path / "run")[0] == 0
    fault_only(
        call("train", tmp_path / "r.toml", *steps, "--set", "encoder.blocks = 2", "--out", tmp_path / "run"),
        "holds a run of another recipe",
    )
