"""A bundle of content, pitch units and vocoders: whose voice, which melody, how fast, and what is refused."""

import math
import shutil
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from protophone import audio
from protophone.bundle import Bundle, add_part, add_voice, write_bundle
from protophone.corpus import decode_corpus, encode_corpus
from protophone.delivery import Delivery
from protophone.encoders.pitch import VoicePitch, pitch_part
from protophone.errors import AudioError, BundleError, InputError, UnitsError
from protophone.features.contour import PitchBatch
from protophone.model import Heard, load
from protophone.parts import encoder_part, voice_part
from protophone.speaking import deliver
from protophone.store import UnitRecord, read_units
from protophone.types import NOBODY, AudioBatch, Recording, UnitBatch
from protophone.vocoders.hifigan import HiFiGANConfig
from protophone.vocoders.vocos import VocosConfig
from tests.conftest import babble
from tests.speakers import NAMES, NARROW, RATE, content, heard_hz, voiced, write_speaking
from tests.test_pitch_units import SMALL, started


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_speaking(tmp_path_factory.mktemp("speaking") / "bundle")


@pytest.fixture(scope="module")
def model(bundle):
    return load(bundle, vocoder="vocos")


@pytest.fixture(scope="module")
def sound():
    return babble(3.1, seed=4, pitch=200.0)


def test_an_utterance_has_content_pitch_and_where_a_stranger_lies(model, sound):
    units = model.encode(sound, "ana")
    assert units.content.grid.hop == 640
    assert units.pitch.grid.hop == 1280
    assert units.pitch_statistics is None  # the bundle knows her
    stranger = model.encode(sound, "eve")
    voiced = heard_hz(AudioBatch.from_arrays([sound], RATE)).log()
    assert stranger.pitch_statistics[0] == pytest.approx(float(voiced.mean()), rel=0.01)
    assert stranger.pitch_statistics[1] == 0.05  # babble is all one tone; a semitone is the least
    assert model.encode(sound).pitch_statistics == stranger.pitch_statistics


def test_melodies_are_sung_as_asked(model, sound):
    units = model.encode(sound, "ana")
    told = model.pitch.contour(units.pitch, [model.pitch.voices["ana"]]).f0_hz[0].log()
    for delivery, lies in (
        (Delivery("copy"), told.mean()),
        (Delivery(), (told.mean() - math.log(200)) / 0.2 * 0.3 + math.log(110)),
        (Delivery("flat"), torch.tensor(math.log(110))),
        (Delivery("shift:-2st"), (told.mean() - math.log(200)) / 0.2 * 0.3 + math.log(110) - math.log(2) / 6),
    ):
        heard = heard_hz(model.decode(units, "bo", delivery)).log()
        assert len(heard) > 100
        assert float(heard.median()) == pytest.approx(float(lies), abs=0.12)
        if delivery.pitch == "flat":
            assert float(heard.std()) < 0.02


def test_a_collapsed_melody_is_sung_as_long_as_it_is(model, sound):
    units = model.encode(sound, "ana")
    short = replace(units, pitch=units.pitch.collapse())
    assert short.pitch.codes.shape[2] < units.pitch.codes.shape[2]
    for delivery in (Delivery(), Delivery("flat")):
        wanted, found = (model.decode(each, "bo", delivery).samples for each in (units, short))
        assert torch.equal(wanted, found)


def test_minutes_more_take_no_more_memory(model, tmp_path):
    """Of what numpy holds; sound alone would be 8 MB for each two minutes."""
    peaks = []
    for minutes in (3, 9):
        path = tmp_path / f"{minutes}.wav"
        sound = np.tile(babble(60, 3), minutes)
        soundfile.write(path, sound, RATE)
        del sound
        tracemalloc.start()
        units = model.encode(path, "ana")
        encoded = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert sum(len(part) for part in model.speak_stream(units, "bo")) == units.num_samples == 60 * RATE * minutes
        peaks.append((encoded, tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    assert np.abs(np.subtract(*peaks)).max() < 4e6


def test_nobodys_voice_sings_in_the_register_of_the_recording(bundle, tmp_path, sound):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    nameless = started()
    nameless.voices = {NOBODY: VoicePitch(math.log(150), 0.1)}
    add_part(folder, "pitch", pitch_part(nameless))
    encoder = load(folder).encoder
    vocoder = voiced(VocosConfig(**NARROW).build(encoder.codebook, encoder.grid, (NOBODY,)))
    add_voice(folder, "vocos", voice_part(vocoder))
    model = load(folder, vocoder="vocos")
    units = model.encode(sound)
    told = model.pitch.contour(units.pitch, [VoicePitch(*units.pitch_statistics)]).f0_hz.median()
    for melody in ("target", "copy"):
        heard = heard_hz(model.decode(units, delivery=Delivery(melody)))
        assert float(heard.median()) == pytest.approx(float(told), rel=0.02)
    level = heard_hz(model.decode(units, delivery=Delivery("flat")))
    assert float(level.median()) == pytest.approx(200, rel=0.02)  # where the recording lies, and nobody at 150


def test_a_vector_sings_in_the_register_that_goes_with_it(bundle, sound):
    model = load(bundle, vocoder="heard")
    units = replace(model.encode(sound), voice=torch.ones(4))
    for lies in (math.log(130), math.log(260)):
        level = heard_hz(model.decode(replace(units, pitch_statistics=(lies, 0.1)), delivery=Delivery("flat")))
        assert float(level.median().log()) == pytest.approx(lies, abs=0.02)
    with pytest.raises(UnitsError, match="say not where the pitch of theirs lies"):
        model.decode(replace(units, pitch_statistics=None))


@pytest.mark.parametrize("vocoder", ["vocos", "guessing", "hifigan"])
@pytest.mark.parametrize("samples", [0, 300])
def test_no_units_are_silence(bundle, sound, vocoder, samples):
    model = load(bundle, vocoder=vocoder)
    units = model.encode(sound, "ana")
    none = {
        name: UnitBatch.from_arrays([np.zeros((1, 0))], each.sizes, each.grid, each.codebook)
        for name, each in (("content", units.content), ("pitch", units.pitch))
    }
    said = model.decode(replace(units, num_samples=samples, **none))
    assert said.samples.shape == (1, samples)
    assert not said.samples.any()


def test_rate_changes_length_and_not_pitch(model, sound):
    units = model.encode(sound, "ana")
    plain = model.decode(units, "ana", Delivery("flat"))
    for rate in (0.5, 1.3):
        spoken = model.decode(units, "ana", Delivery("flat", rate))
        assert spoken.samples.shape[1] == round(len(sound) / rate)
        assert float(heard_hz(spoken).median()) == pytest.approx(float(heard_hz(plain).median()), rel=0.03)


def test_parts_are_the_whole(model, sound):
    units = model.encode(sound, "ana")
    parts = list(model.speak_stream(units, "bo"))
    assert np.array_equal(np.concatenate(parts), model.decode(units, "bo")[0])
    assert sum(map(len, parts)) == len(sound)


def test_vocoders_are_preferred_in_order_and_named(bundle, sound):
    every = load(bundle)
    assert every.voices == NAMES
    units = every.encode(sound, "ana")
    assert every.decode(units).samples.equal(load(bundle, vocoder="vocos").decode(units, "ana").samples)
    other = load(bundle, vocoder="guessing").decode(units, "ana").samples
    assert not other.equal(every.decode(units).samples)
    with pytest.raises(InputError, match="no vocoder 'nothing'.*guessing, heard, hifigan, vocos"):
        load(bundle, vocoder="nothing")


def test_pitch_units_that_are_made_anew_are_voiced_where_the_old_ones_were(model, sound, monkeypatch):
    units, lies = model.encode(sound, "ana"), model.pitch.voices["ana"]
    whole = model.pitch.decode(units.pitch, [lies])
    half = replace(whole, f0_hz=whole.f0_hz * (torch.arange(whole.f0_hz.shape[1]) < 300))
    monkeypatch.setattr(model.pitch, "decode", lambda *_: half)
    level = PitchBatch((half.f0_hz > 0) * math.exp(lies.mean), half.lengths, half.grid)
    anew = deliver(units, "units", model.pitch, lies, Delivery("flat"))
    assert anew.codes.equal(model.pitch.encode(level, [lies]).codes)


def test_pitch_units_are_made_anew_for_another_melody(bundle, sound):
    model = load(bundle, vocoder="hifigan")
    units = model.encode(sound, "ana")
    plain = model.decode(units, "ana").samples
    assert plain.shape == (1, len(sound))
    assert not model.decode(units, "ana", Delivery("flat")).samples.equal(plain)
    assert model.decode(units, "ana", Delivery(rate=2.0)).samples.shape == (1, round(len(sound) / 2))


def test_a_voice_heard_once_speaks_where_a_vocoder_learned_to(bundle, sound):
    model = load(bundle, vocoder="heard")
    units = model.encode(sound, "ana")
    stranger = Heard(torch.tensor([0.5, 0.5, 0.5, 0.5]), VoicePitch(math.log(300), 0.1))
    spoken = model.decode(units, stranger, Delivery("flat"))
    assert float(heard_hz(spoken).median()) == pytest.approx(300, rel=0.03)
    own = replace(units, voice=stranger.embedding, pitch_statistics=(math.log(300), 0.1))
    assert model.decode(own, None, Delivery("flat")).samples.equal(spoken.samples)
    with pytest.raises(InputError, match=r"know voices by name only.*voice\.embedding_dim = 256"):
        load(bundle, vocoder="vocos").decode(units, stranger)


def test_units_on_disk_hold_pitch_and_speak_the_same(model, sound, tmp_path):
    path = tmp_path / "a.wav"
    audio.write(path, sound, RATE)
    for speaker in ("ana", "eve"):
        folder = tmp_path / speaker
        encode_corpus(model, [Recording(id="a", path=path, speaker=speaker)], folder / "units")
        (record,) = read_units(folder / "units")
        again, wanted = record.to_utterance(), model.encode(path, speaker)
        assert again.pitch.codes.equal(wanted.pitch.codes)
        assert again.pitch.codebook == model.pitch.codebook.hash
        assert again.pitch_statistics == wanted.pitch_statistics
        decode_corpus(model, [record], folder / "sounds", voice="bo", delivery=Delivery("flat"))
        spoken = audio.read(folder / "sounds" / "a.wav", RATE)
        assert np.allclose(spoken, model.decode(wanted, "bo", Delivery("flat"))[0], atol=2e-4)
        with pytest.raises(InputError, match="holds sounds of other units or of another voice"):
            decode_corpus(model, [record], folder / "sounds", voice="bo")


def test_sound_is_as_long_as_was_asked(bundle, sound):
    model = load(bundle, vocoder="vocos")
    for count in (401, 3200, 16000, 16001):
        for rate in (0.25, 0.7, 1.5, 2.0, 3.0):
            spoken = model.convert(sound[:count], "bo", Delivery(rate=rate))
            assert spoken.samples.shape[1] == round(count / rate)
    units = model.encode(sound, "ana")
    short = replace(units, content=replace(units.content, lengths=units.content.lengths - 2))
    spoken = model.decode(short, "ana")[0]
    assert len(spoken) == len(sound)
    assert not spoken[-640:].any()
    assert np.array_equal(np.concatenate(list(model.convert_stream(sound, "bo"))), model.convert(sound, "bo")[0])


def test_sounds_of_another_vocoder_are_not_kept(bundle, tmp_path, sound):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    model = load(folder, vocoder="vocos")
    record = UnitRecord.from_utterance(model.encode(sound), "a")
    decode_corpus(model, [record], tmp_path / "sounds")
    torch.manual_seed(8)
    vocoder = VocosConfig(**NARROW).build(model.encoder.codebook, model.encoder.grid, NAMES)
    add_voice(folder, "guessing", voice_part(vocoder))  # another vocoder than the one that spoke
    decode_corpus(load(folder, vocoder="vocos"), [record], tmp_path / "sounds")
    add_voice(folder, "vocos", voice_part(vocoder))
    with pytest.raises(InputError, match="holds sounds of other units or of another voice"):
        decode_corpus(load(folder, vocoder="vocos"), [record], tmp_path / "sounds")


def test_content_pitch_and_samples_are_of_one_recording(model, sound):
    units = model.encode(sound, "ana")
    one = replace(units.pitch, codes=units.pitch.codes[..., :1], lengths=torch.tensor([1]))
    for wrong in (replace(units, num_samples=10 * units.num_samples), replace(units, pitch=one)):
        with pytest.raises(UnitsError, match="give content, pitch and number of samples of one recording"):
            model.decode(wrong)


def test_a_bundle_without_pitch_units_says_so_before_the_work(bundle, tmp_path, sound, monkeypatch):
    folder = tmp_path / "bundle"
    encoder = content()
    write_bundle(folder, encoder_part(encoder, NAMES), {}, "")
    add_voice(folder, "vocos", Bundle(bundle).voice("vocos"))
    monkeypatch.setattr("protophone.model.Model.encode", lambda *_: pytest.fail("it was encoded"))
    with pytest.raises(UnitsError, match="the bundle has no pitch units"):
        load(folder).convert(sound, "ana")


def test_pitch_units_of_another_rate_are_refused(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    other = started(replace(SMALL, tracker=replace(SMALL.tracker, sample_rate=8000)))
    add_part(folder, "pitch", pitch_part(other))
    with pytest.raises(BundleError, match="pitch units are of sound at 8000 Hz, its encoder takes 16000 Hz"):
        load(folder)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "v" * 300])
def test_vocoders_are_called_what_folders_can_be(bundle, tmp_path, name):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    with pytest.raises(InputError, match="vocoder .*"):
        add_voice(folder, name, Bundle(bundle).voice("vocos"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


def test_what_cannot_be_sung_is_refused(bundle, model, sound):
    guessing = load(bundle, vocoder="guessing")
    units = guessing.encode(sound, "ana")
    assert guessing.decode(units, "bo").samples.shape == (1, len(sound))
    with pytest.raises(InputError, match="pitch 'flat': this vocoder is told no melody"):
        guessing.decode(units, "bo", Delivery("flat"))
    with pytest.raises(UnitsError, match="must be told the melody, and these units have none"):
        model.decode(replace(units, pitch=None), "bo")
    with pytest.raises(InputError, match="no voice 'eve'.*ana, bo"):
        model.decode(units, "eve")


def test_names_that_are_not_known_are_refused(model, sound):
    with pytest.raises(InputError, match="no speaker 'eve' whose register .* knows; these are: ana, bo"):
        model.convert(sound, "bo", speaker="eve")
    with pytest.raises(InputError, match="no voice ''"):
        model.convert(sound, "")
    with pytest.raises(InputError, match="no voice ''"):
        model.decode(model.encode(sound), "")


def test_a_vocoder_is_told_the_pitch_units_it_learned_only(bundle, tmp_path, sound):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    model = load(folder, vocoder="hifigan")
    assert model.convert(sound, "bo").samples.shape == (1, len(sound))
    units = model.encode(sound, "ana")
    with pytest.raises(UnitsError, match="units of codebook deadbeef, .* this bundle's pitch units are those of"):
        model.decode(replace(units, pitch=replace(units.pitch, codebook="deadbeef")))
    vocoder = HiFiGANConfig(channels=32, dim=8, discriminators=NARROW["discriminators"]).build(
        model.encoder.codebook, model.encoder.grid, NAMES
    )
    add_voice(folder, "published", voice_part(vocoder))  # which says not whose pitch units it was told
    with pytest.raises(UnitsError, match="is told pitch units of codebook unknown, this bundle's are of"):
        load(folder, vocoder="published").convert(sound, "bo")
    other = started()
    with torch.no_grad():
        other.quantizer.vectors += 1
    add_part(folder, "pitch", pitch_part(other))
    with pytest.raises(UnitsError, match="is told pitch units of codebook .*, this bundle's are of"):
        load(folder, vocoder="hifigan").convert(sound, "bo")


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(16000, np.float32), "like.wav: digital silence"),
        (babble(0.5), r"like.wav: 0\.\d+ s of voice in its first minute; to know a voice takes 1 s"),
        (0.1 * np.random.default_rng(0).standard_normal(48000), r"like.wav: 0\.\d+ s of voice"),
    ],
    ids=["silence", "short", "noise"],
)
def test_what_is_no_voice_cannot_be_imitated(bundle, tmp_path, samples, said):
    audio.write(tmp_path / "like.wav", samples, RATE)
    with pytest.raises(AudioError, match=said):
        load(bundle, vocoder="heard").heard(tmp_path / "like.wav")
