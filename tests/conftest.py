"""Shared fixtures: where the recordings lie, seeds, and small sounds that behave like speech."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

for number, handler in ((signal.SIGINT, signal.default_int_handler), (getattr(signal, "SIGHUP", None), signal.SIG_DFL)):
    if number is not None:
        signal.signal(number, handler)  # in the background, or under nohup, tests begin with these ignored

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def corpus(name: str) -> Path:
    """Folder of a corpus of real recordings; skips the test, saying so, where it is not there."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"the {name} recordings are not at {folder}")
    return folder


def case(*parts: str) -> Path:
    """Return a small input that failed once; skip the test if it is absent."""
    path = DATA.parent.joinpath("cases", *parts)
    if not path.exists():
        pytest.skip(f"the case is not at {path}")
    return path


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    np.random.seed(0)


def babble(seconds: float, seed: int = 0, sample_rate: int = 16000, pitch: float = 120.0) -> np.ndarray:
    """Vowel-like sound whose formants jump every 80 to 200 ms: float32 ``[sample]``."""
    rng = np.random.default_rng(seed)
    total = int(seconds * sample_rate)
    out = np.zeros(total)
    at = 0
    while at < total:
        length = min(int(rng.uniform(0.08, 0.2) * sample_rate), total - at)
        t = np.arange(length) / sample_rate
        formants = rng.choice([300, 500, 700], 1)[0], rng.choice([900, 1500, 2200], 1)[0]
        for harmonic in range(1, 30):
            frequency = harmonic * pitch
            gain = sum(1 / (1 + ((frequency - formant) / 150) ** 2) for formant in formants)
            out[at : at + length] += gain * np.sin(2 * np.pi * frequency * t)
        at += length
    out += 0.01 * rng.standard_normal(total)
    return (0.3 * out / np.abs(out).max()).astype(np.float32)


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory) -> Path:
    """Six short recordings of two speakers, in folders and in a manifest."""
    from tests.tiny import write_corpus

    return write_corpus(tmp_path_factory.mktemp("tiny") / "corpus")


@pytest.fixture(scope="session")
def tiny_hubert(tmp_path_factory) -> Path:
    """The folder of a small HuBERT with random weights."""
    pytest.importorskip("transformers")
    from tests.ssl_models import save_folder, tiny_model

    return save_folder(tiny_model(), tmp_path_factory.mktemp("hubert") / "tiny", normalized=False)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_corpus) -> Path:
    """A bundle with two voices, learned in a second or two; tests must not write to it."""
    from tests.tiny import learn

    return learn(tiny_corpus.parent / "learned", tiny_corpus)


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the command line in this process: exit code, standard output, lines of standard error."""
    from tests.calls import called

    return lambda *arguments: called(arguments, monkeypatch, capsys)
