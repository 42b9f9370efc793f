"""Judges that are quick and know the answer: a recogniser, a speaker embedder, and scores of quality."""

import numpy as np
import torch

from protophone.errors import InputError
from protophone.features.speaker import SpeakerEmbedder
from protophone.metrics.quality import DNSMOS, Scores
from protophone.recognizers import TextRecognizer

SAID = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SAME_LENGTH = ("spectral_convergence", "log_stft_magnitude", "lsd_db", "stoi")


class Loudness(TextRecognizer):
    """Hears one word for each 0.1 s, and ``x`` in place of the first where the sound is quiet."""

    languages = frozenset({"en", "fr"})
    settings = {"recognizer": "loudness 1", "beam": 5}  # noqa: RUF012

    def __init__(self):
        self.heard = 0

    def transcribe(self, samples, language):
        self.heard += 1
        words = SAID[: round(len(samples) / 1600)]
        return " ".join(["x", *words[1:]] if np.abs(samples).max() < 0.2 else words)


class Zeros(SpeakerEmbedder):
    """A voice is how often its samples change sign, as a direction in the plane."""

    name, package, weights = "zeros", "none 1", "00ff"
    sample_rate, shortest, dim = 16000, 400, 2

    def _vectors(self, audio):
        rows = [audio[row] for row in range(len(audio.lengths))]
        angles = torch.tensor([np.pi * (np.diff(np.sign(row)) != 0).mean() for row in rows])
        return torch.stack([angles.cos(), angles.sin()], 1).float()


def load_zeros(name):
    if name != "zeros":
        raise InputError(f"{name}: no speaker embedder of this name")
    return Zeros()


def use_fakes(monkeypatch):
    """Puts them in place of the real ones; returns the recogniser, which counts what it heard, and the scores asked."""
    judge, asked = Loudness(), []
    for module in ("intelligibility", "everything"):
        monkeypatch.setattr(f"protophone.evaluate.{module}.load_recognizer", lambda _: judge)
    for module in ("voices", "resynthesis", "everything"):
        monkeypatch.setattr(f"protophone.evaluate.{module}.load_embedder", load_zeros)

    def pair_scores(original, made, sample_rate):
        asked.append(len(made))
        if len(original) != len(made):
            return Scores({"mcd_db": 9.0}, dict.fromkeys(SAME_LENGTH, "lengths differ"))
        return Scores(dict.fromkeys(("mcd_db", *SAME_LENGTH), float(np.abs(original - made).mean())), {})

    def sound_scores(samples, sample_rate):
        return Scores(dict.fromkeys(DNSMOS, float(np.abs(samples).max())), {})

    monkeypatch.setattr("protophone.evaluate.quality.pair_scores", pair_scores)
    monkeypatch.setattr("protophone.evaluate.quality.sound_scores", sound_scores)
    monkeypatch.setattr("protophone.evaluate.quality.protocol", lambda measure: {"measure": measure})
    return judge, asked
