"""Class files of discovered terms: out and in again, and each fault told by its line."""

import pytest

from protophone.errors import InputError
from protophone.formats.classes import read_classes, write_classes


def test_class_files_come_back(tmp_path):
    classes = {"0": [("a", 0.0, 0.1 + 0.2), ("b/c", 1.25, 2.0)], "7 [i,j,E]": [("语", 3.0, 4.0)], "8": []}
    write_classes(tmp_path / "c", classes)
    assert read_classes(tmp_path / "c") == classes
    assert (tmp_path / "c").read_text().splitlines()[:4] == ["Class 0", "a 0.0 0.30000000000000004", "b/c 1.25 2.0", ""]
    assert (tmp_path / "c").read_text().endswith("\n\n")


def test_class_files_of_other_tools_are_read(tmp_path):
    (tmp_path / "c").write_bytes(
        b"\xef\xbb\xbf\r\nClass 1:\r\nw1 0 1\r\nw2  2\t3\r\n\r\n\r\nClass 2 name here\r\nw1 4 5"
    )
    assert read_classes(tmp_path / "c") == {"1": [("w1", 0, 1), ("w2", 2, 3)], "2 name here": [("w1", 4, 5)]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no fragments"),
        ("Class 1\n\n", "no fragments"),
        ("a 0 1\n", ":1: 'a 0 1' where a class begins"),
        ("Class\na 0 1\n", ":1: 'Class' where a class begins"),
        ("Class 1\na 0 1\n\nb 0 1\n", ":4: 'b 0 1' where a class begins"),
        ("Class 1\na 0 1\nClass 2\n", ":3: a class begins without an empty line"),
        ("Class 1\na 0 1\n\nClass 1 x\na 0 1\n", ":4: class 1 was on line 1"),
        ("Class 1\na 0\n", ":2: 2 fields"),
        ("Class 1\na 0 x\n", ":2: a fragment from nan"),
        ("Class 1\na 1 1\n", ":2: a fragment from 1.0 to 1.0"),
        ("Class 1\na -1 1\n", ":2: a fragment from -1.0"),
        ("Class 1\na 0 inf\n", ":2: a fragment from 0.0 to inf"),
    ],
)
def test_broken_class_files_are_refused_by_line(tmp_path, text, message):
    (tmp_path / "c").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_classes(tmp_path / "c")
    assert str(tmp_path / "c") in str(caught.value)


def test_unreadable_class_files_are_refused(tmp_path):
    (tmp_path / "c").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "c", tmp_path / "absent", tmp_path):
        with pytest.raises(InputError, match="not a readable class file"):
            read_classes(path)


@pytest.mark.parametrize(
    "classes",
    [
        {},
        {"1": []},
        {"": [("a", 0, 1)]},
        {"1 ": [("a", 0, 1)]},
        {"1\n2": [("a", 0, 1)]},
        {"1": [("a", 0, 1)], "1 x": [("a", 0, 1)]},
        {"1": [("a b", 0, 1)]},
        {"1": [("", 0, 1)]},
        {"1": [("Class", 0, 1)]},
        {"1": [("a", 1, 0)]},
    ],
)
def test_classes_that_would_not_come_back_are_not_written(tmp_path, classes):
    with pytest.raises(InputError):
        write_classes(tmp_path / "c", classes)
    assert not list(tmp_path.iterdir())
