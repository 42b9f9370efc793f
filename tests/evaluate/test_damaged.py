"""Damaged results: any change of a whole file is read, or refused in one line that names the file."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import ProtophoneError
from protophone.evaluate.compare import compare, systems_in, write_comparison
from protophone.evaluate.figure import LeftOut, counted, estimated
from protophone.evaluate.results import Results, read_results, write_results
from protophone.metrics.interval import estimate, ratio
from tests.damage import damaged


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two folders of results, and the document of the second."""
    folder = tmp_path_factory.mktemp("results")
    names = [f"r{number}" for number in range(8)]
    for name in ("a", "b"):
        shares = np.random.default_rng(len(name + name)).random(8) / 2 + (0.1 if name == "b" else 0)
        one = estimate(ratio(shares, np.ones(8)), names)
        figures = [
            estimated("ABX, across speakers", one, "share", better="lower", protocol={"distance": "angular"}),
            estimated("bit rate, ZeroSpeech 2019", one, "bit/s", better="lower"),
            counted("bit rate, nominal", 100, "bit/s", "a property of the grid"),
        ]
        left_out = [LeftOut("items", 2, "short", ("x",))]
        write_results(folder / name, Results(title="made", figures=figures, left_out=left_out, settings={"seed": 0}))
    return folder, json.loads((folder / "b" / "results.json").read_text())


def survives(folder):
    """Reads and compares; True where that works, False where it is refused in one line."""
    path = folder / "b" / "results.json"
    try:
        found = compare({name: read_results(place) for name, place in systems_in([folder / "a", folder / "b"]).items()})
        assert found.table()
        write_comparison(folder / "out", systems_in([folder / "a", folder / "b"]))
    except ProtophoneError as error:
        fault = str(error)
    else:
        return True
    assert fault.startswith(f"{path}: ")
    assert "\n" not in fault
    return False


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("protophone.evaluate.compare.scatter", lambda *_, **__: None)
    monkeypatch.setattr("protophone.files.os.fsync", lambda _: None)


@pytest.mark.filterwarnings("error")
def test_every_value_replaced_by_every_nonsense_is_read_or_refused(whole, quick):
    folder, document = whole
    path = folder / "b" / "results.json"
    outcomes = []
    for text in damaged(document, every=3):
        path.write_text(text)
        outcomes.append(survives(folder))
    path.write_text(json.dumps(document))
    assert survives(folder)
    assert 0.5 < 1 - np.mean(outcomes) < 1


@pytest.mark.filterwarnings("error")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_cut_and_flipped_files_are_read_or_refused(whole, data):
    folder, document = whole
    path = folder / "b" / "results.json"
    content = bytearray(json.dumps(document).encode())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protophone.evaluate.compare.scatter", lambda *_, **__: None)
        patch.setattr("protophone.files.os.fsync", lambda _: None)
        survives(folder)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("depth", [100, 500, 900, 5000])
def test_lists_in_each_other_without_end_are_refused(whole, quick, depth):
    folder, document = whole
    path = folder / "b" / "results.json"
    nested = json.dumps(document).replace('"seed": 0', f'"seed": {"[" * depth}{"]" * depth}')
    path.write_text(nested)
    survives(folder)
    path.write_text(json.dumps(document))
