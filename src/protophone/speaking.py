"""Speaking: which vocoder of a bundle does it, what it is told of the melody, and the sound part by part."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from protophone.bundle import Bundle
from protophone.config import parse
from protophone.delivery import Delivery
from protophone.encoders.base import Encoder
from protophone.encoders.pitch import PitchVQVAE, VoicePitch
from protophone.errors import InputError, UnitsError
from protophone.features.contour import PitchBatch
from protophone.features.speaker import SpeakerEmbedder, load_embedder
from protophone.types import UnitBatch, Utterance
from protophone.vocoders import VocoderConfig
from protophone.vocoders.base import PitchInput, Vocoder
from protophone.weights import filled

__all__ = ["Vocoders", "check_lengths", "deliver", "speak_stream"]

_ANY_VOCODER: Any = VocoderConfig  # a union, which no type checker takes for a class
_NO_PITCH = (
    "this vocoder must be told the melody, and the bundle has no pitch units; protophone train configs/pitch.toml, "
    "then encode again"
)
_SHORT = 2  # units fewer than a recording's samples make, of models that pad no sound
_PREFERRED = ("vocos", "hifigan", "code2spec")  # folders of voices, where several speak as the same person


class Vocoders:
    """The vocoders of a bundle, read when one is first needed; ``only`` names the one to speak with."""

    def __init__(self, bundle: Bundle, encoder: Encoder, device: torch.device, only: str | None = None) -> None:
        if only is not None and only not in bundle.voices:
            raise InputError(f"no vocoder {only!r} in {bundle.folder}; it has: {', '.join(bundle.voices) or 'none'}")
        self._bundle, self._encoder, self._device = bundle, encoder, device
        names = [only] if only is not None else sorted(bundle.voices, key=_rank)
        self._folders = {name: bundle.voices[name] for name in names}
        self._speaks: dict[str, str] = {}
        for folder, facts in self._folders.items():
            for speaker in facts["speakers"]:
                self._speaks.setdefault(speaker, folder)
        self._read: dict[str, Vocoder] = {}

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of the voices there are."""
        return tuple(self._speaks)

    @property
    def first(self) -> str:
        """The voice that speaks where none is named; ``InputError`` where the bundle has none."""
        if not self._speaks:
            raise InputError(f"{self._bundle.folder}: this bundle has no voice; train one with protophone train")
        return self.voices[0]

    @property
    def embedder(self) -> SpeakerEmbedder:
        """Who embeds voices that have no name; ``InputError`` where no vocoder learned to take such, or of another."""
        folder = self._taking_embeddings()
        wanted = self._folders[folder]["embedder"]
        found = load_embedder(wanted["embedder"])
        if found.weights != wanted["weights"]:
            raise InputError(
                f"{self._bundle.folder}: its vocoder {folder} takes voices as embedded by {wanted['embedder']} with "
                f"weights {wanted['weights']} ({wanted['package']}), found are {found.weights} ({found.package}); "
                "install these, or train the vocoder again"
            )
        return found

    def folder(self, voice: str | Tensor) -> str:
        """The vocoder that speaks as ``voice``, a name or an embedding.

        ``InputError`` where there is none, ``UnitsError`` where it must be told a melody and the bundle makes none.
        """
        if isinstance(voice, Tensor):
            found = self._taking_embeddings()
        elif self.first and voice not in self._speaks:
            raise InputError(f"no voice {voice!r} in {self._bundle.folder}; the voices are: {', '.join(self.voices)}")
        else:
            found = self._speaks[voice]
        if self._folders[found].get("pitch", "none") != "none" and "pitch" not in self._bundle.parts:
            raise UnitsError(_NO_PITCH)
        return found

    def of(self, voice: str | Tensor) -> Vocoder:
        """The same, ready to speak."""
        return self._vocoder(self.folder(voice))

    def _taking_embeddings(self) -> str:
        for folder, facts in self._folders.items():
            if facts.get("embedder"):
                return folder
        raise InputError(
            f"{self._bundle.folder}: its vocoders know voices by name only ({', '.join(self.voices) or 'none'}); train "
            "one that takes embeddings: --set 'voice.embedding_dim = 256'"
        )

    def _vocoder(self, folder: str) -> Vocoder:
        if folder not in self._read:
            part, path = self._bundle.voice(folder), self._bundle.folder / "voices" / folder
            if part.facts["codebook"] != self._encoder.codebook.hash:
                raise UnitsError(
                    f"{path}: speaks units of codebook {part.facts['codebook']}, this encoder's is "
                    f"{self._encoder.codebook.hash}; train the voice on this bundle"
                )
            told, has = part.facts.get("pitch_codebook"), self._bundle.parts.get("pitch", {}).get("codebook")
            if part.facts.get("pitch") == "units" and (told is None or told != has):
                raise UnitsError(
                    f"{path}: is told pitch units of codebook {told or 'unknown'}, this bundle's are of {has}; train "
                    "the voice on this bundle"
                )
            config = parse(_ANY_VOCODER, part.config, source=str(path / "vocoder.toml"))
            build = partial(config.build, self._encoder.codebook, self._encoder.grid, tuple(part.facts["speakers"]))
            self._read[folder] = filled(build, part.weights, path / "vocoder.safetensors").to(self._device)
        return self._read[folder]


def _rank(folder: str) -> tuple[int, str]:
    return (_PREFERRED.index(folder) if folder in _PREFERRED else len(_PREFERRED), folder)


def deliver(
    units: Utterance, wanted: PitchInput, coder: PitchVQVAE | None, target: VoicePitch | None, delivery: Delivery
) -> UnitBatch | PitchBatch | None:
    """What a vocoder is told of the melody of ``units``, in a voice whose pitch lies at ``target``.

    Without a ``target`` it lies where that of the recording does. Raises ``InputError`` where the vocoder is told none
    and another melody is asked for, ``UnitsError`` where the units hold no pitch.
    """
    if wanted == "none":
        if delivery.pitch != "target":
            raise InputError(f"pitch {delivery.pitch!r}: this vocoder is told no melody; speak with one that is")
        return None
    if coder is None:
        raise UnitsError(_NO_PITCH)
    if units.pitch is None:
        raise UnitsError("this vocoder must be told the melody, and these units have none; encode the recording again")
    pitch = coder.check_units(units.pitch)
    if wanted == "units" and delivery == Delivery():
        return pitch
    source = _register(units, coder)
    target = source if target is None else target
    device = coder.mean.device
    pitch = replace(pitch, codes=pitch.codes.to(device), lengths=pitch.lengths.to(device))
    melody = delivery.melody(coder.contour(pitch, [source]), source, target)
    if wanted == "contour":
        return melody
    # Pitch units are made anew of the melody asked for, voiced where the old ones were.
    voiced = coder.decode(pitch, [source]).f0_hz > 0
    at = delivery.steps(voiced.shape[1], voiced.device)
    return coder.encode(PitchBatch(melody.f0_hz * voiced[:, at], melody.lengths, melody.grid), [target])


def _register(units: Utterance, coder: PitchVQVAE) -> VoicePitch:
    """Where the pitch of who was recorded lies; ``UnitsError`` where nothing says."""
    units.check_register()
    if units.pitch_statistics is not None:
        return VoicePitch(*units.pitch_statistics)
    return coder.voices.get(str(units.speaker), coder.pooled)


def check_lengths(units: Utterance) -> int:
    """Frames of the content of ``units``; ``UnitsError`` where the pitch or the samples are of another recording's.

    Models with windows of their own have a unit or two less than the samples make.
    """
    counts = []
    for found in (units.content, units.pitch):
        if found is None:
            continue
        counts.append(int(found.lengths[0] if found.durations is None else found.durations.sum()))
        made = -(-units.num_samples // found.grid.hop)
        if abs(counts[-1] - made) > _SHORT:
            raise UnitsError(
                f"{counts[-1]} units {found.grid.hop} samples apart for {units.num_samples} samples, which make "
                f"{made}; give content, pitch and number of samples of one recording"
            )
    return counts[0]


@torch.inference_mode()
def speak_stream(
    vocoder: Vocoder, units: Utterance, pitch: UnitBatch | PitchBatch | None, voice: str | Tensor | None
) -> Iterator[np.ndarray]:
    """Sound of ``units`` in parts float32 ``[sample]``, ``num_samples`` together.

    ``pitch`` is what the vocoder's ``pitch_input`` asks for, ``voice`` a name or an embedding. Models with windows of
    their own have no unit for the last few hundredths of a second; there it is silent.
    """
    left = units.num_samples
    for part in vocoder.stream(units.content, pitch, voice):
        samples = part[:left].cpu().numpy()
        left -= len(samples)
        if len(samples):
            yield samples
    if left:
        yield np.zeros(left, np.float32)
