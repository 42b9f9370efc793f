"""Every kind of file that libsndfile reads: whole or in blocks the same, and told from its half."""

import os
import shutil

import numpy as np
import pytest
import soundfile

from protophone import audio
from protophone.errors import AudioError
from protophone.manifest import build
from protophone.types import Recording
from tests.conftest import babble, case
from tests.decoders.reading import check_contract, fault_of

KINDS = {
    "a.aiff": {},
    "a.aif": {"format": "AIFF"},
    "float.aifc": {"format": "AIFF", "subtype": "FLOAT"},
    "law.aifc": {"format": "AIFF", "subtype": "ULAW"},
    "a.au": {},
    "law.au": {"subtype": "ALAW"},
    "little.snd": {"format": "AU", "endian": "LITTLE"},
    "a.caf": {},
    "alac.caf": {"subtype": "ALAC_16"},
    "a.w64": {},
    "a.rf64": {},
    "a.sph": {"format": "NIST"},
    "law.nist": {"format": "NIST", "subtype": "ULAW"},
    "a.voc": {},
    "a.wave": {"format": "WAV"},
    "a.oga": {"format": "OGG"},
    "a.mp3": {},
}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read(tmp_path, name, channels):
    sound = babble(1.1, sample_rate=22050)
    path = tmp_path / name
    soundfile.write(path, np.stack([sound] * channels, 1), 22050, **KINDS[name])
    check_contract(path, sound, 0.1)
    assert audio.probe(path).channels == channels
    assert [each.path for each in build(tmp_path).recordings] == [path]
    data = path.read_bytes()
    if name != "alac.caf":  # its packet table lies behind the sound
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(AudioError, match=f"{name}: cut off: "):
            audio.read(path)


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"a.oga", "a.mp3"}))
def test_cutting_anywhere_gives_an_error_or_the_whole(tmp_path, name):
    """Never fewer samples in silence; some containers end with what is no sound."""
    path = tmp_path / name
    soundfile.write(path, babble(0.3), 16000, **KINDS[name])
    whole = len(audio.read(path))
    data = path.read_bytes()
    for cut in np.random.default_rng(0).integers(1, len(data), 15):
        path.write_bytes(data[:cut])
        # a lack of 44 bytes is taken for a header that was counted
        assert fault_of(path) or len(audio.read(path)) >= whole - 45


def test_unknown_sizes_mean_to_the_end(tmp_path):
    """Who writes AU to a pipe cannot know how long it will be."""
    soundfile.write(tmp_path / "a.au", babble(1), 16000)
    data = (tmp_path / "a.au").read_bytes()
    (tmp_path / "a.au").write_bytes(data[:8] + b"\xff\xff\xff\xff" + data[12:])
    assert audio.probe(tmp_path / "a.au").num_samples == 16000


def test_a_pipe_or_device_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    for path in (tmp_path / "a.wav", "/dev/zero"):
        for read in (audio.probe, audio.read, lambda path: list(audio.stream(path, 16000, 100)), audio.seconds):
            with pytest.raises(AudioError, match=f"{path}: a pipe, socket or device"):
                read(path)


def test_the_case_that_was_passed_over():
    assert audio.probe(case("skipped_formats", "a.aiff")).num_samples == 64000


def test_links_to_files_are_followed(tmp_path):
    soundfile.write(tmp_path / "a.wav", babble(1), 16000)
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    assert audio.probe(tmp_path / "b.wav").num_samples == 16000
    shutil.copy(tmp_path / "a.wav", tmp_path / "c.WAV")
    assert audio.read(Recording(id="c", path=tmp_path / "c.WAV", start=10)).shape == (15990,)
