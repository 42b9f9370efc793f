from collections import Counter

import numpy as np
import pytest

from protophone.metrics.abx import abx
from tests.reference.abx import abx as slow_abx
from tests.reference.abx import mean
from tests.test_abx import ALL, RATE, make_features, make_items

SETTINGS = {"distance": "euclidean", "frame_rate": RATE}


@pytest.mark.parametrize("context", ["within", "any"])
@pytest.mark.parametrize("speaker", ["within", "across"])
def test_the_table_of_cells_averages_to_the_error(speaker, context):
    found = abx(make_features(2, "euclidean"), make_items(1, 60), speaker=speaker, context=context, **SETTINGS, **ALL)
    cells = found.cells
    assert len(cells) == found.cells_scored
    assert cells["triplets"].sum() == found.triplets
    assert ((cells["speaker"] == cells["speaker_x"]) == (speaker == "within")).all()
    assert ((cells["previous"] == "") == (context == "any")).all()
    table = {}
    for row in cells:
        group = table.setdefault((row["phone_a"], row["phone_b"]), {}).setdefault(row["speaker"], [])
        group.append(row["error"])
    pairs = found.by_phone_pair()
    assert {(row["phone_a"], row["phone_b"]): row["error"] for row in pairs} == pytest.approx(
        {pair: mean(map(mean, speakers.values())) for pair, speakers in table.items()}
    )
    assert pairs["error"].mean() == pytest.approx(found.error)
    assert (pairs["cells"].sum(), pairs["triplets"].sum()) == (len(cells), found.triplets)


@pytest.mark.parametrize("context", ["within", "any"])
@pytest.mark.parametrize("speaker", ["within", "across"])
def test_drawn_tokens_are_scored_as_if_there_were_no_others(speaker, context):
    items, features = make_items(3, tokens=50), make_features(4, "euclidean")
    settings = SETTINGS | {"speaker": speaker, "context": context}
    found = abx(features, items, max_size_group=2, max_x_across=None, **settings)
    drawn = [items[index] for index in found.groups.order]
    assert max(Counter((i.phone, i.speaker, i.context if context == "within" else 0) for i in drawn).values()) == 2
    assert found.tokens_not_drawn == 50 - len(drawn) > 0
    assert found.error == pytest.approx(slow_abx(features, drawn, **settings), abs=1e-6)
    assert abx(features, items, max_size_group=50, max_x_across=9, **settings).error == pytest.approx(
        slow_abx(features, items, **settings), abs=1e-6
    )
    seeds = {abx(features, items, max_size_group=2, max_x_across=None, seed=s, **settings).error for s in range(5)}
    assert len(seeds) > 1
    assert found.as_dict() == abx(features, items, max_size_group=2, max_x_across=None, **settings).as_dict()


def test_speakers_of_x_are_drawn_for_each_a_and_b():
    items, features = make_items(5, tokens=150), make_features(6, "euclidean")
    everything = abx(features, items, speaker="across", **SETTINGS, **ALL)
    found = abx(features, items, speaker="across", max_size_group=None, max_x_across=1, **SETTINGS)
    names = ["phone_a", "phone_b", "previous", "following", "speaker"]
    assert max(Counter(map(tuple, everything.cells[names].tolist())).values()) == 2
    assert set(Counter(map(tuple, found.cells[names].tolist())).values()) == {1}
    assert set(found.cells.tolist()) < set(everything.cells.tolist())
    assert found.x_not_drawn == everything.cells_scored - found.cells_scored
    assert {row["speaker_x"] for row in found.cells} == {"s0", "s1", "s2"}
    within = abx(features, items, speaker="within", max_size_group=None, max_x_across=1, **SETTINGS)
    assert within.error == abx(features, items, speaker="within", **SETTINGS, **ALL).error
    assert np.isfinite(found.cells["error"]).all()
