"""Checkpoints for tests: written as their owners do, or by hand, and how they are read."""

import collections
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

from protophone.errors import InputError

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


# Hostile files: each would leave a mark if anything in it were run.


class Calls:
    """Pickled as a call of ``function`` with ``args``."""

    def __init__(self, function, *args):
        self.made = function, args

    def __reduce__(self):
        return self.made


OBJECT = b"cfairseq.data\nThing\n)\x81"


def refused(read, path):
    """In one short line that names the file."""
    with pytest.raises(InputError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    assert len(said) < 400 + len(str(path))


def archived(path, entries, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def tensor_pickle(*, key="0", count=4, offset=0, size=(4,), stride=(1,), kind="FloatStorage", function="_v2"):
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
