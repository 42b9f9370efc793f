"""The range coder: symbols come back, in as few bytes as they take, and by plain integers too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.codec.coder import LENGTHS, TOTAL, RangeReader, RangeWriter, bits_of, flat, scaled
from protophone.errors import UnitsError
from tests.reference import codec as reference

WEIGHTS = st.lists(st.integers(0, 2**32), min_size=1, max_size=40).filter(any)


@st.composite
def messages(draw):
    """Symbols, each with its frequencies."""
    tables = draw(st.lists(WEIGHTS, max_size=30))
    return [(draw(st.integers(0, len(weights) - 1)), scaled(np.array(weights))) for weights in tables]


@given(WEIGHTS)
@settings(max_examples=50)
def test_frequencies_are_those_of_exact_fractions(weights):
    frequencies = scaled(np.array(weights))
    assert frequencies.tolist() == reference.scaled(weights)
    assert frequencies.sum() == TOTAL
    assert frequencies.min() >= 1


@given(messages())
@settings(max_examples=50, deadline=None)
def test_symbols_come_back_by_constriction_and_by_plain_integers(message):
    writer = RangeWriter()
    for symbol, frequencies in message:
        writer.put(symbol, frequencies)
    data = writer.finish()
    reader, plain = RangeReader(data), reference.IntegerReader(data)
    for symbol, frequencies in message:
        assert reader.get(frequencies) == symbol
        assert plain.get(frequencies.tolist()) == symbol
    assert writer.bits == pytest.approx(sum(24 - np.log2(f[s]) for s, f in message), abs=1e-6)
    assert 8 * len(data) <= writer.bits + 9


@pytest.mark.parametrize("symbol", [0, 7])
def test_a_message_of_one_symbol_is_read_to_its_end(symbol):
    """Symbols that begin their tables leave zeros, of which a reader takes only so many on trust."""
    writer = RangeWriter()
    for _ in range(400):
        writer.put(symbol, flat(8))
    data = writer.finish()
    assert 1200 / 8 - 25 < len(data) <= 1200 / 8 + 1
    reader = RangeReader(data)
    assert [reader.get(flat(8)) for _ in range(400)] == [symbol] * 400


@given(messages())
@settings(max_examples=15, deadline=None)
def test_no_byte_too_many(message):
    writer = RangeWriter()
    for symbol, frequencies in message:
        writer.put(symbol, frequencies)
    data = writer.finish()
    assert not data.endswith(b"\0")
    for last in range(0, 256, 5) if len(data) > 1 else ():
        reader = reference.IntegerReader(data[:-2] + bytes([last]))
        assert not all(reader.get(frequencies.tolist()) == symbol for symbol, frequencies in message)


def test_many_symbols_at_once_are_as_one_by_one_and_carries_are_carried():
    rng = np.random.default_rng(0)
    frequencies = scaled(rng.integers(0, 2**20, (20_000, 5)) ** 3 // 2**30 + 1)
    symbols = np.full(20_000, 4)  # the end of each interval: where a carry runs through many words
    together, alone = RangeWriter(), RangeWriter()
    together.write(symbols, frequencies)
    for symbol, row in zip(symbols, frequencies, strict=True):
        alone.put(int(symbol), row)
    assert together.finish() == alone.finish()
    assert together.bits == pytest.approx(bits_of(frequencies[:, 4]).sum())
    reader = RangeReader(together.finish())
    assert all(reader.get(row) == 4 for row in frequencies)


@given(st.lists(st.integers(0, 2**33 - 1), max_size=20))
@settings(max_examples=50)
def test_numbers_come_back(numbers):
    writer = RangeWriter()
    for number in numbers:
        writer.put_number(number, LENGTHS)
    reader = RangeReader(writer.finish())
    assert [reader.get_number(LENGTHS) for _ in numbers] == numbers


def test_a_recording_of_three_seconds_needs_seventeen_bits_for_its_length():
    writer = RangeWriter()
    writer.put_number(51_200, LENGTHS)
    assert 16.5 < writer.bits < 17.5
    with pytest.raises(UnitsError, match="holds numbers below 2\\^33"):
        writer.put_number(2**33, LENGTHS)


def test_flat_frequencies_are_flat():
    assert flat(256).tolist() == [2**16] * 256
    assert flat(3).max() - flat(3).min() <= 3
