"""Foreign checkpoints read as plain values, equal to what wrote them."""

import argparse
import collections
import sys
import types
from enum import Enum
from pathlib import PosixPath

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protophone.checkpoints import read_torch
from tests.pickles import same, saved, ways


@ways
def test_tensors_of_every_kind_and_layout(zipped, tmp_path):
    kinds = (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
    shared = torch.randn(6, 10)
    value = {
        **{str(kind): (torch.randn(3, 5) * 20).to(kind) for kind in kinds},
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "transposed": torch.randn(4, 7).T,
        "every other": torch.randn(9)[::2],
        "shared": [shared, shared[2:4, 3], shared.T[1:]],
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }
    found = read_torch(saved(value, tmp_path / "a.pt", zipped=zipped))
    same(found, value)
    assert found["shared"][0].data_ptr() == found["shared"][2].data_ptr() - 4  # one memory, as it was


@ways
def test_models_optimisers_and_plain_values(zipped, tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 5), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.randn(2, 2, 9)).square().mean().backward()
    optimizer.step()
    value = {
        "generator": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "numbers": [0, -1, 255, 65536, -(2**31), 2**63, 10**30, 0.1, float("inf")],
        "texts": ("", "abc", "ŋgɔ́lɔ", "x" * 300, b"bytes"),
        "others": [None, True, False, {}, [], (), 1 + 2j, b""],
        "nested": {"a": [{"b": (1, [2, (3,)])}], 5: "five"},
    }
    wanted = value | {"generator": dict(network.state_dict())}
    same(read_torch(saved(value, tmp_path / "a.pt", zipped=zipped)), wanted)


@ways
def test_numpy_in_a_checkpoint(zipped, tmp_path):
    value = {
        "float": np.random.default_rng(0).standard_normal((3, 4)),
        "fortran": np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
        "big": np.arange(5, dtype=">f4"),
        "bool": np.array([True, False]),
        "scalar": np.float32(1.5),
        "whole": np.int64(-7),
    }
    found = read_torch(saved(value, tmp_path / "a.pt", zipped=zipped))
    for key in ("float", "fortran", "big", "bool"):
        np.testing.assert_array_equal(found[key], value[key])
    assert (found["scalar"], found["whole"]) == (1.5, -7)


@pytest.fixture
def fairseq(monkeypatch):
    """A package ``fairseq`` to save objects of, gone afterwards."""
    module = types.ModuleType("fairseq.data")
    monkeypatch.setitem(sys.modules, "fairseq", types.ModuleType("fairseq"))
    monkeypatch.setitem(sys.modules, "fairseq.data", module)

    class Dictionary:
        pass

    class Choice(Enum):
        GELU = "gelu"

    class Listed(list):
        pass

    for kind in (Dictionary, Choice, Listed):
        kind.__module__, kind.__qualname__ = "fairseq.data", kind.__name__
        setattr(module, kind.__name__, kind)
    return module


@ways
def test_objects_of_foreign_classes_are_plain_values(zipped, fairseq, tmp_path, monkeypatch):
    words = fairseq.Dictionary()
    words.symbols, words.count = ["<s>", "a"], [1, 5]
    value = {
        "args": argparse.Namespace(arch="hubert", layers=12, inner=argparse.Namespace(x=(1, 2))),
        "dictionaries": [words],
        "choice": fairseq.Choice.GELU,
        "listed": fairseq.Listed([1, 2]),
        "class": argparse.Namespace,
        "path": PosixPath("/a/b"),
        "ordered": collections.OrderedDict(b=1, a=2),
        "default": collections.defaultdict(list, {"k": [1]}),
        "set": {3},
        "size": torch.Size([2, 3]),
        "device": torch.device("cpu"),
    }
    path = saved(value, tmp_path / "a.pt", zipped=zipped)
    monkeypatch.delitem(sys.modules, "fairseq.data")
    found = read_torch(path)
    assert found["args"] == {"arch": "hubert", "layers": 12, "inner": {"x": (1, 2)}}
    assert found["dictionaries"] == [{"symbols": ["<s>", "a"], "count": [1, 5]}]
    assert (found["choice"], found["listed"], found["class"]) == ("gelu", [1, 2], "argparse.Namespace")
    assert (found["ordered"], found["default"], found["set"]) == ({"b": 1, "a": 2}, {"k": [1]}, [3])
    assert (found["size"], found["device"], found["path"]) == ((2, 3), "cpu", ("/", "a", "b"))


def test_an_omegaconf_tree_is_dicts_and_lists(tmp_path, monkeypatch):
    """Laid out as omegaconf pickles it: nodes that hold their parent, their type and their content."""
    module = types.ModuleType("omegaconf.nodes")
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
    monkeypatch.setitem(sys.modules, "omegaconf.nodes", module)

    class Node:
        def __init__(self, content, parent=None):
            self._metadata, self._parent = {"ref_type": dict}, parent
            if isinstance(content, dict):
                self._content = {key: Node(value, self) for key, value in content.items()}
            elif isinstance(content, list):
                self._content = [Node(value, self) for value in content]
            else:
                self._val = content

    Node.__module__, Node.__qualname__ = "omegaconf.nodes", "Node"
    module.Node = Node
    tree = {"model": {"_name": "hubert", "layers": 12, "empty": None}, "list": [1, {"a": False}], "none": {}}
    path = saved({"cfg": Node(tree)}, tmp_path / "a.pt")
    monkeypatch.delitem(sys.modules, "omegaconf.nodes")
    assert read_torch(path) == {"cfg": tree}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
        max_leaves=20,
    )
)
def test_any_plain_value_survives(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.pt"
    for zipped in (True, False):
        same(read_torch(saved(value, path, zipped=zipped)), value)


def test_objects_with_slots_keep_their_own_values(fairseq, tmp_path):
    class Slotted:
        __slots__ = ("__dict__", "number")

    Slotted.__module__, Slotted.__qualname__ = "fairseq.data", "Slotted"
    fairseq.Slotted = Slotted
    held = [Slotted() for _ in range(20)]
    for number, each in enumerate(held):
        each.number, each.name = number, f"number {number}"
    found = read_torch(saved(held, tmp_path / "a.pt"))
    assert found == [{"name": f"number {number}", "number": number} for number in range(20)]
