"""The range coder: symbols under whole-number frequencies to bytes and back, the same on every machine.

The arithmetic is constriction's: 24 bits of precision, a state of 64 bits, words of 32. Its models are made from
floats ``w``, which it scales to leave each of ``n`` symbols a frequency of at least 1: ``1 + w * (2^24 - n) / sum(w)``.
Given ``w = frequency - 1`` for frequencies that sum to 2^24, the sum is ``2^24 - n``, the factor is exactly 1, and
every number on the way is a whole one below 2^24, which floats hold exactly in whatever order they are added: what is
coded with are the frequencies themselves. A decoder in plain integers, in the tests, reads the same bytes.
"""

from typing import Any

import constriction
import numpy as np

from protophone.errors import InputError, UnitsError

__all__ = ["LENGTHS", "TOTAL", "RangeReader", "RangeWriter", "bits_of", "flat", "scaled"]

PRECISION = 24
TOTAL = 2**PRECISION  # what the frequencies of a symbol sum to
_WORD = 4  # bytes of a word
_Categorical = constriction.stream.model.Categorical
_FAMILY = _Categorical(perfect=False)
LONGEST = 33  # bits of the largest number of samples: some days
_CHUNK = 12  # bits of a number coded at once
_BEYOND = 192  # bits that may be read behind a file's end: zeros that the writer left away, a word or two


def scaled(weights: np.ndarray) -> np.ndarray:
    """Frequencies int64 ``[..., size]``, each at least 1, in the proportion of ``weights`` int64 of 0 to 2^32.

    What rounding leaves goes to the (first) heaviest symbol; weights are not all zero.
    """
    size = weights.shape[-1]
    frequencies = weights * (TOTAL - size) // weights.sum(-1, keepdims=True) + 1
    heaviest = weights.argmax(-1)[..., None]
    left = TOTAL - frequencies.sum(-1, keepdims=True)
    np.put_along_axis(frequencies, heaviest, np.take_along_axis(frequencies, heaviest, -1) + left, -1)
    return frequencies


def flat(size: int) -> np.ndarray:
    """Frequencies int64 ``[size]`` of symbols that are all as likely, as nearly as whole numbers allow."""
    return scaled(np.ones(size, dtype=np.int64))


def bits_of(frequencies: np.ndarray) -> np.ndarray:
    """Bits, float64, that symbols of these frequencies take."""
    return PRECISION - np.log2(frequencies.astype(np.float64))


# How many bits the number of samples has: most recordings last from half a second to half a minute.
_USUAL = np.ones(LONGEST + 1, dtype=np.int64)
_USUAL[13:20] = (8, 24, 48, 48, 24, 16, 8)
LENGTHS = scaled(_USUAL)


class RangeWriter:
    """Takes symbols, counts their bits, and gives the bytes."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()
        self.bits = 0.0

    def write(self, symbols: np.ndarray, frequencies: np.ndarray) -> None:
        """Writes ``symbols`` ``[symbol]`` under ``frequencies`` int64 ``[symbol, size]``, rows of at least 1 each."""
        if not len(symbols) or frequencies.shape[1] == 1:  # nothing to tell
            return
        self._coder.encode(symbols.astype(np.int32), _FAMILY, (frequencies - 1).astype(np.float64))
        self.bits += float(bits_of(frequencies[np.arange(len(symbols)), symbols]).sum())

    def put(self, symbol: int, frequencies: np.ndarray) -> None:
        """Writes one symbol under ``frequencies`` int64 ``[size]``."""
        self.write(np.array([symbol]), frequencies[None])

    def put_number(self, number: int, lengths: np.ndarray) -> None:
        """Writes a number of 0 or more: how many bits it has, under ``lengths``, and all of them but the first."""
        bits = number.bit_length()
        if not 0 <= bits < len(lengths):
            raise UnitsError(f"{number} cannot be written in a .ppn, which holds numbers below 2^{len(lengths) - 1}")
        self.put(bits, lengths)
        for low in range(0, bits - 1, _CHUNK):
            width = min(_CHUNK, bits - 1 - low)
            self.put((number >> low) % 2**width, flat(2**width))

    def finish(self) -> bytes:
        """The fewest bytes that a reader, who goes on with zeros for ``_BEYOND`` bits, reads the same symbols from."""
        words = self._coder.get_compressed()
        position, (lower, width) = self._coder.pos()
        size = _WORD * (position + 2)
        point = int.from_bytes(words.astype(">u4").tobytes().ljust(size, b"\0"), "big")
        # The state holds the last 64 bits of the interval that the symbols left; ``point`` lies within.
        first = point - (point - lower) % 2**64
        last = first + width - 1
        # It spans less than 2^64: of numbers that end in more than eight zero bytes, it holds one or none.
        for zeros in range(8, -1, -1):
            value = -(-first >> 8 * zeros) << 8 * zeros
            if value <= last and value < 1 << 8 * size:
                break
        fewest = max(0, -(-(int(self.bits) + 1 - _BEYOND) // 8))  # symbols that begin their tables end in zeros
        return value.to_bytes(size, "big").rstrip(b"\0").ljust(fewest, b"\0")


class RangeReader:
    """Gives the symbols back, asked with the same frequencies in the same order; ``source`` is ``data`` in messages."""

    def __init__(self, data: bytes, source: str = "data") -> None:
        padded = data.ljust(-(-len(data) // _WORD) * _WORD, b"\0")
        self._coder: Any = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))
        self.bits = 0.0
        self._source = source
        self._most = 8 * len(data) + _BEYOND

    def get(self, frequencies: np.ndarray) -> int:
        """The next symbol under ``frequencies`` int64 ``[size]``; ``InputError`` where there are no bytes for it."""
        if len(frequencies) == 1:
            return 0
        if self.bits > self._most:
            raise InputError(f"{self._source}: ends before its units do; copy it again")
        try:
            symbol = self._coder.decode(_Categorical((frequencies - 1).astype(np.float64), lazy=True, perfect=False))
        except AssertionError:  # no writer ever leaves the interval
            raise InputError(f"{self._source}: no units were ever written as these bytes; copy it again") from None
        self.bits += float(bits_of(frequencies[symbol]))
        return int(symbol)

    def get_number(self, lengths: np.ndarray) -> int:
        """The next number that ``put_number`` wrote."""
        bits = self.get(lengths)
        number = 1 << bits >> 1
        for low in range(0, bits - 1, _CHUNK):
            number += self.get(flat(2 ** min(_CHUNK, bits - 1 - low))) << low
        return number
