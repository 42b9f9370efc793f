"""Speaker embedders against what they were read from."""

import importlib
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from protophone.errors import AudioError, InputError
from protophone.features.speaker import Ge2e, Resemblyzer, XVector, load_embedder, partial_starts
from protophone.types import AudioBatch
from tests.conftest import babble

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
