"""A bundle in use: ``protophone.load(bundle)`` gives a ``Model`` that encodes, decodes and converts."""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from protophone import audio
from protophone.bundle import Bundle, Part
from protophone.config import dump, parse
from protophone.encoders import EncoderConfig
from protophone.encoders.base import Encoder
from protophone.errors import AudioError, BundleError, InputError, UnitsError
from protophone.tape import Tape
from protophone.types import AudioBatch, FeatureBatch, Recording, UnitBatch, Utterance
from protophone.vocoders import VocoderConfig
from protophone.vocoders.base import Vocoder

M = TypeVar("M", bound=nn.Module)

_ANY_ENCODER: Any = EncoderConfig  # a union, which no type checker takes for a class

__all__ = ["DEFAULT_BUNDLE", "Model", "encoder_part", "load", "voice_part"]

DEFAULT_BUNDLE = Path(__file__).parent / "bundles" / "prompts"


def load(bundle: str | Path | None = None, *, device: str = "cpu") -> "Model":
    """The model in ``bundle`` (a bundle, or a folder ``discover`` wrote); without one, the bundle that is shipped.

    Raises ``BundleError`` where a file of it is missing, altered, or of a newer format.
    """
    return Model(Bundle(DEFAULT_BUNDLE if bundle is None else bundle), device)


class Model:
    """An encoder and the voices that speak its units."""

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        self.bundle = bundle
        self.device = _device(device)
        part = bundle.encoder()
        self.encoder: Encoder = _filled(
            parse(_ANY_ENCODER, part.config, source=str(bundle.folder / "encoder.toml")).build(
                tuple(part.facts["speakers"])
            ),
            part,
            bundle.folder / "encoder.safetensors",
        ).to(self.device)
        if self.encoder.codebook.hash != part.facts["codebook"]:
            raise BundleError(
                f"{bundle.folder}: the codebook's hash is {self.encoder.codebook.hash}, bundle.json says "
                f"{part.facts['codebook']}; copy the whole folder again"
            )
        self._voices = {speaker: folder for folder, facts in bundle.voices.items() for speaker in facts["speakers"]}
        self._vocoders: dict[str, Vocoder] = {}

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of the voices it can speak in."""
        return tuple(self._voices)

    @property
    def sample_rate(self) -> int:
        """Hertz of the sound it takes and makes."""
        return self.encoder.sample_rate

    def encode(self, source: str | Path | Recording | np.ndarray) -> Utterance:
        """Units of a recording: a file, a segment of one, or float32 ``[sample]`` at ``sample_rate``.

        A recording longer than a minute is encoded in chunks, in bounded memory, to the same units.
        """
        if isinstance(source, np.ndarray):
            samples = _mono(source)
            audio.check_speech(samples, "array", self.sample_rate)
            return Utterance(content=self.encode_batch([samples]), num_samples=len(samples))
        tape = Tape(source, self.sample_rate)
        units = self.encoder.encode_tape(tape)
        name = source.id if isinstance(source, Recording) else Path(source).stem
        return Utterance(content=units, num_samples=tape.num_samples, id=name)

    def encode_batch(self, arrays: list[np.ndarray]) -> UnitBatch:
        """Units of several recordings at ``sample_rate``, each as it would be alone."""
        return self.encoder.encode(AudioBatch.from_arrays(arrays, self.sample_rate).to(self.device))

    def represent(self, source: str | Path | Recording | np.ndarray) -> FeatureBatch:
        """What ABX scores of a recording: the vectors of its units."""
        return self.encoder.vectors(self.encode(source).content)

    def decode(self, units: Utterance, voice: str | None = None) -> AudioBatch:
        """Sound of ``units`` in ``voice`` (without one: the utterance's own, or the first), ``num_samples`` long."""
        name = self._speaking(voice or (units.voice if isinstance(units.voice, str) else None))
        vocoder = self._vocoder(self._voices[name])
        content = units.content.expand() if units.content.durations is not None else units.content
        sound = vocoder.synthesize(content, units.pitch, name)
        length = min(units.num_samples, sound.samples.shape[1])
        return AudioBatch(sound.samples[:, :length].cpu(), torch.tensor([length]), sound.sample_rate)

    def convert(self, source: str | Path | Recording | np.ndarray, voice: str | None = None) -> AudioBatch:
        """The words of ``source`` in ``voice``."""
        name = self._speaking(voice)
        return self.decode(self.encode(source), name)

    def _speaking(self, voice: str | None) -> str:
        """The voice of that name, or the first; ``InputError`` where there is none."""
        if not self._voices:
            raise InputError(f"{self.bundle.folder}: this bundle has no voice; train one with protophone train")
        if voice is not None and voice not in self._voices:
            raise InputError(f"no voice {voice!r} in {self.bundle.folder}; the voices are: {', '.join(self.voices)}")
        return self.voices[0] if voice is None else voice

    def _vocoder(self, folder: str) -> Vocoder:
        if folder not in self._vocoders:
            part = self.bundle.voice(folder)
            if part.facts["codebook"] != self.encoder.codebook.hash:
                raise UnitsError(
                    f"{self.bundle.folder / 'voices' / folder}: speaks units of codebook {part.facts['codebook']}, "
                    f"this encoder's is {self.encoder.codebook.hash}; train the voice on this bundle"
                )
            config = parse(VocoderConfig, part.config, source=str(self.bundle.folder / "voices" / folder))
            vocoder = config.build(self.encoder.codebook, self.encoder.grid, tuple(part.facts["speakers"]))
            weights = self.bundle.folder / "voices" / folder / "vocoder.safetensors"
            self._vocoders[folder] = _filled(vocoder, part, weights).to(self.device)
        return self._vocoders[folder]


def _device(name: str) -> torch.device:
    """The device of that name; ``InputError`` where there is none."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA says so with the latter
        raise InputError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); use cpu") from None
    return device


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


def encoder_part(encoder: Encoder, speakers: tuple[str, ...]) -> Part:
    """What a bundle keeps of an encoder."""
    grid = encoder.grid
    facts = {
        "kind": encoder.config.kind,
        "sample_rate": encoder.sample_rate,
        "hop": grid.hop,
        "offset": grid.offset,
        "context": list(encoder.context),
        "normalization": encoder.normalization,
        "sizes": list(encoder.sizes),
        "codebook": encoder.codebook.hash,
        "speakers": list(speakers),
    }
    return Part(dump(encoder.config), encoder.state_dict(), facts)


def voice_part(vocoder: Vocoder) -> Part:
    """What a bundle keeps of a vocoder; the judge that trained it stays behind."""
    weights = {name: tensor for name, tensor in vocoder.state_dict().items() if not name.startswith("judge.")}
    facts = {"speakers": list(vocoder.voices), "codebook": vocoder.codebook, "pitch": False}
    return Part(dump(vocoder.config), weights, facts)


def _filled(module: M, part: Part, path: Path) -> M:
    """``module`` with the weights of ``part``, ready for use."""
    try:
        missing, surplus = module.load_state_dict(dict(part.weights), strict=False)
        fits = not surplus and all(name.startswith("judge.") for name in missing)
    except RuntimeError:  # other shapes
        fits = False
    if not fits:
        raise BundleError(f"{path}: weights do not fit the config beside them; copy the whole bundle again")
    return module.eval()
