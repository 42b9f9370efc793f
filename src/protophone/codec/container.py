"""The .ppn file: a recording's units in as few bytes as they take.

One byte tells the format and its version, four name the entropy model, the last two (of files above 4 kB, four) check
all before them; between lies a single stream of the range coder, cut to the fewest bytes that read the same. It holds
the number of samples, the voice, the content, the pitch. Nothing gives lengths: they follow from what was read.

The checks are CRC-16 (CCITT), which finds one, two, three or any odd number of flipped bits, and every burst of up to
16, in up to 4,095 bytes; and CRC-32 (as in zip), which does as much in longer files but for odd numbers. Other damage
passes unseen once in 65,536, or in 4 billion times.
"""

import binascii
import zlib
from pathlib import Path

import numpy as np

from protophone.codec.coder import LENGTHS, RangeReader, RangeWriter, scaled
from protophone.codec.entropy import EntropyModel, codes_of
from protophone.codec.voices import read_voice, write_voice
from protophone.errors import InputError
from protophone.files import check_regular, read_bytes
from protophone.types import Utterance

__all__ = ["VERSION", "describe", "pack", "read_packed", "unpack"]

VERSION = 1
_MARK = 0xB0  # the upper half of the first byte; the lower is the version
_HEAD = 5  # bytes before the range coder's
_SHORT = 4095  # bytes of the longest file whose double errors CRC-16 finds
_MELODY = scaled(np.array([1, 63]))  # frequencies of a file without pitch and with, where the bundle has such


def read_packed(path: str | Path) -> bytes:
    """The bytes of the .ppn file at ``path``; ``InputError`` where there is no such file."""
    check_regular(path)
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; name one that protophone compress wrote")
    return read_bytes(path)


def pack(utterance: Utterance, model: EntropyModel) -> bytes:
    """The bytes of a .ppn file: ``unpack`` gives the same units back.

    The voice's embedding and the statistics of its pitch come back to 8 bits a value, the ``id`` not at all.
    ``UnitsError`` for units of another bundle, for not as many as the recording's samples make, and for a pitch without
    ``pitch_statistics`` whose voice has no name.
    """
    return _packed(utterance, model)[0]


def unpack(data: bytes, model: EntropyModel, source: str = "data") -> Utterance:
    """The recording in the bytes of a .ppn file, ``source`` in messages.

    ``InputError`` where they are none, damaged, cut off, of a newer version, or of another bundle.
    """
    reader = RangeReader(_checked(data, model, source), source)
    num_samples = reader.get_number(LENGTHS)
    voice, statistics = read_voice(reader, model.voices)
    streams = [model.content]
    if model.pitch is not None and reader.get(_MELODY):
        streams.append(model.pitch)
    frames = [stream.grid.num_frames(num_samples) for stream in streams for _ in stream.sizes]
    codes = model.read(reader, frames, model.voice_index(voice))
    books = len(model.content.sizes)
    return Utterance(
        content=model.content.units(np.stack(codes[:books])),
        num_samples=num_samples,
        pitch=model.pitch.units(np.stack(codes[books:])) if model.pitch is not None and codes[books:] else None,
        voice=voice,
        pitch_statistics=statistics,
    )


def describe(utterance: Utterance, model: EntropyModel) -> dict[str, float]:
    """Bits that each stream of a recording takes in a .ppn file, together all its bits; errors as ``pack``'s.

    ``units`` is what codes change to, ``repeats`` whether they change: together the content. The range coder's bytes
    are divided among the streams in proportion to their information.
    """
    return _packed(utterance, model)[1]


def _packed(utterance: Utterance, model: EntropyModel) -> tuple[bytes, dict[str, float]]:
    """The bytes, and the bits of each stream in them."""
    codes = codes_of(utterance, model.content, model.pitch)
    utterance.check_register()
    writer = RangeWriter()
    writer.put_number(utterance.num_samples, LENGTHS)
    coded = {"samples": writer.bits}
    write_voice(writer, utterance.voice, utterance.pitch_statistics, model.voices)
    if model.pitch is not None:
        writer.put(int(utterance.pitch is not None), _MELODY)
    coded["voice"] = writer.bits - coded["samples"]
    bits = model.write(writer, codes, model.voice_index(utterance.voice))
    coded["units"] = sum(value for name, value in bits.items() if name.startswith("content") and "." not in name)
    coded["repeats"] = sum(value for name, value in bits.items() if name.startswith("content") and "." in name)
    coded["pitch"] = sum(value for name, value in bits.items() if name.startswith("pitch"))
    streams = writer.finish()
    body = bytes([_MARK | VERSION]) + model.id + streams
    data = body + _check(body, long=len(body) + 2 > _SHORT)
    share = 8 * len(streams) / sum(coded.values())
    sizes = {"version": 8.0, "bundle": 32.0, **{name: bits * share for name, bits in coded.items()}}
    return data, sizes | {"checksum": 8.0 * (len(data) - len(body))}


def _check(body: bytes, *, long: bool) -> bytes:
    """What follows ``body`` in a file."""
    if long:
        return zlib.crc32(body).to_bytes(4, "big")
    # turned over, as else a zero byte more or less at the end would go unseen
    return (binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF).to_bytes(2, "big")


def _checked(data: bytes, model: EntropyModel, source: str) -> bytes:
    """What the range coder made; ``InputError`` where anything about ``data`` is not as it was written."""
    if not data:
        raise InputError(f"{source}: empty, 0 bytes; copy it again")
    if data[0] & 0xF0 != _MARK or data[0] == _MARK:
        raise InputError(f"{source}: not a .ppn file, or its first byte is damaged; give one that compress wrote")
    if (version := data[0] & 0x0F) > VERSION:
        raise InputError(
            f"{source}: .ppn version {version}, this protophone reads up to {VERSION}; "
            "upgrade with pip install -U protophone (or its first byte is damaged: copy it again)"
        )
    long = len(data) > _SHORT
    body = data[: -4 if long else -2]
    if len(body) < _HEAD or data[len(body) :] != _check(body, long=long):
        raise InputError(f"{source}: damaged or cut off (its checksum is not that of its bytes); copy it again")
    if (made := body[1:_HEAD]) != model.id:
        raise InputError(
            f"{source}: packed with bundle {made.hex()}, this one is {model.id.hex()}; "
            "use the bundle it was packed with"
        )
    return body[_HEAD:]
