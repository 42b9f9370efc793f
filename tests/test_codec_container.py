"""The .ppn file: the units that went in come out, in few bytes, and nothing wrong with it passes."""

import binascii
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.codec import describe, pack, unpack
from protophone.codec.coder import LENGTHS, RangeReader, RangeWriter, flat
from protophone.codec.voices import read_voice, write_voice
from protophone.errors import InputError, UnitsError
from tests.packing import assert_same, entropy_model, utterance

MODEL = entropy_model()
PINNED = "b1878d692f15159f76e5d1965e37aa2b4eee3a359eb6d9e4a9b18ccdb4cfc0cacf4ade78a1d203c9"
EMBEDDING = torch.nn.functional.normalize(torch.randn(256, generator=torch.Generator().manual_seed(1)).relu(), dim=0)


@st.composite
def cases(draw):
    """A model and a recording for it."""
    sizes = tuple(draw(st.lists(st.sampled_from([1, 2, 7, 300]), min_size=1, max_size=3)))
    voices = ("ana", "bo", "ŋa")[: draw(st.integers(0, 3))]
    model = entropy_model(sizes, draw(st.sampled_from([None, 1, 20])), voices, seed=draw(st.integers(0, 5)))
    embedding = torch.randn(draw(st.integers(1, 9)), generator=torch.Generator().manual_seed(3))
    return model, utterance(
        model,
        draw(st.sampled_from([0, 1, 319, 320, 321, 1280, 1281, 16000]) | st.integers(0, 20000)),
        seed=draw(st.integers(0, 99)),
        pitch=draw(st.booleans()),
        voice=draw(st.sampled_from([None, embedding, *voices])),
        pitch_statistics=draw(st.none() | st.tuples(st.floats(3.7, 6.4), st.floats(0, 0.7))),
    )


@given(cases())
@settings(max_examples=60, deadline=None)
def test_the_units_that_come_out_are_those_that_went_in(case):
    model, made = case
    data = pack(made, model)
    found = unpack(data, model)
    assert_same(found, made)
    if isinstance(made.voice, torch.Tensor):
        wanted = torch.nn.functional.normalize(made.voice, dim=0)
        torch.testing.assert_close(found.voice, wanted, atol=1 / 127, rtol=0)
    else:
        assert found.voice == made.voice
    if made.pitch_statistics is None:
        assert found.pitch_statistics is None
    else:
        np.testing.assert_allclose(found.pitch_statistics, made.pitch_statistics, atol=0.006)
    assert pack(found, model) == data
    bits = describe(made, model)
    assert sum(bits.values()) == pytest.approx(8 * len(data))
    assert min(bits.values()) >= 0


@pytest.mark.parametrize("code", ["first", "last"])
def test_one_unit_all_along_comes_back(code):
    made = utterance(MODEL, 200_000)
    same = {
        name: replace(units, codes=torch.zeros_like(units.codes) + (0 if code == "first" else min(units.sizes) - 1))
        for name, units in (("content", made.content), ("pitch", made.pitch))
    }
    made = replace(made, **same)
    assert sum(describe(made, MODEL)[name] for name in ("units", "repeats", "pitch")) > 500
    assert_same(unpack(pack(made, MODEL), MODEL), made)


@pytest.mark.parametrize("voice", [None, EMBEDDING])
def test_a_voice_without_a_name_says_where_its_pitch_lies(voice):
    made = replace(utterance(MODEL, 9000, voice=voice), pitch_statistics=None)
    with pytest.raises(UnitsError, match="say not where the pitch of theirs lies"):
        pack(made, MODEL)
    bare = replace(made, pitch=None)
    assert_same(unpack(pack(bare, MODEL), MODEL), bare)


def test_collapsed_units_go_in_and_come_out_a_code_a_frame():
    made = utterance(MODEL, 9000)
    assert pack(replace(made, content=made.content.collapse()), MODEL) == pack(made, MODEL)


def test_what_is_not_units_takes_ten_bytes():
    sizes = [describe(utterance(MODEL, 51_200, seed, voice="bo"), MODEL) for seed in range(50)]
    rest = [sum(bits for name, bits in one.items() if name not in {"units", "repeats", "pitch"}) for one in sizes]
    assert np.mean(rest) / 8 < 10
    assert max(rest) / 8 <= 11
    assert {one["version"] + one["bundle"] for one in sizes} == {40}
    assert {one["checksum"] for one in sizes} == {16}


def test_pinned_bytes():
    """A change of format or of arithmetic shows here, and wants another version."""
    made = utterance(MODEL, 6000, voice="ana")
    assert pack(made, MODEL).hex() == PINNED
    assert_same(unpack(bytes.fromhex(PINNED), MODEL), made)


def refused(data: bytes) -> bool:
    """Whether it is; pytest's own way to ask takes too long for fifty thousand of them."""
    try:
        unpack(data, MODEL)
    except InputError:
        return True
    return False


def test_every_flipped_bit_and_every_two_are_seen():
    data = pack(utterance(MODEL, 4000, voice="ana"), MODEL)
    whole = int.from_bytes(data, "big")
    bits = 8 * len(data)
    for one in range(bits):
        for two in range(one, bits):
            flipped = whole ^ (1 << one) ^ (0 if two == one else 1 << two)
            assert refused(flipped.to_bytes(len(data), "big")), (one, two)


@pytest.mark.parametrize("seed", range(8))
def test_a_file_cut_off_anywhere_or_with_something_after_it_is_refused(seed):
    data = pack(utterance(MODEL, 16_000, seed), MODEL)
    for end in range(len(data)):
        with pytest.raises(InputError, match=r"x\.ppn: (empty|damaged or cut off)"):
            unpack(data[:end], MODEL, "x.ppn")
    for more in (b"\0", b"\0\0", b"\xff", data):
        with pytest.raises(InputError, match="damaged"):
            unpack(data + more, MODEL)


def test_long_files_have_a_longer_check():
    data = pack(utterance(MODEL, 16_000 * 200), MODEL)
    assert len(data) > 5000
    assert describe(unpack(data, MODEL), MODEL)["checksum"] == 32
    for bit in range(0, 8 * len(data), 997):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert refused(bytes(flipped)), bit


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "y: empty, 0 bytes; copy it again"),
        (b"RIFF\x24\x08\x00\x00WAVE", "y: not a .ppn file"),
        (b"\xb0" + bytes(20), "y: not a .ppn file"),
        (b"\xb2" + bytes(20), r"y: .ppn version 2, this protophone reads up to 1; upgrade"),
        (b"\xb1", "y: damaged or cut off"),
    ],
)
def test_what_is_no_file_of_ours_is_told_in_one_line(data, said):
    with pytest.raises(InputError, match=said):
        unpack(data, MODEL, "y")


def test_a_file_of_another_bundle_names_both():
    other = entropy_model(seed=1)
    data = pack(utterance(MODEL, 4000), MODEL)
    with pytest.raises(InputError, match=f"packed with bundle {MODEL.id.hex()}, this one is {other.id.hex()}"):
        unpack(data, other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_samples": 4200}, "13 frames of units for 4200 samples, which make 14"),
        ({"voice": "cy"}, "no voice 'cy' among those that this bundle packs by name: ana, bo"),
        ({"voice": torch.zeros(3)}, "not all zero"),
        ({"voice": torch.tensor([1.0, float("nan")])}, "finite"),
        ({"voice": torch.zeros(2, 2)}, "embedding of shape"),
        ({"pitch_statistics": (float("nan"), 0.1)}, "nan among the mean and deviation"),
    ],
)
def test_what_cannot_be_packed_says_why(change, said):
    made = utterance(MODEL, 4000)
    with pytest.raises(InputError, match=said):
        pack(replace(made, **change), MODEL)


def test_units_of_another_codebook_are_refused():
    made = utterance(MODEL, 4000)
    with pytest.raises(UnitsError, match="units of codebook 12345678.*c0ffee00"):
        pack(replace(made, content=replace(made.content, codebook="12345678")), MODEL)
    with pytest.raises(InputError, match="units with a pitch"):
        pack(made, entropy_model(pitch=None))


def test_a_rectified_embedding_takes_little_more_than_half_its_bytes():
    writer = RangeWriter()
    write_voice(writer, EMBEDDING, None, ("ana",))
    found, melody = read_voice(RangeReader(writer.finish()), ("ana",))
    assert melody is None
    assert float(found @ EMBEDDING) > 0.9999
    assert writer.bits / 8 < 165


def test_damage_that_the_check_passes_is_still_no_traceback():
    """Bytes that no writer makes: the reader says so."""
    reader = RangeReader(b"\xff" * 8, "a.ppn")
    with pytest.raises(InputError, match=r"^a.ppn: no units were ever written as these bytes; copy it again$"):
        reader.get(flat(3))


def test_a_length_that_the_bytes_cannot_hold_is_refused_at_once():
    """A file of a few bytes that says it holds days of speech, its check in order."""
    made = utterance(MODEL, 9000)
    writer = RangeWriter()
    writer.put_number(2**33 - 1, LENGTHS)
    write_voice(writer, None, None, MODEL.voices)
    body = pack(made, MODEL)[:5] + writer.finish()
    data = body + (binascii.crc_hqx(body, 0xFFFF) ^ 0xFFFF).to_bytes(2, "big")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"^days.ppn: ends before its units do; copy it again$"):
            unpack(data, MODEL, "days.ppn")
        assert tracemalloc.get_traced_memory()[1] < 2**33 // 320 * 8 + 2**24  # one number a unit
    finally:
        tracemalloc.stop()
