"""Whose voice it is: pretrained speaker embedders, chosen by name.

``resemblyzer`` is the GE2E network of Wan et al. 2018 (arXiv 1710.10467) with the weights of that package, on this
package's own spectra: 40 mel bands, three LSTM layers. Only its weights file is read, as plain tensors; none of its
code is run, so neither webrtcvad nor a compiler is needed, and long silences are not cut out first, as webrtcvad would.
Anything else is the folder, or the cached Hugging Face name, of a transformers x-vector model (``WavLMForXVector`` and
its like; Snyder et al. 2018). Nothing is fetched.

Similarities of two embedders do not compare, nor do those of one embedder and its next version: ``settings`` says
which one it was.
"""

import hashlib
import importlib.util
import pickle
from abc import ABC, abstractmethod
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from protophone.audio import is_flat
from protophone.errors import AudioError, InputError
from protophone.spectral import mel_power
from protophone.types import AudioBatch

__all__ = ["Resemblyzer", "SpeakerEmbedder", "XVector", "load_embedder", "partial_starts"]

HOP, WINDOW, BANDS, SIZE, LAYERS = 160, 400, 40, 256, 3
SPAN = 160  # frames of a partial utterance, 1.6 s
STEP = 77  # frames from one partial utterance to the next: 1.3 a second
COVERED = 0.75  # part of the last partial utterance that must be sound
LEVEL = 10 ** (-30 / 20)  # root mean square to which quieter sounds are raised, -30 dBFS
_AT_ONCE = 256  # partial utterances in the LSTM together
_UNUSED = ("classifier.", "objective.")  # of an x-vector model: what tells its training speakers apart


class SpeakerEmbedder(ABC):
    """Turns sound into one vector of length one; vectors of one speaker lie close together (cosine).

    ``name``, ``package`` (with its version) and ``weights`` (their hash) say which embedder it is. ``sample_rate`` in
    Hz is the only one accepted, ``shortest`` the fewest samples that can be embedded, ``dim`` the vector's dimension.

    A batch gives for each row what the row gives alone: padding is never looked at.
    """

    name: str
    package: str
    weights: str
    sample_rate: int
    shortest: int
    dim: int

    @property
    def settings(self) -> dict[str, Any]:
        """What a figure made with these vectors must state."""
        return {"embedder": self.name, "package": self.package, "weights": self.weights, "dim": self.dim}

    @torch.inference_mode()
    def embed(self, audio: AudioBatch) -> Tensor:
        """Vectors float32 ``[batch, dim]``, each of length one, on the embedder's device.

        Raises ``AudioError`` at another sample rate, and for rows that are too short or digital silence.
        """
        if audio.sample_rate != self.sample_rate:
            raise AudioError(
                f"sound at {audio.sample_rate} Hz given to the speaker embedder {self.name}, which takes "
                f"{self.sample_rate} Hz; resample it as it is read"
            )
        for row, length in enumerate(audio.lengths.tolist()):
            if length < self.shortest:
                raise AudioError(
                    f"recording {row} of the batch: {length} samples, where the speaker embedder {self.name} needs "
                    f"{self.shortest}; leave it out"
                )
            if is_flat(audio[row], self.sample_rate):
                raise AudioError(f"recording {row} of the batch: digital silence, nobody's voice; leave it out")
        if len(audio.lengths) == 0:
            return torch.zeros(0, self.dim)
        return F.normalize(self._vectors(audio), dim=1)

    @abstractmethod
    def _vectors(self, audio: AudioBatch) -> Tensor:
        """Vectors ``[batch, dim]`` of any length."""


class Resemblyzer(SpeakerEmbedder):
    """The mean over a sound's partial utterances of 1.6 s; sounds below -30 dBFS are raised to it."""

    name = "resemblyzer"
    sample_rate = 16000
    shortest = WINDOW
    dim = SIZE

    def __init__(self, network: "Ge2e", package: str, device: torch.device | str = "cpu") -> None:
        self.package = package
        self.weights = _hash(network)
        self._network = network.to(device).eval()

    @classmethod
    def pretrained(cls, device: torch.device | str = "cpu") -> "Resemblyzer":
        """The embedder with Resemblyzer's weights; ``InputError`` where these are not installed or do not fit."""
        package = importlib.util.find_spec("resemblyzer")
        if package is None or package.origin is None:
            raise InputError(
                "the weights of the speaker embedder resemblyzer are missing; pip install --no-deps resemblyzer "
                "(without --no-deps it needs a compiler for what is not used here)"
            )
        path = Path(package.origin).with_name("pretrained.pt")
        network = Ge2e()
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
            network.load_state_dict({name: weights[name] for name in network.state_dict()})
        except (OSError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
            raise InputError(
                f"{path}: not the weights of this embedder; pip install --no-deps --force-reinstall resemblyzer==0.1.4"
            ) from error
        return cls(network, f"resemblyzer {version('resemblyzer')}", device)

    def _vectors(self, audio: AudioBatch) -> Tensor:
        lengths = audio.lengths.tolist()
        starts = [partial_starts(length) for length in lengths]
        width = max(
            max(length, (own[-1] + SPAN) * HOP) for length, own in zip(lengths, starts, strict=True)
        )  # the last partial utterance may reach past the end
        mel = mel_power(_levelled(audio.to(self._device), width), self.sample_rate, WINDOW, HOP, WINDOW, BANDS)
        rows = torch.tensor([row for row, own in enumerate(starts) for _ in own], device=self._device)
        first = torch.tensor([start for own in starts for start in own], device=self._device)
        frames = first[:, None] + torch.arange(SPAN, device=self._device)
        parts = [
            self._network(mel[some[:, None], these])
            for some, these in zip(rows.split(_AT_ONCE), frames.split(_AT_ONCE), strict=True)
        ]
        total = torch.zeros(len(lengths), SIZE, device=self._device).index_add(0, rows, torch.cat(parts))
        return total / torch.tensor([len(own) for own in starts], device=self._device)[:, None]

    @property
    def _device(self) -> torch.device:
        return self._network.linear.weight.device


class Ge2e(nn.Module):
    """The network: power in mel bands ``[batch, frame, BANDS]`` to vectors ``[batch, SIZE]`` of length one."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, SIZE, LAYERS, batch_first=True)
        self.linear = nn.Linear(SIZE, SIZE)

    def forward(self, mel: Tensor) -> Tensor:
        """From the last state of the last layer."""
        _, (hidden, _) = self.lstm(mel)
        return F.normalize(self.linear(hidden[-1]).relu(), dim=1)


def partial_starts(num_samples: int) -> list[int]:
    """First frames of a sound's partial utterances; the last may reach past the end by a quarter of its span."""
    frames = num_samples // HOP + 1
    starts = list(range(0, max(1, frames - SPAN + STEP + 1), STEP))
    if len(starts) > 1 and num_samples - starts[-1] * HOP < COVERED * SPAN * HOP:
        starts.pop()
    return starts


def _levelled(audio: AudioBatch, width: int) -> Tensor:
    """Samples ``[batch, width]``, zero after each row's end, quiet rows raised to ``LEVEL``."""
    samples = F.pad(audio.samples, (0, max(0, width - audio.samples.shape[1])))[:, :width]
    samples = samples * (torch.arange(width, device=samples.device) < audio.lengths[:, None])
    loudness = (samples.double().square().sum(1) / audio.lengths).sqrt()
    return samples * (LEVEL / loudness).clamp_min(1).float()[:, None]


class XVector(SpeakerEmbedder):
    """The x-vector of a transformers model, from a folder or the Hugging Face cache.

    Raises ``InputError`` where transformers is not installed, or the model is not there or is no x-vector model:
    transformers itself would put random weights where a model lacks some.
    """

    def __init__(self, model: str | Path, device: torch.device | str = "cpu") -> None:
        try:
            import transformers
        except ImportError as error:
            raise InputError("transformers is not installed; pip install 'protophone[speaker]'") from error
        try:
            network, loading = transformers.AutoModelForAudioXVector.from_pretrained(
                str(model), local_files_only=True, output_loading_info=True
            )
            self._prepare = transformers.AutoFeatureExtractor.from_pretrained(str(model), local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            # of names transformers says that it could not connect, which it was told not to try
            said = str(error).split("\n", 1)[0] if Path(model).is_dir() else "not whole in the Hugging Face cache"
            raise InputError(
                f"{model}: not a transformers x-vector model on this machine ({said}); give a folder with its "
                "config.json, preprocessor_config.json and weights"
            ) from error
        lacking = sorted(key for key in loading["missing_keys"] if not key.startswith(_UNUSED))
        if lacking or loading["mismatched_keys"]:
            wrong = (lacking or sorted(map(str, loading["mismatched_keys"])))[0]
            raise InputError(
                f"{model}: its weights are not those of a whole x-vector model ({wrong} is missing or of another "
                "shape); give a model that was trained to tell speakers apart"
            )
        self.name = Path(model).name if Path(model).is_dir() else str(model)
        self.package = f"transformers {transformers.__version__}"
        self.sample_rate = int(self._prepare.sampling_rate)
        self.dim = int(network.config.xvector_output_dim)
        self.shortest = _shortest(network.config)
        self._network = network.float().to(device).eval()
        self.weights = _hash(self._network)

    def _vectors(self, audio: AudioBatch) -> Tensor:
        # one at a time: networks that normalise over time (feat_extract_norm "group") would hear the padding
        return torch.cat([self._vector(audio, row) for row in range(len(audio.lengths))])

    def _vector(self, audio: AudioBatch, row: int) -> Tensor:
        made = self._prepare(audio[row], sampling_rate=self.sample_rate, return_tensors="pt")
        return self._network(made.input_values.to(self._network.device)).embeddings


def _shortest(config: Any) -> int:
    """Fewest samples that leave two frames to the pooling: the deviation of a single one is no number."""
    frames = 2 + sum((size - 1) * gap for size, gap in zip(config.tdnn_kernel, config.tdnn_dilation, strict=True))
    for size, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        frames = (frames - 1) * stride + size
    return frames


def _hash(network: nn.Module) -> str:
    """Of the weights as they are used, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def load_embedder(name: str | Path | None = None) -> SpeakerEmbedder:
    """The speaker embedder called ``resemblyzer``, or the x-vector model in a folder or cached under a name.

    Without a name, resemblyzer. Raises ``InputError`` for other names, and where what is named cannot be loaded.
    """
    if name is None or str(name) == Resemblyzer.name:
        return Resemblyzer.pretrained()
    if Path(name).is_dir() or str(name).count("/") == 1:
        return XVector(name)
    raise InputError(
        f"{name}: no speaker embedder of this name; known are resemblyzer, the folder of a transformers x-vector "
        "model, and the Hugging Face name of one in the cache, such as microsoft/wavlm-base-plus-sv"
    )
