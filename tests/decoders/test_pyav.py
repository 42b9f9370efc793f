"""Files of phones and cameras: the promises of every other, through PyAV; without it, the cure."""

import sys

import numpy as np
import pytest
import soundfile

from protophone import audio
from protophone.decoders import pyav
from protophone.errors import AudioError
from protophone.types import Recording
from tests.conftest import babble, case
from tests.decoders.reading import check_contract, fault_of
from tests.encoding import encoded

pytest.importorskip("av", reason="PyAV, of the extra m4a, is not installed")

KINDS = {  # codec, container, rate, channels
    "a.m4a": ("aac", None, 44100, 2),
    "alac.m4a": ("alac", None, 44100, 1),
    "a.mp4": ("aac", None, 48000, 2),
    "a.mov": ("pcm_s16le", None, 48000, 2),
    "a.aac": ("aac", "adts", 16000, 1),
    "a.3gp": ("libopencore_amrnb", None, 8000, 1),
    "a.amr": ("libopencore_amrnb", "amr", 8000, 1),
    "a.wma": ("wmav2", "asf", 44100, 2),
    "a.webm": ("libopus", None, 48000, 2),
    "a.mkv": ("aac", "matroska", 44100, 1),
    "a.avi": ("pcm_s16le", "avi", 16000, 2),
    "mp3.avi": ("libmp3lame", "avi", 44100, 1),
    "a.mts": ("aac", "mpegts", 44100, 2),
    "a.mpg": ("mp2", "mpeg", 44100, 1),
    "a.wv": ("wavpack", None, 16000, 2),
    "g726.wav": ("g726", "wav", 8000, 1),  # which libsndfile does not read
}


def made(folder, name, seconds=1.0):
    codec, container, rate, channels = KINDS[name]
    sound = babble(seconds, sample_rate=rate)
    layout = "mono" if channels == 1 else "stereo"
    encoded(folder / name, np.stack([sound] * channels), rate, codec, container=container, layout=layout)
    return folder / name, sound


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read(tmp_path, name):
    path, sound = made(tmp_path, name)
    check_contract(path, sound, 0.2)
    info = audio.probe(path)
    assert (info.sample_rate, info.channels) == KINDS[name][2:]
    assert abs(info.num_samples - len(sound)) <= 2500
    assert path.suffix in audio.EXTENSIONS


def test_lossless_files_are_exact(tmp_path):
    for name in ("alac.m4a", "a.mov", "a.avi", "a.wv"):
        path, sound = made(tmp_path, name)
        wanted = (sound * 32767).astype(np.int16).astype(np.float32) / 2**15
        np.testing.assert_array_equal(audio.read(path, KINDS[name][2]), wanted)


@pytest.mark.parametrize("name", ["a.m4a", "a.webm", "a.amr", "a.mts", "a.wma"])
def test_leaping_ends_at_the_sample(tmp_path, monkeypatch, name):
    monkeypatch.setattr(pyav, "_AHEAD", 0.1)
    path, _ = made(tmp_path, name, 4.0)
    rate = KINDS[name][2]
    whole = audio.read(path, rate)
    begun = []
    begin = pyav.PyavDecoder._begin
    monkeypatch.setattr(pyav.PyavDecoder, "_begin", lambda decoder: (begun.append(decoder), begin(decoder)))
    for start in (3 * rate + 1000, rate, 2 * rate + 7, 0):
        part = audio.read(Recording(id="a", path=path, start=start, num_samples=999), rate)
        np.testing.assert_allclose(part, whole[start : start + 999], atol=0.01 * np.abs(whole).max())
        begun.append(start)
    if name not in {"a.amr", "a.wma"}:  # whose time stamps do not tell; of the others, all before is not decoded
        assert not isinstance(begun[1], pyav.PyavDecoder)


@pytest.mark.parametrize("name", ["a.m4a", "a.mov", "a.3gp", "a.webm", "a.mkv", "a.wma", "a.avi"])
def test_halves_are_cut_off(tmp_path, name):
    path, _ = made(tmp_path, name)
    data = path.read_bytes()
    for share in (0.3, 0.5, 0.9):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(AudioError, match=f"{name}: (cut off|broken, cut off)") as caught:
            audio.read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_one_line(tmp_path, capfd, name):
    path, _ = made(tmp_path, name, 0.5)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(3):
        flipped = data.copy()
        flipped[rng.integers(16, len(data), 20)] ^= rng.integers(1, 256, 20).astype(np.uint8)
        path.write_bytes(flipped.tobytes())
        if not fault_of(path):
            info = audio.probe(path)
            assert len(audio.read(path, info.sample_rate)) == info.num_samples
    assert capfd.readouterr().err == ""


def test_a_video_without_sound_is_told(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"a\.mp4: a file without sound; leave it out"):
        audio.probe(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["a.m4a", "a.amr", "a.webm", "g726.wav"])
def test_without_pyav_the_cure_is_told(tmp_path, monkeypatch, name):
    path, _ = made(tmp_path, name)
    monkeypatch.setitem(sys.modules, "av", None)
    pyav._indexed.cache_clear()
    with pytest.raises(AudioError, match=rf"{name}: .*type: pip install 'protophone\[m4a\]'"):
        audio.probe(path)
    soundfile.write(tmp_path / "a.wav", babble(1), 16000)
    assert audio.probe(tmp_path / "a.wav").num_samples == 16000


@pytest.mark.parametrize("name", ["list.m4a", "list.wav", "noise.m4a", "noise.amr", "empty.webm"])
def test_what_is_no_sound_is_not_guessed_at(tmp_path, name):
    """FFmpeg left to guess would open the file that a playlist names."""
    soundfile.write(tmp_path / "a.wav", babble(1), 16000)
    contents = {"list": b"#EXTM3U\n#EXTINF:1\na.wav\n", "noise": np.random.default_rng(1).bytes(5000), "empty": b""}
    (tmp_path / name).write_bytes(contents[name.split(".")[0]])
    with pytest.raises(AudioError, match=f"{name}: (not a sound file|empty)"):
        audio.probe(tmp_path / name)


def test_the_case_that_was_passed_over():
    path = case("skipped_formats", "a.m4a")
    whole = check_contract(path)
    other = audio.read(case("skipped_formats", "a.aiff"))
    assert len(whole) == len(other) == 64000
    lags = np.fft.irfft(np.conj(np.fft.rfft(other, 2**17)) * np.fft.rfft(whole, 2**17))
    assert lags.argmax() == 0
