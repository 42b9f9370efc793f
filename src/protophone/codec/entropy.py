"""The entropy part of a bundle: how likely each code is, as whole numbers, and the four bytes that name it.

Content is coded first, one codebook after the other, then the pitch. How many frames there are follows from the number
of samples, so nothing says where a track ends.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from protophone.bundle import Bundle, Part
from protophone.codec.coder import RangeReader, RangeWriter, bits_of
from protophone.codec.context import ContextModel
from protophone.codec.learning import ContextConfig, Examples, learn, steps_of
from protophone.codec.tracks import Stream, Track, tracks_of
from protophone.config import dump, parse
from protophone.errors import BundleError, InputError
from protophone.progress import Stage, silent
from protophone.types import FrameGrid, Utterance

__all__ = ["EntropyModel", "codes_of", "fit_entropy", "read_entropy"]

_Heard = tuple[list[np.ndarray], str | Tensor | None]  # codes of each track, and who speaks
_BLOCK = 2**20  # values worked on at once
_READ = 1024  # codes whose contexts are laid out at once
_SOURCE = "entropy/entropy.safetensors"


class EntropyModel:
    """Frequencies of content and pitch codes, fitted once and kept in the bundle.

    ``voices`` are the names that a file may carry as a number. ``measured`` holds, of each track, the bits a code took
    in recordings kept out of fitting, and stays empty where there were too few.
    """

    def __init__(
        self,
        config: ContextConfig,
        content: Stream,
        pitch: Stream | None,
        voices: Sequence[str],
        models: Mapping[str, ContextModel],
        measured: Mapping[str, float],
    ) -> None:
        self.config = config
        self.content = content
        self.pitch = pitch
        self.voices = tuple(voices)
        self.models = dict(models)
        self.measured = dict(measured)
        self.tracks = tracks_of(content, pitch, len(self.voices), config.lags, config.pitch_lags)
        self.id = self._digest()

    def _facts(self) -> dict[str, Any]:
        """What the tables are to be read with."""
        pitch = None if self.pitch is None else asdict(self.pitch)
        return {"kind": self.config.kind, "content": asdict(self.content), "pitch": pitch, "voices": list(self.voices)}

    def _digest(self) -> bytes:
        """Four bytes that follow from all that decoding depends on, the codebooks by their hashes."""
        digest = hashlib.sha256(json.dumps([self._facts(), self.config.lags, self.config.pitch_lags]).encode())
        for name in sorted(self.models):
            for key, table in sorted(self.models[name].tables.items()):
                digest.update(f"{name}.{key} {table.shape}".encode() + table.astype(f"<i{table.itemsize}").tobytes())
        return digest.digest()[:4]

    def part(self) -> Part:
        """What a bundle keeps of it: ``add_part(folder, "entropy", model.part())``."""
        weights = {f"{name}.{key}": value for name, own in self.models.items() for key, value in own.state().items()}
        return Part(dump(self.config), weights, {**self._facts(), "id": self.id.hex(), "measured": self.measured})

    @classmethod
    def from_part(cls, part: Part) -> "EntropyModel":
        """The model that a bundle keeps; ``BundleError`` where its tables do not fit its facts."""
        config = parse(ContextConfig, part.config, source="entropy/entropy.toml")
        try:
            content = _stream(part.facts["content"])
            pitch = None if part.facts["pitch"] is None else _stream(part.facts["pitch"])
            voices = part.facts["voices"]
            models = {
                track.name: ContextModel.from_state(track.sizes, track.groups, _within(part.weights, track.name))
                for track in tracks_of(content, pitch, len(voices), config.lags, config.pitch_lags)
            }
            return cls(config, content, pitch, voices, models, part.facts["measured"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"{_SOURCE}: does not fit the facts beside it ({error}); copy the bundle again, or fit its entropy "
                "model again"
            ) from None

    def voice_index(self, voice: str | Tensor | None) -> int:
        """The number that stands for a voice in contexts: the last of all for those that are not known."""
        return _number(voice, self.voices)

    def write(self, writer: RangeWriter, codes: Sequence[np.ndarray], voice: int) -> dict[str, float]:
        """Writes the codes ``[frame]`` of some of the tracks, the first ones; what each took in bits.

        Of each track, ``NAME.repeats`` are the bits for where a code is the one before it again, and where not.
        """
        bits: dict[str, float] = {}
        for index, (track, own) in enumerate(zip(self.tracks, codes, strict=False)):
            before = np.concatenate([[-1], own[:-1]])
            contexts = track.told(track.contexts(range(len(own)), voice, list(codes[:index])), own)
            spent = repeats = 0.0
            step = max(1, _BLOCK // max(track.size, contexts.shape[1] * self.config.dim))
            for start in range(0, len(own), step):
                rows = slice(start, start + step)
                frequencies = self.models[track.name].frequencies(contexts[rows])
                writer.write(own[rows], frequencies)
                spent += float(bits_of(frequencies[np.arange(len(frequencies)), own[rows]]).sum())
                repeats += _repeats(frequencies, own[rows], before[rows])
            bits |= {track.name: spent - repeats, f"{track.name}.repeats": repeats}
        return bits

    def read(self, reader: RangeReader, frames: Sequence[int], voice: int) -> list[np.ndarray]:
        """The codes int64 ``[frame]`` of the first tracks, of so many ``frames`` each."""
        tracks: list[np.ndarray] = []
        for track, count in zip(self.tracks, frames, strict=False):
            model = self.models[track.name]
            own = np.zeros(count, dtype=np.int64)
            history = np.full(track.lags, track.size)
            for start in range(0, count, _READ):
                block = range(start, min(count, start + _READ))
                contexts = track.contexts(block, voice, tracks)
                for frame, context in zip(block, contexts, strict=True):
                    context[1 : 1 + track.lags] = history
                    own[frame] = reader.get(model.frequencies(context[None])[0])
                    history[1:] = history[:-1].copy()
                    history[0] = own[frame]
            tracks.append(own)
        return tracks


def read_entropy(bundle: Bundle) -> EntropyModel:
    """The entropy model of a bundle; ``InputError`` where it has none, ``BundleError`` for one of other units."""
    if "entropy" not in bundle.parts:
        raise InputError(
            f"{bundle.folder}: this bundle has no entropy model, so nothing can be packed with it; fit one with "
            "protophone train, on a recipe with a table [entropy]"
        )
    model = EntropyModel.from_part(bundle.part("entropy"))
    pitch = None if model.pitch is None else model.pitch.codebook
    for what, has, wanted in (
        ("units", bundle.facts["encoder"]["codebook"], model.content.codebook),
        ("pitch units", bundle.parts.get("pitch", {}).get("codebook"), pitch),
    ):
        if has != wanted:
            raise BundleError(
                f"{bundle.folder}: its entropy model is of {what} of codebook {wanted}, the bundle's own are of {has}; "
                "fit it again with protophone train, on a recipe with a table [entropy]"
            )
    return model


def fit_entropy(
    utterances: Iterable[Utterance],
    voices: Sequence[str],
    config: ContextConfig,
    *,
    vectors: Mapping[str, Tensor] | None = None,
    stage: Stage = silent,
) -> EntropyModel:
    """The entropy model of ``utterances``, whose ``voice`` is the speaker's name where it is one of ``voices``.

    ``vectors`` float ``[code, dim]``, by the names of tracks (``content0``, ``pitch0``), say which codes are alike;
    that saves some percent. All utterances must be of the same streams, with pitch or without; no more are taken than
    learning can go through once, so they should come in no order. ``InputError`` where there is not one code in them.
    """
    content: Stream | None = None
    pitch: Stream | None = None
    heard: list[_Heard] = []
    left = config.steps * config.batch
    for utterance in utterances:
        if content is None:
            content = Stream.of(utterance.content)
            pitch = None if utterance.pitch is None else Stream.of(utterance.pitch)
        heard.append((codes_of(utterance, content, pitch), utterance.voice))
        left -= len(heard[-1][0][0])
        if left <= 0:
            break
    if content is None or left == config.steps * config.batch:
        raise InputError("no units to fit an entropy model on; give it the recordings that the encoder learned from")
    models, measured = {}, {}
    for index, track in enumerate(tracks_of(content, pitch, len(voices), config.lags, config.pitch_lags)):
        examples = _examples(track, index, heard, voices, vectors or {})
        with stage(f"learning what follows what in {track.name}", steps_of(examples, config)) as advance:
            models[track.name], bits = learn(examples, config, advance)
        if bits is not None:
            measured[track.name] = round(bits, 4)
    return EntropyModel(config, content, pitch, voices, models, measured)


def codes_of(utterance: Utterance, content: Stream, pitch: Stream | None) -> list[np.ndarray]:
    """Codes ``[frame]`` of each track, of the content alone without pitch; ``UnitsError`` as ``Stream.codes``."""
    codes = list(content.codes(utterance.content, utterance.num_samples))
    if utterance.pitch is not None:
        if pitch is None:
            raise InputError("units with a pitch, where the others have none; encode all with the same bundle")
        codes += list(pitch.codes(utterance.pitch, utterance.num_samples))
    return codes


def _examples(
    track: Track, index: int, heard: Sequence[_Heard], voices: Sequence[str], vectors: Mapping[str, Tensor]
) -> Examples:
    """What the model of track ``index`` learns from."""
    symbols, contexts, recordings = [], [], []
    for number, (codes, voice) in enumerate(heard):
        if index >= len(codes):  # it has no pitch
            continue
        own = codes[index]
        known = _number(voice, voices)
        symbols.append(own)
        contexts.append(track.told(track.contexts(range(len(own)), known, codes[:index]), own).astype(np.int32))
        recordings.append(np.full(len(own), number))
    return Examples(
        np.concatenate(symbols),
        np.concatenate(contexts),
        np.concatenate(recordings),
        track.size,
        track.sizes,
        track.groups,
        vectors,
    )


def _repeats(frequencies: np.ndarray, codes: np.ndarray, before: np.ndarray) -> float:
    """Bits for where codes are the one before (-1: there is none) again, and where not."""
    there = before >= 0
    frequencies, codes, before = frequencies[there], codes[there], before[there]
    again = frequencies[np.arange(len(before)), before]
    return float(bits_of(np.where(codes == before, again, frequencies.sum(1) - again)).sum())


def _number(voice: str | Tensor | None, voices: Sequence[str]) -> int:
    return voices.index(voice) if isinstance(voice, str) and voice in voices else len(voices)


def _stream(facts: Mapping[str, Any]) -> Stream:
    return Stream(tuple(facts["sizes"]), FrameGrid(**facts["grid"]), facts["codebook"])


def _within(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tables of one track."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
