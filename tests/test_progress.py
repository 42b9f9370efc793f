"""Progress: within a long recording it moves by seconds of sound, and the time left is that of the whole command."""

import io
import math
import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from protophone.cli import progress as shown
from protophone.cli import terminal
from protophone.cli.progress import Terminal
from protophone.corpus import encode_corpus
from protophone.data import Pack
from protophone.encoders import ContentVQVAEConfig
from protophone.model import load
from protophone.outlook import of_training
from protophone.progress import portion
from protophone.recipe import DataConfig, EncoderRecipe, run_recipe
from protophone.survey import listen
from protophone.train import TrainConfig
from protophone.types import Recording
from tests.conftest import babble
from tests.tiny import Told, encoder_recipe, voice_recipe

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 90


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("tape") / "tape.wav"
    soundfile.write(path, np.tile(np.concatenate([babble(7), np.zeros(48000)]), SECONDS // 10), 16000)
    (path.parent / "bad.wav").write_text("no sound")
    return [Recording(id="tape", path=path), Recording(id="bad", path=path.parent / "bad.wav")]


def listened(tape, folder, told, _):
    listen(folder, tape, folder / "survey.json", lambda: None, told.stage)


def packed(tape, folder, told, _, passes=1):
    def parts(recording):
        recording.passes = passes
        for _ in range(passes):
            yield from (block[:, None] for block in recording.blocks())

    Pack.build(folder, tape, parts, sample_rate=16000, dtype="float32", settings={}, stage=told.stage, failures=[])


def packed_in_two_passes(tape, folder, told, bundle):
    packed(tape, folder, told, bundle, 2)


def encoded(tape, folder, told, bundle):
    encode_corpus(load(bundle), tape, folder / "units", stage=told.stage)


@pytest.mark.parametrize("work", [listened, packed, packed_in_two_passes, encoded])
def test_within_a_tape_progress_moves_by_seconds_of_sound(work, tape, tmp_path, tiny_bundle):
    told = Told()
    work(tape, tmp_path, told, tiny_bundle)
    ((_, total, unit),) = told.stages
    assert (total, unit) == (SECONDS, "seconds")
    assert sum(told.moves) == pytest.approx(SECONDS)
    assert max(told.moves) <= 20


def test_a_portion_is_never_exceeded_and_always_completed():
    moves = []
    with portion(moves.append, 5) as move:
        move(3)
        move(4)
    with pytest.raises(KeyError), portion(moves.append, 5) as move:
        move(1)
        raise KeyError
    assert moves == [3, 2, 0, 1, 4]


@contextmanager
def clocked(monkeypatch, **options):
    """A clock to turn, and what the console was written."""
    now, out = [0.0], io.StringIO()
    monkeypatch.setattr(shown.time, "monotonic", lambda: now[0])
    console = Console(file=out, highlight=False, width=200, **options)
    for module in (shown, terminal):
        monkeypatch.setattr(module, "console", console)
    yield now, out


def test_the_time_left_is_that_of_the_command_and_a_line_comes_every_half_minute(monkeypatch):
    with clocked(monkeypatch) as (now, out):
        shows = Terminal()
        shows.expect([("first", 60), ("skipped", 1000), ("second", 600), ("third", 1200)])
        with shows.stage("second", 3600, "seconds") as advance:
            for _ in range(6):
                now[0] += 16
                advance(180)
        with shows.stage("third", 10) as advance:
            now[0] += 31
            advance(5, note="loss 1.0")
        with shows.stage("unexpected", 2) as advance:
            now[0] += 31
            advance(1)
    assert out.getvalue().splitlines() == [
        "second: 6.0 of 60.0 min of sound; 25 min left",  # at 180 s in 16 s 288 s, and 1200 of the third
        "second: 12.0 of 60.0 min of sound; 24 min left",
        "second: 18.0 of 60.0 min of sound; 24 min left",
        "second: done",
        "third: 5 of 10; 31 s left; loss 1.0",
        "third: done",
        "unexpected: 1 of 2; 31 s left",
        "unexpected: done",
    ]


def test_time_that_is_not_known_is_said_to_be_more(monkeypatch):
    with clocked(monkeypatch) as (now, out):
        shows = Terminal()
        shows.expect([("reading", 60), ("training", float("nan"))])
        with shows.stage("reading", 4) as advance:
            now[0] += 40
            advance(1)
            now[0] += 35
            advance(2)
    assert out.getvalue().splitlines()[:2] == ["reading: 1 of 4; over 2 min left", "reading: 3 of 4; over 25 s left"]


def test_a_terminal_shows_the_time_left(monkeypatch):
    with clocked(monkeypatch, force_terminal=True) as (now, out):
        shows = Terminal()
        shows.expect([("reading", 60), ("training", 3540)])
        with shows.stage("reading", 600, "seconds") as advance:
            now[0] += 30
            advance(300)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
    assert "60 min left" in text
    assert "5.0 of 10.0 min of sound" in text


def test_a_training_goes_through_the_stages_that_were_expected(tiny_corpus, tmp_path):
    recordings = tiny_corpus / "manifest.jsonl"
    jobs = [encoder_recipe(tmp_path / "e.toml", recordings, "train.steps = 2")]
    bundle = run_recipe(jobs[0], tmp_path / "encoder")
    jobs.append(voice_recipe(tmp_path / "v.toml", bundle, recordings, "train.steps = 2"))
    for number, job in enumerate(jobs):
        told = Told()
        run_recipe(job, tmp_path / f"again{number}", stage=told.stage)
        ahead = of_training(job)
        assert [title for title, *_ in told.stages] == [title for title, _ in ahead if title != "tracking pitch"]
        assert math.isnan(ahead[-1][1])
        assert all(0 < seconds < 1 for _, seconds in ahead[:-1])


def test_minutes_of_a_recipe_are_expected():
    job = EncoderRecipe(
        data=DataConfig(recordings=str(ROOT / "examples/recordings"), split="all"),
        encoder=ContentVQVAEConfig(),
        train=TrainConfig(minutes=3),
    )
    *read, last = of_training(job)
    assert [title for title, _ in read] == ["computing statistics", "computing features", "tracking pitch"]
    assert last == ("learning units", 180)
