"""What content units alone lose: Griffin-Lim on the bands that their decoder makes of them, told voice and melody.

    python benchmarks/content.py runs/content/bundle ../shared/data/prompts/manifest.jsonl --split dev --out sounds
    protophone evaluate resynthesis ../shared/data/prompts/manifest.jsonl sounds --split dev --asr whisper-base

No vocoder is trained, and the melody is the recording's own, so units can be compared before anything else is learned.
With ``--own-bands`` the recordings' own bands are spoken: what bands and phases lose. The bundle is one that was
trained here: those that are shipped have no decoder.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from protophone import audio
from protophone.cli.progress import bar
from protophone.encoders.content import ContentVQVAE
from protophone.errors import InputError, ProtophoneError
from protophone.evaluate.sources import recordings_of
from protophone.features.contour import scaled
from protophone.features.pitch import PitchConfig
from protophone.files import inside, refuse_existing
from protophone.model import load
from protophone.spectral import griffin_lim, mel_to_magnitude
from protophone.types import AudioBatch

LEVEL_HZ = 150.0  # of recordings without a voice


def bands_of(encoder: ContentVQVAE, sound: AudioBatch, speaker: str) -> Tensor:
    """Log-mel bands ``[frame, band]`` of the units of ``sound`` in the voice of ``speaker``."""
    units = encoder.encode(sound)
    vectors = encoder.codebook.lookup(units.codes)
    frames = vectors.shape[1] * encoder.reduction
    steps = encoder.features.grid.hop // 80
    melody = PitchConfig(sample_rate=encoder.sample_rate).build().track(sound).continued(LEVEL_HZ).f0_hz
    melody = F.pad(melody, (0, max(0, frames * steps - melody.shape[1])), mode="replicate")[:, : frames * steps]
    told = scaled(melody.view(1, frames, steps).mean(-1))
    if speaker not in encoder.speakers:
        raise InputError(f"{speaker or 'nobody'}: the decoder knows the voices of {', '.join(encoder.speakers)} alone")
    voice = encoder.decoder.voices(torch.tensor([encoder.speakers.index(speaker)]))
    return encoder.decoder(vectors, voice, told)[0] * encoder.deviation + encoder.mean


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--own-bands", action="store_true")
    args = parser.parse_args()
    try:
        run(args)
    except ProtophoneError as error:
        sys.exit(f"error: {error}")


def run(args: argparse.Namespace) -> None:
    """Speaks the recordings into ``--out``."""
    refuse_existing(args.out)
    encoder = load(args.bundle).encoder
    if not isinstance(encoder, ContentVQVAE) or (not args.own_bands and encoder.config.represent != "decoded"):
        raise InputError(f"{args.bundle}: no content units with their decoder; give a bundle that was trained here")
    features = encoder.config.features
    found = recordings_of(args.recordings, args.split)
    with bar("speaking", len(found)) as advance:
        for recording in found:
            samples = audio.read(recording, encoder.sample_rate)
            sound = AudioBatch.from_arrays([samples], encoder.sample_rate)
            own = encoder.features(sound).frames[0]
            bands = own if args.own_bands else bands_of(encoder, sound, recording.speaker or "")
            magnitude = mel_to_magnitude(bands.exp()[None], encoder.sample_rate, features.n_fft)
            made = griffin_lim(magnitude, features.n_fft, features.hop, features.window_length)[0]
            made = F.pad(made, (0, max(0, len(samples) - len(made))))[: len(samples)]
            audio.write(inside(args.out, recording.id, ".wav"), made.numpy(), encoder.sample_rate)
            advance(1)


if __name__ == "__main__":
    main()
