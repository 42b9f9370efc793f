"""Whose voice is it: Resemblyzer's pretrained speaker embedder, on this package's own spectra.

    pip install --no-deps resemblyzer

Only the weights file of that package is read, as plain tensors; none of its code is run, so neither webrtcvad nor a
compiler is needed. The network is the GE2E embedder of Wan et al. 2018 (arXiv 1710.10467): 40 mel bands, three LSTM
layers, one vector a sound. Long silences are not cut out first, which Resemblyzer would do with webrtcvad.
"""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from protophone.errors import InputError
from protophone.spectral import mel_power

RATE = 16000
HOP, WINDOW, BANDS, SIZE, LAYERS = 160, 400, 40, 256, 3
SPAN = 160  # frames of a partial utterance, 1.6 s
STEP = 77  # frames from one partial utterance to the next: 1.3 a second
COVERED = 0.75  # part of the last partial utterance that must be sound
LEVEL = 10 ** (-30 / 20)  # root mean square to which quieter sounds are raised, -30 dBFS


class SpeakerEmbedder(nn.Module):
    """Sound to a vector of length one; vectors of one speaker lie close together (cosine)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, SIZE, LAYERS, batch_first=True)
        self.linear = nn.Linear(SIZE, SIZE)

    @classmethod
    def pretrained(cls) -> "SpeakerEmbedder":
        """The embedder with Resemblyzer's weights; ``InputError`` where these are not installed or do not fit."""
        package = importlib.util.find_spec("resemblyzer")
        if package is None or package.origin is None:
            raise InputError("the speaker embedder's weights are missing: pip install --no-deps resemblyzer")
        path = Path(package.origin).with_name("pretrained.pt")
        embedder = cls()
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
            embedder.load_state_dict({name: weights[name] for name in embedder.state_dict()})
        except (OSError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
            raise InputError(f"{path}: not this embedder's weights ({error}); install resemblyzer 0.1.4") from error
        return embedder.eval()

    def forward(self, mel: Tensor) -> Tensor:
        """Vectors ``[batch, SIZE]`` of length one for power in mel bands ``[batch, frame, BANDS]``."""
        _, (hidden, _) = self.lstm(mel)
        return F.normalize(self.linear(hidden[-1]).relu(), dim=1)

    @torch.inference_mode()
    def embed(self, samples: np.ndarray, sample_rate: int = RATE) -> np.ndarray:
        """Vector float32 ``[SIZE]`` of length one for sound ``[sample]``: the mean over its partial utterances."""
        samples = soxr.resample(samples, sample_rate, RATE)
        loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        if 0 < loudness < LEVEL:
            samples = samples * (LEVEL / loudness)
        starts = partial_starts(len(samples))
        sound = torch.from_numpy(samples.astype(np.float32))
        sound = F.pad(sound, (0, max(0, (starts[-1] + SPAN) * HOP - len(sound))))
        mel = mel_power(sound[None], RATE, WINDOW, HOP, WINDOW, BANDS)[0]
        parts = self(torch.stack([mel[start : start + SPAN] for start in starts]))
        return F.normalize(parts.mean(0), dim=0).numpy()


def partial_starts(num_samples: int) -> list[int]:
    """First frames of a sound's partial utterances; the last may reach past the end by a quarter of its span."""
    frames = num_samples // HOP + 1
    starts = list(range(0, max(1, frames - SPAN + STEP + 1), STEP))
    if len(starts) > 1 and num_samples - starts[-1] * HOP < COVERED * SPAN * HOP:
        starts.pop()
    return starts


def centroid(vectors: np.ndarray) -> np.ndarray:
    """A speaker's vector, of length one: the mean of the vectors ``[recording, SIZE]`` of some recordings."""
    mean = vectors.mean(0)
    return mean / np.linalg.norm(mean)
