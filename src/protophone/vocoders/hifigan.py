"""Unit HiFi-GAN: units, pitch units and a voice to samples (Polyak et al. 2021, arXiv 2104.00355, section 2).

A vector for each unit, one for the pitch unit in force and one for the voice lie side by side at the rate of units.
Transposed convolutions raise that rate step by step to the rate of samples; after each, residual blocks of several
kernels and dilations see the sound at that rate (Kong et al. 2020). It learns by bands on the mel scale and by
discriminators.
"""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from protophone.config import Counts, Units, Weight, Width, config
from protophone.crops import Crops
from protophone.errors import ConfigError, UnitsError
from protophone.features.contour import PitchBatch
from protophone.types import Codebook, FrameGrid, UnitBatch
from protophone.vocoders.adversarial import DiscriminatorsConfig, mel_loss
from protophone.vocoders.base import PitchInput, Vocoder
from protophone.vocoders.upsampler import Upsampler
from protophone.vocoders.voice import Voices

__all__ = ["HiFiGAN", "HiFiGANConfig"]

_RATES = {160: (5, 4, 2, 2, 2), 320: (5, 4, 4, 2, 2), 640: (5, 4, 4, 4, 2), 1280: (5, 4, 4, 4, 4)}  # by hop
_PART = 320_000  # samples spoken at a time


@config
class HiFiGANConfig:
    """Options of unit HiFi-GAN; the defaults are the published shape, ``configs/hifigan-small.toml`` one for two cores.

    ``rates`` and ``kernels`` are of the transposed convolutions, whose ``channels`` halve with each: without them, the
    published ones for units of 160 or 320 samples, and for 640 and 1280 the same with more fours for twos. ``pitch``
    says whether the vocoder is told pitch units, of which there are ``pitch_units``. Of several codebooks the vectors
    are summed. ``speaker`` false is a vocoder of one voice; ``embedding_dim`` is that of the speaker embedder whose
    voices it shall learn to take beside those it knows.
    """

    kind: Literal["hifigan"] = "hifigan"
    pitch: Literal["units", "none"] = "units"
    pitch_units: Units = 20
    speaker: bool = True
    embedding_dim: Width | None = None
    dim: Width = 128
    channels: Width = 512
    rates: Counts | None = None
    kernels: Counts | None = None
    block_kernels: Counts = (3, 7, 11)
    dilations: Counts = (1, 3, 5)
    mel_weight: Weight = 45.0
    discriminators: DiscriminatorsConfig = DiscriminatorsConfig()

    def __post_init__(self) -> None:
        if (self.rates is None) != (self.kernels is None):
            raise ConfigError("voice.rates and voice.kernels belong together; write both or neither")
        if self.rates is not None and self.kernels is not None:
            fits = len(self.rates) == len(self.kernels)
            if not fits or any(k < u or (k - u) % 2 for u, k in zip(self.rates, self.kernels, strict=True)):
                raise ConfigError(
                    f"voice.kernels {list(self.kernels)} do not fit voice.rates {list(self.rates)}: each kernel is its "
                    "rate, or more by an even number; twice the rate (and one more where that is odd) serves"
                )
        if not self.block_kernels or not self.dilations:
            raise ConfigError("voice.block_kernels and voice.dilations each name one or more; write the published ones")
        if any(kernel % 2 == 0 for kernel in self.block_kernels):
            raise ConfigError(f"voice.block_kernels {list(self.block_kernels)} must be odd, to have a middle")
        if not self.speaker and self.embedding_dim is not None:
            raise ConfigError("voice.embedding_dim is of no use with voice.speaker = false; remove one of them")

    def shape(self, hop: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rates and kernels of the transposed convolutions for units of ``hop`` samples; ``ConfigError`` if none."""
        rates = self.rates or _RATES.get(hop)
        if rates is None or math.prod(rates) != hop:
            raise ConfigError(
                f"units last {hop} samples; write voice.rates whose product is {hop}, and voice.kernels "
                f"(known by themselves are hops of {', '.join(map(str, _RATES))})"
            )
        if self.channels % 2 ** len(rates):
            raise ConfigError(
                f"voice.channels {self.channels} must be halved {len(rates)} times; write a multiple of "
                f"{2 ** len(rates)}"
            )
        return rates, self.kernels or tuple(2 * rate + rate % 2 for rate in rates)

    def build(self, codebook: Codebook, grid: FrameGrid, voices: tuple[str, ...]) -> "HiFiGAN":
        """An untrained vocoder for the units of ``codebook`` on ``grid``, in ``voices``."""
        return HiFiGAN(self, codebook, grid, voices)


class HiFiGAN(Vocoder):
    """The vectors, the network that raises their rate, and its discriminators."""

    def __init__(self, config: HiFiGANConfig, codebook: Codebook, grid: FrameGrid, voices: tuple[str, ...]) -> None:
        super().__init__()
        if not config.speaker and len(voices) > 1:
            raise ConfigError(f"voice.speaker = false is for one voice, and these are {', '.join(voices)}")
        self.config = config
        self.grid = grid
        self.voices = voices
        self.codebook = codebook.hash
        self.pitch_input: PitchInput = config.pitch
        books, entries, _ = codebook.vectors.shape
        self.content = nn.ModuleList(nn.Embedding(entries, config.dim) for _ in range(books))
        self.melody = nn.Embedding(config.pitch_units, config.dim) if config.pitch == "units" else None
        self.speaker = Voices(voices, config.dim, config.embedding_dim) if config.speaker else None
        inputs = config.dim * (1 + (self.melody is not None) + (self.speaker is not None))
        rates, kernels = config.shape(grid.hop)
        self.upsampler = Upsampler(inputs, config.channels, rates, kernels, config.block_kernels, config.dilations)
        self.context = self.upsampler.context
        self.discriminator = config.discriminators.build()

    def forward(self, codes: Tensor, pitch: Tensor | None, voice: Tensor | None) -> Tensor:
        """Sound ``[batch, unit * hop]`` of ``codes`` int64 ``[batch, codebook, unit]``.

        ``pitch`` int64 ``[batch, unit]``, the pitch unit in force, and ``voice`` ``[batch, dim]`` where it is told
        these.
        """
        told = [torch.stack([table(codes[:, k]) for k, table in enumerate(self.content)]).sum(0)]
        if self.melody is not None:
            told.append(self.melody(pitch))
        if voice is not None:
            told.append(voice[:, None].expand(-1, codes.shape[2], -1))
        return self.upsampler(torch.cat(told, -1).transpose(1, 2))

    @torch.inference_mode()
    def stream(
        self, content: UnitBatch, pitch: UnitBatch | PitchBatch | None, voice: str | Tensor | None
    ) -> Iterator[Tensor]:
        """Sound of a batch of one in parts, each made with all the context it has and cut to size.

        ``pitch`` are pitch units on a grid of whole content units, or not looked at where the vocoder is told none.
        """
        content = self.check_units(content)
        told = self._voice(voice)
        device = next(self.parameters()).device
        codes = content.codes[..., : int(content.lengths[0])].to(device)
        melody = None if self.melody is None else self._in_force(pitch, codes.shape[2]).to(device)
        step, hop = max(1, _PART // self.grid.hop), self.grid.hop
        for start in range(0, codes.shape[2], step):
            end = min(start + step, codes.shape[2])
            left, right = max(0, start - self.context), end + self.context
            said = self(codes[..., left:right], None if melody is None else melody[:, left:right], told)
            yield said[0, (start - left) * hop : (end - left) * hop].float()

    def _voice(self, voice: str | Tensor | None) -> Tensor | None:
        """The vector ``[1, dim]`` of ``voice``; None where there is but one, whose name is checked."""
        if self.speaker is not None:
            return self.speaker.lookup(voice)
        if isinstance(voice, Tensor):
            raise UnitsError("this vocoder has one voice and takes no embedding; leave the voice out")
        self.voice_index(voice)
        return None

    def _in_force(self, pitch: UnitBatch | PitchBatch | None, units: int) -> Tensor:
        """The pitch unit in force at each content unit, int64 ``[1, unit]``; ``UnitsError`` where it cannot be told."""
        if not isinstance(pitch, UnitBatch):
            raise UnitsError("this voice must be told the melody in pitch units; encode with a bundle that has them")
        if pitch.durations is not None:
            pitch = pitch.expand()
        hop, grid = self.grid.hop, pitch.grid
        if pitch.sizes != (self.config.pitch_units,) or grid.sample_rate != self.grid.sample_rate or grid.hop % hop:
            raise UnitsError(
                f"pitch units of sizes {list(pitch.sizes)}, {grid.hop} samples apart at {grid.sample_rate} Hz; this "
                f"voice is told {self.config.pitch_units}, some whole number of {hop} samples apart at "
                f"{self.grid.sample_rate} Hz: use the bundle it was trained for"
            )
        needed, told = -(-units * hop // grid.hop), int(pitch.lengths[0])
        if told < needed:
            raise UnitsError(
                f"{told} pitch units, and {units} content units need {needed}; give both of the same recording"
            )
        return pitch.codes[:1, 0, :needed].repeat_interleave(grid.hop // hop, 1)[:, :units]

    def losses(self, batch: Crops) -> Iterator[tuple[str, Tensor]]:
        """Discriminators and bands on crops of codes (``frames``), pitch units (``pitch``) and samples (``target``)."""
        codes = batch.frames.long().transpose(1, 2)
        if self.melody is not None and (batch.pitch is None or batch.pitch.shape[2] != 1):
            raise UnitsError("crops without pitch units cannot train this vocoder; set voice.pitch to none")
        pitch = None if self.melody is None or batch.pitch is None else batch.pitch[..., 0].long()
        voice = None if self.speaker is None else self.speaker(batch.speakers, batch.embeddings)
        fake = self(codes, pitch, voice).float()
        real = batch.target[..., 0] / 32767
        # Past a recording's end nothing is meant: there what was made counts as right.
        fake = torch.where(batch.mask.repeat_interleave(self.grid.hop, 1) > 0, fake, real)
        terms = {"mel": self.config.mel_weight * mel_loss(real, fake, self.grid.sample_rate)}
        self.figures = {}
        if self.discriminator is not None and self.discriminator.joins():
            judged = self.discriminator.discriminator_loss(real, fake)
            self.figures["discriminator"] = judged.detach()
            yield "discriminator", judged
            terms |= self.discriminator.generator_losses(real, fake)
        self.figures |= {name: term.detach() for name, term in terms.items()}
        yield "vocoder", torch.stack(list(terms.values())).sum()
