"""The command line: sessions give what was asked, a wrong call exits with 2, Ctrl-C with 130, a kill loses nothing."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from protophone.corpus import decode_corpus
from protophone.delivery import Delivery
from protophone.errors import UnitsError
from protophone.model import load
from protophone.store import read_units
from tests.calls import fault_only
from tests.conftest import babble
from tests.tiny import contents, environment, stopped_when

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


def test_a_session_from_a_folder_to_units_and_back(call, tiny_bundle, tiny_corpus, tmp_path):
    assert call("manifest", tiny_corpus, tmp_path / "m.jsonl", "--speaker-from", "parent")[0] == 0
    code, out, _ = call("encode", tiny_bundle, tmp_path / "m.jsonl", "--out", tmp_path / "units")
    assert (code, out) == (0, f"{tmp_path / 'units'}: 6 recordings, 0.2 minutes\n")
    folder = call("encode", tiny_bundle, tiny_corpus, "--speaker-from", "parent", "--out", tmp_path / "again")
    assert folder[0] == 0
    assert (tmp_path / "again/units.jsonl").read_bytes() == (tmp_path / "units/units.jsonl").read_bytes()
    assert call("decode", tiny_bundle, tmp_path / "units", "--voice", "bo", "--out", tmp_path / "sounds")[0] == 0
    assert sorted(path.name for path in (tmp_path / "sounds/ana").iterdir()) == ["0.wav", "1.wav", "2.wav"]
    source = tiny_corpus / "ana" / "0.wav"
    assert call("convert", tiny_bundle, source, tmp_path / "c.flac", "--voice", "bo")[0] == 0
    converted, rate = soundfile.read(tmp_path / "c.flac")
    assert (len(converted), rate) == (soundfile.info(source).frames, 16000)
    code, out, _ = call("info", tiny_bundle, "--json")
    assert code == 0
    assert json.loads(out)["voices"]["tiny"]["speakers"] == ["ana", "bo"]
    assert "ana, bo" in call("info", tiny_bundle)[1]


def test_two_files_of_one_name_are_kept_apart_in_every_output(call, tiny_bundle, tiny_corpus, tmp_path):
    shutil.copytree(tiny_corpus, tmp_path / "in")
    shutil.copy(tmp_path / "in/ana/0.wav", tmp_path / "in/ana/0.flac")
    soundfile.write(tmp_path / "in/ana/0.flac", babble(1), 16000)
    for form, files in (("units", 0), ("npy", 7), ("zerospeech", 7)):
        assert call("encode", tiny_bundle, tmp_path / "in", "--as", form, "--out", tmp_path / form)[0] == 0
        assert len([*(tmp_path / form).rglob("*.npy"), *(tmp_path / form).rglob("*.txt")]) == files
    ids = [record.id for record in read_units(tmp_path / "units")]
    assert ids == ["ana/0.flac", "ana/0.wav", "ana/1", "ana/2", "bo/0", "bo/1", "bo/2"]
    assert call("decode", tiny_bundle, tmp_path / "units", "--out", tmp_path / "sounds")[0] == 0
    assert len(list((tmp_path / "sounds").rglob("*.wav"))) == 7


def test_a_corrected_recording_is_taken_up_and_all_are_counted(call, tiny_bundle, tiny_corpus, tmp_path):
    source = shutil.copytree(tiny_corpus, tmp_path / "in")
    (source / "ana/0.wav").write_text("no sound")
    command = ("encode", tiny_bundle, source, "--out", tmp_path / "out")
    fault_only(call(*command), "1 of 6 recordings could not be used")
    shutil.copy(tiny_corpus / "ana/0.wav", source / "ana/0.wav")
    for _ in range(2):
        assert call(*command)[:2] == (0, f"{tmp_path / 'out'}: 6 recordings, 0.2 minutes\n")


def test_odd_names_are_kept_apart_in_every_output(call, tiny_bundle, tiny_corpus, tmp_path):
    names = ["a\\b", "a_b", "-a", "a:b", "录音 ŋ", "x" * 246, "c\\d/e"]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_corpus / "ana" / "0.wav", tmp_path / "in" / f"{name}.wav")
    wanted = sorted(["a_b", "a_b_", "-a", "a:b", "录音 ŋ", "x" * 246, "c_d/e"])
    assert call("manifest", tmp_path / "in", tmp_path / "m.jsonl")[0] == 0
    for form in ("units", "shards", "npy", "zerospeech"):
        assert call("encode", tiny_bundle, tmp_path / "m.jsonl", "--as", form, "--out", tmp_path / form)[0] == 0
    for form in ("units", "shards"):
        assert sorted(record.id for record in read_units(tmp_path / form)) == wanted
    assert call("decode", tiny_bundle, tmp_path / "units", "--out", tmp_path / "sounds")[0] == 0
    for folder, suffix in (("npy", ".npy"), ("zerospeech", ".txt"), ("sounds", ".wav")):
        found = [path.relative_to(tmp_path / folder).as_posix() for path in (tmp_path / folder).rglob(f"*{suffix}")]
        assert sorted(found) == sorted(name + suffix for name in wanted)
    shutil.copy(tiny_corpus / "ana" / "0.wav", tmp_path / "in" / ("x" * 247 + ".wav"))
    result = call("encode", tiny_bundle, tmp_path / "in", "--out", tmp_path / "again")
    fault_only(result, "1 of 8 recordings could not be used", "its name is too long for outputs", "shorten it")
    assert len(list(read_units(tmp_path / "again"))) == 7


@pytest.mark.parametrize(
    "arguments",
    [["encode"], ["encod"], ["encode", "a", "b"], ["encode", "a", "b", "--out", "c", "--as", "mp3"], ["info", "--jsn"],
     ["discover", "a", "--out", "b", "--time-reduction", "3"]],
)  # fmt: skip
def test_wrong_calls_exit_with_2(call, arguments):
    code, out, lines = call(*arguments)
    assert code == 2
    assert lines
    assert out == ""


def test_help_and_version_need_no_bundle(call):
    code, out, _ = call("--help")
    assert code == 0
    for command in ("discover", "encode", "decode", "convert", "manifest", "train", "info"):
        assert command in out
    assert call("--version")[1].strip() == "0.1.0"


def many(tiny_corpus, folder):
    """Enough recordings that encoding them takes a while."""
    sounds = [soundfile.read(path)[0] for path in sorted(tiny_corpus.rglob("*.wav"))]
    folder.mkdir()
    for number in range(800):
        soundfile.write(folder / f"{number:04}.wav", np.roll(sounds[number % 6], 7 * number), 16000)
    return folder


def test_ctrl_c_and_kills_lose_nothing_and_the_same_command_goes_on(call, tiny_bundle, tiny_corpus, tmp_path):
    corpus = many(tiny_corpus, tmp_path / "in")
    lines = tmp_path / "broken/units.jsonl"

    def enough(count):
        return lambda: lines.exists() and lines.read_bytes().count(b"\n") >= count

    command = ["encode", tiny_bundle, corpus, "--out", tmp_path / "broken"]
    interrupted = stopped_when(enough(100), command, signal.SIGINT)
    assert interrupted.returncode == 130, interrupted.stderr
    said = [line for line in interrupted.stderr.splitlines() if line.startswith("protophone: ")]
    assert said == ["protophone: stopped; give the same command again"]
    assert "Traceback" not in interrupted.stderr
    done = lines.read_bytes().count(b"\n")
    assert 100 <= done < 800
    killed = stopped_when(enough(done + 150), command, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    begun = lines.stat().st_ino
    assert call(*command)[0] == 0
    assert lines.stat().st_ino == begun
    assert call("encode", tiny_bundle, corpus, "--out", tmp_path / "unbroken")[0] == 0
    assert contents(tmp_path / "broken") == contents(tmp_path / "unbroken")


def test_help_is_said_without_loading_what_is_heavy():
    script = (
        "import sys\nfrom protophone.cli import main\nsys.argv = ['protophone', '--help']\n"
        "try:\n main()\nexcept SystemExit:\n pass\nassert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr


def test_names_in_brackets_are_names_and_no_markup(call, tiny_bundle, tmp_path):
    folder = shutil.copytree(tiny_bundle, tmp_path / "my [b] [/b] bundle")
    code, out, lines = call("info", folder)
    assert (code, lines) == (0, [])
    assert "my [b] [/b] bundle" in " ".join(out.split())


def test_faster_speech_is_shorter(call, tiny_bundle, tiny_corpus, tmp_path):
    call("encode", tiny_bundle, tiny_corpus, "--out", tmp_path / "units")
    records = list(read_units(tmp_path / "units"))
    done = decode_corpus(load(tiny_bundle), records, tmp_path / "fast", delivery=Delivery(rate=2.0))
    assert done.seconds == pytest.approx(sum(record.seconds for record in records) / 2)


def test_units_that_cannot_be_spoken_are_named(call, tiny_bundle, tiny_corpus, tmp_path):
    call("encode", tiny_bundle, tiny_corpus, "--out", tmp_path / "units")
    first = next(iter(read_units(tmp_path / "units")))
    with pytest.raises(UnitsError, match=rf"^units: '{first.id}': .*codebook ffffffff"):
        decode_corpus(load(tiny_bundle), [replace(first, bundle="ffffffff")], tmp_path / "sounds")
