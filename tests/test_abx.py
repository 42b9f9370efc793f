import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from protophone.errors import InputError
from protophone.metrics.abx import ABXItem, abx, read_items
from protophone.metrics.interval import difference, weights_of
from tests.conftest import corpus
from tests.reference.abx import abx as slow_abx
from tests.reference.abx import influence

RATE = 50
DISTANCES = ["angular", "euclidean", "kl_symmetric", "identical", "levenshtein"]
# of each distance, on made-up tokens
PINNED = [0.469743, 0.482272, 0.464963, 0.514048, 0.503086]
ALL = {"max_size_group": None, "max_x_across": None}


def told(result):
    """All that a result says, flat."""
    found = result.as_dict()
    low, high = found.pop("interval")
    return found | {"low": low, "high": high}


def make_items(seed, tokens=36, files=6):
    rng = np.random.default_rng(seed)
    items = []
    for number in range(tokens):
        file = number % files
        onset = round(float(rng.uniform(0, 0.8)), 3)
        items.append(
            ABXItem(
                f"f{file}",
                onset,
                round(onset + float(rng.choice([0.004, 0.05, 0.1, 0.14])), 3),
                str(rng.choice(["p", "t", "k"])),
                (str(rng.choice(["a", "i"])), "a"),
                f"s{file % 3}",
            )
        )
    return items


def make_features(seed, distance, files=6):
    rng = np.random.default_rng(seed)
    out = {}
    for file in range(files):
        frames = rng.dirichlet(np.full(5, 0.5), 48).astype(np.float32)
        frames[10:13] = 0 if distance == "angular" else frames[10:13]
        out[f"f{file}"] = frames.argmax(1)[:, None] if distance in {"identical", "levenshtein"} else frames
    return out


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("context", ["within", "any"])
@pytest.mark.parametrize("speaker", ["within", "across"])
def test_agrees_with_counting_triplets(speaker, context, distance):
    items, features = make_items(1), make_features(2, distance)
    settings = {"speaker": speaker, "context": context, "distance": distance, "frame_rate": RATE}
    found = abx(features, items, **settings, **ALL)
    assert found.error == pytest.approx(slow_abx(features, items, **settings), abs=1e-6)


@pytest.mark.parametrize("speaker", ["within", "across"])
@pytest.mark.parametrize("context", ["within", "any"])
def test_draws_follow_the_weights_of_recordings(speaker, context):
    """Their derivative, counted triplet by triplet with one weight moved at a time."""
    items, features = make_items(3, tokens=40, files=8), make_features(4, "euclidean", files=8)
    settings = {"speaker": speaker, "context": context, "distance": "euclidean", "frame_rate": RATE}
    result = abx(features, items, **settings, **ALL)
    slopes = influence(features, items, **settings)
    assert result.estimate.names == tuple(slopes)
    weights = weights_of(list(slopes))
    expected = result.error + (weights / weights.mean(1, keepdims=True) - 1) @ np.array(list(slopes.values()))
    assert result.estimate.draws == pytest.approx(np.clip(expected, 0, 1), abs=1e-6)
    assert result.interval[0] < result.error < result.interval[1]


def spoken(seed, noise, files=30, tokens=20):
    """Recordings of three phones by three speakers: each frame a token, with something of the recording in it."""
    rng = np.random.default_rng(seed)
    features, items = {}, []
    where = np.eye(3)
    for file in range(files):
        phones, contexts = rng.integers(0, 3, tokens), rng.integers(0, 6, tokens)
        features[f"f{file}"] = where[phones] + 0.3 * rng.standard_normal(3) + noise * rng.standard_normal((tokens, 3))
        items += [
            ABXItem(f"f{file}", 0.1 * n, 0.1 * n + 0.1, "ptk"[phones[n]], ("x", str(contexts[n])), f"s{file % 3}")
            for n in range(tokens)
        ]
    return features, items


@pytest.mark.parametrize("speaker", ["within", "across"])
def test_the_interval_is_as_wide_as_other_recordings_spread(speaker):
    settings = {"speaker": speaker, "distance": "euclidean", "frame_rate": 10}
    pairs = []
    for seed in range(60):
        features, items = spoken(seed, 0.6)
        rng = np.random.default_rng(seed + 1000)
        other = {name: frames + 0.3 * rng.standard_normal(frames.shape) for name, frames in features.items()}
        pairs.append([abx(arrays, items, **settings, **ALL).estimate for arrays in (features, other)])
    for made in ([one for one, _ in pairs], [difference(*both) for both in pairs]):
        spread = np.std([one.value for one in made], ddof=1)
        width = np.mean([one.draws.std() for one in made])
        assert 0.85 < width / spread < 1.6
        truth = np.mean([one.value for one in made])
        covered = np.mean([one.interval[0] < truth < one.interval[1] for one in made])
        assert covered >= 0.85
        assert np.mean([one.draws.mean() - one.value for one in made]) == pytest.approx(0, abs=0.05 * spread)


def test_reference_values():
    folder = corpus("abx_reference")
    expected = json.loads((folder / "expected.json").read_text())
    assert len(expected["results"]) == 16
    features = {}
    for name in ("mfcc", "posteriors", "units"):
        with np.load(folder / f"{name}.npz") as arrays:
            features[name] = {key: arrays[key] for key in arrays.files}
    for row in expected["results"]:
        found = abx(
            features[row["representation"]],
            read_items(folder / row["item"]),
            speaker=row["speaker"],
            context=row["context"],
            distance=row["distance"],
            frame_rate=expected["frame_rate"],
            **ALL,
        )
        assert found.error == pytest.approx(row["error"], abs=1e-4), row
        assert found.interval[0] < found.error < found.interval[1]


def test_pinned():
    found = [
        abx(make_features(6, d), make_items(5, 60), speaker="across", distance=d, frame_rate=RATE, **ALL).error
        for d in DISTANCES
    ]
    assert found == pytest.approx(PINNED, abs=1e-6)


def test_order_of_items_scale_and_names_of_speakers_do_not_matter():
    items, features = make_items(5, tokens=60), make_features(6, "angular")
    settings = {"speaker": "across", "frame_rate": RATE, "max_size_group": 3, "max_x_across": 1}
    first = abx(features, items, **settings)
    shuffled = [items[i] for i in np.random.default_rng(0).permutation(len(items))]
    again = abx({k: 7 * v for k, v in reversed(features.items())}, shuffled, **settings)
    assert told(again) == pytest.approx(told(first), abs=1e-6)
    names = {"s0": "z", "s1": "a", "s2": "m"}
    renamed = [replace(item, speaker=names[item.speaker]) for item in items]
    other = abx(features, renamed, speaker="across", frame_rate=RATE, **ALL)
    plain = abx(features, items, speaker="across", frame_rate=RATE, **ALL)
    assert told(other) == pytest.approx(told(plain), abs=1e-6)


@pytest.mark.parametrize("speaker", ["within", "across"])
def test_random_features_are_at_chance_and_phones_are_not(speaker):
    items = make_items(7, tokens=400)
    rng = np.random.default_rng(8)
    noise = [rng.standard_normal((8, 4)) for _ in items]
    own = [replace(item, file=str(i), onset=0.0, offset=0.16) for i, item in enumerate(items)]
    settings = {"speaker": speaker, "frame_rate": RATE, **ALL}
    chance = abx(lambda name: noise[int(name)], own, **settings)
    assert chance.error == pytest.approx(0.5, abs=0.03)
    assert chance.interval[0] < 0.5 < chance.interval[1]
    phones = {"p": 0, "t": 1, "k": 2}
    clean = [np.eye(3)[[phones[item.phone]] * 8] for item in own]
    assert abx(lambda name: clean[int(name)], own, **settings).error == 0
    same = abx(lambda _: np.ones((8, 3)), own, **settings)
    assert same.error == pytest.approx(0.5, abs=1e-9)  # all are ties
    assert same.interval == pytest.approx((0.5, 0.5), abs=1e-9)


def test_identical_compares_all_codebooks_and_one_needs_no_axis():
    items, rng = make_items(9), np.random.default_rng(10)
    codes = {f"f{file}": rng.integers(0, 3, (48, 2)) for file in range(6)}
    for distance in ("identical", "levenshtein"):
        settings = {"speaker": "across", "distance": distance, "frame_rate": RATE, **ALL}
        joint = abx({name: 3 * table[:, 0] + table[:, 1] for name, table in codes.items()}, items, **settings)
        assert abx(codes, items, **settings).as_dict() == joint.as_dict()


def test_token_shorter_than_a_frame_is_the_frame_around_it():
    frames = np.eye(4)[[0, 1, 2, 3]]
    shared = {"phone": "a", "context": ("x", "y"), "speaker": "s", "file": "f"}
    items = [
        ABXItem(onset=0.001, offset=0.004, **shared),  # no centre inside: frame 0
        ABXItem(onset=0.005, offset=0.02, **shared),  # frame 0 alone
        ABXItem(onset=0.022, offset=0.028, **(shared | {"phone": "b"})),  # frame 1
        ABXItem(onset=0.075, offset=0.079, **(shared | {"phone": "b"})),  # past the last centre: frame 3
    ]
    result = abx({"f": frames}, items, speaker="within", distance="euclidean", frame_rate=RATE, **ALL)
    # A = a: X and A coincide, never wrong; A = b: frames 1, 3, and 0 are equally far apart, ties
    assert result.error == pytest.approx((0 + 0.5) / 2)
    assert (result.cells_scored, result.triplets) == (2, 8)


def test_work_in_small_batches_gives_the_same(monkeypatch):
    items, features = make_items(11, tokens=80), make_features(12, "angular")
    for speaker in ("within", "across"):
        settings = {"speaker": speaker, "context": "any", "frame_rate": RATE, **ALL}
        whole = abx(features, items, **settings)
        with monkeypatch.context() as small:
            small.setattr("protophone.metrics.abx.score._BATCH", 50)
            parts = abx(features, items, **settings)
        assert told(parts) == pytest.approx(told(whole), abs=1e-9)
        assert (parts.errors == whole.errors).all()


ITEM = ABXItem("f", 0.0, 0.1, "a", ("x", "y"), "s")
TWO = [ITEM, ITEM, replace(ITEM, phone="b"), replace(ITEM, phone="b")]


@pytest.mark.parametrize(
    ("features", "items", "settings", "message"),
    [
        ({}, TWO, {}, "f: in the items, but no features"),
        ({"f": np.ones((9, 2))}, [*TWO, replace(ITEM, file="g")], {}, "g: in the items, .* 1 of 2 recordings"),
        ({}, TWO, {"missing": "skip"}, "f: in the items, but no features"),
        ({"f": np.ones(9)}, TWO, {}, r"f: features float64 of shape \(9,\)"),
        ({"f": np.ones(9, int)}, TWO, {}, "go with identical"),
        ({"f": np.ones(9)}, TWO, {"distance": "identical"}, r"whole numbers \[frame\]"),
        ({"f": np.empty((0, 3))}, TWO, {}, "with a frame or more"),
        ({"f": np.full((9, 2), np.nan)}, TWO, {}, "not finite"),
        ({"f": -np.ones((9, 2))}, TWO, {"distance": "kl_symmetric"}, "needs posteriors"),
        ({"f": np.ones((9, 2))}, [replace(i, onset=5, offset=5.2) for i in TWO], {}, "f: .* 260 frames .* 9 at 50 Hz"),
        ({"f": np.ones((2, 2))}, TWO, {"short": "skip"}, "frame rate right"),
        ({"f": np.ones((9, 2))}, TWO[:2], {}, "two phones must occur"),
        ({"f": np.ones((9, 2))}, TWO, {"speaker": "across"}, r"one speaker \(s\)"),
        ({"f": np.ones((9, 2))}, [*TWO, replace(ITEM, phone="c", speaker="t")], {"speaker": "across"}, "two speakers"),
        ({"f": np.ones((9, 2)), "g": np.ones((9, 3))}, [*TWO, replace(ITEM, file="g")], {}, "3 dimensions where"),
        ({"f": np.ones((9, 2))}, TWO, {"distance": "cosine"}, "cosine.*none of angular, euclidean"),
        ({"f": np.ones((9, 2))}, TWO, {"missing": "ignore"}, "none of error, skip"),
        ({"f": np.ones((9, 2))}, TWO, {"max_size_group": 1}, "max_size_group 1; give 2 or more"),
        ({"f": np.ones((9, 2))}, TWO, {"max_x_across": 0}, "max_x_across 0; give 1 or more"),
        ({"f": np.ones((9, 2))}, TWO, {"frame_rate": 0}, "frame rate 0 Hz"),
        ({"f": np.ones((9, 2))}, [], {}, "no ABX items"),
    ],
)
def test_faults_are_named(features, items, settings, message):
    with pytest.raises(InputError, match=message):
        abx(features, items, **{"speaker": "within", "frame_rate": RATE, **ALL} | settings)


def test_what_is_left_out_is_counted():
    items = [*TWO, replace(ITEM, file="gone"), replace(ITEM, offset=0.5), replace(ITEM, onset=0.1, offset=0.2)]
    items += [replace(ITEM, phone="c")]
    frames = np.random.default_rng(0).standard_normal((8, 2))
    settings = {"speaker": "within", "frame_rate": RATE, **ALL}
    found = abx({"f": frames}, items, missing="skip", short="skip", **settings)
    # ten frames where there are eight is within reason; without_x: A = c is alone with two B
    assert (found.missing, found.short, found.cut, found.tokens, found.without_x) == (1, 1, 1, 6, 2)
    assert found.error == abx({"f": frames}, [*TWO, items[6], items[7]], **settings).error


def test_nothing_heavy_is_imported_before_it_is_needed():
    import subprocess
    import sys

    code = "import sys, protophone.metrics.abx; print([m for m in ('numba', 'torch', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_torch_keeps_its_number_of_threads():
    script = (
        "import numpy as np, torch\n"
        "assert torch.get_num_threads() == 1\n"
        "from protophone.metrics.abx.score import _in_threads\n"
        "assert sum(_in_threads(lambda begin, end: end - begin, np.ones(100))) == 100\n"
        "assert torch.get_num_threads() == 1\n"
    )
    alone = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
