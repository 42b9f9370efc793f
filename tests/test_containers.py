"""Files that were cut off are told from whole ones, whatever their writers left out."""

import struct

import numpy as np
import pytest
import soundfile

from protophone import audio
from protophone.containers import missing
from protophone.errors import AudioError
from tests.conftest import babble, corpus

SOUND = babble(2)


def made(path, **settings):
    soundfile.write(path, SOUND, 16000, **settings)
    return path.read_bytes()


def with_sizes(data, whole, sound):
    """A plain WAV that says other sizes of the file and of its sound."""
    assert data[36:40] == b"data"
    return data[:4] + struct.pack("<I", whole) + data[8:40] + struct.pack("<I", sound) + data[44:]


PIPED = {  # sizes of the file and of its sound that writers leave who cannot go back
    "ffmpeg": (0xFFFFFFFF, 0xFFFFFFFF),
    "sox": (0x7FFFF024, 0x7FFFF000),
    "arecord": (0x80000024, 0x80000000),
    "nothing": (0, 0),
    "its head": (36, 0),
    "libsndfile": (8, 0),
    "half of it": (0xFFFFFFFF, 0),
}


@pytest.mark.parametrize("writer", PIPED)
def test_a_wav_that_was_never_closed_is_read_to_its_end(tmp_path, writer):
    path = tmp_path / "a.wav"
    data = made(path)
    whole = audio.read(path)
    path.write_bytes(with_sizes(data, *PIPED[writer]))
    assert audio.probe(path).num_samples == 32000
    np.testing.assert_array_equal(audio.read(path), whole)
    np.testing.assert_array_equal(np.concatenate(list(audio.stream(path, 16000, 999))), whole)


def test_a_wav_that_was_closed_on_nothing_holds_nothing(tmp_path):
    """What follows its sound, of which there is none, is not taken for sound."""
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND[:0], 16000)
    data = path.read_bytes() + b"LIST\x04\0\0\0INFO"
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    with pytest.raises(AudioError, match="holds no samples"):
        audio.probe(path)


def odd(data):
    """Five bytes of 8-bit sound, an odd count, without the byte that should follow."""
    return data[:44][:40] + struct.pack("<I", 5) + b"\x80\x90\xa0\x70\x60"


WHOLE = {
    "chunks behind": lambda data: data + b"LIST\x0c\0\0\0INFOINAM\0\0\0\0",
    "chunks before": lambda data: data[:36] + b"junk\x03\0\0\0abc\0" + data[36:],
    "a cut chunk behind": lambda data: data + b"LIST\xff\0\0\0INFO",
    "junk behind": lambda data: data + bytes(100),
    "the head counted": lambda data: data[:40] + struct.pack("<I", len(data)) + data[44:],
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_wav_passes_whatever_lies_around_its_sound(tmp_path, kind):
    path = tmp_path / "a.wav"
    data = made(path)
    path.write_bytes(WHOLE[kind](data))
    assert audio.probe(path).num_samples == 32000


@pytest.mark.parametrize(
    "settings",
    [
        {"format": "WAV", "subtype": "FLOAT"},
        {"format": "WAV", "subtype": "IMA_ADPCM"},
        {"format": "WAV", "subtype": "PCM_U8"},
        {"format": "WAV", "endian": "BIG"},
        {"format": "WAVEX", "subtype": "PCM_24"},
        {"format": "RF64"},
    ],
)
def test_every_kind_of_wav_is_told_from_its_half(tmp_path, settings):
    path = tmp_path / "a.wav"
    data = made(path, **settings)
    assert audio.probe(path).num_samples >= 32000
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match="cut off: it has .* bytes of sound that its header counts; copy"):
        audio.probe(path)


def test_an_odd_count_of_bytes_needs_none_behind_it(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(odd(made(path, subtype="PCM_U8")))
    assert audio.probe(path).num_samples == 5


def pages(data):
    """Where the pages of an Ogg file begin, and its end: from one page to the next, from the front."""
    places = [0]
    while places[-1] < len(data):
        at = places[-1]
        assert data[at : at + 4] == b"OggS"
        places.append(at + 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]]))
    return places


@pytest.fixture(params=["VORBIS", "OPUS"])
def ogg(request, tmp_path):
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.tile(SOUND, 5), 16000, format="OGG", subtype=request.param)
    return path


def test_an_ogg_cut_anywhere_within_a_page_is_noticed(ogg):
    data = ogg.read_bytes()
    places = pages(data)
    assert places[-1] == len(data)
    assert missing(ogg) is None
    rng = np.random.default_rng(0)
    cuts = {at + more for at in places[:-1] for more in (1, 3, 4, 5, 26, 27, 28, 40)}
    for cut in (cuts | {int(cut) for cut in rng.integers(4, len(data), 50)}) - set(places) - {1, 3}:
        ogg.write_bytes(data[:cut])
        assert missing(ogg), cut
        with pytest.raises(AudioError, match="cut off"):
            audio.probe(ogg)
    ogg.write_bytes(data[: places[-2] - 10] + bytes(len(data) - places[-2] + 10))  # room made for what never came
    with pytest.raises(AudioError, match="cut off"):
        audio.probe(ogg)


def test_a_whole_ogg_passes_without_the_mark_of_its_end_chained_or_with_something_behind(ogg):
    data = ogg.read_bytes()
    last = pages(data)[-2]
    assert data[last + 5] & 4
    unmarked = data[:last] + data[last : last + 5] + bytes([data[last + 5] & ~4]) + data[last + 6 :]
    for whole in (data, unmarked, data + data, data + b"TAG" + bytes(125)):
        ogg.write_bytes(whole)
        assert missing(ogg) is None
    ogg.write_bytes(data + bytes(70000))
    assert missing(ogg) == "no Ogg page begins in its last 65307 bytes"


def test_other_files_and_none_at_all_do_not_tell(tmp_path):
    made(tmp_path / "a.flac")
    (tmp_path / "b.wav").write_bytes(b"RI")
    for name in ("a.flac", "b.wav", "c.wav", "."):
        assert missing(tmp_path / name) is None


def test_real_recordings_are_whole_and_their_halves_are_not(tmp_path):
    for name in ("mboshi", "prompts"):
        for path in sorted(corpus(name).rglob("*.opus"))[::100]:
            assert missing(path) is None
            data = path.read_bytes()
            (tmp_path / "half.opus").write_bytes(data[: len(data) // 2])
            assert missing(tmp_path / "half.opus")
