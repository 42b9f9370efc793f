"""ABX of bundles on recordings held out from training, with the bit rate of their units.

    python benchmarks/abx.py runs/vqvae/bundle --manifest ../shared/data/mboshi/manifest.jsonl \
        --items ../shared/data/mboshi/dev/triphone.item

Scores what ``Encoder.vectors`` makes of the codes alone by angular distance, of mixtures their posteriors by
Kullback-Leibler divergence, on every triplet of the manifest's ``dev`` split; the bit rate is ZeroSpeech 2019's, every
frame of the encoder's grid counted.
"""

import argparse
from pathlib import Path

from units import score, table, units_of

from protophone.manifest import read
from protophone.metrics.abx import read_items
from protophone.metrics.bitrate import zerospeech_bitrate
from protophone.model import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    args = parser.parse_args()
    recordings = [recording for recording in read(args.manifest) if recording.split == args.split]
    items = read_items(args.items)
    for number, bundle in enumerate(args.bundles):
        encoder = load(bundle).encoder
        vectors, rate, codes, seconds, distance = units_of(encoder, recordings)
        row = {"system": encoder.config.kind, "units": encoder.sizes[0], "reduction": encoder.reduction}
        row |= {"bits": zerospeech_bitrate(codes, seconds), "distance": distance}
        row |= score(vectors, rate, items, distance)
        table([row], header=number == 0)


if __name__ == "__main__":
    main()
