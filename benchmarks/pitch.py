"""Our pitch tracker beside Praat (does it agree?) and beside librosa's pYIN and Praat (how fast is it?).

    python benchmarks/pitch.py ../shared/data/prompts/manifest.jsonl ../shared/data/mboshi/manifest.jsonl

Praat is its autocorrelation method, every 5 ms, 60 to 500 Hz, all else its default. Agreement is counted on Praat's own
frames: ours at each is that of the nearest of our frames, at most half a hop away. Voicing: the share of frames voiced
in both or in neither. Pitch: of frames voiced in both, the share within 5 % of Praat's. Speed is measured on the same
clips taken evenly from the split, sound already in memory, one after another, everything warm: the best of a few
rounds for ours and Praat's, one round for pYIN (its window is librosa's default; the rest is as above).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import parselmouth
import torch

from protophone import audio
from protophone.features.pitch import PitchConfig
from protophone.manifest import read
from protophone.types import AudioBatch

RATE, HOP, FLOOR, CEILING = 16000, 80, 60.0, 500.0
TRACKER = PitchConfig(sample_rate=RATE, hop=HOP, floor_hz=FLOOR, ceiling_hz=CEILING).build()


def ours(sound: np.ndarray) -> np.ndarray:
    return TRACKER.track(AudioBatch.from_arrays([sound], RATE))[0]


def praat(sound: np.ndarray) -> parselmouth.Pitch:
    whole = parselmouth.Sound(sound.astype(np.float64), RATE)
    return whole.to_pitch_ac(time_step=HOP / RATE, pitch_floor=FLOOR, pitch_ceiling=CEILING)


def pyin(sound: np.ndarray) -> np.ndarray:
    return librosa.pyin(sound, fmin=FLOOR, fmax=CEILING, sr=RATE, hop_length=HOP)[0]


def agreement(sounds: list[np.ndarray]) -> str:
    frames = same = both = near = skipped = 0
    for sound in sounds:
        if len(sound) < 3 * RATE / FLOOR:  # Praat refuses what is shorter than its window
            skipped += 1
            continue
        theirs = praat(sound)
        wanted = theirs.selected_array["frequency"]
        # our frame t is centred on sample t * HOP, whose middle Praat places at (t * HOP + 0.5) / RATE
        found = ours(sound)[np.round((theirs.xs() * RATE - 0.5) / HOP).astype(int)]
        voiced = (found > 0) & (wanted > 0)
        frames += len(wanted)
        same += int(np.sum((found > 0) == (wanted > 0)))
        both += int(voiced.sum())
        near += int(np.sum(np.abs(found[voiced] / wanted[voiced] - 1) <= 0.05))
    return (
        f"voicing {100 * same / frames:.2f} % of {frames} frames, pitch {100 * near / both:.2f} % of {both} voiced in "
        f"both ({len(sounds)} recordings, {skipped} too short)"
    )


def seconds_of(track: Callable[[np.ndarray], object], sounds: list[np.ndarray], rounds: int) -> float:
    track(sounds[0])
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for sound in sounds:
            track(sound)
        times.append(time.perf_counter() - begun)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--clips", type=int, default=10, help="of each manifest, whose tracking is timed; 0 for none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch; the others take one")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    timed = []
    for manifest in args.manifests:
        sounds = [audio.read(each, RATE) for each in read(manifest) if each.split == args.split]
        if not sounds:
            parser.error(f"{manifest} has no recordings of split {args.split}")
        print(f"{manifest.parent.name} {args.split}: {agreement(sounds)}", flush=True)
        if args.clips:
            timed += [sounds[i] for i in np.linspace(0, len(sounds) - 1, min(args.clips, len(sounds))).astype(int)]
    if not timed:
        return
    length = sum(map(len, timed)) / RATE
    print(f"speed on {len(timed)} clips, {length:.1f} s, {args.threads} threads of torch:")
    took = {}
    for name, track, rounds in (("protophone", ours, args.rounds), ("praat", praat, args.rounds), ("pyin", pyin, 1)):
        took[name] = seconds_of(track, timed, rounds)
        print(f"{name:<12}{took[name]:7.2f} s {length / took[name]:7.1f} x real time", flush=True)
    for name in ("praat", "pyin"):
        print(f"ratio of times, {name} / protophone: {took[name] / took['protophone']:.1f}")


if __name__ == "__main__":
    main()
