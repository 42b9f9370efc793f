"""Unit HiFi-GAN: contract of a vocoder, its shapes, exact parts and resume, and that it learns a real recording."""

import math
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch

from protophone.crops import Crops
from protophone.errors import ConfigError, InputError, UnitsError
from protophone.train import TrainConfig, train
from protophone.types import Codebook, FrameGrid, UnitBatch
from protophone.vocoders import hifigan
from protophone.vocoders.adversarial import DiscriminatorsConfig, log_mel
from protophone.vocoders.hifigan import HiFiGANConfig
from tests.conftest import babble, corpus

GRID = FrameGrid(16000, 640, 240)
PITCH_GRID = FrameGrid(16000, 1280)
BOOK = Codebook(torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(3)))
DISCRIMINATORS = DiscriminatorsConfig(kinds=("resolution",), width=0.01)


def small(*, book=BOOK, grid=GRID, voices=("ana", "bo"), **changes):
    settings = {"channels": 32, "dim": 8, "discriminators": DISCRIMINATORS} | changes
    torch.manual_seed(0)
    vocoder = HiFiGANConfig(**settings).build(book, grid, voices).eval()
    for parameter in vocoder.upsampler.parameters():  # louder than an untrained network is
        parameter.data *= 1.5
    return vocoder


def units(*lengths, codebook=BOOK.hash, grid=GRID, sizes=(16,)):
    random = np.random.default_rng(1)
    rows = [random.integers(0, sizes[0], (len(sizes), n)) for n in lengths]
    return UnitBatch.from_arrays(rows, sizes, grid, codebook)


def melody(*lengths, grid=PITCH_GRID, size=20):
    random = np.random.default_rng(2)
    return UnitBatch.from_arrays([random.integers(0, size, n) for n in lengths], (size,), grid)


def test_published_rates_and_those_derived():
    shape = HiFiGANConfig().shape
    assert shape(160) == ((5, 4, 2, 2, 2), (11, 8, 4, 4, 4))
    assert shape(320) == ((5, 4, 4, 2, 2), (11, 8, 8, 4, 4))
    assert shape(640) == ((5, 4, 4, 4, 2), (11, 8, 8, 8, 4))
    assert shape(1280) == ((5, 4, 4, 4, 4), (11, 8, 8, 8, 8))
    assert all(math.prod(shape(hop)[0]) == hop for hop in (160, 320, 640, 1280))
    assert HiFiGANConfig(rates=(8, 6), kernels=(16, 12)).shape(48) == ((8, 6), (16, 12))


def parameters(inputs, channels, kernels):
    """Of the published network, by hand: a weight, a length and a bias for each output of a layer."""
    widths = [channels // 2**step for step in range(6)]
    total = channels * inputs * 7 + 2 * channels
    for (wide, narrow), kernel in zip(pairwise(widths), kernels, strict=True):
        total += wide * narrow * kernel + wide + narrow
        total += sum(6 * (narrow * narrow * k + 2 * narrow) for k in (3, 7, 11))
    return total + widths[-1] * 7 + 2


def test_the_published_shape_is_the_default():
    with torch.device("meta"):
        config = HiFiGANConfig(discriminators=DiscriminatorsConfig(kinds=()))
        vocoder = config.build(Codebook(torch.zeros(1, 100, 8, device="cpu")), FrameGrid(16000, 320), ("a", "b"))
    counted = sum(parameter.numel() for parameter in vocoder.upsampler.parameters())
    assert counted == parameters(384, 512, (11, 8, 8, 4, 4))
    assert [table.weight.shape for table in (*vocoder.content, vocoder.melody, vocoder.speaker.table)] == [
        (100, 128),
        (20, 128),
        (2, 128),
    ]


@pytest.mark.parametrize("hop", [160, 320, 640, 1280])
@pytest.mark.parametrize("length", [1, 7])
def test_sound_is_as_many_units_and_within_one(hop, length):
    grid = FrameGrid(16000, hop)
    sound = small(grid=grid).synthesize(units(length, grid=grid), melody(length), "bo")
    assert sound.samples.shape == (1, length * hop)
    assert sound.sample_rate == 16000
    assert float(sound.samples.abs().max()) <= 1
    assert float(sound.samples.std()) > 0


def test_a_batch_gives_what_its_rows_give_alone():
    vocoder, batch, tune = small(), units(12, 3, 17), melody(6, 2, 9)
    together = vocoder.synthesize(batch, tune, "bo")
    assert together.lengths.tolist() == [12 * 640, 3 * 640, 17 * 640]
    for row in range(3):
        alone = UnitBatch.from_arrays([batch[row]], (16,), GRID, BOOK.hash)
        its_tune = UnitBatch.from_arrays([tune[row]], (20,), PITCH_GRID)
        np.testing.assert_array_equal(together[row], vocoder.synthesize(alone, its_tune, "bo")[0])


@pytest.mark.parametrize("hop", [160, 1280])
def test_long_rows_spoken_in_parts_are_the_same_sound(monkeypatch, hop):
    grid = FrameGrid(16000, hop)
    vocoder, batch, tune = small(grid=grid), units(65, grid=grid), melody(65)
    whole = vocoder.synthesize(batch, tune, "ana")[0]
    for part in (5, 23):
        monkeypatch.setattr(hifigan, "_PART", part * hop)
        parts = vocoder.synthesize(batch, tune, "ana")[0]
        np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert np.abs(whole).max() > 1e-3


def test_units_out_of_reach_do_not_change_what_is_spoken():
    vocoder = small().double()
    codes = units(64).codes
    other = codes.clone()
    other[..., 40:] = (other[..., 40:] + 1) % 16
    pitch, voice = torch.zeros(1, 64, dtype=torch.int64), vocoder.speaker.lookup("ana")
    got, changed = vocoder(codes, pitch, voice)[0], vocoder(other, pitch, voice)[0]
    reach = int((got != changed).nonzero()[0])
    assert (40 - vocoder.context) * 640 <= reach < 40 * 640
    assert got[-640:].ne(changed[-640:]).any()


def test_pitch_units_hold_for_all_content_units_in_their_time():
    vocoder = small()
    batch, tune = units(7), melody(4)
    got = vocoder.synthesize(batch, tune, "bo").samples
    spread = torch.from_numpy(tune[0]).repeat_interleave(2, 1)[:, :7]
    with torch.no_grad():
        wanted = vocoder(batch.codes, spread, vocoder.speaker.lookup("bo"))
    torch.testing.assert_close(got, wanted)
    other = UnitBatch.from_arrays([(tune[0] + 1) % 20], (20,), PITCH_GRID)
    assert not vocoder.synthesize(batch, other, "bo").samples.equal(got)
    assert vocoder.synthesize(batch, tune.collapse(), "bo").samples.equal(got)


def test_vectors_of_several_codebooks_are_summed():
    book = Codebook(torch.randn(2, 16, 8))
    vocoder = small(book=book, pitch="none")
    batch = units(6, sizes=(16, 16), codebook=book.hash)
    vocoder.content[1].weight.data.zero_()
    one = small(book=Codebook(torch.zeros(1, 16, 8)), pitch="none")
    shared = {key: value for key, value in vocoder.state_dict().items() if not key.startswith("content.1")}
    one.load_state_dict(shared)
    alone = units(6, sizes=(16,), codebook=one.codebook)
    alone.codes[:] = batch.codes[:, :1]
    torch.testing.assert_close(vocoder.synthesize(batch, None, "bo").samples, one.synthesize(alone, None, "bo").samples)


def test_voices_are_names_or_embeddings():
    vocoder = small(embedding_dim=5, pitch="none")
    batch = units(4)
    vector = torch.randn(5)
    by_name, by_embedding = (vocoder.synthesize(batch, None, voice).samples for voice in ("bo", vector))
    assert not by_name.equal(by_embedding)
    assert by_embedding.equal(vocoder.synthesize(batch, None, 2 * vector).samples)
    with pytest.raises(InputError, match="no voice 'cy' here; the voices are: ana, bo"):
        vocoder.synthesize(batch, None, "cy")
    single = small(voices=("ana",), speaker=False, pitch="none")
    assert single.synthesize(batch, None, None).samples.equal(single.synthesize(batch, None, "ana").samples)
    with pytest.raises(InputError, match="no voice 'bo' here"):
        single.synthesize(batch, None, "bo")
    with pytest.raises(UnitsError, match="one voice and takes no embedding"):
        single.synthesize(batch, None, vector)


def test_what_it_cannot_speak_is_refused():
    vocoder = small()
    with pytest.raises(UnitsError, match=f"deadbeef.*{BOOK.hash}"):
        vocoder.synthesize(units(3, codebook="deadbeef"), melody(2), "bo")
    with pytest.raises(UnitsError, match="must be told the melody in pitch units"):
        vocoder.synthesize(units(3), None, "bo")
    with pytest.raises(UnitsError, match="1 pitch units, and 3 content units need 2"):
        vocoder.synthesize(units(3), melody(1), "bo")
    with pytest.raises(UnitsError, match=r"sizes \[9\].*told 20"):
        vocoder.synthesize(units(3), melody(2, size=9), "bo")
    with pytest.raises(UnitsError, match="1000 samples apart"):
        vocoder.synthesize(units(3), melody(2, grid=FrameGrid(16000, 1000)), "bo")


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="units last 480 samples; write voice.rates whose product is 480"):
        small(grid=FrameGrid(16000, 480))
    with pytest.raises(ConfigError, match="channels 24 must be halved 5 times; write a multiple of 32"):
        small(channels=24)
    for changes, said in (
        ({"rates": (5, 4)}, "belong together"),
        ({"rates": (5, 4), "kernels": (10, 8)}, r"kernels \[10, 8\] do not fit"),
        ({"rates": (5, 4), "kernels": (11,)}, r"kernels \[11\] do not fit"),
        ({"block_kernels": (3, 4)}, "must be odd"),
        ({"speaker": False, "embedding_dim": 3}, "embedding_dim is of no use"),
    ):
        with pytest.raises(ConfigError, match=said):
            HiFiGANConfig(**changes)
    with pytest.raises(ConfigError, match="for one voice, and these are ana, bo"):
        small(speaker=False)


def crops(length=6, batch=3, **changes):
    random = np.random.default_rng(0)
    sound = np.stack([babble(length * 0.04, seed=row) for row in range(batch)])
    mask = torch.ones(batch, length)
    mask[0, length // 2 :] = 0
    codes = torch.from_numpy(random.integers(0, 16, (batch, length, 1))).float()
    pitch = torch.from_numpy(random.integers(0, 20, (batch, length, 1))).float()
    target = torch.from_numpy(np.round(sound * 32767))[..., None].float()
    given = {"target": target, "pitch": pitch} | changes
    return Crops(frames=codes, mask=mask, speakers=torch.tensor([0, 1, 0]), **given)


def test_discriminators_join_from_their_step_and_each_loss_has_its_parameters():
    vocoder = small(discriminators=DiscriminatorsConfig(kinds=("resolution",), width=0.01, from_step=1)).train()
    groups = vocoder.parameter_groups()
    assert sum(len(group) for group in groups.values()) == len(list(vocoder.parameters()))
    assert list(groups) == ["discriminator", "vocoder"]
    first = dict(vocoder.losses(crops()))
    assert list(first) == ["vocoder"]
    assert list(vocoder.figures) == ["mel"]
    second = dict(vocoder.losses(crops()))
    assert list(second) == ["discriminator", "vocoder"]
    terms = [vocoder.figures[name] for name in ("mel", "adversarial", "features")]
    torch.testing.assert_close(second["vocoder"].detach(), sum(terms))
    second["vocoder"].backward()
    assert all(parameter.grad is None for parameter in groups["discriminator"])
    assert all(parameter.grad is not None for parameter in groups["vocoder"])
    plain = small(discriminators=DiscriminatorsConfig(kinds=()))
    assert list(plain.parameter_groups()) == ["vocoder"]
    assert list(dict(plain.losses(crops()))) == ["vocoder"]


def test_what_lies_past_a_recording_teaches_nothing():
    vocoder, batch = small(), crops()
    nowhere = Crops(batch.frames, batch.target, torch.zeros(3, 6), batch.speakers, batch.pitch)
    for each, taught in ((batch, True), (nowhere, False)):
        vocoder.zero_grad()
        loss = dict(vocoder.losses(each))["vocoder"]
        loss.backward()
        assert any(bool(p.grad.any()) for p in vocoder.upsampler.parameters()) is taught
    assert float(vocoder.figures["mel"]) == 0


def test_crops_without_pitch_units_are_refused():
    with pytest.raises(UnitsError, match="crops without pitch units"):
        list(small().losses(crops(pitch=None)))
    with pytest.raises(UnitsError, match="crops without pitch units"):
        list(small().losses(crops(pitch=torch.ones(3, 6, 8))))


class _StopError(Exception):
    pass


def test_a_training_goes_on_to_the_same_bytes_when_discriminators_join_later(tmp_path):
    discriminators = DiscriminatorsConfig(kinds=("scale",), width=0.01, from_step=2)  # whose normalisation remembers
    settings = TrainConfig(steps=4, save_every=1, precision="32-true", device="cpu")
    batch = crops(4)

    def run(folder, *stops):
        for stop in stops:

            def sampler(step, stop=stop):
                if step == stop:
                    raise _StopError
                return batch

            vocoder = small(discriminators=discriminators)
            with nullcontext() if stop is None else pytest.raises(_StopError):
                train(vocoder, sampler, settings, folder)
        assert int(vocoder.discriminator.steps_done) == 4
        return (folder / "state.safetensors").read_bytes()

    assert run(tmp_path / "broken", 1, 3, None) == run(tmp_path / "whole", None)


def test_it_learns_a_second_of_a_real_recording(tmp_path):
    """As many units as frames: the vocoder must find the sound of each."""
    path = min((corpus("prompts") / "dev").rglob("*.flac"))
    sound, rate = soundfile.read(path, dtype="float32")
    assert rate == 16000
    sound = torch.from_numpy(sound[8000 : 8000 + 32 * 640])
    book = Codebook(torch.randn(1, 32, 2))
    discriminators = DiscriminatorsConfig(kinds=("resolution",), width=0.01, from_step=70)
    vocoder = small(book=book, pitch="none", voices=("a",), channels=64, dim=16, discriminators=discriminators)
    row = UnitBatch.from_arrays([np.arange(32)], (32,), GRID, book.hash)

    def distance():
        spoken = vocoder.eval().synthesize(row, None, "a").samples
        return float((log_mel(spoken, 16000) - log_mel(sound[None], 16000)).abs().mean())

    before = distance()
    batch = Crops(
        torch.arange(32.0)[None, :, None], (sound * 32767)[None, :, None], torch.ones(1, 32), torch.tensor([0])
    )
    settings = TrainConfig(steps=80, learning_rate=3e-3, warmup=5, weight_decay=0.0, clip=1000.0, device="cpu")
    run = train(vocoder, lambda _: batch, settings, tmp_path)
    assert distance() < min(1.0, 0.4 * before)  # of natural logarithms
    assert set(run.history) == {"mel", "discriminator", "adversarial", "features"}
