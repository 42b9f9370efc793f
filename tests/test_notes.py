"""Notes that an interrupted run goes on from: damaged ones are refused in one line that names the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.torch import save

from protophone.data import Pack
from protophone.errors import ProtophoneError
from protophone.ledger import Ledger
from protophone.progress import silent
from protophone.survey import listen
from protophone.train import _read_state
from protophone.types import Recording
from tests.damage import damaged

RECORDINGS = [Recording(id=name, path=Path(f"{name}.wav")) for name in ("a", "b", "c")]


def outcome(path, act):
    """None where it works, otherwise the one line that names the file."""
    try:
        act()
    except ProtophoneError as error:
        fault = str(error)
    else:
        return None
    assert str(path) in fault
    assert "\n" not in fault
    return fault


@pytest.mark.filterwarnings("error")
def test_damaged_notes_of_a_survey_are_refused(tmp_path):
    path = tmp_path / "survey.json"
    notes = {
        "whole": True,
        "segments": {"a": [[0, 10], [20, 30]], "b": []},
        "lengths": {"a": 30, "b": 5},
        "failures": {"c": "cut off"},
    }
    faults = []
    for text in [json.dumps(notes), *damaged(notes, every=2)]:
        path.write_text(text)
        faults.append(outcome(path, lambda: listen(tmp_path, RECORDINGS, path, lambda: None, silent)))
    assert faults[0] is None
    assert sum(fault is None for fault in faults) < len(faults) / 4


def test_damaged_notes_of_a_pack_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("protophone.files.os.fsync", lambda _: None)
    recordings = []
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(160), 16000)
        recordings.append(Recording(id=name, path=tmp_path / f"{name}.wav"))

    def pack():
        ones = [np.ones((4, 3), np.float32)]
        settings = {"sample_rate": 16000, "dtype": "float32", "settings": {"kind": "test"}}
        return [row.tolist() for row in Pack.build(tmp_path, recordings, lambda _: ones, **settings, failures=[])]

    assert pack() == [4 * [3 * [1.0]]] * 3
    path = tmp_path / "pack.json"
    notes = json.loads(path.read_text())
    array = (tmp_path / "pack.bin").read_bytes()
    faults = []
    for text in damaged(notes, every=4):
        path.write_text(text)
        (tmp_path / "pack.bin").write_bytes(array)
        faults.append(outcome(path, pack))
    assert sum(fault is None for fault in faults) < len(faults) / 2


@pytest.mark.parametrize("run", ["[]", "1", "null", "{", "[" * 10**5, '{"step": 1}'])
def test_a_state_that_says_nothing_of_its_run_is_refused(tmp_path, run):
    path = tmp_path / "state.safetensors"
    path.write_bytes(save({}, {"run": run}))
    fault = outcome(path, lambda: _read_state(path))
    assert fault is not None


@pytest.mark.parametrize("line", ["[]", "1", "{}", '{"key": 1}', "[" * 10**5, "\ufeff{", "x"])
def test_a_ledger_with_a_line_that_is_no_answer_is_refused(tmp_path, line):
    path = tmp_path / "ledger.jsonl"
    path.write_text(f"{line}\n")
    assert outcome(path, lambda: Ledger(path)) is not None
