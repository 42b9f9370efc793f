"""Hostile pickles: nothing in them is run, and none takes for ever."""

import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from protophone.checkpoints import read_kmeans, read_torch
from protophone.errors import InputError
from tests.pickles import OBJECT, Calls, archived, refused, saved, tensor_pickle, ways


class SetsState:
    """Pickled as a class and a state, whose ``__setstate__`` must not be called."""

    def __setstate__(self, state):
        Path(state["mark"]).mkdir()

    def __getstate__(self):
        return {"mark": MARK[0]}


class Reduces:
    """Pickled as an object of a class with arguments, which pickle would make by calling the class."""

    def __new__(cls, mark=None):
        if mark is not None:
            Path(mark).mkdir()
        return super().__new__(cls)

    def __getnewargs__(self):
        return (MARK[0],)


MARK = [""]


@pytest.fixture
def mark(tmp_path):
    MARK[0] = str(tmp_path / "mark")
    yield MARK[0]
    assert not Path(MARK[0]).exists()


def _hostile(mark):
    code = f"__import__('os').mkdir({mark!r})"
    return {
        "os.system": Calls(os.system, f"mkdir {mark}"),
        "os.mkdir": Calls(os.mkdir, mark),
        "eval": Calls(eval, code),
        "exec": Calls(exec, code),
        "nested": {"cluster_centers_": [Calls(os.mkdir, mark)]},
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "partial": Calls(__import__("functools").partial(os.mkdir, mark)),
        "numpy": Calls(np.load, mark),
        "torch": Calls(torch.load, mark),
        "map": Calls(map, os.mkdir, [mark]),
    }


@pytest.mark.parametrize("name", list(_hostile("x")))
@ways
def test_nothing_a_checkpoint_calls_is_run(name, zipped, mark, tmp_path):
    hostile = _hostile(mark)[name]
    path = saved({"model": torch.zeros(2), "x": hostile}, tmp_path / "a.pt", zipped=zipped)
    with pytest.raises(InputError, match=r"calls .*nothing of it was run"):
        read_torch(path)
    path.write_bytes(pickle.dumps(hostile))
    with pytest.raises(InputError, match=r"calls .*nothing of it was run"):
        read_kmeans(path)
    joblib.dump({"cluster_centers_": np.zeros((2, 2)), "x": hostile}, path, compress=3)
    with pytest.raises(InputError, match=r"calls .*nothing of it was run"):
        read_kmeans(path)


@ways
def test_no_state_is_set_and_no_object_made(zipped, mark, tmp_path):
    path = saved({"a": SetsState(), "b": Reduces.__new__(Reduces), "c": 5}, tmp_path / "a.pt", zipped=zipped)
    found = read_torch(path)
    assert found["a"] == {"mark": mark}
    assert found["c"] == 5


def _frame(*parts):
    return b"\x80\x04" + b"".join(parts) + b"."


def _text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


RAW = {  # instructions no pickler writes
    "a name alone, called": _frame(b"cos\nsystem\n", _text("true"), b"\x85R"),
    "an instance of a function": _frame(b"(", _text("true"), b"ios\nsystem\n"),
    "an object of a function": _frame(b"(cos\nsystem\n", _text("true"), b"o"),
    "a new object of a function": _frame(b"cos\nsystem\n", _text("true"), b"\x85\x81"),
    "a state for a function": _frame(b"cos\nsystem\n}", _text("__setstate__"), b"cos\nsystem\nsb"),
    "a state for a list": _frame(b"]}b"),
    "a call of a text": _frame(_text("system"), b")R"),
    "an extension": _frame(b"\x82\x01"),
    "an unknown instruction": _frame(b"\xff"),
    "a persistent id of a list": _frame(b"]Q"),
    "a persistent id within one": _frame(b"(", _text("storage"), _text("a"), b"QtQ"),
    "a memory that was never made": _frame(b"h\x07"),
    "a far place in memory": _frame(b"]r\xff\xff\xff\x7fj\xff\xff\xff\x7f0"),
    "a text of four gigabytes": _frame(b"X\xff\xff\xff\xffabc"),
    "a text of a million terabytes": _frame(b"\x8d" + b"\xff" * 7 + b"\x0f"),
    "bytes of a million terabytes": _frame(b"\x8e" + b"\xff" * 7 + b"\x0f"),
    "a number of four gigabytes": _frame(b"\x8b\xff\xff\xff\x7f1"),
    "a buffer from elsewhere": _frame(b"\x97"),
    "an empty stack": _frame(b"0"),
    "a mark too few": _frame(b"t"),
    "a list in itself": _frame(b"]\x94h\x00a"),
    "a table in itself": _frame(b"}\x94", _text("a"), b"h\x00s"),
    "a hundred thousand lists in lists": _frame(b"]" * 100_000 + b"a" * 99_999),
    "a key of tuples in tuples": _frame(b"})" + b"\x85" * 100_000 + b"Ns"),
    "a set of lists": _frame(b"\x8f(]\x90"),
    "a table of an odd number": _frame(b"(N", b"d"),
    "nothing": b"\x80\x04",
}


@pytest.mark.parametrize("name", list(RAW))
def test_instructions_no_pickler_writes(name, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(RAW[name])
    with pytest.raises(InputError):
        read_kmeans(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", RAW[name])
    harmless = {"an instance of a function", "an object of a function", "a new object of a function"}
    if name in harmless | {"a far place in memory"}:
        read_torch(path)  # a stand-in that nothing was done with
    else:
        with pytest.raises(InputError):
            read_torch(path)


def test_shared_parts_are_turned_once(tmp_path):
    """A list of two of a list of two, and so on, twenty deep: a million when written out."""
    value = [1]
    for _ in range(20):
        value = [value, value]
    found = read_torch(saved({"a": value}, tmp_path / "a.pt"))["a"]
    assert found[0] is found[1]


# Values that take for ever to print, hash, compare or copy: sixty doublings are a million million million parts.


def _doubled(times, *, ends=b"]", opens=b"(", closes=b"l"):
    """Instructions for a list of twice a list of twice ... (or tuples), each made once and referred to twice."""
    return ends + b"".join(b"q\x01" + b"0" + opens + b"h\x01h\x01" + closes for _ in range(times))


LISTS = _doubled(60)


TUPLES = _doubled(60, ends=b")", opens=b"", closes=b"\x86")


STATED = b"cnumpy\ndtype\n"


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"


WRAPPER = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81"


ARRAY = pickle.dumps(np.zeros(3), protocol=2)[2:-1]


ENDLESS = {
    "a list": LISTS,
    "a tuple": TUPLES,
    "a table": b"}N" + LISTS + b"s",
    "a state": OBJECT + LISTS + b"b",
    "a device": b"ctorch\ndevice\n" + LISTS + b"\x85R",
    "the number of a device": b"ctorch\ndevice\n" + _text("cuda") + LISTS + b"\x86R",
    "a size": b"ctorch\nSize\n" + LISTS + b"\x85R",
    "encoded": b"c_codecs\nencode\n" + LISTS + b"\x85R",
    "an encoding": b"c_codecs\nencode\n" + _text("a") + TUPLES + b"\x86R",
    "a key": b"}" + OBJECT + LISTS + b"bNs",
    "a key that is a tuple": b"}" + TUPLES + b"Ns",
    "a set": b"cbuiltins\nset\n" + TUPLES + b"\x85R",
    "a table of pairs": b"ccollections\nOrderedDict\n" + LISTS + b"\x85R",
    "a complex number": b"cbuiltins\ncomplex\n" + LISTS + b"N\x86R",
    "a name": TUPLES + _text("x") + b"\x93",
    "a kind of number": b"cnumpy.core.multiarray\nscalar\n" + STATED + LISTS + b"\x85R" + _text("a") + b"\x86R",
    "a kind that is an object": b"cnumpy.core.multiarray\nscalar\n"
    + (STATED + OBJECT + LISTS + b"b\x85R" + _text("a") + b"\x86R"),
    "the class of an array": RECONSTRUCT + LISTS + b"\x85R" + b"(NNNNNtb",
    "the shape of an array": b"cnumpy.core.numeric\n_frombuffer\n("
    + (_text("a") + STATED + _text("f4") + b"\x85R" + LISTS + _text("C") + b"tR"),
    "what an array is wrapped in": WRAPPER + b"}" + _text("dtype") + STATED + LISTS + b"\x85Rs" + b"b",
}


@pytest.mark.parametrize("name", list(ENDLESS))
def test_what_would_take_for_ever_is_refused_at_once(name, tmp_path, monkeypatch):
    monkeypatch.setattr("protophone.checkpoints.foreign._DEEPEST", 50_000)  # so that it is not refused for its depth
    pickled = b"\x80\x02" + ENDLESS[name] + b"."
    assert len(pickled) < 800
    path = tmp_path / "a.pt"
    begun = time.process_time()
    archived(path, [("archive/data.pkl", pickled)])
    if name != "what an array is wrapped in":  # of joblib: torch has no such function
        refused(read_torch, path)
    path.write_bytes(pickled)
    refused(read_kmeans, path)
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) * 2 + pickled * 2)
    refused(read_torch, path)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (b"c_codecs\nencode\n", _text("x" * 20_000)),
        (b"cbuiltins\nset\n", b"](" + b"K\x01" * 20_000 + b"e"),
        (b"ccollections\nOrderedDict\n", b"](" + b"K\x01K\x02\x86" * 10_000 + b"e"),
    ],
    ids=["a text", "a list", "pairs"],
)
def test_the_same_is_not_copied_over_and_over(function, part, tmp_path):
    """A part of 20,000 letters or numbers, copied 10,000 times by a file of 100 kB."""
    path = tmp_path / "a.bin"
    begun = time.process_time()
    path.write_bytes(b"\x80\x02" + part + b"q\x01](" + function + b"q\x02" + b"h\x02h\x01\x85R" * 10_000 + b"e.")
    with pytest.raises(InputError, match="copies the same parts over and over"):
        read_kmeans(path)
    assert time.process_time() - begun < 5


def test_lists_deep_by_reference_are_refused(tmp_path):
    """Each is only fifty deep, but ends in the one before, which was turned already."""
    value, held = [], []
    for _ in range(10):
        for _ in range(50):
            value = [value]
        held.append(value)
    path = saved(held, tmp_path / "a.pt")
    with pytest.raises(InputError, match="nests them more than 100 deep"):
        read_torch(path)


# Parts of a kind that no saver writes there.


@pytest.mark.parametrize(
    ("state", "match"),
    [
        (ARRAY, "an object whose state is a ndarray"),
        (b"](K\x01e}\x86", "an object whose attributes are a list"),
        (ARRAY + b"}\x86", "an object whose attributes are a ndarray"),
    ],
    ids=["array", "slots of a list", "slots of an array"],
)
def test_a_state_that_is_no_table(state, match, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x80\x02" + OBJECT + state + b"b.")
    with pytest.raises(InputError, match=match):
        read_kmeans(path)
    refused(read_kmeans, path)
    archived(path, [("archive/data.pkl", path.read_bytes())])
    refused(read_torch, path)


def test_a_state_that_is_a_tensor(tmp_path):
    pickled = b"\x80\x02" + OBJECT + tensor_pickle()[2:-1] + b"b."
    path = archived(tmp_path / "a.pt", [("archive/data.pkl", pickled), ("archive/data/0", bytes(16))])
    with pytest.raises(InputError, match="an object whose state is a Tensor"):
        read_torch(path)
    refused(read_torch, path)
