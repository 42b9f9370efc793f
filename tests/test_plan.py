"""The plan of discover: minutes become steps once; equal steps and seed make equal bytes, whatever the clock says."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from protophone import curriculum, plan
from protophone.curriculum import DiscoverConfig, TrainingSteps
from protophone.discover import discover
from protophone.encoders.vqvae import VQVAEConfig
from protophone.errors import ConfigError, InputError
from protophone.plan import Budget, noted, paces_of
from protophone.train import Pace
from protophone.vocoders.vocos import VocosConfig
from tests.conftest import babble
from tests.test_discover import Watcher
from tests.tiny import contents

STEPS = {"units": 12, "pitch": 5, "synthesizer": 6}


@pytest.fixture(scope="module", autouse=True)
def _small():
    voice = VocosConfig(channels=16, blocks=1, fine_channels=16, fine_blocks=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curriculum, "VQVAEConfig", lambda: VQVAEConfig(channels=16, blocks=1))
        patch.setattr(curriculum, "VocosConfig", lambda: voice)
        yield


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan") / "in"
    for number, speaker in enumerate(("ana", "bo")):
        (folder / speaker).mkdir(parents=True)
        for index in range(2):
            quiet = 0.001 * np.random.default_rng(index).standard_normal(8000)
            speech = babble(1, seed=10 * number + index, pitch=110 + 90 * number)
            soundfile.write(folder / speaker / f"{index}.wav", np.concatenate([quiet, speech, quiet]), 16000)
    return folder


def run(recordings, out, watcher=None, **options):
    discover(recordings, out, DiscoverConfig(units=16, speaker_from="parent", **options), watcher or Watcher())
    return contents(out)


@pytest.fixture(scope="module")
def by_steps(recordings, tmp_path_factory):
    """A run of given steps, and its files."""
    out = tmp_path_factory.mktemp("first") / "out"
    return out, run(recordings, out, steps=TrainingSteps(**STEPS))


def test_equal_steps_make_equal_bytes_wherever_they_come_from(by_steps, recordings, tmp_path, monkeypatch):
    """Of minutes, interrupted, and resumed on a machine of another speed."""
    _, first = by_steps
    out = tmp_path / "out"
    paces = {name: Pace(0.5 * 60 * minutes / STEPS[name]) for name, minutes in {"units": 1.0, "pitch": 0.2}.items()}
    paces["synthesizer"] = Pace(0.8 * 30 / STEPS["synthesizer"])
    monkeypatch.setattr("protophone.discover.Budget.of", lambda *_: Budget(0.5, 0.1, 0.4, 2))
    monkeypatch.setattr(plan, "paces_of", lambda *_: paces)
    with pytest.raises(KeyboardInterrupt):
        run(recordings, out, Watcher("encoding"), minutes=2)
    assert json.loads((out / "plan.json").read_text()) == STEPS
    monkeypatch.setattr(plan, "paces_of", lambda *_: {name: Pace(1000) for name in STEPS})
    found = run(recordings, out, minutes=2)
    assert sorted(found) == sorted(first)
    assert [name for name in first if found[name] != first[name]] == ["discover.json"]  # it says what was asked for


def test_removing_work_after_the_fact_trains_nothing(by_steps, recordings, tmp_path):
    out, first = by_steps
    copy = shutil.copytree(out, tmp_path / "out")
    shutil.rmtree(copy / "work")
    watcher = Watcher()
    found = run(recordings, copy, watcher, steps=TrainingSteps(**STEPS))
    assert watcher.stages == ["listening", "encoding", "speaking"]
    kept = [name for name in first if not name.startswith("work/") and name != "report.html"]
    assert [name for name in kept if found[name] != first[name]] == []


def test_other_steps_are_another_run(by_steps, recordings):
    out, first = by_steps
    for options in ({"steps": TrainingSteps(units=12, pitch=5, synthesizer=7)}, {"minutes": 1}, {}):
        with pytest.raises(InputError, match="holds a run with other recordings or options"):
            run(recordings, out, **options)
    assert contents(out) == first


def test_a_plan_that_is_broken_or_missing_is_named(tmp_path):
    for text, said in (("{", "not readable as JSON"), ('{"units": -1, "pitch": 1, "synthesizer": 1}', "units")):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises((InputError, ConfigError), match=f"plan.json: {said}"):
            noted(tmp_path / "plan.json")
    with pytest.raises(InputError, match="none.json: not there"):
        noted(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": TrainingSteps(units=1, pitch=1, synthesizer=1), "minutes": 1.0}, "give one of them"),
        ({"steps": TrainingSteps(units=0, pitch=1, synthesizer=1)}, "in steps; write more than 0"),
        ({"steps": TrainingSteps(units=1, pitch=1, synthesizer=1), "system": "kmeans"}, "without steps; write 0"),
    ],
)
def test_steps_that_do_not_go_with_the_rest_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        DiscoverConfig(**options)


@pytest.mark.parametrize("text", ["", "1", "1,2", "1,2,3,4", "a,b,c", "1,2,-3", "1,,3", "1.5,2,3", "٣,1,1", "9" * 5000])
def test_steps_that_are_no_steps_are_refused(text):
    with pytest.raises(ConfigError, match="--steps .*write three whole numbers"):
        TrainingSteps.read(text)


def test_steps_are_read_as_they_are_written():
    steps = TrainingSteps(units=0, pitch=30, synthesizer=400)
    assert TrainingSteps.read(str(steps)) == steps


@pytest.mark.parametrize("reduction", [1, 8])
@pytest.mark.parametrize("system", ["vqvae", "kmeans"])
def test_a_step_of_every_training_is_timed(system, reduction, monkeypatch):
    timed = []
    monkeypatch.setattr(plan, "pace_of", lambda model, sampler, settings: timed.append((model, sampler, settings)))
    options = DiscoverConfig(system=system, units=16, time_reduction=reduction)
    names = list(paces_of(options, ("ana", "bo"), Budget(1, 1, 1, 1)))
    assert names == (["units"] if system == "vqvae" else []) + ["pitch", "synthesizer"]
    for model, sampler, settings in timed:
        batch = sampler(0)
        assert len(batch.frames) == settings.batch
        for _, loss in model.train().losses(batch):
            loss.backward()


def test_a_pace_turns_seconds_into_steps_and_back():
    assert Pace(0.5).steps(6) == 12
    assert Pace(0.5).seconds(12) == 6
    assert Pace(100.0).steps(1) == 1
    joined = Pace(1.0, judged=4.0, joins_at=10)
    assert [joined.steps(seconds) for seconds in (5, 10, 18)] == [5, 10, 12]
    assert [joined.seconds(steps) for steps in (5, 10, 12)] == [5, 10, 18]


def test_minutes_are_divided_as_told():
    divided = Budget.of(60, DiscoverConfig(minutes=30))
    assert divided.whole == pytest.approx(30)
    assert divided.units + divided.pitch + divided.synthesizer == pytest.approx(30 - 0.5 - 3)
    assert divided.pitch == 2
