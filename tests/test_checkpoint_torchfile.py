"""Files of torch, whole, damaged and made to lie: read as they are or refused in one line."""

import copy
import pickle
import struct
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protophone.checkpoints import read_torch
from protophone.errors import InputError
from tests.pickles import archived, saved, tensor_pickle, ways


def test_parts_of_a_zip_do_not_overlap(tmp_path):
    """A thousand tensors of the same bytes: each would be copied where these are not aligned."""
    path = archived(tmp_path / "a.pt", [("archive/data.pkl", tensor_pickle()), ("archive/data/0", bytes(10_000))])
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


@pytest.mark.parametrize("listed", [[[1]], 5, [5], ["1"], {"0": 1}, None], ids=str)
def test_an_older_file_must_list_its_tensors(listed, tmp_path):
    path = tmp_path / "a.pt"
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    path.write_bytes(head + tensor_pickle() + pickle.dumps(listed, 2) + struct.pack("<Q4f", 4, 1, 2, 3, 4))
    with pytest.raises(InputError, match="does not list the tensors it holds"):
        read_torch(path)
    path.write_bytes(head + tensor_pickle() + pickle.dumps(["0"], 2) + struct.pack("<Q4f", 4, 1, 2, 3, 4))
    assert read_torch(path).tolist() == [1, 2, 3, 4]
    path.write_bytes(head + tensor_pickle() + pickle.dumps(["0"], 2) + b"\xff" * 24)
    with pytest.raises(InputError, match="cut short"):
        read_torch(path)


def test_an_older_file_that_begins_with_an_array(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps(np.zeros(3), 2) * 5)
    with pytest.raises(InputError, match="a pickle, but not a checkpoint"):
        read_torch(path)


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
    archived(path, [("archive/data.pkl", tensor_pickle()), ("archive/data/0", data)])
    assert read_torch(path).tolist() == [0, 1, 2, 3]
    archived(path, [("archive/data.pkl", tensor_pickle(**change)), ("archive/data/0", data)])
    with pytest.raises(InputError):
        read_torch(path)


def test_zips_that_are_none_of_torchs(tmp_path):
    path, pickled = tmp_path / "a.pt", tensor_pickle()
    data = np.arange(4, dtype="<f4").tobytes()
    whole = [("archive/data.pkl", pickled), ("archive/data/0", data)]

    def said(match):
        with pytest.raises(InputError, match=match) as caught:
            read_torch(path)
        assert str(path) in str(caught.value)

    archived(path, whole, compression=zipfile.ZIP_DEFLATED)
    said("compressed or cut short")
    archived(path, whole[:1])
    said(r"the bytes of a tensor \('0'\) are missing")
    archived(path, whole[1:])
    said("none of torch.save's with one data.pkl")
    archived(path, [*whole, ("other/data.pkl", pickled)])
    said("none of torch.save's with one data.pkl")
    with pytest.warns(UserWarning, match="Duplicate name"):
        archived(path, [*whole, ("archive/data/0", bytes(16))])
    said("none of torch.save's with one data.pkl")
    archived(path, [*whole, ("archive/constants.pkl", pickled)])
    said("none of torch.save's with one data.pkl")
    archived(path, [*whole, ("archive/byteorder", b"big")])
    said("big-endian")
    archived(path, whole)
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
