"""Figures as they are shown, and results on disk: what is written comes back, and nothing else is taken for them."""

import json
from dataclasses import fields

import numpy as np
import pytest

from protophone.errors import InputError
from protophone.evaluate.figure import Figure, Found, LeftOut, counted, estimated
from protophone.evaluate.results import Results, digest, dumps, read_results, refuse_others, write_results
from protophone.metrics.interval import estimate, ratio


def made(title="made up", *, shift=0.0, recordings=10):
    names = [f"r{number}" for number in range(recordings)]
    values = np.arange(recordings) / recordings + shift
    one = estimate(ratio(values, np.ones(recordings)), names)
    return Results(
        title=title,
        figures=[
            estimated("word error rate", one, "share", better="lower", protocol={"beam": 5, "fft": ((1, 2), (3, 4))}),
            counted("bit rate, nominal", 1234.5, "bit/s", "a property of the grid", better="lower"),
            estimated("rate nearer", one, "share", interval=(0.1, 0.9), note="Wilson's"),
        ],
        left_out=[LeftOut("items", 3, "they are | short", ("a", "b"))],
        settings={"seed": 0, "none": None},
        hashes={"units": "00ff"},
    )


def same(one, other):
    assert (one.title, one.settings, one.hashes, one.versions) == (
        other.title,
        other.settings,
        other.hashes,
        other.versions,
    )
    assert one.left_out == other.left_out
    for a, b in zip(one.figures, other.figures, strict=True):
        assert a.key == b.key
        assert a.row() == b.row()
        for each in fields(Figure):
            if each.name not in {"estimate", "protocol"}:
                assert getattr(a, each.name) == getattr(b, each.name), each.name
        assert (a.estimate is None) == (b.estimate is None)
        if a.estimate is not None:
            assert a.estimate.value == b.estimate.value
            assert set(a.estimate.names) == set(b.estimate.names)
            np.testing.assert_array_equal(a.estimate.draws, b.estimate.draws)


def test_what_is_written_comes_back(tmp_path):
    results = made()
    path = write_results(tmp_path / "out", results)
    for place in (path, path.parent, str(path.parent)):
        same(results, read_results(place))
    again = tmp_path / "again"
    write_results(again, read_results(path))
    for name in ("results.json", "draws.safetensors"):
        assert (again / name).read_bytes() == (path.parent / name).read_bytes()
    assert results["word error rate"].value == pytest.approx(0.45)
    with pytest.raises(KeyError):
        results["error rate"]


def test_the_file_carries_settings_versions_hashes_and_what_was_left_out(tmp_path):
    content = json.loads(write_results(tmp_path, made()).read_text())
    assert content["settings"] == {"seed": 0, "none": None}
    assert content["hashes"] == {"units": "00ff"}
    assert {"protophone", "numpy", "torch", "python"} <= set(content["versions"])
    assert content["left_out"] == [{"what": "items", "count": 3, "reason": "they are | short", "examples": ["a", "b"]}]
    assert content["figures"][0]["count"] == 10
    assert content["figures"][0]["interval"][0] < 0.45 < content["figures"][0]["interval"][1]
    assert (content["figures"][1]["interval"], content["figures"][1]["note"]) == (None, "a property of the grid")
    assert content["drawn"] == {content["figures"][0]["drawn"]: [f"r{number}" for number in range(10)]}


def test_json_for_machines_begins_with_what_is_asked_for():
    printed = json.loads(dumps(made(), {"error": 0.25}))
    assert next(iter(printed)) == "error"
    assert "drawn" not in printed
    assert printed["figures"][0]["name"] == "word error rate"


def test_the_table_is_sound_markdown():
    text = made().markdown()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {row.count("|") for row in rows} == {6}
    assert "left out: 3 items" in text
    assert "45.00 %" in text


def test_results_of_another_evaluation_are_not_overwritten(tmp_path):
    write_results(tmp_path, made())
    before = (tmp_path / "results.json").read_bytes()
    for act in (lambda: write_results(tmp_path, made("other")), lambda: refuse_others(tmp_path, "other")):
        with pytest.raises(InputError, match="holds results of another evaluation; name another folder"):
            act()
    assert (tmp_path / "results.json").read_bytes() == before
    refuse_others(tmp_path, "made up")
    refuse_others(tmp_path / "none", "other")
    with pytest.raises(InputError, match="cannot be written: a part of this path is a file"):
        refuse_others(tmp_path / "results.md", "other")
    write_results(tmp_path, made(shift=0.1))
    assert read_results(tmp_path).figures[0].value == pytest.approx(0.55)


def test_a_kill_between_draws_and_results_is_noticed_and_mended_by_another_run(tmp_path):
    """Draws of the new run beside figures of the old would give differences of neither."""
    write_results(tmp_path / "new", made(shift=0.1))
    write_results(tmp_path / "old", made())
    (tmp_path / "old" / "draws.safetensors").write_bytes((tmp_path / "new" / "draws.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"or is of other results\); evaluate again"):
        read_results(tmp_path / "old")
    write_results(tmp_path / "old", made(shift=0.1))
    same(read_results(tmp_path / "old"), made(shift=0.1))


@pytest.mark.parametrize("keep", [0, 5, 100, -1, None])
def test_truncated_or_absent_draws_are_said(tmp_path, keep):
    write_results(tmp_path, made())
    draws = tmp_path / "draws.safetensors"
    if keep is None:
        draws.unlink()
    else:
        draws.write_bytes(draws.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"results\.json: broken, or its draws\.safetensors is .*; evaluate again"):
        read_results(tmp_path)


def test_a_newer_format_says_so(tmp_path):
    path = write_results(tmp_path, made())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    for act in (lambda: read_results(tmp_path), lambda: write_results(tmp_path, made())):
        with pytest.raises(InputError, match="of format 2, newer than this protophone's 1; update it"):
            act()


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "1", "figures": []}', '{"format": 1}', "{"])
def test_what_is_no_results_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    for act in (lambda: read_results(tmp_path), lambda: write_results(tmp_path, made())):
        with pytest.raises(InputError, match=r"results\.json: not "):
            act()
    assert path.read_text() == text


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("drawn"),
        lambda content: content.pop("title"),
        lambda content: content["figures"][0].pop("value"),
        lambda content: content["figures"][0].update(value="much"),
        lambda content: content["figures"].insert(0, "text"),
        lambda content: content["left_out"].append({"what": "x"}),
        lambda content: content["figures"][0].update(drawn="nobody"),
    ],
)
def test_broken_results_are_one_fault(tmp_path, change):
    path = write_results(tmp_path, made())
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="broken"):
        read_results(tmp_path)


def test_a_folder_s_hash_is_of_names_and_contents_alone(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name / "in").mkdir(parents=True)
        (tmp_path / name / "in" / "a").write_text("1")
    assert digest(tmp_path / "one") == digest(tmp_path / "other")
    (tmp_path / "other" / "in" / "a").rename(tmp_path / "other" / "in" / "b")
    assert digest(tmp_path / "one") != digest(tmp_path / "other")
    assert digest(tmp_path / "one" / "in" / "a") == "6b86b273ff34fce1"  # sha256sum


def test_no_interval_where_draws_cannot_differ():
    for names, values in ((["a"], [0.3]), (["a", "b", "c"], [1.0, 1.0, 1.0])):
        figure = estimated("x", estimate(ratio(np.array(values), np.ones(len(values))), names), "share")
        assert figure.interval is None
        assert figure.note == "all draws alike, so no interval"
    figure = estimated("x", estimate(ratio(np.ones(3), np.ones(3)), ["a", "b", "c"]), "share", interval=(0.4, 1.0))
    assert (figure.interval, figure.note) == ((0.4, 1.0), "")


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("share", 0.12345, "12.35 %"),
        ("bit/s", 1399.6, "1400 bit/s"),
        ("bit/s", 365.04, "365.0 bit/s"),
        ("dB", 7.126, "7.13 dB"),
        ("", -0.5, "-0.500"),
        ("units", 101.4, "101 units"),
    ],
)
def test_numbers_are_shown_in_their_unit(unit, value, shown):
    assert Figure(name="x", value=value, unit=unit).shown(value) == shown
    row = Figure(name="x", value=value, unit=unit, interval=(value, value), count=2, over="speakers").row()
    bare = shown.removesuffix(" %").removesuffix(f" {unit}" if unit else "")
    assert row == ("x", shown, f"{bare} to {bare}", "2 speakers", "")


def test_what_was_left_out_is_one_line():
    assert LeftOut("items", 3, "short", ("a", "b")).line() == "left out: 3 items: short (a, b, ...)"
    assert LeftOut("items", 1, "short", ("a",)).line() == "left out: 1 items: short (a)"
    assert LeftOut("measures", 1, "no voice", ("ABX",)).line() == "not measured: ABX: no voice"
    assert LeftOut("measures", 1, "no voice").line() == "not measured: no voice"


def test_found_takes_over_what_others_found():
    one, other = Found(settings={"a": 1}), Found(figures=made().figures, settings={"b": 2})
    one.add(other)
    assert (len(one.figures), one.settings) == (3, {"a": 1, "b": 2})
