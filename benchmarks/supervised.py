"""How low ABX can go on these items: a supervised frame classifier's posteriors, cross-validated over recordings.

    python benchmarks/supervised.py --manifest ../shared/data/mboshi/manifest.jsonl \
        --items ../shared/data/mboshi/dev/triphone.item --alignment ../shared/data/mboshi/dev/phones.ctm

The recordings of a split are parted into folds, each speaker's evenly. For each fold a convolutional network learns the
phone of each frame from the alignment of the other folds, and gives the posteriors of the fold's own frames: no frame
is scored by a network that saw its recording. The items come from the same alignment, and the network knows these
speakers and this language, so no system without labels can be expected to pass this line.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from protophone import audio
from protophone.evaluate.references import alignments_of, items_of
from protophone.evaluate.sources import recordings_of
from protophone.features import LogMelConfig
from protophone.files import atomic, write_json
from protophone.metrics.abx import abx
from protophone.types import AudioBatch

RATE, HOP = 16000, 160
CROP, BATCH = 200, 16  # frames; crops a step
UNKNOWN = -1  # frames without a label, or one that is no phone


@dataclass(frozen=True)
class Labelled:
    """A recording's normalised log-mel frames ``[frame, band]`` and the phone of each, ``[frame]``."""

    frames: Tensor
    phones: Tensor


class Classifier(nn.Module):
    """Posteriors of phones from 0.5 s of log-mel around each frame: dilated convolutions with residuals."""

    def __init__(self, bands: int, phones: int, width: int = 160, drop: float = 0.3) -> None:
        super().__init__()
        self.first = nn.Conv1d(bands, width, 5, padding=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Dropout(drop),
                nn.Conv1d(width, width, 5, padding=2 * d, dilation=d),
            )
            for d in (1, 2, 3, 4)
        )
        self.last = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(drop), nn.Conv1d(width, phones, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Logits ``[batch, phone, frame]`` of ``[batch, frame, band]``."""
        hidden = self.first(frames.transpose(1, 2))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.last(hidden)


def load(recordings, alignments, names):
    """Frames and labels of each recording."""
    extractor = LogMelConfig(n_mels=40).build()
    out = {}
    for recording in recordings:
        frames = extractor(AudioBatch.from_arrays([audio.read(recording, RATE)], RATE)).frames[0]
        frames = (frames - frames.mean(0)) / frames.std(0).clamp(min=1e-3)
        phones = torch.full((len(frames),), UNKNOWN)
        for start, duration, symbol in alignments[recording.id]:
            if symbol in names:
                first, end = (int(np.ceil(time_ * RATE / HOP)) for time_ in (start, start + duration))
                phones[first:end] = names.index(symbol)
        out[recording.id] = Labelled(frames, phones)
    return out


def stretched(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """The mel axis stretched by up to 12 % and some bands and frames silenced: other throats, other rooms."""
    bands = frames.shape[1]
    places = torch.arange(bands) * float(rng.uniform(0.88, 1.12))
    low = places.floor().long().clamp(max=bands - 1)
    high = (low + 1).clamp(max=bands - 1)
    share = (places - low).clamp(0, 1)
    out = frames[:, low] * (1 - share) + frames[:, high] * share
    width, at = int(rng.integers(0, bands // 6)), int(rng.integers(0, bands))
    out[:, at : at + width] = 0
    length, begin = int(rng.integers(0, 12)), int(rng.integers(0, len(out)))
    out[begin : begin + length] = 0
    return out + 0.1 * torch.from_numpy(rng.standard_normal(out.shape, np.float32))


def learn(train, phones, steps, seed):
    """A classifier of the frames of ``train``."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    lengths = np.array([len(each.phones) for each in train], float)
    network = Classifier(train[0].frames.shape[1], phones)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    network.train()
    for _ in range(steps):
        frames, targets = [], []
        for index in rng.choice(len(train), BATCH, p=lengths / lengths.sum()):
            each = train[index]
            at = int(rng.integers(0, max(1, len(each.phones) - CROP + 1)))
            part = stretched(each.frames[at : at + CROP], rng)
            frames.append(F.pad(part, (0, 0, 0, CROP - len(part))))
            targets.append(F.pad(each.phones[at : at + CROP], (0, CROP - len(part)), value=UNKNOWN))
        loss = F.cross_entropy(
            network(torch.stack(frames)), torch.stack(targets), ignore_index=UNKNOWN, label_smoothing=0.05
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.inference_mode()
def scores_of(networks, frames):
    """Mean log posteriors ``[frame, phone]`` of several networks."""
    return torch.stack([network(frames[None])[0].log_softmax(0) for network in networks]).mean(0).T


def posteriors(scores, temperature):
    """Posteriors float32 ``[frame, phone]`` of log posteriors, flatter at a higher temperature."""
    return (scores / temperature).softmax(1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--alignment", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--ignore", nargs="*", default=["SPN"], help="labels of the alignment that say nothing")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--networks", type=int, default=1, help="a fold, their posteriors averaged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/supervised"), help="for folds that are done")
    parser.add_argument("--out", type=Path, help="results as JSON")
    args = parser.parse_args()
    recordings = recordings_of(args.manifest, args.split)
    alignments = alignments_of([recording.id for recording in recordings], args.alignment)
    recordings = [recording for recording in recordings if recording.id in alignments]
    names = sorted({symbol for rows in alignments.values() for _, _, symbol in rows} - set(args.ignore))
    data = load(recordings, alignments, names)
    order = sorted(recordings, key=lambda recording: (recording.speaker or "", recording.id))
    fold_of = {recording.id: number % args.folds for number, recording in enumerate(order)}
    scored, right, labelled = {}, 0, 0
    for fold in range(args.folds):
        begun = time.monotonic()
        kept = args.work / f"{args.folds}-{fold}-{args.steps}-{args.networks}-{args.seed}.safetensors"
        if not kept.exists():
            train = [data[name] for name, number in fold_of.items() if number != fold]
            seeds = [args.seed + 100 * fold + each for each in range(args.networks)]
            networks = [learn(train, len(names), args.steps, seed) for seed in seeds]
            own = [name for name, number in fold_of.items() if number == fold]
            with atomic(kept) as temporary:
                save_file({name: scores_of(networks, data[name].frames).contiguous() for name in own}, temporary)
            print(f"fold {fold}: {time.monotonic() - begun:.0f} s", flush=True)
        for name, scores in load_file(kept).items():
            scored[name] = scores
            known = data[name].phones != UNKNOWN
            right += int((scores.argmax(1) == data[name].phones)[known].sum())
            labelled += int(known.sum())
    print(f"{len(names)} phones, {100 * right / labelled:.1f} % of {labelled} frames right")
    items, files, _ = items_of(list(scored), args.items)
    found = {"frame_accuracy": right / labelled}
    for distance, temperature in (("angular", 1), ("kl_symmetric", 1), ("kl_symmetric", 4), ("kl_symmetric", 8)):
        arrays = {file: posteriors(scored[name], temperature) for file, name in files.items()}
        for speaker in ("within", "across"):
            result = abx(
                arrays,
                items,
                speaker=speaker,
                distance=distance,
                frame_rate=RATE / HOP,
                max_size_group=None,
                max_x_across=None,
            )
            low, high = (100 * bound for bound in result.interval)
            found[f"{speaker}, {distance}, temperature {temperature}"] = [result.error, *result.interval]
            print(
                f"{speaker:7} {distance:13} temperature {temperature} {100 * result.error:6.2f} "
                f"({low:.2f} to {high:.2f})"
            )
    if args.out:
        write_json(args.out, found)


if __name__ == "__main__":
    main()
