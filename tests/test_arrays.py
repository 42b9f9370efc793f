"""Feature files of other tools: what comes back, and that nothing in them is run."""

import io
import json
import os
import pickle
import zipfile
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from protophone.errors import InputError
from protophone.formats.arrays import frame_rate_of, read_arrays

FRAMES = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
SYMBOLS = np.array([3, 1, 4, 1, 5])


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".pt":
        torch.save(torch.from_numpy(array), path)
    elif path.suffix == ".safetensors":
        save_file({"features": array}, path)
    else:
        path.write_text("".join(" ".join(map(repr, row.tolist())) + "\n" for row in array.astype(np.float64)))


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


# --- what comes back


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".safetensors", ".txt"])
def test_a_folder_is_read_by_the_files_names(tmp_path, suffix):
    write(tmp_path / f"b{suffix}", FRAMES)
    write(tmp_path / "a" / f"x.y{suffix}", FRAMES[:2])
    (tmp_path / "notes.md").write_text("not features")
    (tmp_path / ".writing-1.npy").write_bytes(b"half written")
    arrays = read_arrays(tmp_path)
    assert list(arrays) == ["a/x.y", "b"]
    assert len(arrays) == 2
    assert "b" in arrays
    np.testing.assert_array_equal(arrays["b"], FRAMES)
    np.testing.assert_array_equal(arrays["a/x.y"], FRAMES[:2])
    assert arrays["b"].dtype == np.float32
    with pytest.raises(KeyError):
        arrays["c"]


@pytest.mark.parametrize("inside_folder", [False, True])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_an_archive_is_read_by_the_arrays_names(tmp_path, suffix, inside_folder):
    path = tmp_path / f"all{suffix}"
    content = {"b": FRAMES, "a/x.y": SYMBOLS}
    save_file(content, path) if suffix == ".safetensors" else np.savez(path, **content)
    arrays = read_arrays(tmp_path if inside_folder else path)
    assert list(arrays) == ["a/x.y", "b"]
    np.testing.assert_array_equal(arrays["b"], FRAMES)
    assert arrays["a/x.y"].tolist() == SYMBOLS.tolist()
    with pytest.raises(KeyError):
        arrays["c"]


def test_one_array_in_a_file_is_a_recording_by_whichever_name_it_was_given(tmp_path):
    write(tmp_path / "tape.safetensors", FRAMES)
    assert list(read_arrays(tmp_path)) == ["tape"]
    assert list(read_arrays(tmp_path / "tape.safetensors")) == ["features"]


def test_files_are_read_only_when_asked_for(tmp_path):
    write(tmp_path / "a.npy", FRAMES)
    (tmp_path / "b.npy").write_bytes(b"broken")
    arrays = read_arrays(tmp_path)
    assert arrays["a"].shape == (7, 3)
    with pytest.raises(InputError, match=r"b\.npy: not a \.npy file of numbers"):
        arrays["b"]


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".safetensors"])
@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int8, np.int32, np.uint8, np.uint16, np.int64])
def test_numbers_become_float32_or_int64(tmp_path, suffix, kind):
    array = np.array([[0, 1], [2, 100]], kind)
    write(tmp_path / f"a{suffix}", array)
    found = read_arrays(tmp_path)["a"]
    assert found.dtype == (np.float32 if np.issubdtype(kind, np.floating) else np.int64)
    assert found.tolist() == [[0, 1], [2, 100]]
    assert found.flags.writeable


def test_bfloat16_and_tensors_with_gradients_are_numbers_too(tmp_path):
    tensor = torch.tensor([[0.5, -2.0]], dtype=torch.bfloat16)
    torch.save(tensor, tmp_path / "a.pt")
    torch.save(torch.nn.Parameter(torch.ones(2, 2)), tmp_path / "b.pt")
    arrays = read_arrays(tmp_path)
    assert arrays["a"].tolist() == [[0.5, -2.0]]
    assert arrays["b"].tolist() == [[1, 1], [1, 1]]
    save_tensors({"x": tensor}, tmp_path / "c.safetensors")
    assert read_arrays(tmp_path / "c.safetensors")["x"].tolist() == [[0.5, -2.0]]


def test_arrays_of_other_orders_come_back_in_ours(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(FRAMES).astype(">f4"))
    found = read_arrays(tmp_path)["a"]
    np.testing.assert_array_equal(found, FRAMES)
    assert found.dtype.isnative


def test_no_frames_are_no_fault_of_the_reader(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES[:0])
    assert read_arrays(tmp_path)["a"].shape == (0, 3)


# --- nothing is run


def test_hostile_pickles_are_refused_unrun(tmp_path):
    proof = tmp_path / "ran"
    bomb = Bomb(proof)
    folder = tmp_path / "npy"
    folder.mkdir()
    np.save(folder / "object.npy", np.array([bomb], dtype=object), allow_pickle=True)
    (folder / "bare.npy").write_bytes(pickle.dumps(bomb, protocol=2))
    tensors = tmp_path / "pt"
    tensors.mkdir()
    torch.save(bomb, tensors / "zip.pt")
    torch.save({"features": torch.ones(2), "bomb": bomb}, tensors / "dict.pt")
    torch.save(bomb, tensors / "old.pt", _use_new_zipfile_serialization=False)
    (tensors / "bare.pt").write_bytes(pickle.dumps(bomb, protocol=2))
    np.savez(tmp_path / "a.npz", x=np.array([bomb], dtype=object))
    for path in (folder, tensors, tmp_path / "a.npz"):
        arrays = read_arrays(path)
        assert len(arrays)
        for name in arrays:
            with pytest.raises(InputError) as caught:
                arrays[name]
            assert "\n" not in str(caught.value)
            assert str(path) in str(caught.value)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(bomb, protocol=2))
    with pytest.raises(InputError, match=r"not an \.npz file"):
        read_arrays(tmp_path / "b.npz")
    assert not proof.exists()
    pickle.loads((tensors / "bare.pt").read_bytes())  # noqa: S301 - written above
    assert proof.exists(), "the bomb is a dud: this test shows nothing"


def test_headers_that_promise_more_than_there_is_are_refused(tmp_path):
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(made, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 1000)})
    (tmp_path / "a.npy").write_bytes(made.getvalue())
    with pytest.raises(InputError, match="not a .npy file of numbers"):
        read_arrays(tmp_path)["a"]
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", made.getvalue())
    with pytest.raises(InputError, match="'x' is no array of numbers"):
        read_arrays(tmp_path / "a.npz")["x"]


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".safetensors"])
def test_files_cut_short_are_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write(path, FRAMES)
    whole = path.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"a\{suffix}: .*; ") as caught:
            read_arrays(tmp_path)["a"]
        assert "\n" not in str(caught.value)


# --- what is refused


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array(3.0), "a single number"),
        (np.ones(3, np.complex64), "complex64 values"),
        (np.ones(3, bool), "bool values"),
        (np.array(["a", "b"]), "<U1 values"),
        (np.array(["2020-01-01"], "datetime64[D]"), "datetime64"),
        (np.array([1e300]), "too large for float32"),
        (np.array([2**63], np.uint64), "too large for int64"),
        (np.zeros(2, [("a", "f4")]), "values; write real or whole numbers"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=words) as caught:
        read_arrays(tmp_path)["a"]
    assert "a.npy" in str(caught.value)
    np.savez(tmp_path / "b.npz", x=array)
    with pytest.raises(InputError, match=words):
        read_arrays(tmp_path / "b.npz")["x"]


def test_what_is_finite_stays_so_and_what_is_not_is_left_to_the_metric(tmp_path):
    np.save(tmp_path / "a.npy", np.array([np.inf, np.nan, 1.0]))
    assert np.isfinite(read_arrays(tmp_path)["a"]).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"features": torch.ones(2)}, "holds a dict"),
        ([torch.ones(2)], "holds a list"),
        (torch.ones(2, 2).to_sparse(), "Sparse"),
        (torch.ones(2, device="meta"), "values of its own"),
    ],
)
def test_a_pt_file_holds_one_dense_tensor(tmp_path, content, words):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(InputError, match=words):
        read_arrays(tmp_path)["a"]


def test_folders_hold_one_kind(tmp_path):
    with pytest.raises(InputError, match="not there"):
        read_arrays(tmp_path / "absent")
    with pytest.raises(InputError, match="no .* file in it"):
        read_arrays(tmp_path)
    write(tmp_path / "a.npy", FRAMES)
    write(tmp_path / "a.txt", FRAMES)
    with pytest.raises(InputError, match=r"several kinds \(a.npy and a.txt\)"):
        read_arrays(tmp_path)
    with pytest.raises(InputError, match="not one of .npz, .safetensors"):
        read_arrays(tmp_path / "a.npy")


def test_archives_are_not_mistaken_for_recordings(tmp_path):
    for name in ("a", "b"):
        save_file({"x": FRAMES, "y": FRAMES}, tmp_path / f"{name}.safetensors")
    arrays = read_arrays(tmp_path)
    with pytest.raises(InputError, match="2 arrays in it"):
        arrays["a"]
    other = tmp_path / "npz"
    other.mkdir()
    np.savez(other / "a.npz", x=FRAMES)
    np.savez(other / "b.npz", x=FRAMES)
    with pytest.raises(InputError, match="2 .npz files"):
        read_arrays(other)
    with pytest.raises(InputError, match="no arrays in it"):
        np.savez(tmp_path / "empty.npz")
        read_arrays(tmp_path / "empty.npz")
    write(tmp_path / "npy.npy", FRAMES)
    (tmp_path / "npy.npy").rename(tmp_path / "npy.npz")
    with pytest.raises(InputError, match="a single array"):
        read_arrays(tmp_path / "npy.npz")
    third = tmp_path / "zip"
    third.mkdir()
    (third / "a.npy").write_bytes((other / "a.npz").read_bytes())
    with pytest.raises(InputError, match="an archive where an array is due"):
        read_arrays(third)["a"]


# --- where frames lie


def test_the_grid_beside_says_the_frame_rate(tmp_path):
    write(tmp_path / "a.npy", FRAMES)
    assert frame_rate_of(tmp_path) is None
    (tmp_path / "grid.json").write_text(json.dumps({"sample_rate": 22050, "hop": 256, "offset": 0}))
    assert frame_rate_of(tmp_path) == frame_rate_of(tmp_path / "a.npy") == Fraction(22050, 256)


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"sample_rate": 16000.0, "hop": 1}', '{"sample_rate": 1, "hop": 0}', "x"]
)
def test_a_broken_grid_is_refused(tmp_path, content):
    (tmp_path / "grid.json").write_text(content)
    with pytest.raises(InputError, match=r"grid\.json"):
        frame_rate_of(tmp_path)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_flipped_bytes_are_read_or_refused_in_one_line(tmp_path, suffix, recwarn):
    """Among them headers that numpy's parser stumbles over, which raise whatever Python's tokenizer does."""
    rng = np.random.default_rng(0)
    held = io.BytesIO()
    np.save(held, FRAMES) if suffix == ".npy" else np.savez(held, a=FRAMES)
    path = tmp_path / f"a{suffix}"
    faults = 0
    for number in range(400):
        content = bytearray(held.getvalue())
        for _ in range(1 + number % 3):
            content[rng.integers(90 if number % 2 else len(content))] = rng.integers(256)
        path.write_bytes(content)
        try:
            found = read_arrays(tmp_path)
            [found[name] for name in found]
        except InputError as error:
            fault = str(error)
            faults += 1
        else:
            continue
        assert fault.startswith(str(path))
        assert "\n" not in fault
    assert faults > 100
    assert not [warning for warning in recwarn if not issubclass(warning.category, ResourceWarning)]
