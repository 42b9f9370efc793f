"""How long ABX takes, reading included, beside what one would otherwise run.

    python benchmarks/abx_speed.py --manifest ../shared/data/mboshi/manifest.jsonl \
        --items ../shared/data/mboshi/dev/triphone.item

MFCC with deltas of the manifest's ``dev`` split are first written to ``--features``, one ``.npy`` a recording. Times
are the best of ``--repeats``, after one run in which compiled kernels are read from disk (or made, the first time
ever), with the interval over recordings. Beside them: the same distances by a plain loop in Python over frame distances
of ``scipy.spatial.distance.cdist``, on ``--pairs`` pairs of tokens and said as a rate; and fastabx on the same files
and items where it is installed (it needs Python 3.12).
"""

import argparse
import importlib.util
import resource
import time
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist
from units import features_of

from protophone.features import MfccConfig
from protophone.manifest import read
from protophone.metrics.abx import abx, read_items
from protophone.store import write_features
from protophone.types import FrameGrid


def ours(args, speaker):
    """Reads everything and scores it."""
    items = read_items(args.items)
    features = {name: np.load(args.features / f"{name}.npy") for name in dict.fromkeys(item.file for item in items)}
    return abx(
        features,
        items,
        speaker=speaker,
        context=args.context,
        frame_rate=args.frame_rate,
        max_size_group=None,
        max_x_across=None,
    )


def fastabx(args, speaker):
    import torch
    from fastabx import zerospeech_abx

    return zerospeech_abx(
        args.items,
        args.features,
        max_size_group=None,
        max_x_across=None,
        speaker=speaker,
        context=args.context,
        distance="angular",
        frequency=round(args.frame_rate),
        feature_maker=lambda path: torch.from_numpy(np.load(path)),
        extension=".npy",
    )


def best(repeats, work, *args):
    work(*args)
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        result = work(*args)
        times.append(time.perf_counter() - begun)
    return min(times), result


def plain_dtw(x, y):
    """The angular distance of two tokens as one would write it down."""
    apart = np.arccos(np.clip(1 - cdist(x, y, "cosine"), -1, 1)) / np.pi
    cost = np.full((len(x) + 1, len(y) + 1), np.inf)
    steps = np.zeros(cost.shape)
    cost[0, 0] = 0
    for i in range(len(x)):
        for j in range(len(y)):
            before = min(((i, j), (i, j + 1), (i + 1, j)), key=lambda at: cost[at])
            cost[i + 1, j + 1] = cost[before] + apart[i, j]
            steps[i + 1, j + 1] = steps[before] + 1
    return cost[-1, -1] / steps[-1, -1]


def plain_rate(args):
    """Pairs of tokens a second by ``plain_dtw``."""
    rng = np.random.default_rng(0)
    items = read_items(args.items)
    tokens = []
    for item in rng.choice(np.array(items, dtype=object), 2 * args.pairs):
        frames = np.load(args.features / f"{item.file}.npy", mmap_mode="r")
        first = int(item.onset * args.frame_rate)
        tokens.append(np.array(frames[first : max(first + 1, int(item.offset * args.frame_rate))], np.float64))
    begun = time.perf_counter()
    for x, y in zip(tokens[::2], tokens[1::2], strict=True):
        plain_dtw(x, y)
    return args.pairs / (time.perf_counter() - begun)


def compared(result):
    """Distances between tokens that the cells of a result need, each once."""
    x, a, b = result.scored.groups.T
    pairs = np.unique(np.sort(np.concatenate([np.stack([x, a], 1), np.stack([x, b], 1)]), axis=1), axis=0)
    sizes = result.groups.sizes
    one, other = sizes[pairs].T
    return int(np.where(pairs[:, 0] == pairs[:, 1], one * (one - 1) // 2, one * other).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--features", type=Path, default=Path("runs/mfcc"))
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--context", choices=["within", "any"], default="within")
    parser.add_argument("--frame-rate", type=float, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=300, help="compared by the plain loop")
    args = parser.parse_args()
    if not args.features.exists():
        recordings = [recording for recording in read(args.manifest) if recording.split == args.split]
        for name, frames in features_of(MfccConfig(), recordings)[0].items():
            write_features(args.features, name, frames, FrameGrid(16000, 160))
    rate = plain_rate(args)
    print(f"plain loop: {rate:.0f} pairs of tokens a second")
    there = importlib.util.find_spec("fastabx") is not None
    if not there:
        print("fastabx is not installed here (it needs Python 3.12): not measured")
    for speaker in ("within", "across"):
        seconds, result = best(args.repeats, ours, args, speaker)
        pairs = compared(result)
        low, high = result.interval
        print(
            f"{speaker:7} {100 * result.error:6.2f} ({low * 100:.2f} to {high * 100:.2f})  {result.triplets} triplets, "
            f"{pairs} pairs of tokens: {seconds:.3f} s; the plain loop {pairs / rate:.0f} s, "
            f"{pairs / rate / seconds:.0f} times as long"
        )
        if there:
            theirs, error = best(args.repeats, fastabx, args, speaker)
            print(f"        fastabx {100 * error:6.2f}: {theirs:.3f} s, {theirs / seconds:.1f} times as long")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
