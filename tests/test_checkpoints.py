"""Foreign checkpoints read as plain values, equal to what wrote them; hostile ones run nothing."""

import argparse
import bz2
import collections
import copy
import gzip
import io
import os
import pickle
import struct
import sys
import time
import tracemalloc
import types
import zipfile
import zlib
from contextlib import suppress
from enum import Enum
from pathlib import Path, PosixPath

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans, MiniBatchKMeans

from protophone.checkpoints import read_kmeans, read_torch
from protophone.errors import InputError
from protophone.quantizers import KMeansConfig

ways = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])


def saved(value, path, *, zipped=True):
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def same(ours, wanted):
    """Equal, to the last bit and type, through dicts, lists and tuples."""
    if isinstance(wanted, torch.Tensor):
        assert type(ours) is torch.Tensor
        assert ours.dtype == wanted.dtype
        assert torch.equal(ours, wanted.detach())
    elif isinstance(wanted, np.ndarray):
        assert ours.dtype == wanted.dtype
        np.testing.assert_array_equal(ours, wanted)
    elif isinstance(wanted, dict):
        assert type(ours) is dict
        assert list(ours) == list(wanted)
        for key, value in wanted.items():
            same(ours[key], value)
    elif isinstance(wanted, list | tuple):
        assert type(ours) is type(wanted)
        for one, other in zip(ours, wanted, strict=True):
            same(one, other)
    else:
        assert ours == wanted
        assert type(ours) is type(wanted)


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


@pytest.fixture(scope="module")
def clusters():
    frames = np.random.default_rng(0).standard_normal((400, 7))
    return {
        "mini-batch": MiniBatchKMeans(9, n_init=1, random_state=0).fit(frames.astype(np.float32)),
        "lloyd": KMeans(5, n_init=1, random_state=np.random.RandomState(3)).fit(frames),
        "fortran": MiniBatchKMeans(9, n_init=1, init=np.asfortranarray(frames[:9])).fit(frames),
    }


@pytest.mark.parametrize("name", ["mini-batch", "lloyd", "fortran"])
def test_kmeans_of_joblib_and_pickle(name, clusters, tmp_path):
    fitted, path = clusters[name], tmp_path / "km.bin"
    wanted = fitted.cluster_centers_.astype(np.float32)
    for compress in (0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)):
        for protocol in (2, 3, 4, 5):
            joblib.dump(fitted, path, compress=compress, protocol=protocol)
            np.testing.assert_array_equal(read_kmeans(path), wanted)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(fitted, protocol=protocol))
        np.testing.assert_array_equal(read_kmeans(path), wanted)


def test_kmeans_of_an_older_joblib(clusters, tmp_path):
    """Before 1.2 arrays were not aligned: their bytes follow the wrapper at once."""
    path = tmp_path / "km.bin"
    aligned = joblib.numpy_pickle.NumpyArrayWrapper.safe_get_numpy_array_alignment_bytes
    joblib.numpy_pickle.NumpyArrayWrapper.safe_get_numpy_array_alignment_bytes = lambda _: None
    try:
        kept = joblib.numpy_pickle.NumpyArrayWrapper.__init__

        def bare(self, *args, **options):
            kept(self, *args, **options)
            del self.numpy_array_alignment_bytes

        joblib.numpy_pickle.NumpyArrayWrapper.__init__ = bare
        joblib.dump(clusters["mini-batch"], path)
    finally:
        joblib.numpy_pickle.NumpyArrayWrapper.__init__ = kept
        joblib.numpy_pickle.NumpyArrayWrapper.safe_get_numpy_array_alignment_bytes = aligned
    np.testing.assert_array_equal(read_kmeans(path), clusters["mini-batch"].cluster_centers_)


def test_published_centroids_make_units(clusters, tmp_path):
    """What scikit-learn predicts is what the quantizer encodes."""
    fitted, path = clusters["mini-batch"], tmp_path / "km.bin"
    joblib.dump(fitted, path)
    np.save(tmp_path / "km.npy", fitted.cluster_centers_)
    frames = np.random.default_rng(1).standard_normal((300, 7)).astype(np.float32)
    for name in ("km.bin", "km.npy"):
        quantizer = KMeansConfig(num_units=9, centroids=str(tmp_path / name)).build(7)
        assert quantizer.take()
        np.testing.assert_array_equal(quantizer.encode(torch.from_numpy(frames)[None])[0, 0], fitted.predict(frames))
    assert not KMeansConfig(num_units=9).build(7).take()
    with pytest.raises(InputError, match=r"9 centroids of 7 numbers, where 8 units of features of 7 are wanted"):
        KMeansConfig(num_units=8, centroids=str(path)).build(7).take()
    with pytest.raises(InputError, match=r"where 9 units of features of 39 are wanted"):
        KMeansConfig(num_units=9, centroids=str(path)).build(39).take()


def test_what_is_no_kmeans_is_refused(clusters, tmp_path):
    def said(match, data):
        path = tmp_path / "km.bin"
        path.write_bytes(data)
        with pytest.raises(InputError, match=match) as caught:
            read_kmeans(path)
        assert str(path) in str(caught.value)

    whole = pickle.dumps(clusters["lloyd"])
    said("neither a pickle nor", b"hello")
    said("neither a pickle nor", b"")
    said("broken, or not a pickle", whole[: len(whole) // 2])
    said("no cluster_centers_ in it", pickle.dumps({"a": 1}))
    said("no cluster_centers_ in it", pickle.dumps(KMeans(3)))
    said("cannot be unpacked", b"\x1f\x8bnonsense")
    said("not a whole array", b"\x93NUMPY\x01")
    broken = {"cluster_centers_": np.full((2, 3), np.nan)}
    said(r"centroids are finite \[unit, dim\]", pickle.dumps(broken))
    said(r"centroids are finite \[unit, dim\]", pickle.dumps({"cluster_centers_": np.zeros(3)}))
    said("as large as 1e\\+300, which float32 cannot hold", pickle.dumps({"cluster_centers_": np.full((2, 3), 1e300)}))
    objects = io.BytesIO()
    np.save(objects, np.array([print], dtype=object), allow_pickle=True)
    said("not a whole array", objects.getvalue())
    with pytest.raises(InputError, match="cannot be read"):
        read_kmeans(tmp_path / "nowhere.bin")


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("protophone.checkpoints.clusters._LARGEST", 1 << 20)
    zeros = bytes(1 << 24)
    for name, data in (("gz", gzip.compress(zeros)), ("z", zlib.compress(zeros)), ("bz2", bz2.compress(zeros))):
        path = tmp_path / name
        path.write_bytes(data)
        assert path.stat().st_size < 50_000
        with pytest.raises(InputError, match="unpacks to more than"):
            read_kmeans(path)


# Hostile files: each would leave a mark if anything in it were run.


class Calls:
    """Pickled as a call of ``function`` with ``args``."""

    def __init__(self, function, *args):
        self.made = function, args

    def __reduce__(self):
        return self.made


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
OBJECT = b"cfairseq.data\nThing\n)\x81"
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
    _archive(path, [("archive/data.pkl", pickled)])
    if name != "what an array is wrapped in":  # of joblib: torch has no such function
        _refused(read_torch, path)
    path.write_bytes(pickled)
    _refused(read_kmeans, path)
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) * 2 + pickled * 2)
    _refused(read_torch, path)
    assert time.process_time() - begun < 2


def _refused(read, path):
    """In one short line that names the file."""
    with pytest.raises(InputError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    assert len(said) < 400 + len(str(path))


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


def test_parts_of_a_zip_do_not_overlap(tmp_path):
    """A thousand tensors of the same bytes: each would be copied where these are not aligned."""
    path = _archive(tmp_path / "a.pt", [("archive/data.pkl", _tensor_pickle()), ("archive/data/0", bytes(10_000))])
    with zipfile.ZipFile(path, "a") as archive:
        held = archive.getinfo("archive/data/0")
        for key in range(1, 1000):
            other = copy.copy(held)
            other.filename = f"archive/data/{key}"
            archive.filelist.append(other)
        archive._didModify = True
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="overlap"):
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
    _refused(read_kmeans, path)
    _archive(path, [("archive/data.pkl", path.read_bytes())])
    _refused(read_torch, path)


def test_a_state_that_is_a_tensor(tmp_path):
    pickled = b"\x80\x02" + OBJECT + _tensor_pickle()[2:-1] + b"b."
    path = _archive(tmp_path / "a.pt", [("archive/data.pkl", pickled), ("archive/data/0", bytes(16))])
    with pytest.raises(InputError, match="an object whose state is a Tensor"):
        read_torch(path)
    _refused(read_torch, path)


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


@pytest.mark.parametrize("listed", [[[1]], 5, [5], ["1"], {"0": 1}, None], ids=str)
def test_an_older_file_must_list_its_tensors(listed, tmp_path):
    path = tmp_path / "a.pt"
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    path.write_bytes(head + _tensor_pickle() + pickle.dumps(listed, 2) + struct.pack("<Q4f", 4, 1, 2, 3, 4))
    with pytest.raises(InputError, match="does not list the tensors it holds"):
        read_torch(path)
    path.write_bytes(head + _tensor_pickle() + pickle.dumps(["0"], 2) + struct.pack("<Q4f", 4, 1, 2, 3, 4))
    assert read_torch(path).tolist() == [1, 2, 3, 4]
    path.write_bytes(head + _tensor_pickle() + pickle.dumps(["0"], 2) + b"\xff" * 24)
    with pytest.raises(InputError, match="cut short"):
        read_torch(path)


def test_an_older_file_that_begins_with_an_array(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps(np.zeros(3), 2) * 5)
    with pytest.raises(InputError, match="a pickle, but not a checkpoint"):
        read_torch(path)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000, 10), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1" + "0" * 40 + ", 10), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 10), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 10), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }",
        "{[]: 1}",
        "{1: 1, 'a': 2}",
        "(" * 60,
        "(" * 5000,
        "-" * 9000 + "1",
        " 1\n  2\n 3",
        "x" * 20_000,
    ],
    ids=lambda header: header[:80],
)
def test_an_npy_file_with_a_header_that_lies(header, tmp_path):
    path = tmp_path / "a.npy"
    raw = header.encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + bytes(64))
    tracemalloc.start()
    with pytest.raises(InputError, match="not a whole array of numbers"):
        read_kmeans(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    _refused(read_kmeans, path)


def _archive(path, entries, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def _tensor_pickle(*, key="0", count=4, offset=0, size=(4,), stride=(1,), kind="FloatStorage", function="_v2"):
    """A pickle of one tensor, as ``torch.save`` writes it, with numbers of our own."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, Storage):
                return ("storage", getattr(torch, kind), key, "cpu", count)
            return None

    rebuild = getattr(torch._utils, f"_rebuild_tensor{function}")
    made = io.BytesIO()
    Pickler(made, 2).dump(Calls(rebuild, Storage(), offset, size, stride, False, collections.OrderedDict()))
    return made.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"size": (5,)},
        {"size": (4,), "offset": 1},
        {"size": (2,), "stride": (4,)},
        {"size": (1 << 40,), "stride": (0,)},
        {"size": (1 << 40, 1 << 40), "stride": (0, 0)},
        {"size": (-1,)},
        {"size": (2,), "stride": (-1,)},
        {"offset": -1},
        {"offset": 1 << 70},
        {"size": (2.0,)},
        {"size": (2, 2)},
        {"count": 5},
        {"count": 1 << 60},
        {"count": -4},
        {"kind": "DoubleStorage"},
        {"key": "1"},
        {"key": "../../../etc/passwd"},
    ],
    ids=str,
)
def test_a_tensor_must_lie_in_its_memory(change, tmp_path):
    data = np.arange(4, dtype="<f4").tobytes()
    path = tmp_path / "a.pt"
    _archive(path, [("archive/data.pkl", _tensor_pickle()), ("archive/data/0", data)])
    assert read_torch(path).tolist() == [0, 1, 2, 3]
    _archive(path, [("archive/data.pkl", _tensor_pickle(**change)), ("archive/data/0", data)])
    with pytest.raises(InputError):
        read_torch(path)


def test_zips_that_are_none_of_torchs(tmp_path):
    path, pickled = tmp_path / "a.pt", _tensor_pickle()
    data = np.arange(4, dtype="<f4").tobytes()
    whole = [("archive/data.pkl", pickled), ("archive/data/0", data)]

    def said(match):
        with pytest.raises(InputError, match=match) as caught:
            read_torch(path)
        assert str(path) in str(caught.value)

    _archive(path, whole, compression=zipfile.ZIP_DEFLATED)
    said("compressed or cut short")
    _archive(path, whole[:1])
    said(r"the bytes of a tensor \('0'\) are missing")
    _archive(path, whole[1:])
    said("none of torch.save's with one data.pkl")
    _archive(path, [*whole, ("other/data.pkl", pickled)])
    said("none of torch.save's with one data.pkl")
    with pytest.warns(UserWarning, match="Duplicate name"):
        _archive(path, [*whole, ("archive/data/0", bytes(16))])
    said("none of torch.save's with one data.pkl")
    _archive(path, [*whole, ("archive/constants.pkl", pickled)])
    said("none of torch.save's with one data.pkl")
    _archive(path, [*whole, ("archive/byteorder", b"big")])
    said("big-endian")
    _archive(path, whole)
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    said("a broken zip")
    entry = good.index(b"PK\x01\x02", good.index(b"PK\x01\x02") + 4)  # of the second file, in the directory at the end
    for at, value in ((20, 1 << 30), (24, 1 << 30), (42, 1 << 20), (42, 3)):  # sizes, packed and not; where it lies
        path.write_bytes(good[: entry + at] + struct.pack("<I", value) + good[entry + at + 4 :])
        said("compressed or cut short|broken zip")


def test_files_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "a.pt"
    for data, match in ((b"", "cannot be read"), (b"hello", "not a checkpoint that torch.save wrote")):
        path.write_bytes(data)
        with pytest.raises(InputError, match=match):
            read_torch(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="a pickle, but not a checkpoint"):
        read_torch(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_torch(tmp_path / "nowhere.pt")
    with pytest.raises(InputError, match="cannot be read"):
        read_torch(tmp_path)


@ways
def test_a_file_cut_anywhere_is_refused(zipped, tmp_path):
    path = saved({"a": torch.arange(20.0), "b": [1, 2, {"c": "text"}]}, tmp_path / "a.pt", zipped=zipped)
    whole = path.read_bytes()
    for end in range(1, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError):
            read_torch(path)


@given(data=st.data())
@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_file_is_read_or_refused(zipped, data, tmp_path_factory):
    """Whatever a byte becomes: a value or an ``InputError``, and nothing else."""
    path = tmp_path_factory.getbasetemp() / "damaged.pt"
    saved({"a": torch.arange(3.0), "b": [1, {"c": "text"}], "d": np.arange(3)}, path, zipped=zipped)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    with suppress(InputError):
        read_torch(path)
