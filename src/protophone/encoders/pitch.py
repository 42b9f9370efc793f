"""Pitch units: the melody of a voice in a few tens of bits a second.

As in Polyak et al. 2021 (arXiv 2104.00355): F0 every 5 ms, its logarithm normalised by the voice's own mean and
deviation, a VQ-VAE of 12.5 codes a second from a codebook of 20. Beyond the paper, codes are priced by what they cost
after the code before, and what is rebuilt are two things, log F0 where there is a voice, and the odds of voice.
"""

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from protophone.bundle import Part
from protophone.config import Counts, Positive, Share, Width, bounds, config, dump, fits, parse
from protophone.crops import Crops
from protophone.encoders.base import at_rest
from protophone.encoders.contour import Coarser, Finer
from protophone.errors import BundleError, InputError
from protophone.features.contour import PitchBatch
from protophone.features.pitch import PitchConfig
from protophone.quantizers.chained import ChainedConfig
from protophone.types import Codebook, FrameGrid, UnitBatch
from protophone.weights import filled

__all__ = ["ENOUGH", "PitchVQVAE", "PitchVQVAEConfig", "VoicePitch", "pitch_part", "read_pitch"]

ENOUGH = 200  # voiced frames, a second of voice, that the statistics of a recording are trusted from
_LEAST = 0.05  # deviation of log F0, a semitone: below that lies a voice that is all one tone
_HELD = 2**15  # frames that networks work on at once
_Lies = tuple[Annotated[float, bounds(-20.0, 20.0)], Annotated[float, bounds(1e-6, 20.0)]]  # of a ``VoicePitch``
_RANGE_HZ = (20.0, 2000.0)  # of pitch that is made; codes that no voice would send can ask for anything


class VoicePitch(NamedTuple):
    """Where a voice lies: mean and standard deviation of the natural logarithm of its F0 in Hz, on voiced frames."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, f0_hz: np.ndarray) -> "VoicePitch":
        """Statistics of ``f0_hz`` ``[frame]``, 0 where there is no voice; ``InputError`` where there is none at all."""
        voiced = f0_hz[f0_hz > 0]
        if not len(voiced):
            raise InputError(f"{len(f0_hz)} frames without any voice, so there is no pitch; name a recording of speech")
        logs = np.log(voiced.astype(np.float64))
        return cls(float(logs.mean()), max(float(logs.std()), _LEAST))


@config
class PitchVQVAEConfig:
    """Options of the pitch units; the defaults are those of ``configs/pitch.toml``.

    ``silence`` is the weight, among codes, of a
    stretch without any voice against one that is all voice: at 0 such stretches get the code that is cheapest, which is
    best where voicing is told otherwise, and at 1 codes say where there is no voice. ``voicing`` weighs the cross
    entropy of voicing, ``gaps`` the error of the melody where there is no voice, a straight line between voices. Errors
    above ``outlier`` deviations count in proportion (Huber 1964): some are octaves that the tracker leapt.
    """

    kind: Literal["pitch-vqvae"] = "pitch-vqvae"
    tracker: PitchConfig = PitchConfig()
    quantizer: ChainedConfig = ChainedConfig()
    time_reduction: Literal[4, 8, 16, 32] = 16
    channels: Width = 32
    dilations: Counts = (1,)
    silence: Share = 0.0
    voicing: Share = 0.02
    gaps: Share = 0.05
    outlier: Positive = 0.5

    def build(self, voices: Mapping[str, VoicePitch], pooled: VoicePitch) -> "PitchVQVAE":
        """An untrained model that knows where ``voices`` lie, and all of them ``pooled``."""
        return PitchVQVAE(self, voices, pooled)


class PitchVQVAE(nn.Module):
    """Melody to codes and back; ``voices`` are the statistics of known ones.

    ``tracks`` is the grid of the pitch it takes and makes, ``grid`` that of its units. A code depends on the
    ``context`` frames before and after its own, and on the code before it; a frame that is made on ``reach`` codes
    before and after its own. Beyond a recording's ends there is no voice, and no code.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: PitchVQVAEConfig, voices: Mapping[str, VoicePitch], pooled: VoicePitch) -> None:
        super().__init__()
        self.config = config
        self.voices, self.pooled = dict(voices), pooled
        self.reduction = config.time_reduction
        self.tracks = FrameGrid(config.tracker.sample_rate, config.tracker.hop)
        hop = config.tracker.hop * self.reduction
        self.grid = FrameGrid(config.tracker.sample_rate, hop, config.tracker.hop * (self.reduction - 1) // 2)
        self.quantizer = config.quantizer.build()
        self.sizes = (config.quantizer.num_units,)
        levels, dim = self.reduction.bit_length() - 1, config.quantizer.dim
        self.encoder = Coarser(2, config.channels, dim, levels, config.dilations)
        self.decoder = Finer(dim, config.channels, 2, levels, config.dilations)
        self.context, self.reach = self.encoder.context, self.decoder.context
        table = torch.tensor(list(self.voices.values())).view(-1, 2)  # what training looks crops' voices up in
        self.register_buffer("mean", table[:, 0].contiguous(), persistent=False)
        self.register_buffer("deviation", table[:, 1].contiguous(), persistent=False)

    @property
    def lookahead(self) -> int:
        """Samples from the beginning of a unit's span to the last that it depends on, with a known voice's statistics.

        The tracker finds the best path through a minute at a time.
        """
        return (self.reduction + self.context + self.config.tracker.build().ahead) * self.config.tracker.hop

    @property
    def codebook(self) -> Codebook:
        """The code vectors, ``[1, num_units, dim]``; their hash tells whose units these are."""
        return self.quantizer.codebook

    def statistics(self, pitch: PitchBatch, voices: Sequence[str | None]) -> list[VoicePitch]:
        """Where the voice of each row lies, ``voices`` their names.

        A known voice has the statistics it was learned with. Any other has those of its recording where that has a
        second of voice, 200 frames, and those of all known voices together where it has less.
        """
        return [self._lies(pitch[row], voice) for row, voice in enumerate(voices)]

    def _lies(self, f0_hz: np.ndarray, voice: str | None) -> VoicePitch:
        if voice is not None and voice in self.voices:
            return self.voices[voice]
        return VoicePitch.of(f0_hz) if (f0_hz > 0).sum() >= ENOUGH else self.pooled

    @torch.inference_mode()
    def encode(self, pitch: PitchBatch, statistics: Sequence[VoicePitch]) -> UnitBatch:
        """Units of each row, ``ceil(frames / time_reduction)``; ``statistics`` say where its voice lies.

        ``InputError`` where the pitch lies on another grid.
        """
        if pitch.grid != self.tracks:
            raise InputError(f"pitch on {pitch.grid}, these units are made of pitch on {self.tracks}; track it anew")
        lengths = -(-pitch.lengths // self.reduction)
        units = int(lengths.max()) if len(lengths) else 0
        real = torch.arange(pitch.f0_hz.shape[1], device=pitch.f0_hz.device) < pitch.lengths[:, None]
        missing = units * self.reduction - pitch.f0_hz.shape[1]
        f0_hz = F.pad(pitch.f0_hz * real, (self.context, self.context + missing))
        normal = self._normal(f0_hz, *_columns(statistics, f0_hz))

        def latents(first: int, last: int) -> Tensor:
            return self.encoder(normal[..., first * self.reduction : last * self.reduction + 2 * self.context])

        with at_rest(self):
            inner = f0_hz[:, self.context : self.context + units * self.reduction]
            weights = self._weights(inner > 0)
            codes = self.quantizer.encode(torch.cat(self._parts(latents, units), 1), weights)
        kept = torch.arange(units, device=codes.device) < lengths[:, None]
        return UnitBatch(codes * kept[:, None], lengths, self.sizes, self.grid, codebook=self.codebook.hash)

    def decode(self, units: UnitBatch, statistics: Sequence[VoicePitch]) -> PitchBatch:
        """The melody of ``units`` in voices that lie where ``statistics`` say, 0 where they tell of no voice."""
        f0_hz, odds, lengths = self._made(units, statistics)
        return PitchBatch(f0_hz * (odds > 0), lengths, self.tracks)

    def contour(self, units: UnitBatch, statistics: Sequence[VoicePitch]) -> PitchBatch:
        """Like ``decode``, but the melody goes on where there is no voice, for whoever knows that otherwise."""
        f0_hz, _, lengths = self._made(units, statistics)
        return PitchBatch(f0_hz, lengths, self.tracks)

    @torch.inference_mode()
    def _made(self, units: UnitBatch, statistics: Sequence[VoicePitch]) -> tuple[Tensor, Tensor, Tensor]:
        """F0 in Hz and log odds of voice, both ``[batch, frame]``, 0 past a row's end, and frames of each row."""
        units = self.check_units(units)
        kept = torch.arange(units.codes.shape[2], device=units.codes.device) < units.lengths[:, None]
        vectors = F.pad(self.quantizer.lookup(units.codes) * kept[..., None], (0, 0, self.reach, self.reach))

        def frames(first: int, last: int) -> Tensor:
            return self.decoder(vectors[:, first : last + 2 * self.reach]).transpose(1, 2)

        with at_rest(self):
            made = torch.cat(self._parts(frames, units.codes.shape[2]), 1)
        mean, deviation = _columns(statistics, made)
        f0_hz = (mean + deviation * made[..., 0]).clamp(*np.log(_RANGE_HZ)).exp()
        real = kept.repeat_interleave(self.reduction, 1)
        return f0_hz * real, made[..., 1] * real, units.lengths * self.reduction

    def _parts(self, part: Callable[[int, int], Tensor], units: int) -> list[Tensor]:
        """``part(first, last)`` of stretches of units that fit memory, in order."""
        if not units:
            raise InputError("recordings of no samples have no pitch and no units; leave them out")
        step = max(1, _HELD // self.reduction)
        return [part(first, min(first + step, units)) for first in range(0, units, step)]

    def check_units(self, units: UnitBatch) -> UnitBatch:
        """``units``, one code a frame; ``UnitsError`` where they are not of this codebook and grid."""
        return units.of(self.codebook.hash, self.sizes, self.grid, "this bundle's pitch units are")

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Everything is stepped by the one loss."""
        return {"pitch": list(self.parameters())}

    def losses(self, batch: Crops) -> Iterator[tuple[str, Tensor]]:
        """Errors of melody and voicing, and the quantizer's own term.

        ``frames`` and ``target`` of the batch have two values: F0 in Hz, 0 where there is no voice, and the melody in
        Hz, which goes on there; 0 in recordings that have none.
        """
        mean, deviation = self.mean[batch.speakers, None], self.deviation[batch.speakers, None]
        latents = self.encoder(self._normal(batch.frames[..., 0], mean, deviation)).float()
        f0_hz, melody = batch.target.unbind(-1)
        voiced = f0_hz > 0
        real = batch.mask.view(len(latents), -1, self.reduction).amax(-1)
        with torch.autocast(latents.device.type, enabled=False):
            quantized = self.quantizer(latents, self._weights(voiced), real)
        made, odds = self.decoder.ended(quantized.vectors * real[..., None]).float().unbind(1)
        wanted = (melody.clamp_min(1).log() - mean) / deviation
        weight = torch.where(voiced, 1.0, self.config.gaps * (melody > 0)) * batch.mask
        off = F.huber_loss(made, wanted, reduction="none", delta=self.config.outlier) * weight
        off = off.sum() / weight.sum().clamp_min(1)
        voicing = F.binary_cross_entropy_with_logits(odds, voiced.float(), reduction="none") * batch.mask
        voicing = voicing.sum() / batch.mask.sum()
        self.figures = {
            "melody": off.detach(),
            "voicing": voicing.detach(),
            "quantizer": quantized.loss.detach(),
            "bits": torch.tensor(self.quantizer.bits()),
        }
        yield "pitch", off + self.config.voicing * voicing + quantized.loss

    def _normal(self, f0_hz: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """What the encoder sees, ``[batch, 2, frame]``: log F0 in deviations from its mean, and where there is any."""
        voiced = f0_hz > 0
        height = (f0_hz.clamp_min(1).log() - mean) / deviation
        return torch.stack([height * voiced, voiced.to(height.dtype)], 1)

    def _weights(self, voiced: Tensor) -> Tensor:
        """Of codes ``[batch, unit]``, by how much of their frames ``[batch, frame]`` is voice."""
        share = voiced.float().view(len(voiced), -1, self.reduction).mean(-1)
        return self.config.silence + (1 - self.config.silence) * share


def _columns(statistics: Sequence[VoicePitch], like: Tensor) -> tuple[Tensor, Tensor]:
    """Means and deviations of a batch's rows, each ``[batch, 1]``."""
    if len(statistics) != len(like):
        raise InputError(f"statistics of {len(statistics)} voices for {len(like)} recordings; give one for each")
    table = torch.tensor(list(statistics), dtype=torch.float32, device=like.device).view(-1, 2, 1)
    return table[:, 0], table[:, 1]


def pitch_part(pitch: PitchVQVAE) -> Part:
    """What a bundle keeps of pitch units."""
    facts = {
        "kind": pitch.config.kind,
        "lookahead": pitch.lookahead,
        "sample_rate": pitch.grid.sample_rate,
        "hop": pitch.grid.hop,
        "sizes": list(pitch.sizes),
        "codebook": pitch.codebook.hash,
        "context": pitch.context,
        "reach": pitch.reach,
        "voices": {name: list(lies) for name, lies in pitch.voices.items()},
        "pooled": list(pitch.pooled),
    }
    return Part(dump(pitch.config), pitch.state_dict(), facts)


def read_pitch(part: Part, folder: str | Path) -> PitchVQVAE:
    """The pitch units in ``part`` of a bundle; ``folder`` is for messages. ``BundleError`` where it is not whole."""
    settings = parse(PitchVQVAEConfig, part.config, source=str(Path(folder) / "pitch.toml"))
    again = "copy the whole bundle again"
    told: Any = part.facts.get("voices")
    pooled: Any = part.facts.get("pooled")
    if not isinstance(told, dict):
        raise BundleError(f"{folder}: says not where its voices lie; {again}")
    for name, lies in [*told.items(), ("all", pooled)]:
        if not fits(_Lies, lies):
            raise BundleError(
                f"{folder}: where the voice {name} lies, {reprlib.repr(lies)}, is no mean and deviation; {again}"
            )
    voices = {name: VoicePitch(*lies) for name, lies in told.items()}
    build = partial(settings.build, voices, VoicePitch(*pooled))
    pitch = filled(build, part.weights, Path(folder, "pitch.safetensors"))
    if pitch.codebook.hash != part.facts.get("codebook"):
        raise BundleError(f"{folder}: the codebook's hash is {pitch.codebook.hash}, not as written; {again}")
    return pitch
