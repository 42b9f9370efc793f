"""Feature files other tools write, read as arrays by recording: nothing in them is ever executed.

* a folder of ``.npy``, ``.pt`` (one tensor and nothing else), ``.safetensors`` (one array) or ``.txt`` (ZeroSpeech's,
  one vector a line): a file a recording, whose id is its path below the folder without the suffix;
* an ``.npz`` or ``.safetensors`` file, or a folder with one such file alone: an array a recording, its name the id.

Numbers with a fraction come as float32, whole ones (symbols) as int64. Where frames lie is not in such files; a
``grid.json`` beside them, as our own features have one, says it.
"""

import pickle
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open

from protophone.errors import InputError
from protophone.files import check_regular, read_json
from protophone.formats.zerospeech import read_zerospeech

if TYPE_CHECKING:
    import torch

__all__ = ["Arrays", "frame_rate_of", "read_arrays", "read_npy"]

_SINGLE = (".npy", ".pt", ".safetensors", ".txt")  # an array a file
_MANY = (".npz", ".safetensors")  # an array a recording, in one file
_GRID = "grid.json"
_LARGEST = 10_000_000  # samples a second, and from one frame to the next
_FAULTS = (  # what numpy and the libraries below it raise for broken and hostile files
    *(OSError, ValueError, TypeError, EOFError, OverflowError, MemoryError, SyntaxError, KeyError, RuntimeError),
    *(pickle.UnpicklingError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of a folder or file by recording id, in the order of ids; each is read when asked for.

    Float32 or int64, at least one axis; of ``.txt`` ``[frame, dim]``. ``InputError``, when asked for, for files that
    are broken, hold something else than one array of numbers, or want code to be run.
    """

    def __init__(self, path: Path) -> None:
        files = [path] if path.is_file() else _files(path)
        self._archive: Mapping[str, np.ndarray] | None = None
        if path.is_file() and path.suffix not in _MANY:
            raise InputError(f"{path}: not one of {', '.join(_MANY)}; give one, or the folder the file lies in")
        if path.is_file() or (len(files) == 1 and files[0].suffix in _MANY):
            archive = _Npz(files[0]) if files[0].suffix == ".npz" else _Safetensors(files[0])
            if path.is_file() or len(archive) > 1 or files[0].suffix == ".npz":
                self._archive = archive
        if self._archive is not None:
            if not len(self._archive):
                raise InputError(f"{files[0]}: no arrays in it; write one for each recording")
            self._files = dict.fromkeys(sorted(self._archive), files[0])
        else:
            named = [(file.relative_to(path).with_suffix("").as_posix(), file) for file in files]
            self._files = dict(sorted(named))

    def __getitem__(self, recording: str) -> np.ndarray:
        file = self._files[recording]
        check_regular(file)
        if self._archive is not None:
            return _numbers(self._archive[recording], f"{file}: {recording!r}")
        return _numbers(_READERS[file.suffix](file), str(file))

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def read_arrays(path: str | Path) -> Arrays:
    """The arrays in ``path``, a folder or an archive, by recording id: float32, or int64 where they are symbols.

    ``InputError`` for what is not there, a folder without such files or with several kinds of them (and so, with two
    files for one recording), and, when an array is asked for, for what is no array of numbers.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: not there; give a folder of feature files, or an .npz or .safetensors file")
    return Arrays(path)


def frame_rate_of(path: str | Path) -> Fraction | None:
    """Frames a second by the ``grid.json`` in a folder, or beside a file; None where there is none.

    ``InputError`` for a ``grid.json`` that is not one.
    """
    path = Path(path)
    file = (path if path.is_dir() else path.parent) / _GRID
    if not file.exists():
        return None
    content = read_json(file)
    try:
        values = [content[key] for key in ("sample_rate", "hop")]
        if any(type(value) is not int or not 1 <= value <= _LARGEST for value in values):
            raise TypeError(f"they must be whole numbers from 1 to {_LARGEST}")  # noqa: TRY301 (one message for every fault)
        return Fraction(*values)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: needs sample_rate and hop ({error}); write it again or remove it") from None


def _files(folder: Path) -> list[Path]:
    """The feature files in ``folder``, all of one kind."""
    kinds: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix in {*_SINGLE, *_MANY} and not file.is_dir() and not file.name.startswith("."):
            kinds.setdefault(file.suffix, []).append(file)
    if not kinds:
        raise InputError(f"{folder}: no {', '.join(sorted({*_SINGLE, *_MANY}))} file in it; give a folder of features")
    if len(kinds) > 1:
        examples = " and ".join(files[0].relative_to(folder).as_posix() for files in kinds.values())
        raise InputError(f"{folder}: features of several kinds ({examples}); keep one kind, move the others away")
    (files,) = kinds.values()
    if files[0].suffix == ".npz" and len(files) > 1:
        raise InputError(f"{folder}: {len(files)} .npz files; give one of them, or a folder of .npy files")
    return files


def read_npy(path: Path) -> np.ndarray:
    """The array of a ``.npy`` file as it is, mapped; ``InputError`` for what is none, or holds objects."""
    try:
        # mapped first, so that a header that promises more than the file holds is refused, not made room for
        with warnings.catch_warnings(action="ignore"):  # of headers that Python 2 wrote
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _FAULTS as error:
        raise InputError(
            f"{path}: not a .npy file of numbers ({_brief(error)}); write it with numpy.save and without objects"
        ) from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: an archive where an array is due; name it .npz, or save the array alone")
    return np.asarray(array)


def _read_pt(path: Path) -> np.ndarray:
    import torch

    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that torch did not write
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a broken or hostile pickle may raise anything on its way
        raise InputError(
            f"{path}: not a .pt file of a tensor ({_brief(error)}); save the tensor alone with torch.save"
        ) from None
    if not isinstance(found, torch.Tensor):
        raise InputError(f"{path}: holds a {type(found).__name__}; save the tensor alone with torch.save")
    return _from_torch(found, str(path))


def _read_safetensors(path: Path) -> np.ndarray:
    archive = _Safetensors(path)
    if len(archive) != 1:
        raise InputError(f"{path}: {len(archive)} arrays in it; one file a recording holds one, or give one file alone")
    return archive[next(iter(archive))]


_READERS = {".npy": read_npy, ".pt": _read_pt, ".safetensors": _read_safetensors, ".txt": read_zerospeech}


class _Npz(Mapping[str, np.ndarray]):
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            found = np.load(path, allow_pickle=False)
        except _FAULTS as error:
            raise InputError(f"{path}: not an .npz file ({_brief(error)}); write it with numpy.savez") from None
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise InputError(f"{path}: a single array; name it .npy, in a folder with those of other recordings")
        self._found = found

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            with warnings.catch_warnings(action="ignore"):
                return np.asarray(self._found[name])
        except _FAULTS as error:
            raise InputError(
                f"{self._path}: {name!r} is no array of numbers ({_brief(error)}); write it again without objects"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._found.files)

    def __len__(self) -> int:
        return len(self._found.files)


class _Safetensors(Mapping[str, np.ndarray]):
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # through torch, as numpy has no bfloat16
            self._found = safe_open(path, framework="pt")
            self._names = list(self._found.keys())
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: not a whole .safetensors file ({_brief(error)}); write it again") from None

    def __getitem__(self, name: str) -> np.ndarray:
        return _from_torch(self._found.get_tensor(name), f"{self._path}: {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _from_torch(tensor: "torch.Tensor", where: str) -> np.ndarray:
    import torch

    tensor = tensor.detach()
    if tensor.is_floating_point() and tensor.dtype not in {torch.float32, torch.float64}:
        tensor = tensor.float()  # exact; numpy lacks some of these
    try:
        return tensor.numpy()
    except (TypeError, RuntimeError) as error:  # sparse, quantized, or a shape alone
        raise InputError(f"{where}: no dense tensor with values of its own ({_brief(error)}); save one") from None


def _numbers(array: np.ndarray, where: str) -> np.ndarray:
    """A copy of ``array`` as float32 or int64."""
    if array.ndim == 0:
        raise InputError(f"{where}: a single number; features have an axis of frames")
    kind = array.dtype.kind
    if kind not in "fiu":
        raise InputError(f"{where}: {array.dtype} values; write real or whole numbers")
    try:
        with np.errstate(over="raise"):
            out = array.astype(np.float32 if kind == "f" else np.int64)
    except FloatingPointError:
        raise InputError(f"{where}: numbers too large for float32; are these features?") from None
    if kind == "u" and array.dtype.itemsize == 8 and array.size and out.min() < 0:
        raise InputError(f"{where}: symbols too large for int64; number them from 0")
    return out


def _brief(error: Exception) -> str:
    """The first sentence of what a library says, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0][:120]
