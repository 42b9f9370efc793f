"""The ledger: each question answered once, across runs, kills and threads; what is no ledger is left alone."""

import json
import threading

import pytest

from protophone.errors import InputError
from protophone.ledger import Ledger


def never():
    raise AssertionError("asked again")


def test_a_question_is_answered_once_in_one_run_and_the_next(tmp_path):
    path = tmp_path / "deep" / "answers.jsonl"
    ledger = Ledger(path)
    assert not path.parent.exists()  # made with the first answer
    value = {"text": "ŋa\nnewline and \u2028", "scores": [0.1, 1e-300, 3], "none": None}
    assert ledger.get(["a", 1], lambda: value) == value
    assert ledger.get(["a", 1], never) == value
    assert Ledger(path).get(("a", 1), never) == value  # as JSON sees it
    assert len(path.read_bytes().splitlines()) == 1
    assert json.loads(path.read_text())["value"] == value


def test_the_order_of_settings_is_no_other_question_but_their_values_are(tmp_path):
    ledger = Ledger(tmp_path / "a.jsonl")
    ledger.get({"beam": 5, "model": "x"}, lambda: "first")
    assert ledger.get({"model": "x", "beam": 5}, never) == "first"
    assert ledger.get({"model": "x", "beam": 6}, lambda: "second") == "second"


def test_nothing_is_kept_of_an_answer_that_failed(tmp_path):
    ledger = Ledger(tmp_path / "a.jsonl")
    with pytest.raises(ZeroDivisionError):
        ledger.get("q", lambda: 1 / 0)
    assert not (tmp_path / "a.jsonl").exists()
    assert ledger.get("q", lambda: 2) == 2


def test_without_a_file_it_lasts_as_long_as_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(None)
    ledger.get("q", lambda: 1)
    assert ledger.get("q", never) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [10, 9000])
def test_a_line_cut_short_by_a_kill_is_made_again(tmp_path, length):
    path = tmp_path / "a.jsonl"
    Ledger(path).get("kept", lambda: 1)
    whole = path.read_bytes()
    Ledger(path).get("lost", lambda: "x" * length)
    after = path.read_bytes()
    for cut in (len(whole) + 1, len(after) - 7, len(after) - 1):
        path.write_bytes(after[:cut])
        ledger = Ledger(path)
        assert ledger.get("kept", never) == 1
        assert ledger.get("lost", lambda: "x" * length) == "x" * length
        assert path.read_bytes() == after  # nothing of the torn line is left


def test_a_file_that_is_torn_from_its_first_line_on(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"key": "ab')
    assert Ledger(path).get("q", lambda: 1) == 1
    assert Ledger(path).get("q", never) == 1


@pytest.mark.parametrize("line", ["{", "[1]", '{"key": "a"}', "null", '"text"', ""])
def test_anything_else_is_refused_and_not_touched(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_text('{"key": "a", "value": 1}\n' + line + "\n")
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"a\.jsonl:2: not a kept answer; "):
        Ledger(path)
    assert path.read_bytes() == before


def test_places_that_cannot_be_read_or_written_are_said(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        Ledger(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be"):
        Ledger(tmp_path / "file" / "a.jsonl").get("q", lambda: 1)


def test_two_at_once_keep_what_either_found(tmp_path):
    path = tmp_path / "a.jsonl"
    one, other = Ledger(path), Ledger(path)
    one.get("a", lambda: 1)
    other.get("b", lambda: 2)
    again = Ledger(path)
    assert (again.get("a", never), again.get("b", never)) == (1, 2)


def test_threads_lose_no_answer(tmp_path):
    ledger = Ledger(tmp_path / "a.jsonl")

    def ask(start):
        for number in range(40):
            question = (start + number) % 40
            assert ledger.get(question, lambda question=question: question * 2) == question * 2

    threads = [threading.Thread(target=ask, args=(10 * index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert sorted(line["value"] for line in lines) == [2 * number for number in range(40)]
