"""Discovered terms from files: each score under its name, as the metric gives it, and what could not be computed."""

import pytest

from protophone.errors import InputError
from protophone.evaluate.results import read_results, write_results
from protophone.evaluate.terms import evaluate_terms
from protophone.formats import write_classes
from protophone.metrics.terms import term_scores
from tests.evaluate.made import write_ctm

PHONES = {f"r{n}": [(0.1 * at, 0.1, phone) for at, phone in enumerate("patakapatikatapa")] for n in range(4)}
WORDS = {name: [(0.2 * at, 0.2, f"w{at % 5}") for at in range(8)] for name in PHONES}
CLASSES = {
    "1": [("r0", 0.0, 0.4), ("r1", 0.0, 0.4), ("r2", 0.6, 1.0)],
    "2": [("r3", 0.2, 0.6), ("r0", 1.0, 1.2), ("gone", 0.0, 0.5)],
}


@pytest.fixture
def made(tmp_path):
    write_classes(tmp_path / "found.class", CLASSES)
    return tmp_path / "found.class", write_ctm(tmp_path / "p.ctm", PHONES), write_ctm(tmp_path / "w.ctm", WORDS)


def ends(rows):
    return {name: [(start, start + lasting, label) for start, lasting, label in row] for name, row in rows.items()}


def test_scores_are_the_metric_s_under_their_names(made, tmp_path):
    classes, phones, words = made
    results = evaluate_terms(classes, alignment=phones, words=words)
    scores = term_scores(CLASSES, ends(PHONES), ends(WORDS))
    expected = {"NED": scores.ned.value, "coverage": scores.coverage.value}
    for name in ("grouping", "token", "type", "boundary"):
        score = getattr(scores, name)
        for title, part in (("precision", "precision"), ("recall", "recall"), ("F", "f")):
            value = getattr(score, part)
            expected[f"{name} {title}"] = value if name == "type" else value.value
    assert {figure.name: figure.value for figure in results.figures} == pytest.approx(expected, abs=1e-9)
    for figure in results.figures:
        assert figure.unit == "share"
        assert figure.better == ("lower" if figure.name == "NED" else "higher")
        assert figure.interval or figure.note
    assert results["NED"].value > 0
    assert results.settings["counts"] == {"classes": 2, "fragments": 5, "pairs": scores.pairs}
    assert ("fragments", 1) in [(each.what, each.count) for each in results.left_out]
    assert results.hashes.keys() == {"classes", "alignment", "words"}
    write_results(tmp_path / "out", results)
    assert read_results(tmp_path / "out")["NED"].row() == results["NED"].row()


def test_without_words_their_scores_are_told_not_to_be(made):
    results = evaluate_terms(made[0], alignment=made[1])
    assert not any(figure.name.startswith(("token", "type", "boundary")) for figure in results.figures)
    (left,) = (each for each in results.left_out if each.what == "measures")
    assert (left.count, set(left.examples)) == (3, {"token", "type", "boundary"})
    assert "words are not aligned" in left.reason


def test_classes_without_a_pair_have_no_distance(made, tmp_path):
    write_classes(tmp_path / "alone.class", {"1": [("r0", 0.0, 0.4)], "2": [("r1", 0.0, 0.4)]})
    results = evaluate_terms(tmp_path / "alone.class", alignment=made[1], words=made[2])
    assert "NED" not in [figure.name for figure in results.figures]
    assert any("no class holds two fragments" in each.reason for each in results.left_out)


def test_terms_of_other_recordings_are_an_error(made, tmp_path):
    with pytest.raises(InputError, match="none in the 1 recordings with phones"):
        evaluate_terms(made[0], alignment=write_ctm(tmp_path / "o.ctm", {"x": PHONES["r0"]}))
    with pytest.raises(InputError, match="none of which has phones"):
        evaluate_terms(made[0], alignment=made[1], words=write_ctm(tmp_path / "o.ctm", {"x": WORDS["r0"]}))
    with pytest.raises(InputError, match="not a readable"):
        evaluate_terms(tmp_path / "none", alignment=made[1])
