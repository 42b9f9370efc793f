"""MP3 is read whole, whatever its header counts, and libmpg123 says nothing of its own."""

import os
import struct
import threading

import numpy as np
import pytest
import soundfile

from protophone import audio
from protophone.decoders.mpeg import uncounted
from protophone.errors import AudioError
from tests.conftest import babble, case
from tests.decoders.reading import check_contract, fault_of

ID3 = b"ID3\x04\0\0\0\0\x02\x01" + b"TIT2\0\0\0\x05\0\0\x03abcd" + bytes(257 - 15)


def mp3(folder, seconds=1.0, rate=44100, channels=1, **settings):
    """An MP3 with Xing's header, its frames alone, and its sound."""
    sound = babble(seconds, sample_rate=rate)
    soundfile.write(folder / "whole.mp3", np.stack([sound] * channels, 1), rate, **settings)
    data = (folder / "whole.mp3").read_bytes()
    frames = data[data.index(data[:2], 100) :]  # the first frame has the header and no sound
    return data, frames, sound


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_without_a_count_the_length_is_that_of_what_is_read(tmp_path, capfd, rate, channels, mode):
    _, frames, sound = mp3(tmp_path, rate=rate, channels=channels, bitrate_mode=mode)
    for name, data in {
        "bare.mp3": frames,
        "tagged.mp3": ID3 + frames + b"TAG" + bytes(125),
        "twice.mp3": ID3 + ID3 + frames + frames,
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert uncounted(path) is not None
        whole = check_contract(path, None if "twice" in name else sound, 0.15)
        assert 0 <= len(whole) - len(sound) * (2 if "twice" in name else 1) <= 8 * 1152
    assert capfd.readouterr().err == ""


def test_a_count_that_is_right_is_believed(tmp_path):
    data, _, sound = mp3(tmp_path)
    assert uncounted(tmp_path / "whole.mp3") is None
    assert audio.probe(tmp_path / "whole.mp3").num_samples == len(sound)
    (tmp_path / "half.mp3").write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"half\.mp3: cut off: .* where its header says"):
        audio.read(tmp_path / "half.mp3")


def test_files_joined_end_to_end_are_read_to_the_end(tmp_path):
    """The first one's header counts its own frames only."""
    data, _, sound = mp3(tmp_path)
    (tmp_path / "joined.mp3").write_bytes(data + data)
    assert len(check_contract(tmp_path / "joined.mp3")) >= 2 * len(sound)


@pytest.mark.parametrize("between", [b"TAG" + bytes(125), ID3, ID3[:6] + bytes((0, 4, 0, 0)) + bytes(2**16)])
def test_files_joined_with_their_tags_are_read_to_the_end(tmp_path, between):
    data, _, sound = mp3(tmp_path)
    (tmp_path / "joined.mp3").write_bytes(data + between + data)
    assert len(check_contract(tmp_path / "joined.mp3")) >= 2 * len(sound)


def test_without_a_count_all_whole_frames_are_read(tmp_path, capfd):
    """Wherever the file was cut off, and whatever follows the frames."""
    _, frames, _ = mp3(tmp_path, bitrate_mode="CONSTANT")
    path = tmp_path / "a.mp3"
    path.write_bytes(frames)
    whole = audio.read(path, 44100)
    length = 1152 * len(frames) / len(whole)  # bytes of a frame
    for cut in (2000, *range(5 * round(length) - 5, 5 * round(length) + 6), *range(4000, len(frames), 1009)):
        path.write_bytes(frames[:cut])
        found = audio.read(path, 44100)
        assert cut / length - 2.1 <= len(found) / 1152 <= cut / length + 0.1, cut
        np.testing.assert_array_equal(found[:-1152], whole[: len(found) - 1152])
    junk = np.random.default_rng(0).integers(0, 128, 4000, np.uint8).tobytes()
    path.write_bytes(frames + junk)
    np.testing.assert_array_equal(audio.read(path, 44100), whole)
    path.write_bytes(frames[: round(9 * length)] + junk + frames[round(9 * length) :])
    assert "not a sound file that can be decoded" in str(fault_of(path))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("rate", [16000, 44100])
def test_mp3_within_a_wav_is_read(tmp_path, rate):
    _, frames, sound = mp3(tmp_path, rate=rate)
    form = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 0x55, 1, rate, 8000, 1, 0, 0)
    body = form + b"fact" + struct.pack("<II", 4, len(sound)) + b"data" + struct.pack("<I", len(frames)) + frames
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    check_contract(path, sound, 0.15)
    path.write_bytes(path.read_bytes()[: len(body) // 2])
    with pytest.raises(AudioError, match=r"a\.wav: cut off"):
        audio.read(path)


def test_the_case_that_was_refused():
    whole = check_contract(case("mp3_no_xing", "tape_sox.mp3"))
    assert len(whole) == 461 * 1152


def test_libmpg123_is_silent_and_others_are_not(tmp_path, capfd):
    """A damaged MP3 makes libmpg123 print warnings; other threads may print meanwhile."""
    data, _, _ = mp3(tmp_path)
    damaged = np.frombuffer(data, np.uint8).copy()
    damaged[3000:] ^= (np.arange(len(damaged) - 3000) % 97 == 0).astype(np.uint8) * 0x5A
    (tmp_path / "damaged.mp3").write_bytes(damaged.tobytes())
    (tmp_path / "text.mp3").write_text("no sound\n" * 5000)

    def read(name):
        for _ in range(2):
            fault_of(tmp_path / name)

    threads = [threading.Thread(target=read, args=(name,)) for name in ("damaged.mp3", "text.mp3") for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(100):
        os.write(2, f"line {number}\n".encode())
    for thread in threads:
        thread.join()
    assert capfd.readouterr().err == "".join(f"line {number}\n" for number in range(100))
