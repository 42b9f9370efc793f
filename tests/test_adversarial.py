"""Discriminators of waveforms: published shapes, what each looks at, the losses, and that they learn to tell."""

import librosa
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from protophone.errors import ConfigError
from protophone.spectral import stft
from protophone.vocoders.adversarial import Discriminators, DiscriminatorsConfig, log_mel, mel_loss
from protophone.vocoders.discriminators import ByPeriod, ByResolution, ByScale, Verdict
from tests.conftest import babble


def sounds(batch=2, length=3001):
    return torch.from_numpy(np.stack([babble(1, seed=row)[:length] for row in range(batch)]))


def weights(discriminator):
    """Effective weights of its layers, without the pairs that make them."""
    return [layer.weight for layer in [*discriminator.layers, discriminator.last]]


def test_shapes_are_those_published():
    """Kong et al. 2020, and the code of Polyak et al. 2021, written out by hand."""
    with torch.device("meta"):
        period, scale, resolution = ByPeriod(2), ByScale(1), ByResolution(1024, 256)
    shapes = [(32, 1, 5), (128, 32, 5), (512, 128, 5), (1024, 512, 5), (1024, 1024, 5), (1, 1024, 3)]
    assert [tuple(weight.shape) for weight in weights(period)] == shapes
    assert [layer.stride for layer in period.layers] == [(3,)] * 4 + [(1,)]
    shapes = [(128, 1, 15), (128, 32, 41), (256, 8, 41), (512, 16, 41), (1024, 32, 41), (1024, 64, 41), (1024, 1024, 5)]
    assert [tuple(weight.shape) for weight in weights(scale)] == [*shapes, (1, 1024, 3)]
    assert [layer.stride[0] for layer in scale.layers] == [1, 2, 2, 4, 4, 1, 1]
    assert [layer.groups for layer in scale.layers] == [1, 4, 16, 16, 16, 16, 1]
    shapes = [(32, 1, 3, 9), *[(32, 32, 3, 9)] * 3, (32, 32, 3, 3), (1, 32, 3, 3)]
    assert [tuple(weight.shape) for weight in weights(resolution)] == shapes


def test_all_kinds_are_eleven_discriminators():
    discriminators = DiscriminatorsConfig(kinds=("period", "scale", "resolution"), width=0.01).build().discriminators
    assert [discriminator.period for discriminator in discriminators[:5]] == [2, 3, 5, 7, 11]
    assert [discriminator.halvings for discriminator in discriminators[5:8]] == [0, 1, 2]
    assert [discriminator.n_fft for discriminator in discriminators[8:]] == [512, 1024, 2048]
    assert [
        hasattr(discriminator.layers[0].parametrizations.weight[0], "_u") for discriminator in discriminators[5:8]
    ] == [True, False, False]
    assert DiscriminatorsConfig(kinds=()).build() is None


@pytest.mark.parametrize("period", [2, 3, 5, 7, 11])
def test_by_period_is_a_convolution_over_the_folded_sound(period):
    discriminator, sound = ByPeriod(period, 0.01), sounds()
    left = -len(sound[0]) % period
    padded = torch.cat([sound, sound[:, -1 - left : -1].flip(1)], 1)
    x = padded.reshape(2, 1, -1, period)
    for layer in discriminator.layers:
        x = F.leaky_relu(F.conv2d(x, layer.weight[..., None], layer.bias, (layer.stride[0], 1), (2, 0)), 0.1)
    x = F.conv2d(x, discriminator.last.weight[..., None], discriminator.last.bias, 1, (1, 0))
    verdict = discriminator(sound)
    assert verdict.scores.shape == (2, x[0].numel())
    torch.testing.assert_close(verdict.scores.sort(1).values, x.flatten(1).sort(1).values, atol=1e-5, rtol=1e-4)
    assert len(verdict.features) == 6


@pytest.mark.parametrize("halvings", [0, 1, 2])
def test_by_scale_sees_the_sound_at_a_lower_rate(halvings):
    discriminator, sound = ByScale(halvings, 0.01).eval(), sounds()
    x = sound.numpy()
    for _ in range(halvings):
        padded = np.pad(x, ((0, 0), (2, 2)))
        x = np.stack([padded[:, at : at + 4].mean(1) for at in range(0, padded.shape[1] - 3, 2)], 1)
    x = torch.from_numpy(x)[:, None]
    for layer in discriminator.layers:
        pad = layer.weight.shape[2] // 2
        x = F.leaky_relu(F.conv1d(x, layer.weight, layer.bias, layer.stride, pad, groups=layer.groups), 0.1)
    x = F.conv1d(x, discriminator.last.weight, discriminator.last.bias, padding=1)
    torch.testing.assert_close(discriminator(sound).scores, x[:, 0], atol=1e-5, rtol=1e-4)


def test_the_first_scale_is_normalised_by_its_largest_singular_value():
    discriminator, sound = ByScale(0, 0.01), sounds()
    for _ in range(30):
        discriminator(sound)  # each look brings the estimate nearer
    for layer in [*discriminator.layers, discriminator.last]:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=0.05)


def test_by_resolution_sees_magnitudes():
    discriminator, sound = ByResolution(512, 128, 0.01), sounds()
    torch.testing.assert_close(discriminator(sound).scores, discriminator(-sound).scores)
    magnitude = stft(sound, 512, 128, 512).abs()
    first = F.conv2d(magnitude[:, None], discriminator.layers[0].weight, discriminator.layers[0].bias, padding=(1, 4))
    torch.testing.assert_close(discriminator(sound).features[0], F.leaky_relu(first, 0.1))


class _Mean(nn.Module):
    """A discriminator that gives the mean, and sees the sound and twice the sound."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, samples):
        return Verdict(self.gain * samples.mean(1, keepdim=True), [self.gain * samples, 2 * self.gain * samples])


def two(features=3.0):
    discriminators = Discriminators(DiscriminatorsConfig(kinds=("resolution",), width=0.01, features=features))
    discriminators.discriminators = nn.ModuleList([_Mean(), _Mean()])
    return discriminators


def test_losses_are_least_squares_and_distances_of_features_summed_over_discriminators():
    real, fake = torch.full((2, 8), 0.75), torch.full((2, 8), 0.5, requires_grad=True)
    discriminators = two()
    assert float(discriminators.discriminator_loss(real, fake)) == 2 * ((0.75 - 1) ** 2 + 0.5**2)
    terms = discriminators.generator_losses(real, fake)
    assert float(terms["adversarial"]) == 2 * (0.5 - 1) ** 2
    assert float(terms["features"]) == pytest.approx(3 * 2 * (0.25 + 0.5))


def test_each_loss_steps_its_own_side_only():
    real, fake = torch.full((2, 8), 0.75), torch.full((2, 8), 0.5, requires_grad=True)
    discriminators = two()
    discriminators.discriminator_loss(real, fake).backward()
    assert fake.grad is None
    assert all(discriminator.gain.grad for discriminator in discriminators.discriminators)
    discriminators.zero_grad()
    sum(discriminators.generator_losses(real, fake).values()).backward()
    assert fake.grad.all()
    assert all(discriminator.gain.grad is None for discriminator in discriminators.discriminators)
    assert all(parameter.requires_grad for parameter in discriminators.parameters())


def test_they_join_at_their_step_and_a_resumed_training_knows():
    discriminators = DiscriminatorsConfig(kinds=("resolution",), width=0.01, from_step=3).build()
    assert [discriminators.joins() for _ in range(2)] == [False, False]
    again = DiscriminatorsConfig(kinds=("resolution",), width=0.01, from_step=3).build()
    again.load_state_dict(discriminators.state_dict())
    assert [again.joins() for _ in range(3)] == [False, True, True]


def test_discriminators_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="names one twice"):
        DiscriminatorsConfig(kinds=("period", "period"))
    with pytest.raises(ConfigError, match=r"from_step: .*got -1"):
        DiscriminatorsConfig(from_step=-1)


def test_bands_are_librosa_s():
    sound = sounds(1, 16000)
    wanted = librosa.feature.melspectrogram(
        y=sound[0].numpy(), sr=16000, n_fft=1024, hop_length=256, n_mels=80, power=1.0, pad_mode="constant"
    )
    got = log_mel(sound, 16000)[0].numpy()
    np.testing.assert_allclose(got, np.log(np.maximum(wanted, 1e-5)).T[: len(got)], atol=1e-3)


def test_the_mel_loss_is_a_distance():
    a, b = sounds(2, 4000).split(1)
    assert float(mel_loss(a, a, 16000)) == 0
    torch.testing.assert_close(mel_loss(a, b, 16000), mel_loss(b, a, 16000))
    # Bands above the floor all rise by the logarithm of the gain.
    noise = 0.1 * torch.randn(1, 4096)
    assert float(mel_loss(noise, 2 * noise, 16000)) == pytest.approx(np.log(2), abs=1e-4)


@pytest.mark.parametrize("kind", ["period", "scale", "resolution"])
def test_they_learn_to_tell_speech_from_noise(kind):
    torch.manual_seed(1)
    discriminators = DiscriminatorsConfig(kinds=(kind,), width=0.01).build()
    steps = torch.optim.AdamW(discriminators.parameters(), lr=3e-3)
    real = sounds(4, 2048)
    before = None
    for _ in range(25):
        loss = discriminators.discriminator_loss(real, 0.1 * torch.randn(4, 2048))
        before = float(loss.detach()) if before is None else before
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert float(loss.detach()) < 0.7 * before
