"""Who speaks, in few bits: the number of a name the bundle knows, or a vector heard only once, to 8 bits a value.

A vector counts by its direction alone, so its largest value is written as 255 (127 where there are negative ones) and
its length as one. Vectors of rectified networks are mostly small or zero: a value is written as how many bits it has,
under frequencies that follow the values before it, and these bits. Mean and deviation of the natural logarithm of its
F0, which the bundle knows of most voices with a name, take 8 bits each.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from protophone.codec.coder import RangeReader, RangeWriter, flat, scaled
from protophone.errors import InputError

__all__ = ["check_name", "read_voice", "write_voice"]

_BITS = 8
_DIMS = flat(4097)  # of a vector, 1 to 4096
_MEAN = (math.log(40), math.log(640))  # of voices: four octaves, in steps of a fifth of a semitone
_DEVIATION = (0.0, 0.765)  # in steps of 0.003
_LEAST = (0, 1)  # steps of both: no voice is without any deviation
_TOLD = (scaled(np.array([1, 3])), scaled(np.array([63, 1])))  # whether they are, for voices without a name and with
_NOW = 24  # how much more a number of bits just seen counts than one never seen
Voice = str | Tensor | None
Melody = tuple[float, float] | None


def write_voice(writer: RangeWriter, voice: Voice, melody: Melody, names: tuple[str, ...]) -> None:
    """Writes a voice: one of ``names``, a vector float ``[dim]``, or None; and its ``melody``, if told.

    Of a melody whose mean F0 lies outside 40 to 640 Hz, or whose deviation outside 0.003 to 0.765 (a factor of 2.15),
    the nearest that can be written is.

    ``InputError`` for a name that is not among them, and for a vector that has no direction.
    """
    kinds = flat(len(names) + 2)
    if isinstance(voice, str):
        check_name(voice, names)
        writer.put(names.index(voice), kinds)
    else:
        writer.put(len(names) + (voice is not None), kinds)
    if isinstance(voice, Tensor):
        _write_vector(writer, voice)
    writer.put(int(melody is not None), _TOLD[isinstance(voice, str)])
    for value, (low, high), least in zip(melody or (), (_MEAN, _DEVIATION), _LEAST, strict=False):
        if not math.isfinite(value):
            raise InputError(f"{value} among the mean and deviation of a voice's pitch; measure them on voiced frames")
        level = round((value - low) / (high - low) * (2**_BITS - 1))
        writer.put(min(max(level, least), 2**_BITS - 1), flat(2**_BITS))


def check_name(voice: str, names: tuple[str, ...]) -> None:
    """``InputError`` where ``voice`` is not one of ``names``."""
    if voice not in names:
        raise InputError(
            f"no voice {voice!r} among those that this bundle packs by name: {', '.join(names) or 'none'}; name one of "
            "these, or fit the bundle's entropy model again"
        )


def read_voice(reader: RangeReader, names: tuple[str, ...]) -> tuple[Voice, Melody]:
    """The voice that ``write_voice`` wrote, a vector at length one, and its melody."""
    kind = reader.get(flat(len(names) + 2))
    voice: Voice = names[kind] if kind < len(names) else _read_vector(reader) if kind > len(names) else None
    if not reader.get(_TOLD[kind < len(names)]):
        return voice, None
    mean, deviation = (
        low + max(reader.get(flat(2**_BITS)), least) * (high - low) / (2**_BITS - 1)
        for (low, high), least in zip((_MEAN, _DEVIATION), _LEAST, strict=True)
    )
    return voice, (mean, deviation)


def _write_vector(writer: RangeWriter, voice: Tensor) -> None:
    values = voice.detach().cpu().double().numpy()
    if values.ndim != 1 or not 0 < len(values) < len(_DIMS) or not np.isfinite(values).all() or not values.any():
        raise InputError(
            f"a voice's embedding of shape {tuple(voice.shape)}, which must be up to {len(_DIMS) - 1} finite numbers "
            "[dim], not all zero; embed another recording of the voice"
        )
    signed = bool((values < 0).any())
    levels = np.rint(values / np.abs(values).max() * (2 ** (_BITS - signed) - 1)).astype(np.int64)
    writer.put(len(values), _DIMS)
    writer.put(int(signed), flat(2))
    seen = np.ones(_BITS + 1, dtype=np.int64)
    for level in levels.tolist():
        writer.put_number(abs(level), scaled(seen))
        seen[abs(level).bit_length()] += _NOW
        if signed and level:
            writer.put(int(level < 0), flat(2))


def _read_vector(reader: RangeReader) -> Tensor:
    levels = np.zeros(reader.get(_DIMS), dtype=np.int64)
    signed = bool(reader.get(flat(2)))
    seen = np.ones(_BITS + 1, dtype=np.int64)
    for index in range(len(levels)):
        level = reader.get_number(scaled(seen))
        seen[level.bit_length()] += _NOW
        levels[index] = -level if signed and level and reader.get(flat(2)) else level
    return functional.normalize(torch.from_numpy(levels).double(), dim=0).float()
