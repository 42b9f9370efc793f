"""The terminal: signals end a command in one line, names cannot command the terminal, files get the umask's rights."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from protophone.cli import terminal
from tests.calls import fault_only, one_line
from tests.tiny import ENCODER, environment

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")

WAITING = """
import sys, time
from protophone import cli
def wait():
    print("begun", flush=True)
    time.sleep(60)
cli.app.command(wait)
sys.argv = ["protophone", "wait"]
cli.main()
"""
EVIL = ["\x1b[2J\x1b[31mx", "\u202egnp", "\x9b2J", "[red]bold", ":cat:", "a\nb"]


def waiting(**options):
    return subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **options,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_signals_end_a_command_in_one_line():
    numbers = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
    begun = [waiting() for _ in numbers]
    ignoring = waiting(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    for process in (*begun, ignoring):
        assert process.stdout.readline() == "begun\n"
    ignoring.send_signal(signal.SIGHUP)
    for process, number in zip(begun, numbers, strict=True):
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (128 + number, "protophone: stopped; give the same command again\n")
    assert ignoring.poll() is None
    ignoring.send_signal(signal.SIGTERM)
    _, err = ignoring.communicate(timeout=60)
    assert (ignoring.returncode, err) == (143, "protophone: stopped; give the same command again\n")


def shown(result):
    """All that a command printed: no control character in it."""
    _, out, lines = result
    text = out + "\n".join(lines)
    assert not {"\x1b", "\u202e", "\x9b"} & set(text)
    return text


def test_names_reach_the_terminal_escaped(call, tiny_bundle, tiny_corpus, tmp_path):
    folder = tmp_path / "in"
    for name in EVIL:
        (folder / name).mkdir(parents=True)
        shutil.copy(tiny_corpus / "ana" / "0.wav", folder / name / f"{name}.wav")
        (folder / name / f"bad{name}.wav").write_text("no sound")
        (folder / name / f"x.{name}").write_text("x")
    out = tmp_path / EVIL[0]
    text = shown(call("manifest", folder, tmp_path / f"{EVIL[0]}.jsonl", "--speaker-from", "parent"))
    for name in ("\\u001b[2J\\u001b[31mx", "\\u202egnp", "\\u009b2J", "[red]bold", ":cat:", "a\\u000ab"):
        assert f"{name} 0.0 min" in text
        assert f"bad{name}.wav: not a sound file" in text
        assert f"1 .{name.lower()}" in text
    text = shown(call("encode", tiny_bundle, folder, "--out", out, "--max-bad", "1"))
    assert "\\u001b[2J\\u001b[31mx: 6 recordings" in text
    one = call("evaluate", "bitrate", out, "--out", tmp_path / "\x1b[2Jresults")
    assert "bit rate, " in shown(one) or one[0] == 0
    shown(call("evaluate", "bitrate", out, "--json"))
    shown(call("decode", tiny_bundle, out, "--out", tmp_path / "\x1b[2Jsounds"))
    shown(call("manifest", tmp_path / "\x1b[2Jnone", tmp_path / "m.jsonl"))
    shown(call("compare", tmp_path / "\x1b[2Jresults", "--out", tmp_path / "\x1b[2Jcompared"))
    shown(call("encode", tiny_bundle, folder, "--out", out, "--as", "\x1b[2J"))
    shown(call("info", shutil.copytree(tiny_bundle, tmp_path / "\x1b[2Jbundle")))


def test_tables_are_printed_as_they_are(capsys):
    terminal.answer_table("[b]t[/b]", ["a", "[i]b[/i]"], [["\x1b[1mx", ":cat:"]])
    out = capsys.readouterr().out
    assert all(text in out for text in ("[b]t[/b]", "[i]b[/i]", "\\u001b[1mx", ":cat:"))
    terminal.answer_json(json.dumps({"a": "\x9b\x1b"}, indent=1, ensure_ascii=False))
    assert json.loads(capsys.readouterr().out) == {"a": "\x9b\x1b"}


def test_many_failures_are_counted(capsys):
    terminal.left_out([(str(at), f"{at}: broken; mend it") for at in range(1000)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 41
    assert lines[-1] == "left out: 960 more recordings, 1000 in all"


def test_every_output_has_the_permissions_that_the_umask_gives(call, tiny_bundle, tiny_corpus, tmp_path):
    os.umask(old := os.umask(0o027))
    os.umask(0o027)
    try:
        place = tmp_path / "out"
        recipe = tmp_path / "r.toml"
        recipe.write_text(ENCODER.format(recordings=tiny_corpus / "manifest.jsonl"))
        for command in (
            ("manifest", tiny_corpus, place / "m.jsonl"),
            ("encode", tiny_bundle, tiny_corpus, "--out", place / "units"),
            ("encode", tiny_bundle, tiny_corpus, "--as", "shards", "--out", place / "shards"),
            ("encode", tiny_bundle, tiny_corpus, "--as", "npy", "--out", place / "npy"),
            ("encode", tiny_bundle, tiny_corpus, "--as", "zerospeech", "--out", place / "zerospeech"),
            ("decode", tiny_bundle, place / "units", "--out", place / "sounds"),
            ("convert", tiny_bundle, tiny_corpus / "ana" / "0.wav", place / "c.flac"),
            ("train", recipe, "--out", place / "run", "--set", "train.steps = 2"),
            ("evaluate", "bitrate", place / "units", "--out", place / "results"),
            ("compare", place / "results", "--out", place / "compared"),
        ):
            code, _, lines = call(*command)
            assert code == 0, lines
    finally:
        os.umask(old)
    found = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert (tmp_path / "out/results/draws.safetensors").is_file()
    assert {path: oct(path.stat().st_mode & 0o777) for path in found} == {
        path: "0o750" if path.is_dir() else "0o640" for path in found
    }


def test_outputs_whose_names_say_something_else_are_refused(call, tiny_bundle, tiny_corpus, tmp_path):
    one_line(call("manifest", tiny_corpus, tmp_path / "x.wav"), "x.wav: a manifest is written as .jsonl; choose")
    one_line(call("encode", tiny_bundle, tiny_corpus, "--out", tmp_path / "x.jsonl"), "x.jsonl: a folder is written")
    one_line(call("decode", tiny_bundle, tiny_corpus, "--out", tmp_path / "x.wav"), "x.wav: a folder is written")
    one_line(call("discover", tiny_corpus, "--out", tmp_path / "x.html"), "x.html: a folder is written")
    assert list(tmp_path.iterdir()) == []


def test_ids_whose_sounds_collide_are_refused_before_any_is_spoken(call, tiny_bundle, tiny_corpus, tmp_path):
    assert call("encode", tiny_bundle, tiny_corpus / "ana", "--out", tmp_path / "units")[0] == 0
    path = tmp_path / "units" / "units.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line, name in zip(lines, ["a", "b", "a.wav/c"], strict=True):
        line["id"] = name
    (tmp_path / "u.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = call("decode", tiny_bundle, tmp_path / "u.jsonl", "--out", tmp_path / "sounds")
    one_line(result, f"{tmp_path / 'sounds'}: cannot hold outputs of both a and a.wav/c")
    assert not (tmp_path / "sounds").exists()


@pytest.mark.parametrize("command", ["encode", "train", "evaluate", "manifest"])
def test_every_command_says_which_files_it_leaves_out(call, tiny_bundle, tiny_corpus, tmp_path, command):
    folder = shutil.copytree(tiny_corpus / "ana", tmp_path / "in")
    (folder / "0.eaf").write_text("<x/>")
    (folder / os.fsdecode(b"caf\xe9.wav")).write_bytes((folder / "0.wav").read_bytes())
    (tmp_path / "r.toml").write_text(ENCODER.format(recordings=folder))
    tokens = "".join(f"0 {0.1 + 0.2 * at:.1f} {0.3 + 0.2 * at:.1f} {'ae'[at % 2]} b c ana\n" for at in range(6))
    (tmp_path / "i.item").write_text(f"#file onset offset #phone prev-phone next-phone speaker\n{tokens}")
    items = ("--items", tmp_path / "i.item", "--speaker", "within")
    commands = {
        "encode": ("encode", tiny_bundle, folder, "--out", tmp_path / "out"),
        "train": ("train", tmp_path / "r.toml", "--out", tmp_path / "out", "--set", "train.steps = 2"),
        "evaluate": ("evaluate", "abx", tiny_bundle, "--recordings", folder, *items),
        "manifest": ("manifest", folder, tmp_path / "m.jsonl"),
    }
    code, _, lines = result = call(*commands[command])
    text = "\n".join(lines)
    assert "1 .eaf" in text
    assert "caf\\udce9.wav: its name is not UTF-8; rename it" in text
    if command == "encode":
        fault_only(result, "1 of 4 recordings could not be used")
    else:
        assert code == 0, lines
