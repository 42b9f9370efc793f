"""The entropy model: whole numbers as the reference has them, what it learns, and what a bundle keeps of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from protophone.bundle import Bundle, Part, add_part, write_bundle
from protophone.codec import ContextConfig, EntropyModel, describe, fit_entropy, pack, read_entropy, unpack
from protophone.codec.coder import TOTAL
from protophone.codec.context import ContextModel
from protophone.codec.tracks import Stream, Track
from protophone.errors import BundleError, InputError, UnitsError
from protophone.types import FrameGrid, UnitBatch, Utterance
from tests.packing import assert_same, context_model, entropy_model, utterance
from tests.reference import codec as reference

FAST = ContextConfig(
    lags=2, pitch_lags=1, hidden=32, dim=8, steps=300, batch=256, passes=100, rate=0.01, dropout=0.0, blank=0.05
)
CONTENT = Stream((8,), FrameGrid(16000, 320), "c0ffee00")
PITCH = Stream((8,), FrameGrid(16000, 1280), "0ddba115")


def test_frequencies_are_those_of_the_reference_one_by_one_or_together():
    sizes, groups = (3, 6, 6, 9), ("voice", "own", "own", "other")
    model = context_model(sizes, groups, 5, seed=4)
    rng = np.random.default_rng(0)
    contexts = np.stack([rng.integers(0, size, 40) for size in sizes], 1)
    together = model.frequencies(contexts)
    assert (together.sum(1) == TOTAL).all()
    for row, frequencies in zip(contexts, together, strict=True):
        assert frequencies.tolist() == reference.frequencies(sizes, groups, model.tables, row)
        assert (model.frequencies(row[None])[0] == frequencies).all()


def test_contexts_are_the_codes_around():
    early = Track("content0", 9, 2, (), 3)
    late = Track("pitch0", 5, 2, ((early, 2),), 3)
    assert early.told(early.contexts(range(3), 1, []), np.array([4, 5, 6])).tolist() == [
        [1, 9, 9],
        [1, 4, 9],
        [1, 5, 4],
    ]
    told = late.told(late.contexts(range(2), 2, [np.array([1, 2, 3])]), np.array([0, 4]))
    assert told.tolist() == [[2, 5, 5, 9, 9, 1, 2, 3, 9], [2, 0, 5, 1, 2, 3, 9, 9, 9]]
    assert late.sizes == (3, 6, 6, 10, 10, 10, 10, 10, 10)
    assert late.groups == ("voice", *["pitch0"] * 2, *["content0"] * 6)


def chains(count, frames, voice=None, follow=0.9, seed=0):
    """Recordings in which code ``c`` is followed by ``c + 1`` nine times in ten, else by any; pitch is every fourth."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        codes = [int(rng.integers(8))]
        while len(codes) < frames:
            step = 1 if voice != "bo" else 3
            codes.append((codes[-1] + step) % 8 if rng.random() < follow else int(rng.integers(8)))
        melody = PITCH.units(np.array([codes[::4]]))
        content, lies = CONTENT.units(np.array([codes])), None if voice else (5.0, 0.2)
        made.append(Utterance(content, 320 * frames, melody, voice, pitch_statistics=lies))
    return made


def entropy(follow):
    """Bits of a step of the chain."""
    shares = np.full(8, (1 - follow) / 8)
    shares[0] += follow
    return -(shares * np.log2(shares)).sum()


@pytest.fixture(scope="module")
def fitted():
    recordings = [
        row for pair in zip(chains(60, 100, "ana"), chains(60, 100, "bo", seed=1), strict=True) for row in pair
    ]
    return fit_entropy(recordings, ("ana", "bo"), FAST)


def test_it_learns_the_entropy_of_a_chain_whose_steps_the_voice_tells(fitted):
    total = frames = pitch = 0
    for made in chains(10, 200, "ana", seed=7) + chains(10, 200, "bo", seed=8):
        data = pack(made, fitted)
        bits = describe(made, fitted)
        total, pitch, frames = total + bits["units"] + bits["repeats"], pitch + bits["pitch"], frames + 200
        assert_same(unpack(data, fitted), made)
    assert entropy(0.9) * 0.97 < total / frames < entropy(0.9) * 1.15
    assert fitted.measured["content0"] == pytest.approx(total / frames, rel=0.3)  # of 600 codes
    assert pitch / (frames / 4) < 0.3  # it is the content's, which was read before


def test_vectors_say_which_codes_are_alike():
    vectors = {"content0": torch.randn(8, 8), "pitch0": torch.randn(8, 30)}
    settings = replace(FAST, steps=1)
    told, untold = (fit_entropy(chains(3, 20), (), settings, vectors=each).models for each in (vectors, None))
    apart = torch.pdist(vectors["content0"])

    def kept(models):
        """How far apart codes lie in the model against how far apart their vectors do, as a correlation."""
        table = models["content0"].state()["vectors"][1:9].double()  # after the voice, which nobody has
        return float(torch.corrcoef(torch.stack([torch.pdist(table), apart.double()]))[0, 1])

    assert kept(told) > 0.9 > kept(untold)


def test_the_tables_that_fit_the_held_out_best_are_kept(monkeypatch):
    looks = []

    def bits(network, *_):
        looks.append({name: table.detach().clone() for name, table in network.tables().items()})
        return [3.0, 1.0, 2.0][min(len(looks), 3) - 1]

    monkeypatch.setattr("protophone.codec.learning._bits", bits)
    bare = [replace(each, pitch=None) for each in chains(20, 30, "ana", seed=3)]
    (model,) = fit_entropy(bare, ("ana",), replace(FAST, steps=90)).models.values()
    best, last = (ContextModel.from_floats(model.sizes, model.groups, looks[at]).state() for at in (1, -1))
    assert all(np.array_equal(value, best[key]) for key, value in model.state().items())
    assert any(not np.array_equal(value, last[key]) for key, value in model.state().items())


def test_a_voice_that_is_not_told_costs_little_where_it_was_left_out_in_learning(fitted):
    costs = []
    for voice in ("ana", None):
        made = [replace(each, voice=voice, pitch_statistics=(5.0, 0.2)) for each in chains(10, 200, "ana", seed=7)]
        costs.append(sum(describe(each, fitted)["units"] + describe(each, fitted)["repeats"] for each in made) / 2000)
    assert costs[0] < costs[1] < costs[0] + 0.4


def test_fitting_is_the_same_again_and_needs_units():
    settings = replace(FAST, steps=5)
    assert fit_entropy(chains(3, 20), (), settings).id == fit_entropy(chains(3, 20), (), settings).id
    for none in ([], [utterance(entropy_model(), 0)]):
        with pytest.raises(InputError, match="no units to fit an entropy model on"):
            fit_entropy(none, (), settings)
    across = replace(chains(1, 20)[0], pitch=UnitBatch.from_arrays([np.zeros(7)], (8,), FrameGrid(16000, 1000)))
    with pytest.raises(UnitsError, match="pitch units 1000 samples apart over content units 320 apart"):
        fit_entropy([across], (), settings)


def bundle(folder, codebook="c0ffee00"):
    facts = {
        "kind": "x",
        "sample_rate": 16000,
        "hop": 320,
        "normalization": "corpus",
        "sizes": [16],
        "codebook": codebook,
        "speakers": [],
    }
    write_bundle(folder, Part("", {"w": torch.zeros(1)}, facts), {}, "")
    return folder


@pytest.mark.parametrize("pitch", [None, 5])
def test_a_bundle_keeps_it(tmp_path, pitch):
    model = entropy_model((16, 3), pitch)
    place = bundle(tmp_path / "b")
    if pitch is not None:
        add_part(place, "pitch", Part("", {"w": torch.zeros(1)}, {"kind": "x", "codebook": model.pitch.codebook}))
    add_part(place, "entropy", model.part())
    found = read_entropy(Bundle(place))
    assert (found.id, found.voices, found.content, found.pitch) == (model.id, model.voices, model.content, model.pitch)
    made = utterance(model, 8000, voice="bo")
    assert pack(made, found) == pack(made, model)


def test_a_bundle_without_one_and_one_of_other_units_say_how_to_fit_it(tmp_path):
    place = bundle(tmp_path / "b", "deadbeef")
    with pytest.raises(InputError, match=r"no entropy model.*protophone train.*\[entropy\]"):
        read_entropy(Bundle(place))
    add_part(place, "entropy", entropy_model().part())
    with pytest.raises(BundleError, match="of units of codebook c0ffee00, the bundle's own are of deadbeef"):
        read_entropy(Bundle(place))
    other = bundle(tmp_path / "c")
    add_part(other, "pitch", Part("", {"w": torch.zeros(1)}, {"kind": "x", "codebook": "beadfeed"}))
    add_part(other, "entropy", entropy_model().part())
    with pytest.raises(BundleError, match="of pitch units of codebook .*, the bundle's own are of beadfeed"):
        read_entropy(Bundle(other))


@pytest.mark.parametrize("broken", ["voices", "content", "pitch", "measured"])
def test_a_part_that_does_not_fit_itself_is_refused(broken):
    part = entropy_model().part()
    for facts in ({k: v for k, v in part.facts.items() if k != broken}, {**part.facts, broken: 3}):
        with pytest.raises(BundleError, match="does not fit the facts beside it"):
            EntropyModel.from_part(Part(part.config, part.weights, facts))
    weights = {name: table[1:] for name, table in part.weights.items()}
    with pytest.raises(BundleError, match="does not fit"):
        EntropyModel.from_part(Part(part.config, weights, part.facts))


@pytest.mark.parametrize("changed", ["fractions", "below nothing", "nothing", "a column"])
def test_tables_that_are_not_exact_on_every_machine_are_refused(changed):
    part = entropy_model().part()
    weights = dict(part.weights)
    first = next(name for name in weights if name.endswith(".first_bias"))
    falls = next(name for name in weights if name.endswith(".exponentials"))
    if changed == "fractions":
        weights = {name: table + 0.5 for name, table in weights.items()}
    elif changed == "a column":
        weights[first] = weights[first][:, None]
    else:
        weights[falls] = weights[falls] * (-1 if changed == "below nothing" else 0)
    with pytest.raises(BundleError, match="does not fit"):
        EntropyModel.from_part(Part(part.config, weights, part.facts))


def test_the_id_follows_from_all_that_decoding_depends_on():
    model = entropy_model()
    ids = {model.id, entropy_model(seed=1).id, entropy_model(pitch=None).id, entropy_model(voices=("bo", "ana")).id}
    ids.add(
        EntropyModel(model.config, replace(model.content, codebook="1"), model.pitch, model.voices, model.models, {}).id
    )
    for name, own in model.models.items():
        for key, table in own.tables.items():
            changed = {**own.tables, key: table + (np.arange(table.size).reshape(table.shape) == 0).astype(table.dtype)}
            models = {**model.models, name: type(own)(own.sizes, own.groups, changed)}
            ids.add(EntropyModel(model.config, model.content, model.pitch, model.voices, models, {}).id)
    assert len(ids) == 5 + 2 * 7
    assert {len(each) for each in ids} == {4}
