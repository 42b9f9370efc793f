"""ABX from files: the slow oracle's figure, what was left out counted, and what cannot be scored said."""

import json

import numpy as np
import pytest

from protophone.errors import InputError
from protophone.evaluate.discrimination import evaluate_abx, write_cells
from protophone.evaluate.representation import representation
from protophone.metrics.abx import read_items
from tests.evaluate.made import codes_of, speech, write_features, write_items, write_units
from tests.reference.abx import abx as slow_abx


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("abx")
    features, rows, phones = speech(files=4, tokens=8)
    return (
        representation(write_features(folder / "features", features)),
        write_items(folder / "all.item", rows),
        features,
        representation(write_units(folder / "units", codes_of(phones))),
        rows,
    )


@pytest.mark.parametrize(("speaker", "distance"), [("within", "angular"), ("across", "euclidean")])
def test_features_score_as_by_slow_loops(made, speaker, distance):
    source, items, features, _, _ = made
    found, scores = evaluate_abx(source, items, speaker=speaker, distance=distance)
    settings = {"speaker": speaker, "context": "within", "distance": distance, "frame_rate": 100}
    assert scores.error == pytest.approx(slow_abx(features, read_items(items), **settings), abs=1e-6)
    (figure,) = found.figures
    assert figure.value == scores.error
    assert (figure.unit, figure.better, figure.count) == ("share", "lower", 4)
    assert figure.interval[0] < figure.value < figure.interval[1]
    (stated,) = found.settings.values()
    assert json.loads(json.dumps(stated)) == stated
    assert (stated["frame_rate"], stated["representation"], stated["distance"]) == (100, "features", distance)
    assert figure.protocol["subsampling"] == "none, every triplet"


@pytest.mark.parametrize("distance", ["identical", "levenshtein"])
def test_units_score_as_by_slow_loops(made, distance):
    _, items, _, units, _ = made
    _, scores = evaluate_abx(units, items, speaker="within", distance=distance)
    sequences = {name: units.frames(name) for name in units.ids}
    expected = slow_abx(
        sequences, read_items(items), speaker="within", context="within", distance=distance, frame_rate=100
    )
    assert scores.error == pytest.approx(expected, abs=1e-6)


def test_the_distance_is_by_default_one_that_the_source_can_use(made):
    features, items, _, units, _ = made
    for source, distance in ((features, "angular"), (units, "identical")):
        found, scores = evaluate_abx(source, items, speaker="within")
        assert found.figures[0].protocol["distance"] == distance
        assert scores.error == evaluate_abx(source, items, speaker="within", distance=distance)[1].error


def test_symbols_and_vectors_are_not_compared_by_each_other_s_distances(made):
    features, items, _, units, _ = made
    with pytest.raises(InputError, match="units cannot be compared by the angular distance; give --distance identical"):
        evaluate_abx(units, items, speaker="within", distance="angular")
    with pytest.raises(
        InputError, match="features cannot be compared by the levenshtein distance; it compares symbols"
    ):
        evaluate_abx(features, items, speaker="within", distance="levenshtein")


def test_items_of_absent_recordings_stop_or_are_counted(made, tmp_path):
    source, items, _, _, rows = made
    whole, _ = evaluate_abx(source, items, speaker="within")
    more = write_items(tmp_path / "more.item", [*rows, ("gone", 0, 0.1, "p", "x", "y", "s0")])
    with pytest.raises(InputError, match="1 items are of 1 recordings that are not there, the first gone; .*--missing"):
        evaluate_abx(source, more, speaker="within")
    found, _ = evaluate_abx(source, more, speaker="within", missing="skip")
    assert found.figures[0].value == whole.figures[0].value
    assert ("items", 1, "their recordings are not there") in [(e.what, e.count, e.reason) for e in found.left_out]
    assert found.figures[0].key != whole.figures[0].key  # other items are another protocol


def test_items_past_the_features_stop_or_are_counted(made, tmp_path):
    source, _, _, _, rows = made
    longer = write_items(tmp_path / "a.item", [*rows, ("r0", 3.0, 3.1, "p", "x", "y", "s0")])
    with pytest.raises(InputError, match=r"r0: an item at 3\.0 to 3\.1 s needs 310 frames where there are 40"):
        evaluate_abx(source, longer, speaker="within")
    found, _ = evaluate_abx(source, longer, speaker="within", missing="skip")
    assert ("items", 1) in [(each.what, each.count) for each in found.left_out]


def test_subsampling_is_stated_seeded_and_counted(made):
    source, items, *_ = made
    found, scores = evaluate_abx(source, items, speaker="within", max_size_group=2, seed=3)
    assert found.figures[0].protocol["subsampling"] == "2 tokens a group, all speakers of X, seed 3"
    assert scores.tokens_not_drawn in [each.count for each in found.left_out if each.what == "tokens"]
    assert evaluate_abx(source, items, speaker="within", max_size_group=2, seed=3)[1].error == scores.error
    within, _ = evaluate_abx(source, items, speaker="within", max_x_across=1)  # where X has one speaker alone
    assert within.figures[0].protocol["subsampling"] == "none, every triplet"
    across, scores = evaluate_abx(source, items, speaker="across", max_x_across=1)
    assert across.figures[0].protocol["subsampling"] == "all tokens a group, 1 speakers of X, seed 0"
    assert scores.x_not_drawn == sum(e.count for e in across.left_out if "speakers of X" in e.reason)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda frames: frames[:, 0], r"r1: features float32 of shape \(40,\); ABX needs \[frame, dim\]"),
        (lambda frames: np.where(frames > 9, frames, np.nan).astype(np.float32), "r1: features that are not finite"),
        (lambda frames: frames[:0], r"of shape \(0, 4\)"),
        (lambda frames: frames[:, :2], "r1: 2 dimensions where other files have 4"),
        (lambda frames: frames[:20], "is the frame rate right"),
    ],
    ids=["one axis", "NaN", "no frame", "other dimensions", "half as long"],
)
def test_broken_features_are_named(made, tmp_path, broken, message):
    _, items, features, _, _ = made
    source = representation(write_features(tmp_path, features | {"r1": broken(features["r1"])}))
    with pytest.raises(InputError, match=message):
        evaluate_abx(source, items, speaker="within")


def test_one_speaker_and_empty_cells_are_refused(made, tmp_path):
    source, _, _, _, rows = made
    alone = write_items(tmp_path / "a.item", [row for row in rows if row[-1] == "s0"])
    with pytest.raises(InputError, match=r"all items are of one speaker \(s0\); score it within"):
        evaluate_abx(source, alone, speaker="across")
    apart = [(*row[:4], str(index), "y", row[-1]) for index, row in enumerate(rows)]
    with pytest.raises(InputError, match="no ABX cell can be made from 32 items"):
        evaluate_abx(source, write_items(tmp_path / "b.item", apart), speaker="within")


def test_the_order_of_items_changes_nothing(made, tmp_path):
    source, items, _, _, rows = made
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = write_items(tmp_path / "a.item", [rows[index] for index in order])
    one, other = (evaluate_abx(source, path, speaker="across")[1] for path in (items, shuffled))
    assert one.error == pytest.approx(other.error, abs=1e-12)
    np.testing.assert_allclose(one.estimate.draws, other.estimate.draws, atol=1e-9)


def test_the_cells_in_a_file_make_up_the_figure(made, tmp_path):
    source, items, *_ = made
    _, scores = evaluate_abx(source, items, speaker="across")
    write_cells(tmp_path, scores)
    header, *lines = [line.split("\t") for line in (tmp_path / "phone_pairs.tsv").read_text().splitlines()]
    errors = [float(line[header.index("error")]) for line in lines]
    assert np.mean(errors) == pytest.approx(scores.error, abs=1e-5)
    header, *lines = [line.split("\t") for line in (tmp_path / "cells.tsv").read_text().splitlines()]
    assert len(lines) == scores.cells_scored
    assert sum(int(line[header.index("triplets")]) for line in lines) == scores.triplets
