from dataclasses import replace

import pytest

from protophone.errors import InputError
from protophone.metrics.abx import by_file, read_items
from tests.test_abx import ITEM


def test_item_files(tmp_path):
    path = tmp_path / "x.item"
    path.write_text("#file onset offset #phone prev-phone next-phone speaker\nf 0.0 0.1 a x y s\n\n")
    assert read_items(path) == [ITEM]
    for text, message in [
        ("#file\n", "no items"),
        ("#file\nf 0.0 0.1 a x\n", ":2: 5 fields where an item has seven"),
        ("#file\nf zero 0.1 a x y s\n", ":2: a token from zero"),
        ("#file\nf 0.5 0.1 a x y s\n", "onset <= offset"),
        ("#file\nf nan 0.1 a x y s\n", "onset <= offset"),
        ("#file\nf 0.0 0.1 a x y s\nf 0.1 0.2 a x y s\nf 0 0.10 a x y s\n", ":4: the token of line 2 again"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_items(path)
    with pytest.raises(InputError, match="not a readable item file"):
        read_items(tmp_path / "absent.item")


def test_files_are_found_by_their_last_part():
    items = [ITEM, replace(ITEM, file="b/g")]
    assert by_file(["a/f", "b/g", "c/g"], items) == {"f": "a/f", "b/g": "b/g"}
    assert by_file(["f", "a/f", "b/g"], items) == {"f": "f", "b/g": "b/g"}
    with pytest.raises(InputError, match=r"f: .*several recordings \(a/f, b/f\)"):
        by_file(["a/f", "b/f", "b/g"], items)
    with pytest.raises(InputError, match=r"f: .*none of the 1 recordings"):
        by_file(["b/g"], items)
