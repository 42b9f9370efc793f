"""The training loop: budget, schedule, resume to the byte, and losses that stop being numbers."""

import json
import re
import signal
from contextlib import contextmanager
from typing import Literal

import pytest
import torch
from torch import nn

from protophone import train as training
from protophone.config import config
from protophone.crops import Crops
from protophone.errors import InputError
from protophone.train import Run, TrainConfig, history, train


@config
class LineConfig:
    kind: Literal["line"] = "line"
    bias: bool = True


class Line(nn.Module):
    """Two parameters with a loss each; batch normalisation and noise make resuming matter."""

    def __init__(self, settings=None):
        super().__init__()
        self.config = settings or LineConfig()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 1)
        self.norm = nn.BatchNorm1d(3)
        self.poison = None
        self.seen = []

    def parameter_groups(self):
        return {"a": [*self.first.parameters(), *self.norm.parameters()], "b": list(self.second.parameters())}

    def losses(self, batch):
        self.seen.append(float(batch.frames.sum()))
        hidden = self.norm(self.first(batch.frames[:, 0]) + 0.1 * torch.randn(len(batch.frames), 3))
        a = hidden.square().mean()
        self.figures = {"a": a.detach()}
        yield "a", a
        b = (self.second(hidden.detach()) - 1).square().mean()
        if self.poison == len(self.seen):
            b = b * torch.nan
        self.figures["b"] = b.detach()
        yield "b", b


def sampler(step):
    frames = torch.randn(4, 1, 3, generator=torch.Generator().manual_seed(step))
    return Crops(frames, frames, torch.ones(4, 1), torch.zeros(4, dtype=torch.int64))


def fresh(settings=None):
    torch.manual_seed(1)
    return Line(settings)


def go(folder, *, model=None, **options):
    settings = TrainConfig(**{"steps": 50, "warmup": 5, "device": "cpu", "save_every": 6, **options})
    return train(model or fresh(), sampler, settings, folder)


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [1, 6, 7, 29, 48])
def test_an_interrupted_run_ends_in_the_same_bytes(tmp_path, at, monkeypatch):
    go(tmp_path / "unbroken")
    real, calls = training._step, [0]

    def broken(*arguments):
        calls[0] += 1
        if calls[0] == at:
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(training, "_step", broken)
    with pytest.raises(Killed):
        go(tmp_path / "broken")
    monkeypatch.setattr(training, "_step", real)
    model = fresh()
    go(tmp_path / "broken", model=model)
    assert len(model.seen) == 50 - (at - 1) // 6 * 6  # what was saved is not done again
    states = [(tmp_path / name / "state.safetensors").read_bytes() for name in ("unbroken", "broken")]
    assert states[0] == states[1]
    assert history(tmp_path / "broken") == history(tmp_path / "unbroken")


def test_a_finished_run_is_loaded_and_not_trained_again(tmp_path):
    trained = fresh()
    go(tmp_path, model=trained)
    again = fresh()
    go(tmp_path, model=again)
    assert again.seen == []
    assert not again.training
    for name, value in trained.state_dict().items():
        assert again.state_dict()[name].equal(value), name


def test_a_run_may_go_on_for_longer_but_not_as_another(tmp_path):
    go(tmp_path, steps=10)
    longer = fresh()
    go(tmp_path, steps=15, save_every=100, model=longer)
    assert len(longer.seen) == 5
    for changes in ({"batch": 7}, {"seed": 1}, {"learning_rate": 0.1}, {"model": fresh(LineConfig(bias=False))}):
        with pytest.raises(InputError, match="holds a run with other settings .*; name another folder"):
            go(tmp_path, **changes)


def test_a_state_that_is_broken_is_named(tmp_path):
    go(tmp_path, steps=2)
    path = tmp_path / "state.safetensors"
    for content in (path.read_bytes()[:-10], b"", b"no state at all"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"state\.safetensors: not a whole state.*remove it"):
            go(tmp_path, steps=2)


def test_each_loss_steps_its_own_parameters_with_what_the_schedule_says(tmp_path, monkeypatch):
    rates = []
    real = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self, *a: rates.append(self.param_groups[0]["lr"]) or real(self, *a)
    )
    go(tmp_path, steps=100, warmup=10, learning_rate=0.5, final_rate=0.1)
    assert len(rates) == 200
    assert rates[::2] == rates[1::2]
    assert rates[:20:2] == pytest.approx([0.05 * (step + 1) for step in range(10)])
    assert max(rates) == rates[20] == 0.5
    assert rates[20::2] == sorted(rates[20::2], reverse=True)
    assert rates[110] == pytest.approx(0.5 * (0.1 + 0.9 / 2), rel=1e-6)  # half of the cosine
    assert rates[-1] == pytest.approx(0.05, rel=0.02)


def test_a_short_run_warms_up_for_a_tenth_of_it():
    settings = TrainConfig(warmup=200)
    assert training._schedule(0, 20, settings) == 0.5
    assert training._schedule(1, 20, settings) == training._schedule(2, 20, settings) == 1
    assert training._schedule(0, 1, settings) == 1


def test_a_loss_that_is_no_number_stops_with_the_step_and_a_cure(tmp_path):
    model = fresh()
    model.poison = 8
    with pytest.raises(
        InputError, match=r"the loss b is nan at step 7; train with a smaller rate.*train.learning_rate"
    ):
        go(tmp_path, model=model)
    assert not any(torch.tensor(value).isnan().any() for value in history(tmp_path).values())
    resumed = fresh()
    go(tmp_path, model=resumed)  # what was saved before is good to go on from
    assert len(resumed.seen) == 44


def test_minutes_become_steps_once(tmp_path, monkeypatch):
    clock = [0.0]
    real = training._step

    def slow(*arguments):
        clock[0] += 0.5
        return real(*arguments)

    monkeypatch.setattr(training.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(training, "_step", slow)
    model = fresh()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = TrainConfig(minutes=0.1, device="cpu")
    steps = training._budget(model, sampler, settings, tmp_path)
    assert steps == 12
    assert json.loads((tmp_path / "budget.json").read_text()) == {"minutes": 0.1, "steps": 12}
    for name, value in model.state_dict().items():  # timing teaches nothing
        assert value.equal(before[name]), name
    seen = len(model.seen)
    clock[0] = 1000
    assert training._budget(model, sampler, settings, tmp_path) == 12
    assert len(model.seen) == seen


def test_timing_changes_no_byte_of_what_is_learned(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "budget.json").write_text('{"minutes": 0.01, "steps": 9}')
    run = go(tmp_path / "kept", steps=None, minutes=0.01)
    steps = json.loads((tmp_path / "kept" / "budget.json").read_text())["steps"]
    model = fresh()
    settings = TrainConfig(minutes=0.01, warmup=5, device="cpu", save_every=6)
    training._budget(model, sampler, settings, tmp_path / "timed")
    (tmp_path / "timed" / "budget.json").write_text('{"minutes": 0.01, "steps": 9}')
    train(model, sampler, settings, tmp_path / "timed")
    assert steps == 9
    assert run.state.read_bytes() == (tmp_path / "timed" / "state.safetensors").read_bytes()


def test_no_budget_and_no_such_device_are_said(tmp_path):
    with pytest.raises(InputError, match="train needs steps or minutes, for example --set"):
        go(tmp_path, steps=None)
    for device in ("abacus", "cuda:99", "cpu:x"):
        with pytest.raises(InputError, match=f"device '{device}' cannot be used here .*; use cpu"):
            go(tmp_path, device=device)


def test_progress_is_told(tmp_path):
    told = []

    @contextmanager
    def stage(*title_and_total):
        told.append(title_and_total)
        yield lambda count, note: told.append((count, re.sub(r"-?\d\.\d{3}", "N", note)))

    train(fresh(), sampler, TrainConfig(steps=41, device="cpu"), tmp_path, stage=stage, title="lines")
    assert told == [("lines", 41), *[(count, "a N b N") for count in (1, 20, 20)]]
    assert Run(tmp_path).state.exists()


def test_ctrl_c_waits_for_the_step_and_keeps_it(tmp_path):
    """The run goes on from the very step, to the bytes of an unbroken one."""

    def interrupting(step):
        if step == 13:
            signal.raise_signal(signal.SIGINT)
        return sampler(step)

    settings = TrainConfig(steps=30, warmup=5, device="cpu", save_every=1000)
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), interrupting, settings, tmp_path / "broken")
    resumed = fresh()
    train(resumed, sampler, settings, tmp_path / "broken")
    assert len(resumed.seen) == 30 - 14
    train(fresh(), sampler, settings, tmp_path / "unbroken")
    assert Run(tmp_path / "broken").state.read_bytes() == Run(tmp_path / "unbroken").state.read_bytes()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
