"""Speakers from places and names, and the warnings where these may be several people's."""

import re

import pytest

from protophone import manifest
from protophone.errors import InputError
from protophone.folder import scan
from protophone.speakers import amounts
from protophone.types import Recording
from tests.sounds import put

SESSIONS = ["ana/session 01/x.wav", "ana/session 02/x.wav", "bo/session 01/x.wav", "cy/session 01/deep/x.wav"]


@pytest.mark.parametrize(
    ("speaker_from", "speakers"),
    [("none", [None, None, None]), ("parent", ["speech", "abi ŋ", "abi ŋ"]), ("prefix", ["kou", "abi", "mar tial"])],
)
def test_speakers(tmp_path, speaker_from, speakers):
    put(tmp_path / "speech", "kou_2-x.wav", "l/abi ŋ/abi-1_2.wav", "l/abi ŋ/mar tial_1.wav")
    assert [each.speaker for each in scan(tmp_path / "speech", speaker_from).recordings] == speakers


@pytest.mark.parametrize("name", ["tape1.wav", "_1.wav", "-1.wav"])
def test_a_name_without_a_prefix_is_refused(tmp_path, name):
    put(tmp_path, name)
    with pytest.raises(InputError, match=f"{name}: no speaker before .*name it SPEAKER_"):
        scan(tmp_path, "prefix")


def test_the_first_folder_below_the_source(tmp_path):
    put(tmp_path / "in", *SESSIONS)
    found = scan(tmp_path / "in", "top")
    assert [each.speaker for each in found.recordings] == ["ana", "ana", "bo", "cy"]
    assert found.warnings == []
    manifest.write(tmp_path / "in" / "m.jsonl", found.recordings)
    assert manifest.build(tmp_path / "in" / "m.jsonl", "top").recordings == found.recordings
    put(tmp_path / "in", "loose.wav")
    listing = scan(tmp_path / "in", "top")
    assert listing.recordings == found.recordings
    ((path, reason),) = listing.failures
    assert path.endswith("loose.wav")
    assert re.search(r"loose\.wav: lies in no folder below .*in, so --speaker-from top .*; move it", reason)


def test_one_name_under_several_folders_is_warned_of(tmp_path):
    put(tmp_path, *SESSIONS)
    (warning,) = scan(tmp_path, "parent").warnings
    assert warning.startswith("speaker 'session 01' is one person here, but that name lies under 2 folders (")
    assert "(ana/session 01, bo/session 01)" in warning
    assert warning.endswith("--speaker-from top")


def test_one_prefix_under_several_folders_is_warned_of(tmp_path):
    put(tmp_path, "ana/rec_1.wav", "bo/rec_2.wav", "bo/deep/rec_3.wav", "bo/bo_1.wav", "rec_4.wav")
    (warning,) = scan(tmp_path, "prefix").warnings
    assert "speaker 'rec' is one person here, but that name lies under 2 folders (ana, bo)" in warning


def test_the_minutes_of_each_speaker_are_one_line():
    def said(speakers):
        recordings = [Recording(id=str(at), path=None, speaker=name) for at, name in enumerate(speakers)]
        return amounts(recordings, {str(at): 60.0 * (at + 1) for at in range(len(speakers))})

    assert said(["ana", "bo", "ana"]) == "2 speakers: ana 4.0 min, bo 2.0 min"
    assert said(["ana", None]) == "2 speakers: nobody named 2.0 min, ana 1.0 min"
    assert said([None, None]) == ""
    many = said([f"s{at:02}" for at in range(20)])
    assert many.startswith("20 speakers: s19 20.0 min, ")
    assert many.endswith(", s08 9.0 min and 8 more")
