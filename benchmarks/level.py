"""Character errors of a bundle's resynthesis when the input is softer or louder than in training.

    python benchmarks/level.py MANIFEST --ids tune.txt --count 40 --asr whisper-base --out runs/level.csv

Each recording is scaled by every gain, rounded and clipped to 16 bits, encoded, synthesized in its speaker's voice, and
recognized; the first row is of the recordings themselves. Errors of a clip are counted up to the length of its text,
so that one loop of the recognizer decides nothing.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from protophone import audio
from protophone.cli.progress import bar
from protophone.errors import ProtophoneError
from protophone.evaluate.sources import recordings_of
from protophone.files import atomic
from protophone.metrics.intelligibility import count_text_errors
from protophone.metrics.interval import estimate, ratio
from protophone.model import load
from protophone.recognizers import load_recognizer

GAINS = (-40.0, -20.0, -12.0, -6.0, 0.0, 6.0)  # dB


def scaled(samples: np.ndarray, gain: float) -> np.ndarray:
    """Return the sound ``gain`` dB louder, as a 16-bit file would hold it."""
    return (np.clip(np.rint(samples * 10 ** (gain / 20) * 2**15), -(2**15), 2**15 - 1) / 2**15).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--ids", type=Path, help="only recordings in this list")
    parser.add_argument("--count", type=int, default=40, help="recordings, spread evenly over the list")
    parser.add_argument("--asr", required=True)
    parser.add_argument("--as-recorded", action="store_true", help="leave the level as it is: the control")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        run(args)
    except ProtophoneError as error:
        sys.exit(f"error: {error}")


def run(args: argparse.Namespace) -> None:
    found = [each for each in recordings_of(args.recordings, args.split) if each.text and each.language]
    if args.ids is not None:
        wanted = set(args.ids.read_text().split())
        found = [each for each in found if each.id in wanted]
    found = [found[at] for at in sorted({round(at) for at in np.linspace(0, len(found) - 1, args.count)})]
    texts, languages = [each.text or "" for each in found], [each.language or "" for each in found]
    model, recognizer = load(args.bundle), load_recognizer(args.asr)
    if args.as_recorded:
        model.encoder.gain = lambda _: np.float32(1)
    rows = []
    with bar("measuring", (1 + len(GAINS)) * len(found)) as advance:
        for gain in (None, *GAINS):
            answers = []
            for recording, language in zip(found, languages, strict=True):
                sound = audio.read(recording, model.sample_rate)
                if gain is not None:
                    sound = model.decode(model.encode(scaled(sound, gain), recording.speaker))[0]
                answers.append(recognizer.transcribe(sound, language))
                advance(1)
            errors, lengths = count_text_errors(texts, answers, languages, "character")
            rate = estimate(ratio(np.minimum(errors, lengths), lengths), [each.id for each in found])
            shares = (rate.value, *(rate.interval or (np.nan, np.nan)))
            rows.append(
                ["untouched" if gain is None else gain, len(found), *(f"{100 * share:.1f}" for share in shares)]
            )
            print(*rows[-1], sep="\t", flush=True)
    with atomic(args.out) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["gain_db", "recordings", "cer_percent", "low", "high"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
