"""Speaker embedders against what they were read from, and the measures of their vectors."""

import importlib
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import AudioError, InputError
from protophone.features.speaker import Ge2e, Resemblyzer, XVector, load_embedder, partial_starts
from protophone.metrics.speaker import (
    centroids,
    cosines,
    equal_error_rate,
    pair_cosines,
    similarity,
    target_nearer,
)
from protophone.types import AudioBatch
from tests.conftest import babble
from tests.reference.speaker import equal_error_rate as slow_rate

RATE = 16000


def batch(*sounds: np.ndarray, sample_rate: int = RATE) -> AudioBatch:
    return AudioBatch.from_arrays(list(sounds), sample_rate)


def untrained() -> Resemblyzer:
    torch.manual_seed(0)
    return Resemblyzer(Ge2e(), "untrained")


@pytest.fixture(scope="session", params=["WavLM", "Wav2Vec2"])
def tiny_xvector(request, tmp_path_factory):
    """A folder with a small x-vector model of random weights; one that normalises over time, as base models do."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param) / "tiny-xvector"
    getattr(transformers, f"{request.param}ForXVector")(tiny_config(transformers, request.param)).save_pretrained(
        folder
    )
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def tiny_config(transformers, family: str):
    return getattr(transformers, f"{family}Config")(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        feat_extract_norm="group",
        conv_dim=(8, 8, 8),
        conv_kernel=(10, 8, 4),
        conv_stride=(5, 8, 8),
        num_feat_extract_layers=3,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        tdnn_dim=(8, 8, 8, 8, 24),
        xvector_output_dim=12,
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_embeddings_are_resemblyzers(monkeypatch):
    monkeypatch.setitem(sys.modules, "webrtcvad", ModuleType("webrtcvad"))  # compiled, and not used here
    resemblyzer = pytest.importorskip("resemblyzer", reason="resemblyzer is not installed", exc_type=ImportError)
    theirs = resemblyzer.VoiceEncoder("cpu", verbose=False)
    ours = load_embedder("resemblyzer")
    sounds = [
        level * babble(seconds, pitch=180.0) for seconds, level in ((0.3, 0.3), (1.6, 0.3), (2.9, 0.001), (5.03, 1.0))
    ]
    wanted = [theirs.embed_utterance(resemblyzer.normalize_volume(s, -30, increase_only=True)) for s in sounds]
    np.testing.assert_allclose(ours.embed(batch(*sounds)), wanted, atol=1e-4)
    for count in (1, 160, 25599, 25600, 31680, 37920, 37919, 100000, 160001):
        slices = theirs.compute_partial_slices(count, 1.3, 0.75)[1]
        assert partial_starts(count) == [piece.start for piece in slices]
    # of resemblyzer 0.1.4, whatever file holds them
    assert ours.settings == {
        "embedder": "resemblyzer",
        "package": "resemblyzer 0.1.4",
        "weights": "d2c4b42082a50db8",
        "dim": 256,
    }


def sounds_of_many_lengths() -> list[np.ndarray]:
    return [level * babble(s, seed=i) for i, (s, level) in enumerate([(0.4, 1), (3.1, 0.01), (1.6, 1), (5.3, 0.2)])]


def check_rows_alone(embedder) -> None:
    sounds = sounds_of_many_lengths()
    together = embedder.embed(batch(*sounds))
    assert together.dtype == torch.float32
    assert together.shape == (4, embedder.dim)
    np.testing.assert_allclose(together.norm(dim=1), 1, atol=1e-5)
    for vector, sound in zip(together, sounds, strict=True):
        np.testing.assert_allclose(vector, embedder.embed(batch(sound))[0], atol=1e-5)
    loud = batch(*sounds)
    padding = torch.arange(loud.samples.shape[1]) >= loud.lengths[:, None]
    loud.samples[padding] = 0.9
    np.testing.assert_allclose(embedder.embed(loud), together, atol=1e-5)


def test_a_batch_embeds_as_its_rows_alone():
    check_rows_alone(untrained())


def test_many_partial_utterances_pass_in_blocks(monkeypatch):
    sound = batch(babble(6.0), babble(2.0))
    wanted = untrained().embed(sound)
    monkeypatch.setattr("protophone.features.speaker._AT_ONCE", 2)
    np.testing.assert_allclose(untrained().embed(sound), wanted, atol=1e-5)


def test_quiet_sound_embeds_alike_however_quiet():
    sound = 0.01 * babble(2.0)
    vectors = untrained().embed(batch(sound, 0.1 * sound))
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_an_empty_batch_has_no_vectors():
    assert untrained().embed(AudioBatch.from_arrays([], RATE)).shape == (0, 256)


@pytest.mark.parametrize(
    ("sound", "rate", "said"),
    [
        (babble(1.0), 22050, "22050 Hz"),
        (babble(0.02), RATE, "320 samples"),
        (np.zeros(RATE, np.float32), RATE, "digital silence"),
        (np.full(RATE, 0.2, np.float32), RATE, "digital silence"),
    ],
)
def test_what_has_no_voice_is_refused(sound, rate, said):
    with pytest.raises(AudioError, match=said):
        untrained().embed(batch(babble(1.0), sound, sample_rate=rate))


def test_an_unknown_embedder_is_refused_with_those_known(tmp_path):
    with pytest.raises(InputError, match=r"ecapa: no speaker embedder.*resemblyzer, the folder"):
        load_embedder("ecapa")
    with pytest.raises(InputError, match="no speaker embedder"):
        load_embedder(tmp_path / "absent")


def test_missing_weights_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install --no-deps resemblyzer"):
        load_embedder("resemblyzer")
    (tmp_path / "pretrained.pt").write_bytes(b"not weights")
    spec = importlib.machinery.ModuleSpec("resemblyzer", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(InputError, match=r"not the weights.*resemblyzer==0.1.4"):
        load_embedder("resemblyzer")


def test_missing_transformers_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"protophone\[speaker\]"):
        load_embedder("microsoft/wavlm-base-plus-sv")


def test_xvectors_are_transformers_own(tiny_xvector):
    transformers = importlib.import_module("transformers")
    embedder = load_embedder(tiny_xvector)
    sound = babble(2.0)
    heard = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    with torch.no_grad():
        network = transformers.AutoModelForAudioXVector.from_pretrained(tiny_xvector).eval()
        wanted = network(torch.from_numpy(heard)[None]).embeddings
    np.testing.assert_allclose(embedder.embed(batch(sound)), wanted / wanted.norm(), atol=1e-5)
    assert embedder.settings == {
        "embedder": "tiny-xvector",
        "package": f"transformers {transformers.__version__}",
        "weights": embedder.weights,
        "dim": 12,
    }
    assert embedder.weights == load_embedder(str(tiny_xvector)).weights


def test_xvectors_of_a_batch_are_those_of_its_rows(tiny_xvector):
    check_rows_alone(load_embedder(tiny_xvector))


def test_the_shortest_sound_that_has_an_xvector(tiny_xvector):
    embedder = load_embedder(tiny_xvector)
    sound = babble(1.0)[: embedder.shortest]
    assert torch.isfinite(embedder.embed(batch(sound))).all()
    with pytest.raises(AudioError, match=f"needs {embedder.shortest}"):
        embedder.embed(batch(sound[:-1]))


def test_a_model_without_the_layers_of_an_xvector_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    transformers.WavLMModel(tiny_config(transformers, "WavLM")).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="not those of a whole x-vector model"):
        XVector(tmp_path)


@pytest.mark.parametrize("fault", ["empty", "cut", "no config"])
def test_a_broken_model_is_refused_in_one_line(tiny_xvector, tmp_path, fault):
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        content = (tiny_xvector / name).read_bytes()
        if fault == "cut" and name == "model.safetensors":
            content = content[: len(content) // 2]
        if fault != "empty" and not (fault == "no config" and name == "preprocessor_config.json"):
            (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="not a transformers x-vector model") as caught:
        load_embedder(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_not_in_the_cache_is_not_fetched(monkeypatch):
    pytest.importorskip("transformers", reason="transformers is not installed")
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    with pytest.raises(InputError, match="nobody/nothing: not a transformers x-vector model on this machine"):
        load_embedder("nobody/nothing")


def cloud(people: int = 20, each: int = 5, spread: float = 0.9, seed: int = 0):
    """Vectors of some people's recordings, their speakers and names, and everyone's true place."""
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((people, 8))
    speakers = [f"s{i:02}" for i in range(people) for _ in range(each)]
    vectors = np.repeat(places, each, axis=0) + spread * rng.standard_normal((people * each, 8))
    enrolled = {f"s{i:02}": place for i, place in enumerate(places)}
    return vectors, speakers, [f"r{i}" for i in range(len(vectors))], enrolled


def test_similarity_is_the_mean_cosine():
    one = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    other = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(cosines(one, other), [1, 0, np.sqrt(0.5)], atol=1e-12)
    found = similarity(one, other, ["a", "b", "c"])
    assert found.value == pytest.approx((1 + np.sqrt(0.5)) / 3)
    assert found.interval[0] < found.value < found.interval[1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_similarity_is_symmetric_one_of_itself_and_blind_to_order(seed, count):
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((2, count, 4))
    names = [f"r{i}" for i in range(count)]
    assert similarity(one, 3 * one, names).value == pytest.approx(1, abs=1e-12)
    found, turned = similarity(one, other, names), similarity(other, one, names)
    assert found.value == turned.value
    order = rng.permutation(count)
    again = similarity(one[order], other[order], [names[i] for i in order])
    np.testing.assert_allclose(again.draws, found.draws, atol=1e-12)


@pytest.mark.parametrize(
    ("one", "other", "names", "said"),
    [
        (np.ones((2, 3)), np.ones((3, 3)), ["a", "b"], "do not pair"),
        (np.ones((2, 3)), np.ones((2, 3)), ["a"], "1 names for 2"),
        (np.ones(3), np.ones(3), ["a"], "recording, dim"),
        (np.zeros((1, 3)), np.ones((1, 3)), ["a"], "zero or not finite"),
        (np.full((1, 3), np.nan), np.ones((1, 3)), ["a"], "zero or not finite"),
        (np.ones((0, 3)), np.ones((0, 3)), [], "no recordings"),
    ],
)
def test_embeddings_that_do_not_pair_are_refused(one, other, names, said):
    with pytest.raises(InputError, match=said):
        similarity(one, other, names)


def test_a_centroid_is_the_mean_direction():
    found = centroids(np.array([[2.0, 0.0], [0.0, 5.0], [0.0, -1.0]]), ["a", "a", "b"])
    np.testing.assert_allclose(found["a"], [np.sqrt(0.5)] * 2)
    np.testing.assert_allclose(found["b"], [0, -1])


def trials_of(vectors, speakers, enrolled, times, person=lambda speaker: speaker):
    trials = []
    for vector, speaker, count in zip(vectors, speakers, times, strict=True):
        for known, centroid in enrolled.items():
            score = float(vector @ centroid / np.linalg.norm(vector) / np.linalg.norm(centroid))
            if known == speaker or person(known) != person(speaker):
                trials.append((score, known == speaker, int(count)))
    return trials


def test_equal_error_rate_against_all_thresholds():
    vectors, speakers, names, enrolled = cloud()
    found = equal_error_rate(vectors, speakers, enrolled, names)
    assert found.rate.value == pytest.approx(slow_rate(trials_of(vectors, speakers, enrolled, [1] * 100)), abs=1e-9)
    assert (found.people, found.targets, found.impostors, found.same_person) == (20, 100, 1900, 0)
    assert found.rate.interval[0] < found.rate.value < found.rate.interval[1]
    assert found.rate.value == pytest.approx(0.092632, abs=1e-6)


def test_a_trial_weighs_what_its_test_recording_weighs(monkeypatch):
    vectors, speakers, names, enrolled = cloud(each=2)
    drawn = np.random.default_rng(1).integers(1, 5, (3, 40))
    monkeypatch.setattr("protophone.metrics.interval.weights_of", lambda *_, **__: drawn.astype(float))
    found = equal_error_rate(vectors, speakers, enrolled, names).rate.draws
    wanted = [slow_rate(trials_of(vectors, speakers, enrolled, times)) for times in drawn]
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_equal_error_rate_of_sure_and_of_meaningless_scores():
    vectors, speakers, names, enrolled = cloud(spread=0.0)
    assert equal_error_rate(vectors, speakers, enrolled, names).rate.value == 0
    everyone = dict.fromkeys(enrolled, vectors[0])
    assert equal_error_rate(vectors, speakers, everyone, names).rate.value > 0.4
    alike = np.ones_like(vectors)  # all trials have one score: accepted or refused together
    assert equal_error_rate(alike, speakers, enrolled | everyone, names).rate.value == pytest.approx(0.5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 3.0))
def test_equal_error_rate_is_blind_to_order_and_length(seed, spread):
    vectors, speakers, names, enrolled = cloud(each=2, spread=spread, seed=seed)
    found = equal_error_rate(vectors, speakers, enrolled, names).rate
    order = np.random.default_rng(seed).permutation(len(names))
    lengths = np.random.default_rng(seed).uniform(0.1, 10, (len(names), 1))
    again = equal_error_rate(
        (lengths * vectors)[order],
        [speakers[i] for i in order],
        dict(reversed(enrolled.items())),
        [names[i] for i in order],
    ).rate
    np.testing.assert_allclose(again.draws, found.draws, atol=1e-9)


def test_one_person_is_no_impostor_of_himself():
    vectors, speakers, names, enrolled = cloud(people=21)
    persons = {"s00": "anna", "s01": "anna"}
    found = equal_error_rate(vectors, speakers, enrolled, names, persons=persons)
    assert (found.people, found.targets, found.impostors, found.same_person) == (20, 105, 2090, 10)
    wanted = trials_of(vectors, speakers, enrolled, [1] * 105, lambda speaker: persons.get(speaker, speaker))
    assert found.rate.value == pytest.approx(slow_rate(wanted), abs=1e-9)


def test_an_equal_error_rate_of_few_people_is_refused():
    vectors, speakers, names, enrolled = cloud()
    with pytest.raises(InputError, match="19 people tested: an equal error rate needs 20"):
        equal_error_rate(vectors, speakers, enrolled, names, persons={"s00": "anna", "s01": "anna"})
    with pytest.raises(InputError, match="s07: tested but not enrolled"):
        equal_error_rate(vectors, speakers, {k: v for k, v in enrolled.items() if k != "s07"}, names)
    with pytest.raises(InputError, match="99 speakers for 100"):
        equal_error_rate(vectors, speakers[1:], enrolled, names)


def test_share_nearer_to_the_target():
    names = ["a", "b", "c", "d"]
    found = target_nearer(np.array([0.9, 0.1, 0.5, 0.2]), np.array([0.1, 0.9, 0.5, 0.3]), names)
    assert (found.share.value, found.found, found.recordings, found.wilson) == (0.5, 2, 4, None)  # a tie is not nearer
    assert found.interval == found.share.interval
    order = [2, 0, 3, 1]
    again = target_nearer(np.array([0.5, 0.9, 0.2, 0.1]), np.array([0.5, 0.1, 0.3, 0.9]), [names[i] for i in order])
    np.testing.assert_allclose(again.share.draws, found.share.draws)


def test_a_share_of_all_or_none_has_wilsons_interval():
    # Wilson's for n of n is n / (n + z^2) to 1, z = 1.95996
    near, far = np.full(10, 0.9), np.full(10, 0.1)
    every = target_nearer(far, near, [f"r{i}" for i in range(10)])
    assert every.share.interval == (1, 1)
    assert every.interval == pytest.approx((10 / (10 + 3.841459), 1), abs=1e-5)
    none = target_nearer(near, far, [f"r{i}" for i in range(10)])
    assert none.interval == pytest.approx((0, 3.841459 / (10 + 3.841459)), abs=1e-5)
    # two speakers of five recordings each tell as little of others as two recordings
    speakers = target_nearer(far, near, ["s", "t"] * 5)
    assert speakers.interval == pytest.approx((2 / (2 + 3.841459), 1), abs=1e-5)


def test_cosines_to_source_and_target():
    enrolled = {"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1.0]), "c": np.array([1.0, 1.0])}
    vectors = np.array([[1.0, 0.0], [3.0, 4.0]])
    source, target = pair_cosines(vectors, [("a", "b"), ("b", "c")], enrolled)
    np.testing.assert_allclose(source, [1, 0.8])
    np.testing.assert_allclose(target, [0, 1.4 * np.sqrt(0.5)])


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("a", "b")], "a to b: both are the person anna"),
        ([("c", "c")], "c to c: both are the person c"),
        ([("a", "d")], "d is not enrolled"),
        ([("a", "c"), ("a", "c")], "2 pairs for 1"),
    ],
)
def test_pairs_that_cannot_be_told_apart_are_refused(pairs, said):
    enrolled = dict.fromkeys("abc", np.ones(2))
    with pytest.raises(InputError, match=said):
        pair_cosines(np.ones((1, 2)), pairs, enrolled, persons={"a": "anna", "b": "anna"})
    with pytest.raises(InputError, match="no converted recordings"):
        pair_cosines(np.ones((0, 2)), [], enrolled)


@pytest.mark.parametrize("target", [np.ones(3), np.full(2, np.nan), np.ones((2, 1))])
def test_cosines_that_do_not_pair_are_refused(target):
    with pytest.raises(InputError, match="give finite ones"):
        target_nearer(np.zeros(2), target, ["a", "b"])
