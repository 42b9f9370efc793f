"""Bit rates of units on disk, each under its own name.

python benchmarks/bit_rate.py runs/dev/units
"""

import argparse
from pathlib import Path

from protophone.metrics.bitrate import bit_rates
from protophone.store import read_units


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("units", type=Path, nargs="+", help="folders that protophone encode wrote")
    for folder in parser.parse_args().units:
        records = list(read_units(folder))
        seconds = sum(record.num_samples / record.sample_rate for record in records)
        rates = bit_rates(
            [record.codes.T for record in records],
            seconds,
            frame_rate=records[0].grid.frame_rate,
            sizes=records[0].sizes,
        )
        print(f"{folder}: {len(records)} recordings, {seconds / 60:.1f} minutes")
        for name, value in rates.as_dict().items():
            print(f"  {name:12}{value:8.1f} bit/s")


if __name__ == "__main__":
    main()
