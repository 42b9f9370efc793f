"""What is lost from sound to log-mel bands, to linear magnitudes, to sound again, at several settings.

Two steps lose: bands to magnitudes (``mel_to_magnitude``), then magnitudes without phases to sound (``griffin_lim``).

    LSD bands     log-spectral distance of the magnitudes found from the bands to the original's, dB
    LSD sound     the same of the sound made from them
    mel L1        mean absolute difference of its log-mel bands (natural logarithm) to those it was made from
    SC phases     spectral convergence of the sound to the magnitudes it was made from: what missing phases cost
    SC sound      spectral convergence of the sound to the original's magnitudes: what the whole way costs

Log-spectral distance is a root mean square over bins and a mean over frames, those more than 60 dB below the loudest
left out; spectral convergence is a distance over a norm. 0 is no loss in every column.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
import torch

from protophone import spectral
from protophone.features import LogMelConfig
from protophone.features.filterbank import LOG_FLOOR
from protophone.vocoders.code2spec import Code2SpecConfig
from protophone.vocoders.griffin_lim import GriffinLimConfig

PROMPTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "prompts"
DEFAULTS = {"log-mel's default": LogMelConfig(), "inverter's": Code2SpecConfig(), "Griffin-Lim's": GriffinLimConfig()}
SETTINGS = {  # n_fft, hop, window_length
    "half overlap": (512, 256, 512),
    **{name: (config.n_fft, config.hop, config.window_length) for name, config in DEFAULTS.items()},
}
HEAD = ("LSD bands", "LSD sound", "mel L1", "SC phases", "SC sound")


def log_distance(wanted: torch.Tensor, made: torch.Tensor) -> float:
    """Log-spectral distance in dB over the frames that are not silent; both floored 80 dB below the loudest bin."""
    loud = wanted.norm(dim=-1) > 1e-3 * wanted.norm(dim=-1).max()
    floor = 1e-4 * wanted.max()
    difference = 20 * (wanted.clamp_min(floor).log10() - made.clamp_min(floor).log10())[loud]
    return float(difference.square().mean(-1).sqrt().mean())


def losses(sound: torch.Tensor, rate: int, bands: int, setting: tuple[int, int, int]) -> list[float]:
    """The columns of ``HEAD`` for one clip ``[1, sample]``."""
    n_fft = setting[0]
    wanted = spectral.stft(sound, *setting).abs()
    mel = spectral.magnitude_to_mel(wanted, rate, n_fft, bands).clamp_min(LOG_FLOOR)
    magnitude = spectral.mel_to_magnitude(mel, rate, n_fft)
    made = spectral.griffin_lim(magnitude, *setting)
    remade = spectral.stft(made, *setting).abs()
    remel = spectral.magnitude_to_mel(remade, rate, n_fft, bands).clamp_min(LOG_FLOOR)
    return [
        log_distance(wanted, magnitude),
        log_distance(wanted, remade),
        float((mel.log() - remel.log()).abs().mean()),
        float(spectral.spectral_convergence(magnitude, made, *setting)),
        float(spectral.spectral_convergence(wanted, made, *setting)),
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
    clips = [soundfile.read(path, dtype="float32") for path in files]
    seconds = sum(len(sound) / rate for sound, rate in clips)
    print(f"{len(clips)} clips, {seconds:.1f} s of sound, {args.bands} bands")
    print(f"{'n_fft/hop/window':<36}" + "".join(f"{name:>11}" for name in HEAD))
    for name, setting in SETTINGS.items():
        rows = [losses(torch.tensor(sound)[None], rate, args.bands, setting) for sound, rate in clips]
        label = f"{name} {'/'.join(map(str, setting))}"
        print(f"{label:<36}" + "".join(f"{value:11.3f}" for value in np.mean(rows, axis=0)), flush=True)


if __name__ == "__main__":
    main()
