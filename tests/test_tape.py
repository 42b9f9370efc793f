"""Tapes: the samples of the file at each pass, kept only where they are few; what cannot be speech is said."""

import numpy as np
import pytest
import soundfile

from protophone import audio
from protophone.errors import AudioError
from protophone.tape import Tape
from protophone.types import Recording
from tests.conftest import babble


def counted(monkeypatch):
    """Counts how often a file is opened to be read."""
    opened = []
    stream = audio.stream
    monkeypatch.setattr(audio, "stream", lambda *a: (opened.append(a), stream(*a))[1])
    return opened


@pytest.mark.parametrize(("seconds", "reads"), [(25, 1), (75, 3)])
def test_every_pass_gives_the_samples_of_the_file_and_short_ones_are_read_once(tmp_path, monkeypatch, seconds, reads):
    sound = np.tile(babble(5), seconds // 5)
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    wanted = audio.read(tmp_path / "a.wav")
    opened = counted(monkeypatch)
    tape = Tape(tmp_path / "a.wav", 16000)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(tape.blocks())), wanted)
        assert tape.num_samples == len(wanted)
    whole = tape.whole()
    assert whole is None if seconds > 60 else (whole == wanted).all()
    assert len(opened) == reads


def test_the_beginning_of_a_tape_is_a_minute_and_must_be_speech(tmp_path):
    sound = np.tile(babble(5), 15)
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(Tape(tmp_path / "a.wav", 16000).beginning(), sound[: 60 * 16000])
    sound[: 61 * 16000] = 0
    soundfile.write(tmp_path / "late.wav", sound, 16000)
    with pytest.raises(AudioError, match="late.wav: digital silence"):
        Tape(tmp_path / "late.wav", 16000).beginning()


def test_a_long_tape_is_read_no_further_than_shows_that_it_is_long(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile(babble(5), 20), 16000)
    tape = Tape(tmp_path / "a.wav", 16000)
    assert tape.whole() is None
    assert tape.num_samples == 0
    assert sum(map(len, tape.blocks())) == tape.num_samples == 100 * 16000


def test_a_part_of_a_file_is_that_part(tmp_path):
    sound = babble(3)
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    tape = Tape(Recording(id="a", path=tmp_path / "a.wav", start=16000, num_samples=8000), 16000)
    np.testing.assert_array_equal(tape.whole(), audio.read(tmp_path / "a.wav")[16000:24000])
    assert tape.name == str(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (np.zeros(100), "too short: 100 samples"),
        (np.zeros(16000), "digital silence"),
        (np.zeros(16000 * 70), "digital silence from end to end"),
        (np.full(16000 * 70, 0.25), "digital silence from end to end"),
    ],
)
def test_what_cannot_be_speech_is_said_at_the_end_at_the_latest(tmp_path, sound, words):
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    for _ in range(2):
        with pytest.raises(AudioError, match=f"a.wav: {words}"):
            list(Tape(tmp_path / "a.wav", 16000).blocks())
