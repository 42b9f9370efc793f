"""Names escaped for the terminal, and kept apart in outputs."""

import json
import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import InputError
from protophone.names import collision, printable, refuse_collisions


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_no_control_character_reaches_a_terminal(text):
    shown = printable(text)
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(each) for each in shown} & {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI"}
    shown.encode()
    assert printable(shown) == shown
    assert json.loads(printable(json.dumps([text], ensure_ascii=False, indent=1), keep="\n")) == [text]


def test_what_can_be_read_is_left_alone():
    text = string.printable[:-5] + "été ŋ 录音 كتاب می‌خواهم 👩‍👧 [red] :cat:"
    assert printable(text) == text
    assert printable("a\x1b[31m\udce9\n") == "a\\u001b[31m\\udce9\\u000a"


@pytest.mark.parametrize(
    ("ids", "clash"),
    [
        (["a", "b/a", "a/b", "a.wav", "a.WAV/c"], None),
        (["a", "a.wav/c"], ("a", "a.wav/c")),
        (["a.wav/c/d", "a"], ("a", "a.wav/c/d")),
        (["x/a", "x/a.TextGrid/c"], ("x/a", "x/a.TextGrid/c")),
        (["a", "A"], None),
    ],
)
def test_ids_collide_where_a_file_of_one_is_a_folder_of_the_other(ids, clash):
    assert collision(ids) == clash


def test_on_a_file_system_that_ignores_case_ids_that_differ_in_it_collide(tmp_path, monkeypatch):
    assert collision(["a", "A"], fold=True) == ("a", "A")
    assert collision(["a", "A.WAV/c"], fold=True) == ("a", "A.WAV/c")
    refuse_collisions(tmp_path, ["a", "A"])
    monkeypatch.setattr("protophone.names._ignores_case", lambda _: True)
    with pytest.raises(InputError, match="cannot hold outputs of both a and A, .*; rename one"):
        refuse_collisions(tmp_path, ["a", "A"])
