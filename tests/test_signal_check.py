"""Faults of the signal are warned of, wherever recordings are read; what is sound passes without a word."""

import json
import re

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone import audio, manifest
from protophone.cli.corpus import convert, encode
from protophone.cli.corpus import manifest as write_manifest
from protophone.cli.evaluate.sounds import everything as evaluate_everything
from protophone.errors import AudioError, InputError
from protophone.evaluate import everything
from protophone.progress import silent
from protophone.recipe import DataConfig, select
from protophone.signal_check import SignalCheck
from protophone.survey import listen
from protophone.tape import Tape
from protophone.types import Recording
from tests.conftest import babble, corpus

SOUND = babble(1.5)
NOISE = (3e-4 * np.random.default_rng(0).standard_normal(len(SOUND))).astype(np.float32)
CLIPPED = np.clip(8 * SOUND, -1, 1)

FAULTS = {
    "opposite": (np.stack([SOUND, -0.8 * SOUND], 1), r"its two channels are of opposite phase, .* --channel left"),
    "surround": (np.stack([SOUND, -0.8 * SOUND, NOISE], 1), "its channels are of opposite phase"),
    "dead": (np.stack([SOUND, 0 * SOUND], 1), "its right channel is silent; choose the other: --channel left"),
    "hiss": (np.stack([NOISE, SOUND], 1), "its left channel is silent; choose the other: --channel right"),
    "clipped": (CLIPPED, "clipped: .* % of its samples lie at full scale"),
    "one clipped": (np.stack([CLIPPED, SOUND], 1), "clipped: "),
    "offset": (0.5 * SOUND + 0.1, "a DC offset of 10 % of full scale"),
    "below": (0.5 * SOUND - 0.1, "a DC offset of -10 % of full scale"),
}


def checked(channels, block=1000, channel=None):
    check = SignalCheck(channel)
    for start in range(0, len(channels), block):
        check.add(channels[start : start + block])
    return check.warnings("a.wav")


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_every_fault_is_warned_of(tmp_path, name, rate):
    channels, words = FAULTS[name]
    soundfile.write(tmp_path / "a.wav", channels, rate, subtype="PCM_24")
    tape = Tape(tmp_path / "a.wav", 16000)
    assert sum(map(len, tape.blocks())) == tape.num_samples
    (found,) = tape.warnings
    assert found.startswith(f"{tmp_path / 'a.wav'}: ")
    assert "\n" not in found
    assert re.search(words, found)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(FAULTS)),
    st.sampled_from([1000, 1777, 5000]),
    st.floats(0.02, 1.0),
    st.sampled_from(["mix", "left", "right", None]),
)
def test_blocks_and_level_change_nothing(name, block, gain, channel):
    channels = np.atleast_2d(FAULTS[name][0].T).T.astype(np.float32)
    assert checked(channels, block, channel) == checked(channels, len(channels), channel)
    if name in {"opposite", "surround", "dead", "hiss"}:
        assert checked(np.float32(gain) * channels, block, channel) == checked(channels, block, channel)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 50), st.floats(-0.5, 1.0), st.floats(0.02, 1.0), st.floats(0.05, 1.0))
def test_what_is_sound_is_not_warned_of(seed, likeness, balance, gain):
    """Two microphones hear much alike or little, one louder than the other."""
    left, right = babble(0.5, seed), babble(0.5, seed + 1, pitch=170)
    other = likeness * left + (1 - abs(likeness)) * right
    assert checked(np.stack([gain * left, balance * gain * other], 1).astype(np.float32)) == []
    assert checked((gain * left / np.abs(left).max())[:, None].astype(np.float32)) == []


def test_real_recordings_are_hardly_warned_of():
    for name, ending in (("mboshi", "opus"), ("prompts", "flac")):
        paths = sorted(corpus(name).rglob(f"*.{ending}"))[::25][:40]
        warned = 0
        for path in paths:
            tape = Tape(path, 16000)
            tape.whole()
            warned += bool(tape.warnings)
        assert warned <= len(paths) // 10


def test_a_channel_is_read_alone(tmp_path):
    left, right = babble(1, 1), babble(1, 2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "mono.wav", left, 16000, subtype="FLOAT")
    for channel, wanted in (("left", left), ("right", right), ("mix", (left + right) / 2), (None, (left + right) / 2)):
        part = Recording(id="a", path=tmp_path / "a.wav", start=100, num_samples=9000, channel=channel)
        np.testing.assert_allclose(audio.read(part), wanted[100:9100], atol=1e-7)
        np.testing.assert_array_equal(audio.read(Recording(id="b", path=tmp_path / "mono.wav", channel=channel)), left)


def test_channels_that_cancel_to_nothing_are_refused_with_the_cure(tmp_path):
    for seconds in (2, 70):
        sound = np.tile(babble(2), seconds // 2)
        soundfile.write(tmp_path / "a.wav", np.stack([sound, -sound], 1), 16000)
        with pytest.raises(AudioError, match=r"a\.wav: its two channels are of opposite phase, .*: --channel left"):
            list(Tape(tmp_path / "a.wav", 16000).blocks())
        chosen = Tape(Recording(id="a", path=tmp_path / "a.wav", channel="right"), 16000)
        assert sum(map(len, chosen.blocks())) == len(sound)
        assert chosen.warnings == []


@pytest.mark.parametrize("seconds", [2, 70])
@pytest.mark.parametrize("level", [0.0, 0.2])
def test_a_chosen_channel_without_sound_is_refused_with_the_other(tmp_path, seconds, level):
    sound = np.tile(babble(2), seconds // 2)
    soundfile.write(tmp_path / "a.wav", np.stack([sound, np.full_like(sound, level)], 1), 16000)
    recording = Recording(id="a", path=tmp_path / "a.wav", channel="right")
    with pytest.raises(AudioError, match=r"a\.wav: its right channel is silent; choose the other: --channel left"):
        list(Tape(recording, 16000).blocks())
    soundfile.write(tmp_path / "a.wav", np.full((len(sound), 2), level), 16000)
    with pytest.raises(AudioError, match="digital silence"):  # of both
        list(Tape(recording, 16000).blocks())


def test_a_manifest_names_the_channel_and_the_option_overrides_it(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([SOUND, NOISE], 1), 16000)
    (tmp_path / "m.jsonl").write_text('{"id": "a", "audio": "a.wav", "channel": "left"}\n')
    for channel, wanted in ((None, "left"), ("right", "right"), ("mix", "mix")):
        (recording,) = manifest.build(tmp_path / "m.jsonl", channel=channel).recordings
        assert recording.channel == wanted
        assert recording.extra == ()
        assert select(DataConfig(recordings=str(tmp_path / "m.jsonl"), channel=channel)).recordings == [recording]
        manifest.write(tmp_path / "again.jsonl", [recording])
        assert manifest.read(tmp_path / "again.jsonl")[0].channel == wanted
    for value in ("both", 1, None, ["left"], ""):
        (tmp_path / "m.jsonl").write_text(json.dumps({"id": "a", "audio": "a.wav", "channel": value}) + "\n")
        if value is None:
            assert manifest.read(tmp_path / "m.jsonl")[0].channel is None
        else:
            with pytest.raises(InputError, match=r"m\.jsonl:1: channel is .*; write mix, left, right, or leave"):
                manifest.read(tmp_path / "m.jsonl")


def test_a_survey_keeps_warnings_for_the_next_run(tmp_path):
    loud, noise = babble(6), np.random.default_rng(0).standard_normal((16000 * 8, 2)) * 1e-3
    noise[16000 : 16000 * 7] += np.stack([loud, 0 * loud], 1)
    noise[:, 1] *= 0.01
    soundfile.write(tmp_path / "dead.wav", noise, 16000)
    soundfile.write(tmp_path / "opposite.wav", np.stack([loud, 0.003 * loud - loud], 1), 16000)
    soundfile.write(tmp_path / "nearly.wav", np.stack([loud, 0.05 * np.abs(loud) - loud], 1), 16000)
    found = manifest.build(tmp_path).recordings
    for _ in range(2):
        survey = listen(tmp_path, found, tmp_path / "survey.json", lambda: None, silent)
        assert survey.recordings[0].id == "dead"
        assert survey.warnings[0].startswith(f"{tmp_path / 'dead.wav'}: its right channel is silent")
        said = [*survey.warnings[1:], *(reason for _, reason in survey.failures)]
        assert len(said) == 2
        assert all("of opposite phase" in text for text in said)


def test_commands_warn_and_take_the_channel(tiny_bundle, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "short.wav", np.stack([SOUND, -0.8 * SOUND], 1), 16000)
    long = np.tile(SOUND, 41)
    soundfile.write(tmp_path / "in" / "long.wav", np.stack([long, 0 * long], 1), 16000)
    soundfile.write(tmp_path / "in" / "good.wav", SOUND, 16000)
    for channel, expected in ((None, ["long.wav", "short.wav"]), ("left", [])):
        encode(tiny_bundle, tmp_path / "in", out=tmp_path / f"units {channel}", channel=channel)
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
        assert sorted(line.split(": ")[1].split("/")[-1] for line in lines) == expected
    for channel, count in (("mix", 1), ("right", 0)):
        convert(tiny_bundle, tmp_path / "in" / "short.wav", tmp_path / f"{channel}.wav", channel=channel)
        assert capsys.readouterr().err.count("of opposite phase") == count
    write_manifest(tmp_path / "in", tmp_path / "m.jsonl", channel="right")
    assert {each.channel for each in manifest.read(tmp_path / "m.jsonl")} == {"right"}


def test_evaluate_all_warns(tiny_bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(everything, "_score_sounds", lambda *_, **__: None)  # which takes long
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", 0.5 * SOUND + 0.1, 16000)
    evaluate_everything(tiny_bundle, tmp_path / "in", out=tmp_path / "out")
    assert re.search(r"warning: \S+a\.wav: a DC offset of 10 %", capsys.readouterr().err)
