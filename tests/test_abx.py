import json
from dataclasses import replace

import numpy as np
import pytest

from protophone.errors import InputError
from protophone.metrics.abx import ABXItem, abx, by_file, read_items
from tests.conftest import corpus
from tests.reference.abx import abx as slow_abx

RATE = 50
DISTANCES = ["angular", "euclidean", "kl_symmetric", "identical"]


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
        out[f"f{file}"] = frames.argmax(1)[:, None] if distance == "identical" else frames
    return out


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("context", ["within", "any"])
@pytest.mark.parametrize("speaker", ["within", "across"])
def test_agrees_with_counting_triplets(speaker, context, distance):
    items, features = make_items(1), make_features(2, distance)
    settings = {"speaker": speaker, "context": context, "distance": distance, "frame_rate": RATE}
    assert abx(features, items, **settings).error == pytest.approx(slow_abx(features, items, **settings), abs=1e-6)


@pytest.mark.parametrize("speaker", ["within", "across"])
def test_interval_is_the_jackknife_over_files(speaker):
    """Twelve files, twelve groups: the items counted again without each."""
    items, features = make_items(3, tokens=72, files=12), make_features(4, "euclidean", files=12)
    settings = {"speaker": speaker, "context": "any", "distance": "euclidean", "frame_rate": RATE}
    without = [slow_abx(features, [i for i in items if i.file != file], **settings) for file in features]
    spread = 2.200985 * np.sqrt(11 / 12 * np.sum((without - np.mean(without)) ** 2))  # Student's t, 11 degrees
    result = abx(features, items, **settings)
    assert result.interval == pytest.approx((result.error - spread, result.error + spread), abs=1e-5)
    assert 0 < result.interval[0] < result.interval[1] < 1


def test_interval_of_one_file_is_everything():
    items = [replace(item, file="f0", speaker="s") for item in make_items(3)]
    assert abx(make_features(4, "angular"), items, speaker="within", frame_rate=RATE).interval == (0, 1)


def test_reference_values():
    folder = corpus("abx_reference")
    expected = json.loads((folder / "expected.json").read_text())
    assert len(expected["results"]) == 16
    features = {}
    for name in ("mfcc", "posteriors", "units"):
        with np.load(folder / f"{name}.npz") as arrays:
            features[name] = {key: arrays[key].reshape(len(arrays[key]), -1) for key in arrays.files}
    for row in expected["results"]:
        found = abx(
            features[row["representation"]],
            read_items(folder / row["item"]),
            speaker=row["speaker"],
            context=row["context"],
            distance=row["distance"],
            frame_rate=expected["frame_rate"],
        )
        assert found.error == pytest.approx(row["error"], abs=1e-4), row
        assert found.interval[0] < found.error < found.interval[1]


def test_order_of_items_and_scale_do_not_matter():
    items, features = make_items(5, tokens=60), make_features(6, "angular")
    first = abx(features, items, speaker="across", frame_rate=RATE)
    shuffled = [items[i] for i in np.random.default_rng(0).permutation(len(items))]
    again = abx({k: 7 * v for k, v in features.items()}, shuffled, speaker="across", frame_rate=RATE)
    assert again.error == pytest.approx(first.error, abs=1e-6)
    assert (again.cells, again.triplets, again.tokens) == (first.cells, first.triplets, 60)
    assert again.interval == pytest.approx(first.interval, abs=1e-5)


@pytest.mark.parametrize("speaker", ["within", "across"])
def test_random_features_are_at_chance_and_phones_are_not(speaker):
    items = make_items(7, tokens=400)
    rng = np.random.default_rng(8)
    noise = [rng.standard_normal((8, 4)) for _ in items]
    own = [replace(item, file=str(i), onset=0.0, offset=0.16) for i, item in enumerate(items)]
    chance = abx(lambda name: noise[int(name)], own, speaker=speaker, frame_rate=RATE)
    assert chance.error == pytest.approx(0.5, abs=0.03)
    phones = {"p": 0, "t": 1, "k": 2}
    clean = [np.eye(3)[[phones[item.phone]] * 8] for item in own]
    assert abx(lambda name: clean[int(name)], own, speaker=speaker, frame_rate=RATE).error == 0
    same = abx(lambda _: np.ones((8, 3)), own, speaker=speaker, frame_rate=RATE)
    assert same.error == pytest.approx(0.5, abs=1e-9)  # all are ties
    assert same.interval == pytest.approx((0.5, 0.5), abs=1e-9)


def test_identical_compares_all_codebooks():
    items, rng = make_items(9), np.random.default_rng(10)
    codes = {f"f{file}": rng.integers(0, 3, (48, 2)) for file in range(6)}
    joint = {name: 3 * table[:, :1] + table[:, 1:] for name, table in codes.items()}
    settings = {"speaker": "across", "distance": "identical", "frame_rate": RATE}
    assert abx(codes, items, **settings) == abx(joint, items, **settings)


def test_token_shorter_than_a_frame_is_the_frame_around_it():
    frames = np.eye(4)[[0, 1, 2, 3]]
    shared = {"phone": "a", "context": ("x", "y"), "speaker": "s", "file": "f"}
    items = [
        ABXItem(onset=0.001, offset=0.004, **shared),  # no centre inside: frame 0
        ABXItem(onset=0.005, offset=0.02, **shared),  # frame 0 alone
        ABXItem(onset=0.022, offset=0.028, **(shared | {"phone": "b"})),  # frame 1
        ABXItem(onset=0.075, offset=0.079, **(shared | {"phone": "b"})),  # past the last centre: frame 3
    ]
    result = abx({"f": frames}, items, speaker="within", distance="euclidean", frame_rate=RATE)
    # A = a: X and A coincide, never wrong; A = b: frames 1, 3, and 0 are equally far apart, ties
    assert result.error == pytest.approx((0 + 0.5) / 2)
    assert (result.cells, result.triplets) == (2, 8)


ITEM = ABXItem("f", 0.0, 0.1, "a", ("x", "y"), "s")
TWO = [ITEM, ITEM, replace(ITEM, phone="b"), replace(ITEM, phone="b")]


@pytest.mark.parametrize(
    ("features", "items", "settings", "message"),
    [
        ({}, TWO, {}, "f: in the items, but no features"),
        ({"f": np.ones(9)}, TWO, {}, r"f: features of shape \(9,\)"),
        ({"f": np.empty((0, 3))}, TWO, {}, "with a frame or more"),
        ({"f": np.full((9, 2), np.nan)}, TWO, {}, "not finite"),
        ({"f": -np.ones((9, 2))}, TWO, {"distance": "kl_symmetric"}, "needs posteriors"),
        ({"f": np.ones((9, 2))}, [replace(item, onset=5, offset=5.2) for item in TWO], {}, "frame rate right"),
        ({"f": np.ones((9, 2))}, TWO[:2], {}, "two phones must occur"),
        ({"f": np.ones((9, 2))}, TWO, {"speaker": "across"}, "for two speakers"),
        ({"f": np.ones((9, 2)), "g": np.ones((9, 3))}, [*TWO, replace(ITEM, file="g")], {}, "3 dimensions where"),
        ({"f": np.ones((9, 2))}, TWO, {"distance": "cosine"}, "cosine.*none of angular, euclidean"),
        ({"f": np.ones((9, 2))}, [], {}, "no ABX items"),
    ],
)
def test_faults_are_named(features, items, settings, message):
    with pytest.raises(InputError, match=message):
        abx(features, items, **{"speaker": "within", "frame_rate": RATE} | settings)


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
