"""Submissions to ZeroSpeech challenges: what is written is valid and comes back, and what has faults is not written."""

import sys

import numpy as np
import pytest

from protophone.errors import InputError
from protophone.formats.submission import validate_submission, write_submission
from tests.submissions import MAKE, ONE_HOT, of_abxls

yaml = pytest.importorskip("yaml", reason="PyYAML (protophone[submission]) is not installed")


@pytest.mark.parametrize("kind", MAKE)
def test_what_is_written_is_valid_and_comes_back(tmp_path, kind):
    arrays, metadata, copies = MAKE[kind](tmp_path)
    report = write_submission(tmp_path / "out", kind, arrays, metadata, copies=copies)
    assert report == validate_submission(tmp_path / "out", kind)
    assert report.valid
    assert report.kind == kind
    assert "were not given" in report.unchecked[0]
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and "code" not in path.parts]
    assert report.files == len(files)
    for name, entries in metadata.items():
        assert yaml.safe_load((tmp_path / "out" / name).read_text(encoding="utf-8")) == entries
    for name, array in arrays.items():
        path = tmp_path / "out" / name
        if kind == "abxLS":
            found = np.load(f"{path}.npy")
            assert found.dtype == np.float64
        else:
            found = np.loadtxt(f"{path}.txt")
            lines = path.with_name(path.name + ".txt").read_text().splitlines()
            assert all(line == " ".join(line.split()) for line in lines)
        np.testing.assert_array_equal(found, array)


def test_what_would_have_faults_is_not_written(tmp_path):
    arrays, metadata, _ = of_abxls(tmp_path)
    for bad, words in (
        ({"dev-clean/a": ONE_HOT[:1]}, "dev-clean/a.npy: 1 frames; give two at least"),
        ({"dev-clean/a": ONE_HOT[:, :2]}, "1 faults: dev-clean/a.npy|numbers where dev-clean/84-1.npy has 4"),
        ({"elsewhere/a": ONE_HOT}, "elsewhere: nothing the challenge knows"),
        ({"dev-clean/a": np.array([["a", "b"]])}, "give real numbers"),
        ({"../a": ONE_HOT}, "cannot name a file"),
    ):
        with pytest.raises(InputError, match=words):
            write_submission(tmp_path / "out", "abxLS", arrays | bad, metadata)
    with pytest.raises(InputError, match="the challenge wants it"):
        write_submission(tmp_path / "out", "abxLS", arrays, metadata, required=["dev-clean/z.npy"])
    with pytest.raises(InputError, match="it should be copied"):
        write_submission(tmp_path / "out", "abxLS", arrays, metadata, copies={"help.md": tmp_path / "absent"})
    with pytest.raises(InputError, match="meta.yaml: .*give text"):
        write_submission(tmp_path / "out", "abxLS", arrays, metadata | {"meta.yaml": {"a": np.float32(1)}})
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(InputError, match="not empty"):
        write_submission(tmp_path / "out", "abxLS", arrays, metadata)


def test_kinds_and_folders_that_are_not_known(tmp_path):
    with pytest.raises(InputError, match="'sLM21'.* zerospeech2019, zerospeech2020, abxLS"):
        validate_submission(tmp_path, "sLM21")
    with pytest.raises(InputError, match="no such folder"):
        validate_submission(tmp_path / "absent", "abxLS")


def test_without_pyyaml_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InputError, match=r"pip install 'protophone\[submission\]'"):
        validate_submission(tmp_path, "abxLS")
