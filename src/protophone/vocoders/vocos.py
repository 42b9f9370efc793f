"""The default vocoder: a network at the rate of frames, an inverse Fourier transform for the rest.

As in Vocos (Siuzdak 2023, arXiv 2306.00814) nothing runs at the rate of samples but Fourier transforms: ConvNeXt blocks
see the units, the melody and the voice, and a linear head writes the spectrum of every frame. What is new here is where
phases come from: the head does not write them, it filters the spectra of a train of pulses that follows the melody and
of white noise, as a mouth does (a source-filter model). So an hour of two cores is enough to be understood, and
the pitch that is asked for is the pitch that is heard.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from protophone.config import Depth, Positive, Weight, Width, config
from protophone.convnext import ConvNeXt
from protophone.crops import Crops
from protophone.errors import ConfigError, UnitsError
from protophone.features.contour import PitchBatch, hertz, scaled
from protophone.spectral import istft, stft
from protophone.spectral.fourier import power_of
from protophone.types import Codebook, FrameGrid, UnitBatch
from protophone.vocoders.adversarial import DiscriminatorsConfig, mel_loss
from protophone.vocoders.base import PitchInput, Vocoder
from protophone.vocoders.excitation import breath, pulses, turns_before
from protophone.vocoders.voice import Voices

__all__ = ["Vocos", "VocosConfig"]

_HOP, _N_FFT = 160, 640  # of the spectra written, in samples
_BINS = _N_FFT // 2 + 1
_KERNEL = 7
_STEP = 80  # samples between the values of a contour
_RANGE_HZ = (40.0, 800.0)  # of a melody that is guessed
_QUIET, _LOUDEST = -4.0, 4.0  # log gain that the head begins with, and the highest
_PART = 250  # units spoken at a time
_RESOLUTIONS = (256, 512, 1024, 2048)
_FLOOR = 3e-3  # of magnitudes in the loss: 60 dB below loud speech


@config
class VocosConfig:
    """Options of the inverse-STFT vocoder; ``configs/vocos.toml`` has the defaults.

    ``channels`` and ``blocks`` are at the rate of units, the ``fine`` ones at 100 frames a second. With ``pitch``
    ``contour`` the vocoder is told the melody, with ``none`` it guesses it from the units, having learned the habits
    of each voice. ``embedding_dim`` is that of the speaker embedder whose voices it shall learn to take.
    """

    kind: Literal["vocos"] = "vocos"
    pitch: Literal["contour", "none"] = "contour"
    channels: Width = 384
    blocks: Depth = 6
    fine_channels: Width = 256
    fine_blocks: Depth = 3
    speaker_dim: Width = 64
    embedding_dim: Width | None = None
    spectra_weight: Positive = 15.0
    mel_weight: Weight = 15.0
    melody_weight: Positive = 15.0
    discriminators: DiscriminatorsConfig = DiscriminatorsConfig(kinds=("resolution",), width=0.25, from_step=3000)

    def build(self, codebook: Codebook, grid: FrameGrid, voices: tuple[str, ...]) -> "Vocos":
        """An untrained vocoder for the units of ``codebook`` on ``grid``, in ``voices``."""
        return Vocos(self, codebook, grid, voices)


class Vocos(Vocoder):
    """Units, melody and voice to the gains of pulses and noise, and these to sound."""

    vectors: Tensor

    def __init__(self, config: VocosConfig, codebook: Codebook, grid: FrameGrid, voices: tuple[str, ...]) -> None:
        super().__init__()
        if grid.hop % _HOP:
            raise ConfigError(f"units last {grid.hop} samples; this vocoder speaks units of a multiple of {_HOP}")
        self.config = config
        self.grid = grid
        self.voices = voices
        self.codebook = codebook.hash
        self.pitch_input: PitchInput = config.pitch
        self.repeat = grid.hop // _HOP
        frames = config.fine_blocks * (_KERNEL // 2) + _N_FFT // _HOP
        self.context = config.blocks * (_KERNEL // 2) - (-frames // self.repeat)
        self.register_buffer("vectors", codebook.vectors.clone())
        size = codebook.vectors.shape[0] * codebook.vectors.shape[2]
        told = self.repeat if config.pitch == "contour" else 0
        self.speaker = Voices(voices, config.speaker_dim, config.embedding_dim)
        self.stem = nn.Linear(size + config.speaker_dim + told, config.channels)
        self.coarse = nn.Sequential(*(ConvNeXt(config.channels, _KERNEL, padded=True) for _ in range(config.blocks)))
        self.up = nn.Linear(config.channels, config.fine_channels * self.repeat)
        self.melody = nn.Linear(config.fine_channels, 1) if config.pitch == "none" else None
        self.told = nn.Linear(config.fine_channels + 1, config.fine_channels)
        fine = config.fine_channels
        self.fine = nn.Sequential(*(ConvNeXt(fine, _KERNEL, padded=True) for _ in range(config.fine_blocks)))
        last = nn.Linear(config.fine_channels, 3 * _BINS)
        nn.init.normal_(last.weight, std=1e-2)
        nn.init.constant_(last.bias[: 2 * _BINS], _QUIET)
        nn.init.zeros_(last.bias[2 * _BINS :])
        self.head = nn.Sequential(nn.LayerNorm(config.fine_channels), last)
        self.discriminator = config.discriminators.build()

    @property
    def learns_pitch(self) -> PitchInput:
        """The contour, also where it shall be guessed later."""
        return "contour"

    def forward(self, codes: Tensor, melody: Tensor | None, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Raw gains ``[batch, frame, 3 * bin]`` for codes ``[batch, codebook, unit]``, and the melody told or guessed.

        ``melody`` ``[batch, frame]`` is as ``_scaled`` makes it of Hz, None to guess it; ``voice`` is
        ``[batch, speaker_dim]``.
        """
        vectors = Codebook(self.vectors).lookup(codes)
        inputs = [vectors, voice[:, None].expand(-1, vectors.shape[1], -1)]
        if self.melody is None:
            inputs.append(_given(melody).view(len(codes), -1, self.repeat))
        x = self.coarse(self.stem(torch.cat(inputs, -1)))
        x = self.up(x).view(len(codes), -1, self.config.fine_channels)
        guessed = _given(melody) if self.melody is None else self.melody(x)[..., 0].float()
        told = guessed if melody is None else melody
        x = self.fine(self.told(torch.cat([x, told[..., None].to(x.dtype)], -1)))
        return self.head(x), guessed

    def sound(self, raw: Tensor, train: Tensor, noise: Tensor) -> Tensor:
        """Sound ``[batch, frame * 160]`` of raw gains and of what they filter: pulses and noise, as long."""
        voiced, breathy, phase = raw.float().split(_BINS, -1)
        spectrum = torch.polar(voiced.clamp_max(_LOUDEST).exp(), phase) * stft(train, _N_FFT, _HOP, _N_FFT)
        spectrum = spectrum + breathy.clamp_max(_LOUDEST).exp() * stft(noise, _N_FFT, _HOP, _N_FFT)
        return istft(spectrum, _N_FFT, _HOP, _N_FFT, train.shape[1])

    @torch.inference_mode()
    def stream(
        self, content: UnitBatch, pitch: UnitBatch | PitchBatch | None, voice: str | Tensor | None
    ) -> Iterator[Tensor]:
        """Sound of a batch of one, part by part in bounded memory."""
        content = self.check_units(content)
        units = int(content.lengths[0])
        codes = content.codes[..., :units].to(self.vectors.device)
        told = self.speaker.lookup(voice)
        contour = self._contour(pitch, units) if self.config.pitch == "contour" else self._guessed(codes, told)
        steps = self.grid.hop // _STEP
        turns = turns_before(contour, _STEP, self.grid.sample_rate)
        margin = -(-4 // self.repeat)  # two frames overlap a part's first sample, and reach two further
        for start in range(0, units, _PART):
            end = min(units, start + _PART)
            low, high = max(0, start - margin), min(units, end + margin)
            left, right = max(0, low - self.context), min(units, high + self.context)
            raw, _ = self(codes[..., left:right], _scaled(contour[:, left * steps : right * steps]), told)
            raw = raw[:, (low - left) * self.repeat : (high - left) * self.repeat]
            inner = slice(low * steps, high * steps)
            train = pulses(contour[:, inner], turns[:, inner], _STEP, self.grid.sample_rate)
            noise = breath(low * self.grid.hop, high * self.grid.hop).to(train.device)
            sound = self.sound(raw, train, noise[None])[0]
            yield sound[(start - low) * self.grid.hop : (end - low) * self.grid.hop]

    def _guessed(self, codes: Tensor, told: Tensor) -> Tensor:
        """The melody in Hz, ``[1, step]``, that the units and the voice suggest."""
        guessed = []
        for start in range(0, codes.shape[2], _PART):
            left, end = max(0, start - self.context), min(codes.shape[2], start + _PART)
            _, melody = self(codes[..., left : end + self.context], None, told)
            guessed.append(melody[:, (start - left) * self.repeat : (end - left) * self.repeat])
        return hertz(torch.cat(guessed, 1)).clamp(*_RANGE_HZ).repeat_interleave(_HOP // _STEP, 1)

    def _contour(self, pitch: UnitBatch | PitchBatch | None, units: int) -> Tensor:
        """The melody in Hz, ``[1, step]``, as long as ``units``; ``UnitsError`` where it is not what is due."""
        if not isinstance(pitch, PitchBatch) or pitch.grid != FrameGrid(self.grid.sample_rate, _STEP):
            raise UnitsError(
                "this voice must be told the melody, a contour every 5 ms; encode with a bundle of pitch units"
            )
        contour = pitch.f0_hz[:1, : int(pitch.lengths[0])].to(self.vectors.device)
        missing = units * self.grid.hop // _STEP - contour.shape[1]
        if not contour.shape[1] or not bool((contour > 0).all()):
            raise UnitsError("the melody has no pitch in places; fill it there, as PitchVQVAE.contour does")
        return (
            F.pad(contour, (0, missing), mode="replicate") if missing > 0 else contour[:, : contour.shape[1] + missing]
        )

    @torch.no_grad()
    def calibrate(self, samples: Tensor) -> None:
        """Both gains begin where they make the mean spectrum of ``samples`` ``[batch, sample]``, each half of it."""
        spectrum = stft(samples, _N_FFT, _HOP, _N_FFT).abs().flatten(0, 1).clamp_min(_FLOOR).log().mean(0)
        of_noise = 0.5 * math.log(float(torch.hann_window(_N_FFT).square().sum()))
        last: Any = self.head[-1]
        last.bias[: 2 * _BINS] = (spectrum - of_noise - 0.5 * math.log(2)).repeat(2)

    def losses(self, batch: Crops) -> Iterator[tuple[str, Tensor]]:
        """How far the spectra of what is said are from the recording's, and what the discriminators hold of it."""
        if batch.pitch is None:
            raise UnitsError("crops without a melody cannot train this vocoder; pack the pitch beside the units")
        codes, contour = batch.frames.long().transpose(1, 2), batch.pitch.flatten(1)
        melody = _scaled(contour)
        raw, guessed = self(codes, melody, self.speaker(batch.speakers, batch.embeddings))
        with torch.autocast(codes.device.type, enabled=False):
            turns = turns_before(contour, _STEP, self.grid.sample_rate) + torch.rand_like(contour[:, :1])
            train = pulses(contour, turns, _STEP, self.grid.sample_rate)
            mask = batch.mask.repeat_interleave(self.grid.hop, 1)
            fake = self.sound(raw, train, torch.randn_like(train)) * mask
            real = batch.target[..., 0] / 32767
            terms = {
                "spectra": self.config.spectra_weight * spectral_distance(fake, real),
                "mel": self.config.mel_weight * mel_loss(real, fake, self.grid.sample_rate),
            }
            if self.config.pitch == "none":
                wrong = (guessed - melody).abs() * batch.mask.repeat_interleave(self.repeat, 1)
                terms["melody"] = self.config.melody_weight * wrong.mean()
        self.figures = {name: term.detach() for name, term in terms.items()}
        if self.discriminator is not None and self.discriminator.joins():
            judged = self.discriminator.discriminator_loss(real, fake)
            self.figures["discriminator"] = judged.detach()
            yield "discriminator", judged
            judged_terms = self.discriminator.generator_losses(real, fake)
            self.figures |= {name: term.detach() for name, term in judged_terms.items()}
            terms |= judged_terms
        yield "vocoder", torch.stack(list(terms.values())).sum()


def _given(melody: Tensor | None) -> Tensor:
    if melody is None:
        raise UnitsError("this vocoder guesses no melody; give it one")
    return melody


def _scaled(contour: Tensor) -> Tensor:
    """What the network is told of a contour ``[batch, step]`` in Hz, two steps of which are a frame."""
    return scaled(contour).float().view(len(contour), -1, _HOP // _STEP).mean(-1)


def spectral_distance(fake: Tensor, real: Tensor) -> Tensor:
    """Multi-resolution STFT loss (Yamamoto et al. 2020): spectral convergence and L1 of log magnitudes."""
    total = fake.new_zeros(())
    for n_fft in _RESOLUTIONS:
        made, meant = (power_of(stft(x, n_fft, n_fft // 4, n_fft)).clamp_min(1e-9).sqrt() for x in (fake, real))
        total = total + (made - meant).norm() / meant.norm().clamp_min(1e-3)
        total = total + ((made + _FLOOR).log() - (meant + _FLOOR).log()).abs().mean()
    return total / len(_RESOLUTIONS)
