"""Griffin-Lim of this package beside librosa's: speed and spectral convergence on the same clips, both warm.

Each side inverts the clips one after another, 32 iterations, momentum 0.99, with the same number of threads.
"""

import argparse
import time
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch

from protophone.spectral import griffin_lim, spectral_convergence, stft

PROMPTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "prompts"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, default=PROMPTS / "dev", help="folder searched for FLAC files")
    parser.add_argument("--clips", type=int, default=40, help="taken evenly from the folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="the best time of these counts")
    parser.add_argument("--n-fft", type=int, default=2048)
    parser.add_argument("--hop", type=int, default=160)
    parser.add_argument("--window-length", type=int, default=800)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    setting = (args.n_fft, args.hop, args.window_length)
    files = sorted(args.recordings.rglob("*.flac"))
    if not files:
        parser.error(f"no FLAC files under {args.recordings}")
    files = [files[i] for i in np.linspace(0, len(files) - 1, min(args.clips, len(files))).astype(int)]
    sounds = [soundfile.read(path, dtype="float32") for path in files]
    seconds = sum(len(sound) / rate for sound, rate in sounds)
    wanted = [stft(torch.tensor(sound)[None], *setting).abs() for sound, _ in sounds]
    whole = [
        np.abs(librosa.stft(sound, n_fft=args.n_fft, hop_length=args.hop, win_length=args.window_length))
        for sound, _ in sounds
    ]

    def ours() -> list[torch.Tensor]:
        return [griffin_lim(magnitude, *setting)[0] for magnitude in wanted]

    def theirs() -> list[torch.Tensor]:
        options = {"hop_length": args.hop, "win_length": args.window_length, "n_fft": args.n_fft, "n_iter": 32}
        return [
            torch.tensor(librosa.griffinlim(magnitude, random_state=0, length=len(sound), **options))
            for magnitude, (sound, _) in zip(whole, sounds, strict=True)
        ]

    results = {}
    for name, side in (("protophone", ours), ("librosa", theirs)):
        side()
        times = []
        for _ in range(args.repeats):
            start = time.perf_counter()
            made = side()
            times.append(time.perf_counter() - start)
        errors = []
        for magnitude, sound in zip(wanted, made, strict=True):
            missing = magnitude.shape[1] * args.hop - len(sound)
            padded = torch.nn.functional.pad(sound, (0, missing))[None]
            errors.append(float(spectral_convergence(magnitude, padded, *setting)))
        results[name] = min(times), float(np.mean(errors))
    print(f"{len(sounds)} clips, {seconds:.1f} s of sound, n_fft/hop/window {setting}, {args.threads} threads")
    for name, (took, error) in results.items():
        print(f"{name:<12}{took:7.2f} s {seconds / took:7.1f} x real time   spectral convergence {error:.4f}")
    print(f"ratio of times, librosa / protophone: {results['librosa'][0] / results['protophone'][0]:.2f}")


if __name__ == "__main__":
    main()
