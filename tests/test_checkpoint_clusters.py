"""Published k-means of scikit-learn, joblib and numpy: centroids out, nothing else."""

import bz2
import gzip
import io
import pickle
import struct
import tracemalloc
import zlib

import joblib
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans, MiniBatchKMeans

from protophone.checkpoints import read_kmeans
from protophone.errors import InputError
from protophone.quantizers import KMeansConfig
from tests.pickles import refused


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
    refused(read_kmeans, path)
