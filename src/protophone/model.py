"""A bundle in use: ``protophone.load(bundle)`` gives a ``Model`` that encodes, decodes and converts."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from protophone import audio
from protophone.bundle import Bundle
from protophone.config import parse
from protophone.delivery import Delivery, faster
from protophone.device import device_of
from protophone.encoders import Encoder, EncoderConfig, PipelineConfig
from protophone.encoders.pitch import PitchVQVAE, VoicePitch, read_pitch
from protophone.errors import AudioError, BundleError, InputError
from protophone.features.pitch import PitchConfig
from protophone.memory import naming_memory
from protophone.speaking import Vocoders, check_lengths, deliver, speak_stream
from protophone.tape import Tape
from protophone.types import NOBODY, AudioBatch, FeatureBatch, Recording, UnitBatch, Utterance
from protophone.weights import filled

__all__ = ["DEFAULT_BUNDLE", "Heard", "Model", "load"]

_ANY_ENCODER: Any = EncoderConfig  # a union, which no type checker takes for a class
_LEAST = 1.0  # seconds of voice that one is known from
_AS_RECORDED = Delivery()  # and in the register of whoever speaks

DEFAULT_BUNDLE = Path(__file__).parent / "bundles" / "prompts"


def load(bundle: str | Path | None = None, *, device: str = "cpu", vocoder: str | None = None) -> "Model":
    """The model in ``bundle`` (a bundle, or a folder ``discover`` wrote); without one, the bundle that is shipped.

    ``vocoder`` names the one to speak with, where the bundle has several. Raises ``BundleError`` where a file of it is
    missing, altered, or of a newer format.
    """
    return Model(Bundle(DEFAULT_BUNDLE if bundle is None else bundle), device, vocoder)


@dataclass(frozen=True)
class Heard:
    """A voice known from a recording alone: the speaker embedding float32 ``[dim]`` and where its pitch lies."""

    embedding: Tensor
    pitch: VoicePitch | None

    @property
    def mark(self) -> str:
        """Tells such voices apart."""
        return hashlib.sha256(self.embedding.cpu().numpy().astype("<f4").tobytes()).hexdigest()[:8]


class Model:
    """An encoder, pitch units where the bundle has such, and the voices that speak them."""

    def __init__(self, bundle: Bundle, device: str = "cpu", vocoder: str | None = None) -> None:
        self.bundle = bundle
        self.device = device_of(device)
        part = bundle.encoder()
        config = parse(_ANY_ENCODER, part.config, source=str(bundle.folder / "encoder.toml"))
        build = partial(config.build, tuple(part.facts["speakers"]))
        network = not isinstance(config, PipelineConfig)  # whose features may be those of another model's files
        path = bundle.folder / "encoder.safetensors"
        self.encoder: Encoder = filled(build, part.weights, path, network=network).to(self.device)
        if self.encoder.codebook.hash != part.facts["codebook"]:
            raise BundleError(
                f"{bundle.folder}: the codebook's hash is {self.encoder.codebook.hash}, bundle.json says "
                f"{part.facts['codebook']}; copy the whole folder again"
            )
        found = (self.encoder.sample_rate, self.encoder.grid.hop, list(self.encoder.sizes))
        if found != (wanted := tuple(part.facts[name] for name in ("sample_rate", "hop", "sizes"))):
            raise BundleError(
                f"{bundle.folder}: sample_rate, hop and sizes of its encoder are {found}, bundle.json says {wanted}; "
                "copy the whole folder again"
            )
        if (level := part.facts.get("level", self.encoder.level)) != self.encoder.level:
            raise BundleError(
                f"{bundle.folder}: its encoder takes speech at {level} dB, this protophone brings it to "
                f"{self.encoder.level} dB; train it again"
            )
        self.pitch: PitchVQVAE | None = None
        if "pitch" in bundle.parts:
            self.pitch = read_pitch(bundle.part("pitch"), bundle.folder / "pitch").to(self.device)
            if self.pitch.grid.sample_rate != self.encoder.sample_rate:
                raise BundleError(
                    f"{bundle.folder}: its pitch units are of sound at {self.pitch.grid.sample_rate} Hz, its encoder "
                    f"takes {self.encoder.sample_rate} Hz; train them again with "
                    f"--set 'pitch.tracker.sample_rate = {self.encoder.sample_rate}'"
                )
        #: The one vocoder it speaks with, where one was named.
        self.vocoder = vocoder
        self._vocoders = Vocoders(bundle, self.encoder, self.device, vocoder)

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of the voices it can speak in."""
        return self._vocoders.voices

    @property
    def sample_rate(self) -> int:
        """Hertz of the sound it takes and makes."""
        return self.encoder.sample_rate

    def check_voice(self, voice: str | Heard) -> None:
        """``InputError`` where no vocoder of the bundle speaks as ``voice``."""
        self._vocoders.folder(voice.embedding if isinstance(voice, Heard) else voice)

    def encode(self, source: str | Path | Recording | Tape | np.ndarray, voice: str | None = None) -> Utterance:
        """Units of a recording: a file, a segment of one, or float32 ``[sample]`` at ``sample_rate``.

        ``voice`` says who speaks; a manifest's recording says so itself. A file longer than a minute is encoded in
        chunks, in bounded memory, to the same units.
        """
        if isinstance(source, np.ndarray):
            samples = _mono(source)
            audio.check_speech(samples, "array", self.sample_rate)
            units = Utterance(content=self.encode_batch([samples]), num_samples=len(samples), voice=voice)
            return self.with_pitch(units, [samples])
        tape = source if isinstance(source, Tape) else Tape(source, self.sample_rate)
        tape.passes = self.encoder.passes + (self.pitch is not None)
        name = tape.source.id if isinstance(tape.source, Recording) else Path(tape.source).stem
        with naming_memory(tape.name, "cut the recording into shorter ones"):
            content = self.encoder.encode_tape(tape)
            units = Utterance(content=content, num_samples=tape.num_samples, voice=voice or tape.speaker, id=name)
            return self.with_pitch(units, tape.blocks())

    def encode_batch(self, arrays: list[np.ndarray]) -> UnitBatch:
        """Content units of several recordings at ``sample_rate``, each as it would be alone."""
        return self.encoder.encode(AudioBatch.from_arrays(arrays, self.sample_rate).to(self.device))

    def with_pitch(self, units: Utterance, blocks: Iterable[np.ndarray]) -> Utterance:
        """``units`` and the pitch units of the sound they came from, in parts, where the bundle has such."""
        if self.pitch is None:
            return units
        track = self.pitch.config.tracker.build().track_blocks(blocks).to(self.device)
        (lies,) = self.pitch.statistics(track, [units.speaker])
        pitch = self.pitch.encode(track, [lies])
        known = units.speaker in self.pitch.voices
        return replace(units, pitch=pitch, pitch_statistics=None if known else (lies.mean, lies.deviation))

    def represent(self, source: str | Path | Recording | np.ndarray) -> FeatureBatch:
        """What ABX scores of a recording: the vectors of its units."""
        return self.encoder.vectors(self.encode(source).content)

    def heard(self, source: str | Path | Recording | np.ndarray) -> Heard:
        """The voice in the first minute of a recording, for a vocoder to speak in that learned to take such.

        ``InputError`` where the bundle has none that did, ``AudioError`` where less than a second of it is voiced.
        """
        embedder = self._vocoders.embedder
        if isinstance(source, np.ndarray):
            name, samples = "array", _mono(source)
            audio.check_speech(samples, name, self.sample_rate)
        else:
            tape = Tape(source, self.sample_rate)
            name, samples = tape.name, tape.beginning()
        batch = AudioBatch.from_arrays([samples], self.sample_rate)
        tracker = PitchConfig(sample_rate=self.sample_rate) if self.pitch is None else self.pitch.config.tracker
        track = tracker.build().track(batch)
        voiced = float(track.voiced.sum()) / float(track.grid.frame_rate)
        if voiced < _LEAST:
            raise AudioError(f"{name}: {voiced:.2f} s of voice in its first minute; to know a voice takes {_LEAST:g} s")
        lies = None if self.pitch is None else self.pitch.statistics(track, [None])[0]
        return Heard(embedder.embed(batch)[0], lies)

    def decode(
        self, units: Utterance, voice: str | Heard | None = None, delivery: Delivery = _AS_RECORDED
    ) -> AudioBatch:
        """Sound of ``units`` in ``voice`` (without one: the utterance's own, or the first), ``num_samples`` long.

        ``delivery`` says along which melody and how fast.
        """
        parts = list(self.speak_stream(units, voice, delivery))
        return AudioBatch.from_arrays([np.concatenate(parts) if parts else np.zeros(0, np.float32)], self.sample_rate)

    def speak_stream(
        self, units: Utterance, voice: str | Heard | None = None, delivery: Delivery = _AS_RECORDED
    ) -> Iterator[np.ndarray]:
        """Like ``decode``, in parts float32 ``[sample]`` and bounded memory."""
        target, lies = self._target(units, voice)
        vocoder = self._vocoders.of(target)
        if not check_lengths(units):
            return iter([np.zeros(round(units.num_samples / delivery.rate), np.float32)])
        pitch = deliver(units, vocoder.pitch_input, self.pitch, lies, delivery)
        spoken = replace(
            units,
            content=faster(units.content, delivery.rate),
            num_samples=round(units.num_samples / delivery.rate),
            pitch=None,
        )
        return speak_stream(vocoder, spoken, pitch, target)

    def convert(
        self,
        source: str | Path | Recording | np.ndarray,
        voice: str | Heard | None = None,
        delivery: Delivery = _AS_RECORDED,
        *,
        speaker: str | None = None,
    ) -> AudioBatch:
        """The words of ``source``, spoken by ``speaker``, in ``voice`` (without one, the first).

        ``speaker`` is one of the voices whose register the bundle knows; without one it is measured.
        """
        parts = list(self.convert_stream(source, voice, delivery, speaker=speaker))
        return AudioBatch.from_arrays([np.concatenate(parts)], self.sample_rate)

    def convert_stream(
        self,
        source: str | Path | Recording | Tape | np.ndarray,
        voice: str | Heard | None = None,
        delivery: Delivery = _AS_RECORDED,
        *,
        speaker: str | None = None,
    ) -> Iterator[np.ndarray]:
        """Like ``convert``, in parts float32 ``[sample]`` and bounded memory."""
        target = self._vocoders.first if voice is None else voice
        self.check_voice(target)  # before any work
        known = () if self.pitch is None else tuple(self.pitch.voices)
        if speaker is not None and speaker not in known:
            raise InputError(
                f"no speaker {speaker!r} whose register {self.bundle.folder} knows; these are: "
                f"{', '.join(known) or 'none'}; name none to have it measured"
            )
        return self.speak_stream(self.encode(source, speaker), target, delivery)

    def _target(self, units: Utterance, voice: str | Heard | None) -> tuple[str | Tensor, VoicePitch | None]:
        """Who speaks, and where that voice's pitch lies; None: where that of the recording does."""
        if isinstance(voice, Heard):
            return voice.embedding, voice.pitch
        if voice is None and isinstance(units.voice, Tensor):
            return units.voice, None
        name = voice if voice is not None else units.speaker if units.speaker in self.voices else self._vocoders.first
        if self.pitch is None or name == NOBODY:  # of all whose recordings say not who they are
            return name, None
        return name, self.pitch.voices.get(name, self.pitch.pooled)


def _mono(samples: np.ndarray) -> np.ndarray:
    """Sound given as an array: real ``[sample]``, finite; float32."""
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise InputError(
            f"sound is a float array [sample] in [-1, 1], not {samples.dtype} of shape {samples.shape}; "
            "average its channels, divide whole numbers by their largest"
        )
    if not np.isfinite(samples).all():
        raise AudioError(f"sample {int(np.argmin(np.isfinite(samples)))} of the array is not a finite number")
    return samples.astype(np.float32)
