"""A tiny corpus, recipes that learn from it in a second or two, and the command line in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from protophone import curriculum, plan
from protophone.encoders.vqvae import VQVAEConfig
from protophone.recipe import EncoderRecipe, VoiceRecipe, load_recipe, run_recipe
from protophone.train import Pace
from protophone.vocoders.vocos import VocosConfig
from tests.conftest import babble

ENCODER = """
[data]
recordings = "{recordings}"
[encoder]
kind = "vqvae"
channels = 16
blocks = 1
[encoder.quantizer]
num_units = 16
dim = 8
[train]
steps = 40
batch = 8
crop = 40
save_every = 7
device = "cpu"
"""
VOICE = """
bundle = "{bundle}"
name = "tiny"
[data]
recordings = "{recordings}"
[voice]
kind = "code2spec"
channels = 16
layers = 2
n_fft = 1024
speaker_dim = 4
iterations = 4
adversary = "lsgan"
[train]
steps = 20
batch = 4
crop = 40
save_every = 7
device = "cpu"
"""


def write_corpus(folder: Path, *, seconds: float = 1.5, each: int = 3) -> Path:
    """Folders of two speakers, whose files have the same names; and a manifest that names them."""
    lines = []
    for number, speaker in enumerate(("ana", "bo")):
        (folder / speaker).mkdir(parents=True)
        for index in range(each):
            sound = babble(seconds + 0.2 * index, seed=10 * number + index, pitch=110 + 90 * number)
            soundfile.write(folder / speaker / f"{index}.wav", sound, 16000, subtype="PCM_16")
            lines.append(f'{{"id": "{speaker}/{index}", "audio": "{speaker}/{index}.wav", "speaker": "{speaker}"}}\n')
    (folder / "manifest.jsonl").write_text("".join(lines))
    return folder


def encoder_recipe(path: Path, recordings: Path, *overrides: str) -> EncoderRecipe:
    path.write_text(ENCODER.format(recordings=recordings))
    return load_recipe(path, list(overrides))


def voice_recipe(path: Path, bundle: Path, recordings: Path, *overrides: str) -> VoiceRecipe:
    path.write_text(VOICE.format(bundle=bundle, recordings=recordings))
    return load_recipe(path, list(overrides))


def learn(folder: Path, recordings: Path) -> Path:
    """A bundle with two voices, learned from ``recordings``."""
    manifest = recordings / "manifest.jsonl"
    folder.mkdir(parents=True)
    bundle = run_recipe(encoder_recipe(folder / "e.toml", manifest), folder / "encoder")
    run_recipe(voice_recipe(folder / "v.toml", bundle, manifest), folder / "voice")
    return bundle


class Told:
    """A watcher that keeps the stages and what they were told."""

    def __init__(self):
        self.stages, self.moves = [], []

    @contextmanager
    def stage(self, *title_total_unit):
        self.stages.append(title_total_unit)
        yield lambda amount, **_: self.moves.append(amount)


def small_networks(patch: pytest.MonkeyPatch, *, measured: bool = True) -> None:
    """Makes ``discover`` train small networks, whose steps it times only if ``measured``."""
    voice = VocosConfig(channels=16, blocks=1, fine_channels=16, fine_blocks=1)
    patch.setattr(curriculum, "VQVAEConfig", lambda: VQVAEConfig(channels=16, blocks=1))
    patch.setattr(curriculum, "VocosConfig", lambda: voice)
    if not measured:
        patch.setattr(plan, "pace_of", lambda *_: Pace(0.01))


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


def protophone(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from protophone.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(),
        check=False,
    )


def stopped_when(seen, arguments: list[object], how: int = signal.SIGKILL) -> subprocess.CompletedProcess:
    """Starts the command line and sends it a signal as soon as ``seen()`` is true."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from protophone.cli import main; main()", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    deadline = time.monotonic() + 60
    while not seen() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run_jobs(place: Path, jobs: list[dict]) -> None:
    """Runs the jobs of ``tests.kills`` in a process of its own."""
    path = place / "jobs.json"
    path.write_text(json.dumps(jobs))
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-m", "tests.kills", path], cwd=root, env=environment(), check=True)
