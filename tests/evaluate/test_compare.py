"""Systems beside each other: which folders are meant, which differences are real, and what is not compared."""

import json

import numpy as np
import pytest
from PIL import Image

from protophone.errors import InputError
from protophone.evaluate.compare import ERROR, RATE, compare, systems_in, write_comparison
from protophone.evaluate.figure import counted, estimated
from protophone.evaluate.results import Results, read_results, write_results
from protophone.metrics.interval import estimate, ratio

NAMES = [f"r{number}" for number in range(40)]


def mean(values, names=NAMES):
    return estimate(ratio(np.asarray(values, float), np.ones(len(values))), names)


def figure(name, values, names=NAMES, *, better="lower", **protocol):
    return estimated(name, mean(values, names), "share", better=better, protocol=protocol)


def system(folder, *figures):
    write_results(folder, Results(title="made up", figures=list(figures)))
    return folder


def beside(*systems):
    return compare({name: Results(title="made up", figures=figures) for name, figures in systems})


def hard(seed=0, mean=0.3):
    return np.random.default_rng(seed).normal(mean, 0.1, 40)


def test_paths_are_those_of_several_results_or_of_what_is_in_one(tmp_path):
    one = system(tmp_path / "results" / "one", figure("WER", hard()))
    two = system(tmp_path / "results" / "two", figure("WER", hard()))
    both = {"one": one.resolve(), "two": two.resolve()}
    assert systems_in(sorted((tmp_path / "results").iterdir())) == both
    assert systems_in([one, two / "results.json", one]) == both
    (one / "sounds").mkdir()
    assert systems_in(sorted(one.iterdir())) == {"one": one.resolve()}
    three = system(tmp_path / "more" / "two", figure("WER", hard()))
    assert systems_in([two, three]) == {"two": two.resolve(), "more/two": three.resolve()}
    assert list(systems_in([one, two, three])) == ["one", "two", "more/two"]


def test_what_is_no_results_is_named(tmp_path):
    system(tmp_path / "one", figure("WER", hard()))
    (tmp_path / "other").mkdir()
    (tmp_path / "file").write_text("")
    for wrong in ("other", "file"):
        with pytest.raises(InputError, match=rf"{wrong}: no results.json in it; name folders that protophone evaluate"):
            systems_in([tmp_path / "one", tmp_path / wrong])
    with pytest.raises(InputError, match="three: not there"):
        systems_in([tmp_path / "one", tmp_path / "one" / "three"])
    same = [system(tmp_path / place / "x" / "y", figure("WER", hard())) for place in "abc"]
    with pytest.raises(InputError, match="two systems are called x/y; rename one folder"):
        systems_in(same)


def test_a_planted_difference_is_real_and_says_who_is_better():
    one = hard()
    for better, ahead in (("lower", "a"), ("higher", "b"), ("", None)):
        found = beside(
            ("a", [figure("x", one, better=better)]), ("b", [figure("x", one + 0.05 + hard(1) / 10, better=better)])
        )
        (each,) = found.differences
        assert each.value == pytest.approx(-0.05 - hard(1).mean() / 10)
        assert each.interval[0] < each.value < each.interval[1] < 0
        assert each.verdict == (f"real: {ahead} is better" if ahead else "real")
        assert each.row()[:2] == ("x", "a - b")


def test_equal_systems_are_called_different_at_the_rate_that_is_stated():
    """Each figure is a system's on recordings of its own luck; words are as hard for both."""
    rng = np.random.default_rng(5)
    figures = {"a": [], "b": [], "c": []}
    for number in range(100):
        common = rng.normal(0.3, 0.2, 40)
        for system, shift in (("a", 0.0), ("b", 0.0), ("c", 0.06)):
            figures[system].append(figure(f"x{number}", common + shift + rng.normal(0, 0.05, 40)))
    found = beside(*figures.items())
    real = {
        pair: sum(each.real for each in found.differences if (each.one, each.other) == pair)
        for pair in (("a", "b"), ("a", "c"), ("b", "c"))
    }
    assert len(found.differences) == 300
    assert 1 <= real["a", "b"] <= 12
    assert real["a", "c"] >= 97
    assert real["b", "c"] >= 97


def test_rare_differences_are_not_called_real():
    """What one recording in forty makes alone has one sign, whatever its weight is."""
    one, other = np.zeros(40), np.zeros(40)
    other[3] = 1
    (each,) = beside(("a", [figure("x", one)]), ("b", [figure("x", other)])).differences
    assert not each.real
    assert each.verdict == "not real"
    assert each.interval[0] < 0 < each.interval[1]


def test_one_figure_is_no_difference_and_neither_is_a_system_from_itself():
    assert beside(("a", [figure("x", hard())]), ("b", [figure("x", hard())])).differences == ()


def test_what_was_measured_otherwise_is_not_compared():
    found = beside(
        ("a", [figure("ABX", hard(), distance="angular", items="i"), figure("WER", hard())]),
        ("b", [figure("ABX", hard(1), distance="identical", items="i"), figure("WER", hard(1)[:39], NAMES[:39])]),
    )
    assert found.differences == ()
    assert [name for name, _ in found.rows] == ["ABX [distance angular]", "WER", "ABX [distance identical]"]
    assert [cell is None for cell in found.rows[2][1]] == [True, False]
    assert found.table()[2][1] == "-"
    assert any(
        each.startswith("WER: a and b: figures on 40 and 39 recordings that are not the same") for each in found.apart
    )
    assert any(each.startswith("ABX: measured in different ways") for each in found.apart)


def test_figures_that_cannot_be_compared_for_one_reason_are_one_line():
    systems = [
        (system, [figure(name, hard(), [f"{system}{number}" for number in range(40)]) for name in ("CER", "WER")])
        for system in "ab"
    ]
    (line,) = beside(*systems).apart
    assert line.startswith("CER; WER: a and b: figures on 40 and 40 recordings that are not the same")


def test_few_recordings_say_nothing_of_a_difference():
    few = NAMES[:4]
    found = beside(("a", [figure("x", [0, 0, 0, 0.1], few)]), ("b", [figure("x", [1, 1, 1, 0.9], few)]))
    assert found.differences == ()
    assert "whether a difference is real takes 6 or more" in found.apart[0]


def test_figures_without_an_interval_stand_in_the_table_alone():
    rate = [counted("bit rate, nominal", value, "bit/s", "fixed") for value in (100, 200)]
    found = beside(("a", [rate[0]]), ("b", [rate[1]]))
    assert found.table() == [("bit rate, nominal", "100.0 bit/s", "200.0 bit/s")]
    assert found.differences == ()
    assert found.apart == ()


def rated(rate, values, **protocol):
    return counted(RATE, rate, "bit/s", ""), figure(ERROR, values, **protocol)


def test_table_plot_and_json_are_written(tmp_path):
    folders = {
        name: system(tmp_path / "results" / name, *rated(rate, hard(seed)))
        for name, rate, seed in (("one", 100, 0), ("two", 400, 1))
    }
    found, picture = write_comparison(tmp_path / "out", systems_in(folders.values()))
    assert Image.open(picture).size == (1200, 750)
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert list(content["systems"]) == ["one", "two"]
    assert content["figures"][ERROR]["two"]["value"] == pytest.approx(hard(1).mean())
    (each,) = content["differences"]
    assert each["value"] == pytest.approx(hard(0).mean() - hard(1).mean())
    assert each["real"] == found.differences[0].real
    assert each["interval"] == pytest.approx(list(found.differences[0].interval))
    text = (tmp_path / "out" / "compare.md").read_text()
    assert "1 differences, " in text
    assert "(abx_bitrate.png)" in text
    assert {row.count("|") for row in text.splitlines() if row.startswith("| ABX")} == {4, 5}


def test_results_that_were_read_compare_as_those_that_were_made(tmp_path):
    made = {name: Results(title="made up", figures=[figure("x", hard(seed))]) for name, seed in (("a", 0), ("b", 1))}
    for name, results in made.items():
        write_results(tmp_path / name, results)
    read = {name: read_results(tmp_path / name) for name in made}
    assert compare(read).differences[0].interval == compare(made).differences[0].interval


def test_no_plot_where_a_system_lacks_either_or_sends_nothing(tmp_path):
    system(tmp_path / "a", counted(RATE, 100, "bit/s", ""))
    system(tmp_path / "b", *rated(0, hard()))  # one unit alone: a bit rate that no logarithm has a place for
    assert write_comparison(tmp_path / "out", systems_in([tmp_path / "a", tmp_path / "b"]))[1] is None
    assert not (tmp_path / "out" / "abx_bitrate.png").exists()
    assert "abx_bitrate" not in (tmp_path / "out" / "compare.md").read_text()


def test_points_of_other_kinds_of_abx_are_told_apart(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("protophone.evaluate.compare.scatter", lambda _, points, **__: drawn.extend(points))
    system(tmp_path / "a", *rated(100, hard(), distance="angular"))
    system(tmp_path / "b", *rated(200, hard(1), distance="identical"))
    write_comparison(tmp_path / "out", systems_in([tmp_path / "a", tmp_path / "b"]))
    assert [point.name for point in drawn] == ["a [distance angular]", "b [distance identical]"]
    assert drawn[0].y == pytest.approx(100 * hard().mean())
    drawn.clear()
    write_comparison(tmp_path / "out", systems_in([tmp_path / "a"]))
    assert [point.name for point in drawn] == ["a"]
