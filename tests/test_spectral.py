"""Spectra against librosa, scipy and closed forms."""

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from protophone import spectral
from protophone.errors import ConfigError, InputError
from protophone.vocoders.griffin_lim import GriffinLimConfig
from tests.conftest import babble, corpus

SETTINGS = [(400, 160, 400), (512, 256, 512), (2048, 160, 800), (2048, 200, 799)]


def recordings(name: str, every: int) -> list[np.ndarray]:
    return [soundfile.read(path, dtype="float32")[0] for path in sorted(corpus(name).rglob("dev/*/*.flac"))[::every]]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("size", [16000, 16037, 1, 100])
def test_stft_is_librosas(setting, size):
    n_fft, hop, window = setting
    sound = babble(1.1)[:size]
    wanted = librosa.stft(sound, n_fft=n_fft, hop_length=hop, win_length=window, pad_mode="constant").T
    ours = spectral.stft(torch.tensor(sound)[None], *setting)[0].numpy()
    assert len(ours) == -(-size // hop)
    assert len(wanted) - len(ours) == (size % hop == 0)  # librosa's extra frame, only where the hop divides
    np.testing.assert_allclose(ours, wanted[: len(ours)], atol=2e-5)


@pytest.mark.parametrize("setting", SETTINGS)
def test_istft_inverts_stft(setting):
    sound = torch.tensor(babble(1.0))[None, :15950]
    n_fft, hop, window = setting
    spectrum = spectral.stft(sound, n_fft, hop, window)
    back = spectral.istft(spectrum, n_fft, hop, window, sound.shape[1])
    torch.testing.assert_close(back, sound, atol=1e-4, rtol=0)


def test_istft_refuses_another_size():
    with pytest.raises(InputError, match="n_fft 512"):
        spectral.istft(torch.zeros(1, 3, 201, dtype=torch.complex64), 512, 160, 400, 480)


@pytest.mark.parametrize(
    ("rate", "n_fft", "bands"), [(16000, 400, 40), (16000, 512, 80), (22050, 2048, 80), (8000, 257, 20)]
)
def test_mel_filters_are_librosas(rate, n_fft, bands):
    wanted = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands)
    np.testing.assert_allclose(spectral.mel_filters(rate, n_fft, bands).numpy(), wanted, atol=1e-7)


def test_mel_filters_refuse_bands_without_bins():
    with pytest.raises(InputError, match="fewer bands"):
        spectral.mel_filters(16000, 256, 120)


def test_dct_rows_are_orthonormal():
    matrix = spectral.dct_ortho(40, 40)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(40), atol=1e-6, rtol=0)


def test_power_to_db_has_a_floor_and_no_ceiling():
    power = torch.tensor([0.0, 1e-12, 1e-10, 1.0, 1e6])
    torch.testing.assert_close(spectral.power_to_db(power), torch.tensor([-100.0, -100.0, -100.0, 0.0, 60.0]))


@pytest.mark.parametrize("name", ["mboshi", "prompts"])
def test_mfcc_is_librosas_on_recordings(name):
    for sound in recordings(name, 40):
        decibels = librosa.power_to_db(
            librosa.feature.melspectrogram(y=sound, sr=16000, n_fft=400, hop_length=160, n_mels=40), top_db=None
        )
        wanted = librosa.feature.mfcc(S=decibels, n_mfcc=13).T
        ours = spectral.mfcc(torch.tensor(sound)[None])[0].numpy()
        assert len(ours) == -(-len(sound) // 160)
        assert (np.abs(ours - wanted[: len(ours)]) < 1e-3 * wanted.std(0)).all()


@pytest.mark.parametrize("order", [1, 2])
def test_delta_is_librosas(order):
    frames = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    wanted = librosa.feature.delta(frames.T, width=9, order=order).T
    ours = spectral.delta(torch.tensor(frames)[None], 9, order)[0].numpy()
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_delta_of_short_recordings_is_one_fit(count, order):
    values = np.random.default_rng(1).standard_normal(count)
    ours = spectral.delta(torch.tensor(values, dtype=torch.float32)[None, :, None], 9, order)[0, :, 0]
    wanted = 0.0
    if count > order:
        wanted = np.polyfit(np.arange(count), values, order)[0] * order  # the derivative of x ** order, order 1 or 2
    np.testing.assert_allclose(ours, np.full(count, wanted), atol=1e-5)


def test_delta_minds_where_each_row_ends():
    frames = torch.randn(3, 30, 2)
    lengths = torch.tensor([30, 12, 4])
    together = spectral.delta(frames, 9, 1, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = spectral.delta(frames[row : row + 1, :length], 9, 1)[0]
        torch.testing.assert_close(together[row, :length], alone)
        assert not together[row, length:].any()


def test_delta_agrees_with_scipy_at_another_width():
    frames = np.random.default_rng(2).standard_normal((25, 2)).astype(np.float32)
    wanted = scipy.signal.savgol_filter(frames, 5, 2, deriv=2, axis=0)
    np.testing.assert_allclose(spectral.delta(torch.tensor(frames)[None], 5, 2)[0], wanted, atol=1e-5)


def test_spectra_can_be_differentiated_after_inference_mode():
    """Shared windows and filters made inside inference mode must still serve training."""
    sound = torch.randn(1, 3000)
    with torch.inference_mode():
        spectral.mel_power(sound, 16000, 480, 96, 480, 30)
    sound.requires_grad_()
    spectrum = spectral.stft(sound, 480, 96, 480)
    loss = spectral.mel_power(sound, 16000, 480, 96, 480, 30).sum() + spectral.istft(spectrum, 480, 96, 480, 3000).sum()
    loss.backward()
    assert sound.grad is not None
    assert torch.isfinite(sound.grad).all()
    assert sound.grad.abs().sum() > 0


def test_mel_to_magnitude_meets_the_bands_and_stays_positive():
    wanted = spectral.stft(torch.tensor(babble(1.0))[None], 512, 256, 512).abs()
    mel = spectral.magnitude_to_mel(wanted, 16000, 512, 80)
    magnitude = spectral.mel_to_magnitude(mel, 16000, 512)
    again = spectral.magnitude_to_mel(magnitude, 16000, 512, 80)
    assert (magnitude >= 0).all()
    assert torch.isfinite(magnitude).all()
    assert (again - mel).norm() < 0.02 * mel.norm()
    assert (again.log() - mel.log()).abs().mean() < 0.01
    theirs = librosa.feature.inverse.mel_to_stft(mel[0].numpy().T, sr=16000, n_fft=512).T
    theirs = spectral.magnitude_to_mel(torch.tensor(theirs)[None], 16000, 512, 80)
    assert (again - mel).norm() < (theirs - mel).norm()


@pytest.mark.parametrize("setting", SETTINGS[:3])
def test_griffin_lim_converges_at_least_as_far_as_librosas(setting):
    n_fft, hop, window = setting
    sound = babble(1.5)
    magnitude = spectral.stft(torch.tensor(sound)[None], *setting).abs()
    ours = spectral.griffin_lim(magnitude, *setting)
    assert ours.shape == (1, magnitude.shape[1] * hop)
    spectrum = np.abs(librosa.stft(sound, n_fft=n_fft, hop_length=hop, win_length=window))
    theirs = librosa.griffinlim(spectrum, n_iter=32, hop_length=hop, win_length=window, n_fft=n_fft, random_state=0)
    theirs = np.pad(theirs, (0, hop * magnitude.shape[1]))[: hop * magnitude.shape[1]]
    reached = spectral.spectral_convergence(magnitude, ours, *setting)
    assert reached < spectral.spectral_convergence(magnitude, torch.tensor(theirs)[None], *setting)


def test_griffin_lim_without_momentum_never_gets_worse():
    """Griffin and Lim's theorem: without momentum the distance does not grow from one iteration to the next."""
    setting = (512, 128, 512)
    magnitude = spectral.stft(torch.tensor(babble(0.5))[None], *setting).abs()
    distances = [
        float(
            spectral.spectral_convergence(
                magnitude, spectral.griffin_lim(magnitude, *setting, iterations=count, momentum=0.0), *setting
            )
        )
        for count in (1, 4, 16, 64)
    ]
    assert distances == sorted(distances, reverse=True)


def test_griffin_lim_is_deterministic_and_leaves_threads_alone():
    before = torch.get_num_threads()
    magnitude = torch.rand(1, 20, 257)
    first, second = (spectral.griffin_lim(magnitude, 512, 128, 512) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.get_num_threads() == before


def test_griffin_lim_refuses_windows_that_leave_gaps():
    with pytest.raises(InputError, match="2 \\* hop"):
        spectral.griffin_lim(torch.rand(1, 4, 257), 512, 300, 512)
    with pytest.raises(ConfigError, match="two hops"):
        GriffinLimConfig(hop=500)


def test_vocoder_gives_each_row_what_it_gives_alone():
    vocoder = GriffinLimConfig().build()
    sounds = [torch.tensor(babble(seconds, seed))[None] for seed, seconds in enumerate((0.8, 0.33))]
    rows = [spectral.stft(sound, 2048, 160, 800).abs() for sound in sounds]
    lengths = torch.tensor([row.shape[1] for row in rows])
    batch = torch.full((2, int(lengths.max()), 1025), 3.0)  # padding that must not be heard
    for row, magnitude in zip(batch, rows, strict=True):
        row[: magnitude.shape[1]] = magnitude[0]
    together = vocoder(batch, lengths)
    assert together.lengths.tolist() == [160 * n for n in lengths.tolist()]
    for index, magnitude in enumerate(rows):
        alone = vocoder(magnitude, lengths[index : index + 1])
        np.testing.assert_allclose(together[index], alone[0], atol=1e-3)
    assert not together.samples[1, int(together.lengths[1]) :].any()


def test_vocoder_takes_silence_and_log_mel_and_refuses_nan():
    vocoder = GriffinLimConfig(n_fft=400, window_length=400).build()
    silent = vocoder(torch.zeros(1, 7, 201), torch.tensor([7]))
    assert silent.samples.shape == (1, 1120)
    assert not silent.samples.any()
    sound = torch.tensor(babble(0.5))[None]
    log_mel = spectral.mel_power(sound, 16000, 400, 160, 400, 80).clamp_min(1e-10).log()
    made = vocoder.from_log_mel(log_mel, torch.tensor([log_mel.shape[1]])).samples
    again = spectral.mel_power(made, 16000, 400, 160, 400, 80).clamp_min(1e-10).log()
    assert (again - log_mel).abs().mean() < 0.3
    with pytest.raises(InputError, match="finite"):
        vocoder(torch.full((1, 3, 201), torch.nan), torch.tensor([3]))
