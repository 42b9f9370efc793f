"""The one training loop: batches in, a model's named losses down, exact resume.

A model yields ``(name, loss)`` pairs, one a set of parameters; each loss steps the optimiser of its name before the
next is computed, so a GAN is no second loop. All randomness of a step comes from the seed and the step's number: a run
that was killed goes on to the same bytes (same machine, CPU, thread count).
"""

import json
import math
import reprlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from protophone.config import Batch, FrameCount, Minutes, Positive, Seed, Share, Steps, Weight, config, dump
from protophone.crops import CropSampler
from protophone.errors import InputError
from protophone.fabric import Precision, fabric_of
from protophone.files import atomic, check_regular, read_json, write_json
from protophone.memory import available, check_memory, kept_for_gradients, naming_memory
from protophone.progress import Stage, silent

__all__ = ["FREE", "Pace", "Run", "TrainConfig", "check_batch", "history", "pace_of", "train"]

_TOLD = 20  # steps between points of a curve
_FEW = 2  # rows of a batch whose memory is measured
_LARGE = 1000  # times the bytes of its crops, a batch is taken to need no more
_SMALLER = "write a smaller batch, a smaller crop or a smaller network"
_LOOKS = 20  # times that a training is looked at
_TRIALS, _TRIED = 8, 5.0  # steps that are timed, and the seconds after which three are enough
FREE = ("steps", "minutes", "save_every", "device")  # of ``TrainConfig``: may change while a run goes on


@config
class TrainConfig:
    """How long and how to train.

    ``steps``, or without them ``minutes``: a budget turned into steps once, by timing, and kept beside the run.
    ``precision`` is Fabric's; ``auto`` takes ``bf16-mixed`` where the processor or GPU computes in it, which is two to
    three times faster.
    """

    steps: Steps | None = None
    minutes: Minutes | None = None
    batch: Batch = 48
    crop: FrameCount = 160
    learning_rate: Positive = 1e-3
    final_rate: Share = 0.02
    warmup: Steps = 200
    weight_decay: Weight = 1e-3
    clip: Positive = 5.0
    seed: Seed = 0
    save_every: Steps = 100
    precision: Precision = "auto"
    device: str = "auto"


@dataclass
class Run:
    """A folder that holds a training's state: enough to go on after a kill.

    ``history`` is what is drawn of each figure, ``smoothed`` its running mean, ``settings`` what the state depends on.
    """

    folder: Path
    history: dict[str, list[list[float]]] = field(default_factory=dict)
    smoothed: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """Weights and optimiser state of the last saved step."""
        return self.folder / "state.safetensors"

    def save(self, model: nn.Module, optimizers: dict[str, torch.optim.Optimizer], step: int) -> None:
        """Writes everything as one file, whole or not at all."""
        tensors = {f"model/{name}": tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        for name, optimizer in optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    tensors[f"optimizer/{name}/{index}/{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
        # One entry: safetensors writes several in an order that differs from run to run.
        about = {"step": step, "settings": self.settings, "smoothed": self.smoothed, "history": self.history}
        with atomic(self.state) as temporary:
            temporary.write_bytes(save(tensors, {"run": json.dumps(about)}))

    def resume(self, model: nn.Module, optimizers: dict[str, torch.optim.Optimizer]) -> int:
        """Loads the last saved state into model and optimisers; the number of steps done.

        ``InputError`` where the state is another run's, or broken.
        """
        if not self.state.exists():
            return 0
        about, tensors = _read_state(self.state)
        for key in (key for key in self.settings if about["settings"].get(key) != self.settings[key]):
            was, now = about["settings"].get(key), self.settings[key]
            said = {"model": "another model's config", "data": "recordings that have changed"}.get(
                key, f"{key} was {was}, now {now}"
            )
            raise InputError(
                f"{self.folder}: holds a run with other settings ({said}); name another folder for this one"
            )
        weights = {key.removeprefix("model/"): value for key, value in tensors.items() if key.startswith("model/")}
        model.load_state_dict(weights)
        for name, optimizer in optimizers.items():
            states: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                kind, *rest = key.split("/")
                if kind == "optimizer" and rest[0] == name:
                    states.setdefault(int(rest[1]), {})[rest[2]] = value
            optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        self.history, self.smoothed = about["history"], about["smoothed"]
        return about["step"]


_STATED = {"step", "settings", "smoothed", "history"}  # keys of what a state says of its run


def _read_state(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a state says of its run, and its tensors."""
    check_regular(path)
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["run"])
            if not isinstance(about, dict) or not about.keys() >= _STATED:
                raise TypeError(f"of its run it says {reprlib.repr(about)}")  # noqa: TRY301 (one message for all)
            return about, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a whole state of a training ({error}); remove it to train anew") from None


def train(
    model: Any,
    sampler: Callable[[int], Any],
    settings: TrainConfig,
    folder: str | Path,
    *,
    data: str = "",
    look: Callable[[int], None] | None = None,
    stage: Stage = silent,
    title: str = "training",
) -> Run:
    """Trains ``model`` on ``sampler(step)`` and leaves its state in ``folder``; goes on where an earlier run stopped.

    ``model.parameter_groups()`` names the parameters each loss of ``model.losses(batch)`` steps. ``data`` tells apart
    what the sampler draws from. ``look(steps)`` is called every twentieth of the way with the steps done. Raises
    ``InputError`` when ``folder`` holds a run of other settings or data, or when a loss is no longer finite.
    """
    folder = Path(folder)
    fabric = fabric_of(settings.device, settings.precision)
    model = model.to(fabric.device)
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.AdamW(
            list(parameters), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
        )
        for name, parameters in model.parameter_groups().items()
    }
    # A run may be continued for longer, elsewhere, or saved at other steps; all else makes it another run.
    kept = {key: value for key, value in asdict(settings).items() if key not in FREE}
    run = Run(folder, settings={**kept, "model": dump(model.config), "data": data})
    _check_memory(model, sampler, settings, fabric)
    steps = _budget(model, sampler, settings, folder)
    done = run.resume(model, optimizers)
    model.train()
    with stage(title, steps) as advance, _whole_steps() as interrupted:
        told = 0
        for step in range(done, steps):
            rate = settings.learning_rate * _schedule(step, steps, settings)
            with naming_memory(_batches(settings), _SMALLER):
                figures = _step(model, optimizers, sampler, settings, fabric, step, rate)
            _follow(run, figures, step)
            if step % _TOLD == 0 or step == steps - 1:
                for name, value in run.smoothed.items():
                    run.history.setdefault(name, []).append([step, round(value, 6)])
                advance(step + 1 - told, note=" ".join(f"{name} {value:.3f}" for name, value in run.smoothed.items()))
                told = step + 1
            if look is not None and ((step + 1) % max(1, steps // _LOOKS) == 0 or step == steps - 1):
                look(step + 1)
            if (step + 1) % settings.save_every == 0 or step == steps - 1 or interrupted.is_set():
                run.save(model, optimizers, step + 1)
            if interrupted.is_set():
                raise KeyboardInterrupt
    model.eval()
    return run


@contextmanager
def _whole_steps() -> Iterator[threading.Event]:
    """Ctrl-C sets the event it yields in place of breaking a step in two; a second one does break it."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # signals are the main thread's
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*_: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def check_batch(sampler: CropSampler, settings: TrainConfig) -> None:
    """Raise ``ConfigError`` if memory does not hold a batch of ``sampler``."""
    check_memory(sampler.nbytes, _batches(settings), _SMALLER)


def _check_memory(model: Any, sampler: Any, settings: TrainConfig, fabric: Fabric) -> None:
    """Raise ``ConfigError`` if a batch, with all that is kept for its gradients, does not fit in memory.

    For large batches alone, a copy of the model tries two rows. A GPU says by itself that its memory is short.
    """
    if not isinstance(sampler, CropSampler):
        return
    check_batch(sampler, settings)
    if fabric.device.type != "cpu" or settings.batch <= _FEW or sampler.nbytes * _LARGE < available():
        return
    trial = deepcopy(model).train()
    batch = sampler.few(_FEW)(0)
    with fabric.autocast():
        kept = kept_for_gradients(lambda: trial.losses(batch))
    check_memory(kept / _FEW * settings.batch, _batches(settings), _SMALLER)


def _batches(settings: TrainConfig) -> str:
    return f"train.batch {settings.batch} of train.crop {settings.crop}"


def _follow(run: Run, figures: Mapping[str, float], step: int) -> None:
    """Takes what a step measured into the running means; ``InputError`` for what is no number any more."""
    for name, value in figures.items():
        if not math.isfinite(value):
            raise InputError(
                f"{run.folder}: the loss {name} is {value} at step {step}; train with a smaller rate, "
                "for example --set 'train.learning_rate = 3e-4'"
            )
        run.smoothed[name] = 0.98 * run.smoothed.get(name, value) + 0.02 * value


def _step(
    model: Any,
    optimizers: Mapping[str, torch.optim.Optimizer],
    sampler: Callable[[int], Any],
    settings: TrainConfig,
    fabric: Fabric,
    step: int,
    rate: float,
) -> dict[str, float]:
    """One batch: each named loss steps its own optimiser."""
    torch.manual_seed(hash((settings.seed, step)) % 2**31)
    batch = sampler(step).to(fabric.device)
    with fabric.autocast():
        for name, loss in model.losses(batch):
            optimizer = optimizers[name]
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], settings.clip)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
    return {name: float(value) for name, value in model.figures.items()}


def _schedule(step: int, steps: int, settings: TrainConfig) -> float:
    """Linear warm-up, then half a cosine down to ``final_rate`` of the peak."""
    warmup = min(settings.warmup, max(1, steps // 10))
    if step < warmup:
        return (step + 1) / warmup
    along = (step - warmup) / max(1, steps - warmup)
    return settings.final_rate + (1 - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * along))


@dataclass(frozen=True)
class Pace:
    """Seconds that a step takes: ``each``, and from step ``joins_at`` on, when discriminators join, ``judged``."""

    each: float
    judged: float = 0.0
    joins_at: float = math.inf

    def steps(self, seconds: float) -> int:
        """Return the number of steps that fit into ``seconds``, at least 1."""
        alone = seconds / self.each
        if alone <= self.joins_at:
            return max(1, round(alone))
        return int(self.joins_at) + max(1, round((seconds - self.joins_at * self.each) / self.judged))

    def seconds(self, steps: int) -> float:
        """Return the seconds that ``steps`` take."""
        after = max(0.0, steps - self.joins_at)
        return (steps - after) * self.each + after * self.judged


def pace_of(model: Any, sampler: Callable[[int], Any], settings: TrainConfig) -> Pace:
    """Measure the time of a training step of ``model`` on batches of ``sampler``; leaves the model as it was.

    Steps with discriminators are timed only if the steps or minutes of ``settings`` reach them.
    """
    fabric = fabric_of(settings.device, settings.precision)
    model = model.to(fabric.device)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    throwaway = {
        name: torch.optim.AdamW(list(parameters), lr=0.0) for name, parameters in model.parameter_groups().items()
    }
    model.train()

    def timed() -> float:
        seconds: list[float] = []
        while len(seconds) < 3 or (len(seconds) < _TRIALS and sum(seconds) < _TRIED):
            begun = time.monotonic()
            _step(model, throwaway, sampler, settings, fabric, len(seconds), 0.0)
            seconds.append(time.monotonic() - begun)
        settled = sorted(seconds[2:])
        return settled[len(settled) // 2]

    pace = Pace(timed())
    discriminators: Any = getattr(model, "discriminator", None)
    joins_at = getattr(discriminators, "joins_at", 0)
    within = pace.steps(60 * (settings.minutes or 0.0)) if settings.steps is None else settings.steps
    if 0 < joins_at < within:
        discriminators.steps_done.fill_(joins_at)
        pace = Pace(pace.each, timed(), joins_at)
    model.load_state_dict(weights)
    return pace


def _budget(model: Any, sampler: Callable[[int], Any], settings: TrainConfig, folder: Path) -> int:
    """Steps to train: as the config says, or as many as fit its minutes, measured once and kept in ``budget.json``."""
    if settings.steps is not None:
        return settings.steps
    if settings.minutes is None:
        raise InputError("train needs steps or minutes, for example --set 'train.steps = 2000'")
    path = folder / "budget.json"
    if path.exists():
        kept = read_json(path, minutes=(int, float), steps=int)
        if kept["minutes"] == settings.minutes:
            return kept["steps"]
    steps = pace_of(model, sampler, settings).steps(settings.minutes * 60)
    write_json(path, {"minutes": settings.minutes, "steps": steps})
    return steps


def history(folder: str | Path) -> dict[str, list[list[float]]]:
    """Loss curves of the run in ``folder``, ``[[step, value], ...]`` each; none where nothing was trained there."""
    state = Run(Path(folder)).state
    return _read_state(state)[0]["history"] if state.exists() else {}
