"""Encoding a corpus: ours, reading included, beside a plain loop over files with librosa's MFCC and the same network.

    python benchmarks/encoding.py BUNDLE --manifest ../shared/data/mboshi/manifest.jsonl --split train --minutes 30

Both sides run warm, in one run, with the same number of threads. The loop reads a file, takes librosa's MFCC with both
deltas (its features stand in for ours: the network's first layer is widened to take them), runs the encoder on the one
file and looks up the nearest codes. Prints seconds, times real time, and the ratio.
"""

import argparse
import tempfile
import time
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch

from protophone.corpus import encode_corpus
from protophone.manifest import read
from protophone.model import load


def ours(model, recordings) -> float:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        encode_corpus(model, recordings, Path(folder) / "units")
        return time.perf_counter() - begun


@torch.inference_mode()
def loop(model, recordings) -> float:
    encoder = model.encoder
    begun = time.perf_counter()
    for recording in recordings:
        samples, rate = soundfile.read(recording.path, dtype="float32")
        mfcc = librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=13, n_fft=400, hop_length=160, n_mels=40)
        if mfcc.shape[1] < 9:
            continue
        frames = np.concatenate([mfcc, librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2)])
        frames = (frames - frames.mean(1, keepdims=True)) / frames.std(1, keepdims=True).clip(1e-3)
        wide = np.resize(frames, (encoder.features.dim, frames.shape[1])).T.astype(np.float32)
        left, right = encoder.context
        padding = -len(wide) % encoder.reduction
        tensor = torch.nn.functional.pad(torch.from_numpy(wide)[None], (0, 0, left, right + padding))
        encoder.encode_frames(tensor)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--minutes", type=float, default=30, help="of sound that both sides encode")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load(args.bundle)
    recordings, seconds = [], 0.0
    for recording in read(args.manifest):
        if recording.split == args.split and seconds < args.minutes * 60:
            recordings.append(recording)
            seconds += soundfile.info(recording.path).duration
    warm = recordings[:300]
    ours(model, warm), loop(model, warm)
    fast, slow = ours(model, recordings), loop(model, recordings)
    print(f"{len(recordings)} recordings, {seconds / 60:.1f} minutes, {args.threads} threads")
    print(f"protophone {fast:7.2f} s  {seconds / fast:6.0f} x real time")
    print(f"loop       {slow:7.2f} s  {seconds / slow:6.0f} x real time")
    print(f"ratio      {slow / fast:7.2f}")


if __name__ == "__main__":
    main()
