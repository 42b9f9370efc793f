"""The inverter: contract of a vocoder, losses against the equations, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from protophone.crops import Crops, CropSampler
from protophone.data import Pack
from protophone.encoders import VQVAEConfig
from protophone.encoders.augment import AugmentConfig
from protophone.errors import ConfigError, InputError, UnitsError
from protophone.quantizers.vq import VQConfig
from protophone.train import TrainConfig, history, train
from protophone.types import AudioBatch, Codebook, FrameGrid, Recording, UnitBatch
from protophone.vocoders.adversarial import SpectrogramDiscriminator, discriminator_loss, generator_loss
from protophone.vocoders.code2spec import Code2SpecConfig
from tests.conftest import babble

GRID = FrameGrid(16000, 640, 240)
BOOK = Codebook(torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(3)))


def small(**changes):
    settings = {"channels": 16, "layers": 2, "n_fft": 1024, "speaker_dim": 4, "iterations": 4} | changes
    torch.manual_seed(0)
    vocoder = Code2SpecConfig(**settings).build(BOOK, GRID, ("ana", "bo")).eval()
    vocoder.calibrate(torch.from_numpy(babble(2))[None])
    return vocoder


def units(*lengths, codebook=BOOK.hash, grid=GRID, sizes=(16,)):
    random = np.random.default_rng(1)
    return UnitBatch.from_arrays([random.integers(0, sizes[0], n) for n in lengths], sizes, grid, codebook)


def test_the_paper_s_shape_is_the_default():
    vocoder = Code2SpecConfig().build(Codebook(torch.zeros(1, 256, 64)), GRID, ("a",))
    assert vocoder(torch.zeros(1, 1, 3, dtype=torch.int64), torch.tensor([0])).shape == (1, 12, 1025)
    assert [len(layer.scales) for layer in vocoder.body] == [4] * 4
    assert [scale.kernel_size[0] for scale in vocoder.body[0].scales] == [1, 3, 5, 7]


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("length", [1, 2, 25, 60])
def test_sound_is_as_many_frames_and_finite(scale, length):
    sound = small(scale=scale).synthesize(units(length), None, "bo")
    assert sound.samples.shape == (1, length * 640)
    assert sound.sample_rate == 16000
    assert torch.isfinite(sound.samples).all()


def test_a_batch_gives_what_its_rows_give_alone():
    vocoder, batch = small(), units(20, 3, 31)
    together = vocoder.synthesize(batch, None, "bo")
    assert together.lengths.tolist() == [12800, 1920, 19840]
    for row in range(3):
        alone = UnitBatch.from_arrays([batch[row]], (16,), GRID, BOOK.hash)
        np.testing.assert_allclose(together[row], vocoder.synthesize(alone, None, "bo")[0], atol=1e-6)


def test_long_rows_spoken_in_parts_have_neither_gaps_nor_clicks():
    vocoder = small(iterations=8)
    for length in (500, 501, 1103):
        sound = vocoder.synthesize(units(length), None, "ana")[0]
        assert len(sound) == length * 640
        assert np.isfinite(sound).all()
        loud = np.sqrt(np.square(sound.astype(np.float64)).reshape(-1, 640).mean(1))
        inner = loud[2:-2]
        for seam in range(500, length, 500):
            around = loud[max(0, seam - 12) : seam + 3]
            assert around.min() > 0.5 * np.percentile(inner, 1)
            assert around.max() < 2 * np.percentile(inner, 99)
            steps = np.abs(np.diff(sound))
            near = steps[(seam - 12) * 640 : (seam + 2) * 640]
            assert near.max() <= 1.5 * steps.max()


def test_units_far_away_do_not_change_what_is_spoken():
    vocoder = small()
    codes = units(40).codes
    other = codes.clone()
    other[..., 30:] = (other[..., 30:] + 1) % 16
    voice = torch.tensor([1])
    got, changed = vocoder(codes, voice), vocoder(other, voice)
    reach = 30 * 4 - vocoder.config.layers * 3
    assert (30 - vocoder.context) * 4 <= reach
    torch.testing.assert_close(got[:, :reach], changed[:, :reach])
    assert not got[:, reach : reach + 1].equal(changed[:, reach : reach + 1])


def test_what_it_cannot_speak_is_refused():
    vocoder = small()
    with pytest.raises(UnitsError, match=f"deadbeef.*{BOOK.hash}"):
        vocoder.synthesize(units(3, codebook="deadbeef"), None, "bo")
    with pytest.raises(UnitsError, match="320 samples apart.*640 samples apart"):
        vocoder.synthesize(units(3, grid=FrameGrid(16000, 320)), None, "bo")
    with pytest.raises(InputError, match="no voice 'cy' here; the voices are: ana, bo"):
        vocoder.synthesize(units(3), None, "cy")
    assert vocoder.synthesize(units(3), None, None).samples.equal(vocoder.synthesize(units(3), None, "ana").samples)


def test_shapes_that_do_not_fit_are_refused_when_the_config_is_made():
    with pytest.raises(ConfigError, match="channels 18.*4"):
        Code2SpecConfig(channels=18)
    with pytest.raises(ConfigError, match="hop 480: units last 640 samples"):
        small(hop=480, window_length=480)
    with pytest.raises(ConfigError, match="window_length 400 must be no shorter than hop 480"):
        small(hop=480)


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_scaled_spectrograms_are_normalised_and_come_back(scale):
    vocoder = small(scale=scale, window_length=800)
    sound = torch.from_numpy(babble(2))[None]
    scaled = vocoder.scaled(sound)
    torch.testing.assert_close(scaled.mean((0, 1)), torch.zeros(513), atol=1e-3, rtol=0)
    assert (scaled.std((0, 1)) - 1).abs().max() < 0.01
    again = vocoder.magnitude(scaled)
    padded = F.pad(sound, (512, 512))
    window = torch.zeros(1024)
    window[112:912] = torch.hann_window(800)
    frame = padded[0, 50 * 160 : 50 * 160 + 1024] * window
    torch.testing.assert_close(again[0, 50], torch.fft.rfft(frame).abs(), rtol=1e-3, atol=1e-3)


def crops(length=20, batch=3):
    random = np.random.default_rng(0)
    sound = np.stack([babble(length * 0.04, seed=row) for row in range(batch)])
    mask = torch.ones(batch, length)
    mask[0, length // 2 :] = 0
    codes = torch.from_numpy(random.integers(0, 16, (batch, length, 1))).float()
    return Crops(codes, torch.from_numpy(np.round(sound * 32767))[..., None].float(), mask, torch.tensor([0, 1, 0]))


@pytest.mark.parametrize("adversary", ["none", "lsgan", "wgan"])
def test_each_part_is_stepped_by_its_own_loss(adversary):
    vocoder = small(adversary=adversary, adversarial_weight=0.5, mse_weight=3.0).train()
    groups = vocoder.parameter_groups()
    assert sum(len(group) for group in groups.values()) == len(list(vocoder.parameters()))
    losses = dict(_losses(vocoder, crops()))
    assert list(losses) == (["vocoder"] if adversary == "none" else ["discriminator", "vocoder"])
    wanted = 3 * vocoder.figures["mse"] + (0.5 * vocoder.figures["adversarial"] if adversary != "none" else 0)
    assert losses["vocoder"] == pytest.approx(float(wanted), rel=1e-5)


def _losses(vocoder, batch):
    for name, loss in vocoder.losses(batch):
        vocoder.zero_grad()
        loss.backward()
        judged = {id(p) for p in vocoder.discriminator.parameters()} if vocoder.discriminator is not None else set()
        for parameter in vocoder.parameters():
            if name == "discriminator" and id(parameter) not in judged:
                assert parameter.grad is None  # the discriminator's loss leaves the inverter alone
        yield name, float(loss.detach())


def test_what_lies_past_a_recording_is_not_judged_by_the_squared_error():
    vocoder = small(adversary="none")
    batch = crops()
    louder = batch.target.clone()
    louder[0, 15 * 640 :] = 20000 * torch.randn(louder[0, 15 * 640 :].shape)
    list(vocoder.losses(batch))
    before = float(vocoder.figures["mse"])
    list(vocoder.losses(Crops(batch.frames, louder, batch.mask, batch.speakers)))
    assert float(vocoder.figures["mse"]) == pytest.approx(before, rel=1e-6)


class Known(torch.nn.Module):
    """A discriminator that says ten times the mean."""

    def forward(self, spectrogram):
        return 10 * spectrogram.mean((1, 2), keepdim=True)


def test_adversarial_losses_are_equations_7_and_8():
    real, fake = torch.ones(2, 5, 8), torch.full((2, 5, 8), 0.5)
    assert float(generator_loss(Known()(fake), "lsgan")) == (5 - 1) ** 2
    assert float(discriminator_loss(Known(), real, fake, "lsgan")) == 5**2 + (10 - 1) ** 2
    assert float(generator_loss(Known()(fake), "wgan")) == -5
    slope = np.sqrt(40 * (10 / 40) ** 2)
    wanted = 5 - 10 + 10 * (slope - 1) ** 2
    assert float(discriminator_loss(Known(), real, fake, "wgan")) == pytest.approx(wanted, rel=1e-5)
    assert SpectrogramDiscriminator()(torch.zeros(2, 20, 1025)).shape[0] == 2


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A VQ-VAE and an inverter, both trained on four seconds of babble."""
    place = tmp_path_factory.mktemp("overfit")
    torch.manual_seed(0)
    sound = babble(4, seed=2)
    settings = VQVAEConfig(channels=32, blocks=1, quantizer=VQConfig(num_units=16, dim=8), augment=AugmentConfig())
    encoder = settings.build(("a",))
    audio = AudioBatch.from_arrays([sound], 16000)

    def frames(extractor):
        found = extractor(audio).frames[0].numpy()
        return (found - found.mean(0)) / found.std(0)

    def pack(name, array, dtype):
        one = [Recording(id="a", path=Path("a"), speaker="a")]
        return Pack.build(place / name, one, lambda _: [array], sample_rate=16000, dtype=dtype, settings={})

    inputs, target = pack("in", frames(encoder.features), "float32"), pack("out", frames(encoder.target), "float32")
    options = {"batch": 8, "seed": 0, "speakers": ("a",)}
    crops_of = CropSampler(inputs, target, crop=80, context=encoder.context[0], **options)
    fast = {"device": "cpu", "learning_rate": 3e-3, "warmup": 10, "save_every": 1000, "crop": 80}
    train(encoder, crops_of, TrainConfig(steps=160, **fast), place / "encoder")
    units = encoder.encode(audio)
    samples = np.pad(sound, (0, 640 * units.codes.shape[2] - len(sound)))
    codes = pack("codes", units[0].T, "uint16")
    sounds = pack("sound", np.round(samples * 32767)[:, None], "int16")
    vocoder = Code2SpecConfig(channels=32, layers=2, n_fft=1024, iterations=16, adversary="lsgan").build(
        encoder.codebook, encoder.grid, ("a",)
    )
    sampler = CropSampler(codes, sounds, crop=20, context=0, scale=640, **options)
    vocoder.calibrate(torch.from_numpy(sound)[None])
    train(vocoder, sampler, TrainConfig(steps=160, **fast), place / "voice")
    return place, encoder, vocoder, sound


def test_the_vq_vae_learns_four_seconds(learned):
    place, encoder, _, sound = learned
    curve = [value for _, value in history(place / "encoder")["reconstruction"]]
    assert curve[0] > 1
    units = encoder.encode(AudioBatch.from_arrays([sound], 16000))
    rebuilt = encoder.decode_frames(encoder.quantizer.lookup(units.codes), encoder.voices.weight[:1], units.lengths)
    found = encoder.target(AudioBatch.from_arrays([sound], 16000)).frames[0]
    wanted = (found - found.mean(0)) / found.std(0)
    assert (rebuilt[0, : len(wanted)] - wanted).square().mean() < 0.5  # silence everywhere would leave 1
    assert len(units.codes.unique()) > 4


def test_the_inverter_learns_four_seconds(learned):
    place, encoder, vocoder, sound = learned
    units = encoder.encode(AudioBatch.from_arrays([sound], 16000))
    spoken = vocoder.synthesize(units, None, "a")[0]
    assert len(spoken) >= len(sound)
    with torch.no_grad():
        wanted = vocoder.scaled(torch.from_numpy(sound)[None])
        got = vocoder(units.codes, torch.tensor([0]))[:, : wanted.shape[1]]
    assert (got - wanted[:, : got.shape[1]]).square().mean() < 0.6  # the mean of each bin would leave 1
    assert history(place / "voice")["mse"][-1][1] < history(place / "voice")["mse"][0][1]
    again = encoder.encode(AudioBatch.from_arrays([spoken], 16000))
    kept = (again.codes[..., : units.codes.shape[2]] == units.codes).float().mean()
    assert kept > 3 / 16  # what is spoken has its own units again, well above chance
