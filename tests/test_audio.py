import errno
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from protophone import audio
from protophone.errors import AudioError, InputError
from protophone.types import Recording
from tests.conftest import babble, corpus


def sound(samples, seed=0):
    """Noise on the grid of 16 bits, so that PCM keeps it exactly."""
    return (np.random.default_rng(seed).integers(-8000, 8000, samples) / 2**15).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
def test_what_is_written_is_read_back(tmp_path, suffix):
    samples = sound(12345)
    path = tmp_path / f"a ŋ{suffix}"
    assert audio.write(path, samples, 16000) == 0
    np.testing.assert_array_equal(audio.read(path), samples)
    assert audio.read(path).dtype == np.float32
    assert audio.probe(path) == audio.AudioInfo(16000, 1, 12345, f"{suffix[1:].upper()} PCM_16")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_clipped_samples_are_counted(tmp_path):
    path = tmp_path / "a.wav"
    assert audio.write(path, np.array([0.5, 1.0, -1.0, -1.5, 2.0], np.float32), 16000) == 3
    np.testing.assert_array_equal(audio.read(path), np.float32([0.5, 1 - 2**-15, -1, -1, 1 - 2**-15]))


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    audio.write(tmp_path / "a.wav", sound(100), 16000)
    before = (tmp_path / "a.wav").read_bytes()
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(InputError, match=r"a\.wav: .*the disk is full"):
        audio.write(tmp_path / "a.wav", sound(200), 16000)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [before]


def test_unwritable_sound_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.mp3: sound is written as \.wav or \.flac"):
        audio.write(tmp_path / "a.mp3", sound(10), 16000)
    with pytest.raises(AudioError, match="not all finite"):
        audio.write(tmp_path / "a.wav", np.array([0, np.nan], np.float32), 16000)
    with pytest.raises(InputError, match=r"a\.mp3: sound is written as \.wav or \.flac"):
        audio.check_writable(tmp_path / "a.mp3")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"b\.wav: cannot be written: a part of this path is a file"):
        audio.check_writable(tmp_path / "file" / "b.wav")
    audio.check_writable(tmp_path / "new" / "b.FLAC")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(ValueError, match="mono"):
        audio.write(tmp_path / "a.wav", np.zeros((5, 2), np.float32), 16000)


def test_channels_are_averaged(tmp_path):
    left, right = sound(1000, 1), sound(1000, 2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 16000)
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav"), (left + right) / 2, atol=1e-7)
    assert audio.probe(tmp_path / "a.wav").channels == 2


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_keeps_a_tone_and_its_time(tmp_path, rate):
    """A 1 kHz tone that grows: the same formula at the other rate is the oracle."""

    def tone(at):
        t = np.arange(2 * at) / at
        return (0.25 * t * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)

    soundfile.write(tmp_path / "a.wav", tone(rate), rate, subtype="FLOAT")
    found = audio.read(tmp_path / "a.wav")
    assert len(found) == 32000
    np.testing.assert_allclose(found[800:-800], tone(16000)[800:-800], atol=1e-4)
    np.testing.assert_array_equal(found, soxr.resample(tone(rate), rate, 16000))


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("block", [1, 777, 16000, 10**6])
def test_stream_gives_the_samples_of_read(tmp_path, monkeypatch, rate, block):
    soundfile.write(tmp_path / "a.flac", sound(9001), rate)
    whole = audio.read(tmp_path / "a.flac")
    monkeypatch.setattr(audio, "_BLOCK", 1000)
    blocks = list(audio.stream(tmp_path / "a.flac", 16000, block))
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert all(len(each) == block for each in blocks[:-1])
    assert 0 < len(blocks[-1]) <= block
    np.testing.assert_array_equal(audio.read(tmp_path / "a.flac"), whole)


def test_stream_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "_BLOCK", 2**18)
    peaks = []
    for minutes in (2, 8):
        path = tmp_path / f"{minutes}.wav"
        soundfile.write(path, np.tile(sound(8000 * 60), minutes), 8000)
        tracemalloc.start()
        assert sum(map(len, audio.stream(path, 16000, 16000))) == minutes * 60 * 16000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_segments_count_samples_of_the_file(tmp_path):
    samples = sound(44100)
    for suffix in ("wav", "flac"):
        path = tmp_path / f"a.{suffix}"
        soundfile.write(path, samples, 44100)
        part = Recording(id="x", path=path, start=1234, num_samples=20000, sample_rate=44100)
        np.testing.assert_array_equal(audio.read(part, 44100), samples[1234:21234])
        np.testing.assert_array_equal(audio.read(part), soxr.resample(samples[1234:21234], 44100, 16000))
        rest = Recording(id="x", path=path, start=40000)
        np.testing.assert_array_equal(np.concatenate(list(audio.stream(rest, 44100, 999))), samples[40000:])


def test_what_cannot_be_leapt_in_is_read_up_to_the_segment(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "_BLOCK", 700)
    spoken = babble(1, sample_rate=8000)
    soundfile.write(tmp_path / "phone.wav", spoken, 8000, subtype="GSM610")
    with soundfile.SoundFile(tmp_path / "phone.wav") as file:
        assert not file.seekable()
    whole = audio.read(tmp_path / "phone.wav", 8000)
    assert np.corrcoef(whole[: len(spoken)], spoken)[0, 1] > 0.9
    part = Recording(id="a", path=tmp_path / "phone.wav", start=3000, num_samples=2000)
    np.testing.assert_array_equal(audio.read(part, 8000), whole[3000:5000])


def test_lossy_files_keep_length_and_place():
    for folder, ending in [("mboshi", "opus"), ("prompts", "opus"), ("prompts", "flac")]:
        for path in sorted(corpus(folder).rglob(f"*.{ending}"))[:400:100]:
            info = audio.probe(path)
            whole = audio.read(path, info.sample_rate)
            assert len(whole) == info.num_samples
            start, count = info.num_samples // 3, info.num_samples // 2
            part = audio.read(Recording(id="x", path=path, start=start, num_samples=count), info.sample_rate)
            np.testing.assert_allclose(part, whole[start : start + count], atol=0.01 * np.abs(whole).max())


@pytest.mark.parametrize("ending", ["mp3", "ogg", "opus"])
def test_compressed_formats_are_read(tmp_path, ending):
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)).astype(np.float32)
    settings = {"format": "OGG", "subtype": "OPUS"} if ending == "opus" else {}
    soundfile.write(tmp_path / f"a.{ending}", tone, 16000, **settings)
    found = audio.read(tmp_path / f"a.{ending}")
    assert len(found) == 32000
    np.testing.assert_allclose(found[2000:-2000], tone[2000:-2000], atol=0.05)
    assert f".{ending}" in audio.EXTENSIONS


def _broken(folder, name):
    """A file that cannot be read, by the name of what is wrong with it."""
    path = folder / name
    if name in {"text.wav", "text.mp3"}:
        path.write_text("this is not a recording\n" * 50)
    elif name == "empty.wav":
        path.touch()
    elif name == "folder.wav":
        path.mkdir()
    elif name == "headerless.raw":
        path.write_bytes(bytes(1000))
    elif name == "zero.wav":
        soundfile.write(path, sound(0), 16000)
    elif name == "nan.wav":
        soundfile.write(path, np.where(np.arange(5000) == 4321, np.nan, 0.1), 16000, subtype="FLOAT")
    elif name == "inf.wav":
        soundfile.write(path, np.where(np.arange(5000) == 4321, -np.inf, 0.1), 16000, subtype="FLOAT")
    elif name in {"half.wav", "half.ogg", "half.opus", "head.ogg"}:
        opus = {"format": "OGG", "subtype": "OPUS"} if name == "half.opus" else {}
        soundfile.write(path, sound(50000), 16000, **opus)
        data = path.read_bytes()
        path.write_bytes(data[: 300 if name == "head.ogg" else len(data) // 2])
    elif name in {"half.flac", "end.flac", "half.mp3", "piped.flac"}:
        soundfile.write(path, sound(50000), 16000)
        data = bytearray(path.read_bytes())
        if name == "piped.flac":  # the 36 bits of STREAMINFO that count samples, unknown to who wrote to a pipe
            data[21] &= 0xF0
            data[22:26] = bytes(4)
        path.write_bytes(data[: -10 if name == "end.flac" else len(data) // 2 if "half" in name else None])
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.wav", "not there"),
        ("x" * 300 + ".wav", "not there"),
        ("text.wav", "not a sound file .*convert it"),
        ("text.mp3", "not a sound file .*no header that makes sense.*convert it"),
        ("headerless.raw", "not a sound file .*convert it"),
        ("empty.wav", "empty, 0 bytes"),
        ("folder.wav", "a folder, not a recording"),
        ("zero.wav", "holds no samples"),
        ("nan.wav", "sample 4321 is not a finite number"),
        ("inf.wav", "sample 4321 is not a finite number"),
        ("half.flac", "cut off.*copy it again"),
        ("end.flac", "cut off.*copy it again"),
        ("half.mp3", "cut off: .* where its header says 50000.*copy it again"),
        ("piped.flac", "does not say how long it is"),
        ("half.wav", "cut off: it has 49978 of the 100000 bytes of sound .*copy it again"),
        ("half.ogg", "cut off: it ends within an Ogg page; copy it again"),
        ("half.opus", "cut off: it ends within an Ogg page; copy it again"),
        ("head.ogg", "cut off: it ends within an Ogg page; copy it again"),
    ],
)
def test_faults_are_one_line_with_the_file(tmp_path, name, message):
    path = _broken(tmp_path, name)
    with pytest.raises(AudioError, match=message) as caught:
        audio.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    with pytest.raises(AudioError, match=message):
        list(audio.stream(path, 16000, 1000))


def test_a_truncated_flac_is_found_in_its_segments(tmp_path):
    path = _broken(tmp_path, "half.flac")
    part = Recording(id="x", path=path, start=40000, num_samples=500)
    with pytest.raises(AudioError, match="cut off"):
        audio.read(part)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"start": 900, "num_samples": 101}, "samples 900 to 1001, but the file has 1000"),
        ({"start": 1000}, "samples 1000 to 1000, but the file has 1000"),
        ({"start": -1}, "samples -1"),
        ({"num_samples": 0}, "samples 0 to 0"),
        ({"sample_rate": 44100}, "its rate is 16000 Hz, but recording x counts samples at 44100 Hz"),
    ],
)
def test_segments_outside_the_file_are_refused(tmp_path, part, message):
    audio.write(tmp_path / "a.wav", sound(1000), 16000)
    with pytest.raises(AudioError, match=message):
        audio.read(Recording(id="x", path=tmp_path / "a.wav", **part))


def test_probe_refuses_what_is_no_sound(tmp_path):
    for name in ("text.wav", "zero.wav", "absent.wav", "half.wav", "half.ogg", "half.opus"):
        with pytest.raises(AudioError, match=name):
            audio.probe(_broken(tmp_path, name))


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_what_cannot_be_speech(rate):
    for samples, message in [
        (sound(10), "tape: too short: 10 samples"),
        (sound(0), "too short: 0 samples"),
        (np.zeros(rate, np.float32), "digital silence: every sample is 0 \\("),
        (np.full(rate, 0.3, np.float32), "digital silence: every sample is 0.3 \\("),
        (soxr.resample(np.full(22050, 0.3, np.float32), 22050, rate), "digital silence"),
    ]:
        with pytest.raises(AudioError, match=message):
            audio.check_speech(samples, "tape", rate)
    audio.check_speech(sound(-(-rate // 40)), "tape", rate)
    audio.check_speech(1e-9 * sound(rate), "tape", rate)
    quiet = np.zeros(rate, np.float32)
    quiet[rate // 2] = 2**-15
    audio.check_speech(quiet, "tape", rate)


def test_a_name_that_is_no_utf_8_is_told(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    path.write_bytes(b"RIFF")
    with pytest.raises(AudioError, match="its name is no UTF-8"):
        audio.probe(path)


def test_another_scale_than_that_of_sound_is_refused(tmp_path):
    """Sixteen-bit numbers written as floats, as many a script does; what a mixer overdrives is taken."""
    soundfile.write(tmp_path / "a.wav", 12_000 * sound(16000), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a.wav: samples as large as .*, where full scale is 1; export it"):
        audio.read(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", 10 * sound(16000), 16000, subtype="FLOAT")
    assert len(audio.read(tmp_path / "b.wav")) == 16000


def test_a_rate_that_holds_no_speech_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", sound(100), 1)
    with pytest.raises(AudioError, match=r"a.wav: a sample rate of 1 Hz, which holds no speech; correct its header"):
        audio.probe(tmp_path / "a.wav")
