"""A voice heard once: a vocoder that learned to take embeddings, from its recipe to a file that holds a voice."""

import json

import pytest
import soundfile
import torch

from protophone import audio
from protophone.bundle import Bundle, add_part, add_voice, write_bundle
from protophone.cli.codec import compress, decompress
from protophone.cli.corpus import convert, decode, encode
from protophone.codec import ContextConfig, read_entropy, unpack
from protophone.encoders.pitch import PitchVQVAEConfig, pitch_part
from protophone.errors import ConfigError, InputError
from protophone.evaluate.everything import evaluate_all
from protophone.features.pitch import PitchConfig
from protophone.features.speaker import SpeakerEmbedder
from protophone.model import load
from protophone.parts import encoder_part
from protophone.recipe import DataConfig, EntropyRecipe, PitchRecipe, VoiceRecipe, run_recipe
from protophone.train import TrainConfig
from protophone.vocoders.hifigan import HiFiGANConfig
from protophone.vocoders.vocos import VocosConfig
from tests.conftest import babble
from tests.evaluate.judges import use_fakes
from tests.speakers import NAMES, NARROW, content
from tests.test_pitch_units import started


class Tilt(SpeakerEmbedder):
    """A voice is how its energy is spread over four bands."""

    name, package, weights = "tilt", "none 1", "00ff"
    sample_rate, shortest, dim = 16000, 400, 4

    def _vectors(self, audio):
        spectra = [torch.fft.rfft(torch.from_numpy(audio[row])).abs() for row in range(len(audio.lengths))]
        return torch.stack([torch.stack([band.mean() for band in each.chunk(4)]) for each in spectra])


@pytest.fixture
def embedder(monkeypatch):
    for place in ("recipe", "speaking"):
        monkeypatch.setattr(f"protophone.{place}.load_embedder", lambda _: Tilt())


@pytest.fixture
def bundle(embedder, tiny_corpus, tmp_path):
    folder = tmp_path / "bundle"
    encoder = content()
    write_bundle(folder, encoder_part(encoder, NAMES), {}, "")
    add_part(folder, "pitch", pitch_part(started()))
    data = DataConfig(recordings=str(tiny_corpus / "manifest.jsonl"), split="all")
    training = TrainConfig(steps=3, batch=2, crop=40, device="cpu")
    voice = VocosConfig(**NARROW, embedding_dim=4)
    told = {"data": data, "bundle": str(folder)}
    recipe = VoiceRecipe(**told, name="vocos", voice=voice, embedder="tilt", train=training)
    run_recipe(recipe, tmp_path / "voice")
    settings = ContextConfig(lags=2, hidden=8, dim=4, steps=20, batch=64)
    run_recipe(EntropyRecipe(**told, entropy=settings), tmp_path / "entropy")
    return folder


@pytest.fixture
def sounds(tmp_path):
    soundfile.write(tmp_path / "in.wav", babble(2.1, 5), 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "like.wav", babble(3.0, 8, pitch=210.0), 16000, subtype="PCM_16")
    return tmp_path / "in.wav", tmp_path / "like.wav"


def test_a_voice_heard_once_speaks(bundle, sounds, tmp_path):
    source, like = sounds
    assert Bundle(bundle).voices["vocos"]["embedder"] == Tilt().settings
    model = load(bundle)
    wanted = model.decode(model.encode(source), model.heard(like))
    convert(bundle, source, tmp_path / "out.wav", like=like)
    audio.write(tmp_path / "wanted.wav", wanted[0], 16000)
    assert (tmp_path / "out.wav").read_bytes() == (tmp_path / "wanted.wav").read_bytes()
    assert not wanted.samples.equal(model.decode(model.encode(source)).samples)
    (tmp_path / "folder").mkdir()
    source.rename(tmp_path / "folder" / "in.wav")
    encode(bundle, tmp_path / "folder", out=tmp_path / "units")
    decode(bundle, tmp_path / "units", out=tmp_path / "sounds", like=like)
    assert (tmp_path / "sounds" / "in.wav").read_bytes() == (tmp_path / "wanted.wav").read_bytes()
    with pytest.raises(InputError, match="two who shall speak"):
        decode(bundle, tmp_path / "units", out=tmp_path / "both", like=like, voice="ana")


def test_a_file_holds_the_voice_that_was_heard(bundle, sounds, tmp_path):
    source, _ = sounds
    compress(source, tmp_path / "out.ppn", bundle=bundle, embed=True)
    units = unpack((tmp_path / "out.ppn").read_bytes(), read_entropy(Bundle(bundle)))
    model = load(bundle)
    torch.testing.assert_close(units.voice, model.heard(source).embedding, atol=0.01, rtol=0)
    assert units.pitch_statistics == pytest.approx(model.encode(source, "eve").pitch_statistics, abs=0.01)
    decompress(tmp_path / "out.ppn", tmp_path / "out.wav", bundle=bundle)
    audio.write(tmp_path / "wanted.wav", model.decode(units)[0], 16000)
    assert (tmp_path / "out.wav").read_bytes() == (tmp_path / "wanted.wav").read_bytes()


def test_voices_of_another_embedder_are_refused(bundle, sounds):
    part = Bundle(bundle).voice("vocos")
    facts = {**part.facts, "embedder": {**part.facts["embedder"], "weights": "beef"}}
    add_voice(bundle, "vocos", type(part)(part.config, part.weights, json.loads(json.dumps(facts))))
    with pytest.raises(InputError, match=r"embedded by tilt with weights beef .*found are 00ff"):
        load(bundle).heard(sounds[1])


@pytest.mark.parametrize("name", ["a/b", "..", ""])
def test_a_recipe_calls_its_vocoder_what_a_folder_can_be(name):
    with pytest.raises(ConfigError, match="name "):
        VoiceRecipe(data=DataConfig(recordings="x"), bundle="b", name=name, voice=VocosConfig())


def test_pitch_units_of_another_rate_are_refused_before_the_training(bundle, tiny_corpus, tmp_path):
    data = DataConfig(recordings=str(tiny_corpus / "manifest.jsonl"), split="all")
    pitch = PitchVQVAEConfig(tracker=PitchConfig(sample_rate=8000))
    with pytest.raises(ConfigError, match=r"sample_rate 8000: .* takes sound at 16000 Hz"):
        run_recipe(PitchRecipe(data=data, bundle=str(bundle), pitch=pitch), tmp_path / "pitch")


@pytest.mark.parametrize(
    ("pitch", "says"),
    [
        (PitchVQVAEConfig(tracker=PitchConfig(hop=100)), "tracker.hop 100: vocoders are told the melody every 80"),
        (PitchVQVAEConfig(time_reduction=4), r"time_reduction 4: .* 320 samples apart, .*multiple of the 640"),
    ],
)
def test_pitch_units_that_nothing_could_be_told_are_refused_before_the_training(
    bundle, tiny_corpus, tmp_path, pitch, says
):
    data = DataConfig(recordings=str(tiny_corpus / "manifest.jsonl"), split="all")
    with pytest.raises(ConfigError, match=says):
        run_recipe(PitchRecipe(data=data, bundle=str(bundle), pitch=pitch), tmp_path / "pitch")


def test_another_number_of_pitch_units_is_refused_before_the_training(bundle, tiny_corpus, tmp_path):
    data = DataConfig(recordings=str(tiny_corpus / "manifest.jsonl"), split="all")
    recipe = VoiceRecipe(data=data, bundle=str(bundle), name="v", voice=HiFiGANConfig(pitch_units=7))
    with pytest.raises(ConfigError, match=r"voice.pitch_units 7: there are \d+; write this number"):
        run_recipe(recipe, tmp_path / "wrong")


def test_all_is_measured_in_the_files_and_of_a_voice_heard_once(bundle, sounds, tiny_corpus, tmp_path, monkeypatch):
    use_fakes(monkeypatch)
    manifest = tiny_corpus / "manifest.jsonl"
    own = evaluate_all(bundle, manifest, tmp_path / "own", embedder="zeros", speakers=["ana"])
    files = sorted((tmp_path / "own" / "packed").rglob("*.ppn"))
    assert [file.stem for file in files] == ["0", "1", "2"]
    seconds = sum(soundfile.info(path).duration for path in (tiny_corpus / "ana").iterdir())
    measured = 8 * sum(file.stat().st_size for file in files) / seconds
    assert own["bit rate, measured bytes"].value == pytest.approx(measured)
    assert {unpack(file.read_bytes(), read_entropy(Bundle(bundle))).voice for file in files} == {"ana"}
    assert own["speaker similarity to the original"].count == 3
    page = (tmp_path / "own" / "listen.html").read_text()
    assert all(page.count(f"spectrogram, 0 to 8000 hertz, of from its units of ana/{at}") for at in range(3))
    assert "ana/2" in page

    told = {"embedder": "zeros", "like": sounds[1], "speakers": ["bo"]}
    alike = evaluate_all(bundle, manifest, tmp_path / "like", **told)
    assert not [figure.name for figure in alike.figures if "similarity" in figure.name]
    assert any("name the speaker whom they shall resemble" in each.reason for each in alike.left_out)
    assert alike["F0 frame error (FFE)"].count == 3
    named = evaluate_all(bundle, manifest, tmp_path / "like", **told, voice="ana")
    assert named["speaker similarity to the source's original"].count == 3  # the same sounds go on


def test_files_of_another_entropy_model_are_not_counted(bundle, tiny_corpus, tmp_path, monkeypatch):
    use_fakes(monkeypatch)
    manifest = tiny_corpus / "manifest.jsonl"
    evaluate_all(bundle, manifest, tmp_path / "out", embedder="zeros")
    settings = ContextConfig(lags=1, hidden=8, dim=4, steps=20, batch=64)
    data = DataConfig(recordings=str(manifest), split="all")
    run_recipe(EntropyRecipe(data=data, bundle=str(bundle), entropy=settings), tmp_path / "again")
    with pytest.raises(InputError, match="packed: holds files of another entropy model; name another folder"):
        evaluate_all(bundle, manifest, tmp_path / "out", embedder="zeros")
