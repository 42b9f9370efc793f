"""What is lost from sound to log-mel bands, to linear magnitudes, to sound again, at several settings.

Columns: log-spectral distance of magnitudes in dB (root mean square over bins, mean over frames louder than 60 dB
below the loudest), that of the sound made; mean absolute difference of log-mel (natural logarithm) of the sound made;
spectral convergence of the sound made, to the original's magnitudes and to the magnitudes it was made from.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
import torch

from protophone import spectral

PROMPTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "prompts"
SETTINGS = {  # name: (n_fft, hop, window_length)
    "512-point, half overlap": (512, 256, 512),
    "features: 25 ms, 10 ms": (400, 160, 400),
    "synthesis: 50 ms, 10 ms": (2048, 160, 800),
    "synthesis: 50 ms, 12.5 ms": (2048, 200, 800),
}


def log_distance(wanted: torch.Tensor, made: torch.Tensor) -> float:
    """Log-spectral distance in dB over the frames that are not silent; both floored 80 dB below the loudest bin."""
    loud = wanted.norm(dim=-1) > 1e-3 * wanted.norm(dim=-1).max()
    floor = 1e-4 * wanted.max()
    difference = 20 * (wanted.clamp_min(floor).log10() - made.clamp_min(floor).log10())[loud]
    return float(difference.square().mean(-1).sqrt().mean())


def losses(sound: torch.Tensor, rate: int, bands: int, setting: tuple[int, int, int]) -> list[float]:
    n_fft = setting[0]
    wanted = spectral.stft(sound, *setting).abs()
    mel = spectral.magnitude_to_mel(wanted, rate, n_fft, bands)
    magnitude = spectral.mel_to_magnitude(mel.clamp_min(1e-10), rate, n_fft)
    made = spectral.griffin_lim(magnitude, *setting)
    remade = spectral.stft(made, *setting).abs()
    remel = spectral.magnitude_to_mel(remade, rate, n_fft, bands)
    return [
        log_distance(wanted, magnitude),
        log_distance(wanted, remade),
        float((mel.clamp_min(1e-10).log() - remel.clamp_min(1e-10).log()).abs().mean()),
        float(spectral.spectral_convergence(wanted, made, *setting)),
        float(spectral.spectral_convergence(magnitude, made, *setting)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, default=PROMPTS / "dev", help="folder searched for FLAC files")
    parser.add_argument("--clips", type=int, default=40, help="taken evenly from the folder")
    parser.add_argument("--bands", type=int, default=80)
    args = parser.parse_args()
    files = sorted(args.recordings.rglob("*.flac"))
    if not files:
        parser.error(f"no FLAC files under {args.recordings}")
    files = [files[i] for i in np.linspace(0, len(files) - 1, min(args.clips, len(files))).astype(int)]
    print(f"{len(files)} clips, {args.bands} bands")
    head = ("LSD magn. dB", "LSD sound dB", "mel L1", "SC original", "SC magnitudes")
    print(f"{'setting':<28}" + "".join(f"{name:>15}" for name in head))
    for name, setting in SETTINGS.items():
        rows = []
        for path in files:
            sound, rate = soundfile.read(path, dtype="float32")
            rows.append(losses(torch.tensor(sound)[None], rate, args.bands, setting))
        print(f"{name:<28}" + "".join(f"{value:15.3f}" for value in np.mean(rows, axis=0)), flush=True)


if __name__ == "__main__":
    main()
