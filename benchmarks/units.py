"""ABX against bit rate of every classical system and the VQ-VAE, on recordings held out from training.

    python benchmarks/units.py --manifest ../shared/data/mboshi/manifest.jsonl \
        --items ../shared/data/mboshi/dev/triphone.item --out runs/units

Each cell is fitted or trained on the manifest's ``train`` split alone and scored on ``dev`` with every triplet of the
item file; its result is kept as JSON, so the command goes on where it was interrupted. A result made with other steps,
another manifest or other items is made anew. ``--full`` adds every codebook size and time reduction. Prints a table and
draws ``units.png``.
"""

import argparse
import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from protophone import audio
from protophone.encoders.base import Encoder, Moments
from protophone.encoders.pipeline import PipelineConfig
from protophone.encoders.vqvae import VQVAEConfig
from protophone.features import LogMelConfig, MfccConfig
from protophone.files import write_json
from protophone.fit import fit_encoder
from protophone.manifest import read
from protophone.metrics.abx import abx, by_file, read_items
from protophone.metrics.bitrate import zerospeech_bitrate
from protophone.quantizers import DPGMMConfig, GMMConfig, KMeansConfig
from protophone.train import TrainConfig
from protophone.types import AudioBatch

CLASSICAL = {"kmeans": KMeansConfig, "gmm": GMMConfig, "dpgmm": DPGMMConfig}


def cells(*, full: bool) -> list[tuple[str, int, int]]:
    """System, number of units and time reduction of each cell."""
    grid = [("mfcc", 0, 1), ("logmel", 0, 1)]
    for system in CLASSICAL:
        grid += [(system, k, t) for k in ((64, 128, 256) if full else (64, 256)) for t in (1, 2, 4)]
    sizes, reductions = ((64, 128, 256, 512), (1, 2, 4, 8)) if full else ((64, 256), (1, 2, 4))
    return grid + [("vqvae", k, t) for k in sizes for t in reductions]


def build(system, units, reduction, train, steps, folder):
    """The fitted encoder of a cell."""
    if system == "vqvae":
        base = VQVAEConfig()
        settings = replace(base, time_reduction=reduction, quantizer=replace(base.quantizer, num_units=units))
    else:
        settings = PipelineConfig(quantizer=CLASSICAL[system](num_units=units), time_reduction=reduction)
    training = TrainConfig(steps=steps)
    return fit_encoder(train, settings, training, folder)[0]


@torch.inference_mode()
def features_of(config, recordings):
    """Normalised features of each recording, with no units in between."""
    extractor = config.build()
    out = {}
    for recording in recordings:
        batch = extractor(AudioBatch.from_arrays([audio.read(recording)], 16000))
        mean, deviation = Moments.of(batch).mean_and_deviation()
        out[recording.id] = ((batch.frames - mean) / deviation)[0].numpy()
    return out, 100.0


def units_of(encoder: Encoder, recordings):
    """What ABX scores of each recording, its frame rate, the codes, seconds in all, and how vectors are compared."""
    vectors, codes, seconds = {}, [], 0.0
    mixture = encoder.config.kind == "pipeline" and encoder.config.quantizer.kind != "kmeans"
    for recording in recordings:
        sound = AudioBatch.from_arrays([audio.read(recording)], 16000)
        units = encoder.encode(sound)
        scored = encoder.posteriors(sound) if mixture else encoder.vectors(units)
        vectors[recording.id] = scored[0]
        codes.append(units[0].T)
        seconds += int(sound.lengths[0]) / 16000
    return vectors, float(scored.grid.frame_rate), codes, seconds, "kl_symmetric" if mixture else "angular"


def score(vectors, rate, items, distance):
    names = by_file(list(vectors), items)
    arrays = {file: vectors[name] for file, name in names.items()}
    settings = {"distance": distance, "frame_rate": rate, "max_size_group": None, "max_x_across": None}
    results = {s: abx(arrays, items, speaker=s, **settings) for s in ("within", "across")}
    return {name: 100 * result.error for name, result in results.items()} | {
        f"{name}_interval": [100 * bound for bound in result.interval] for name, result in results.items()
    }


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def kept(path: Path, settings: dict) -> dict | None:
    """The result in ``path`` where it was made with ``settings``; says so where it was made with others."""
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    was = result.get("settings")
    if was == settings:
        return result
    print(f"{path}: made with {was or 'settings it does not say'}, not {settings}; making it anew", flush=True)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/units"))
    parser.add_argument("--steps", type=int, default=1500, help="of training for each VQ-VAE cell")
    parser.add_argument("--only", nargs="*", help="systems, for example kmeans vqvae")
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    recordings = read(args.manifest)
    train = [recording for recording in recordings if recording.split == "train"]
    dev = [recording for recording in recordings if recording.split == "dev"]
    items = read_items(args.items)
    sources = {"manifest": digest(args.manifest), "items": digest(args.items)}
    rows = []
    for system, units, reduction in cells(full=args.full):
        if args.only and system not in args.only:
            continue
        name = f"{system}-{units}-t{reduction}" if units else system
        path = args.out / f"{name}.json"
        # Steps are of the VQ-VAE alone: what does not change a result does not make it anew.
        settings = sources | ({"steps": args.steps} if system == "vqvae" else {})
        result = kept(path, settings)
        if result is None:
            begun = time.monotonic()
            if units:
                # Classical systems leave nothing in their folder but packed features, the same for all of them; a
                # training goes on from what lies in its own, which must be of the same data and as many steps.
                work = args.out / "work" / sources["manifest"]
                folder = work / ("classical" if system in CLASSICAL else f"{name}-{args.steps}")
                encoder = build(system, units, reduction, train, args.steps, folder)
                vectors, rate, codes, seconds, distance = units_of(encoder, dev)
                bits = zerospeech_bitrate(codes, seconds)
            else:
                vectors, rate = features_of({"mfcc": MfccConfig, "logmel": LogMelConfig}[system](), dev)
                bits, distance = None, "angular"
            result = {"system": system, "units": units, "reduction": reduction, "bits": bits, "distance": distance}
            result |= {"settings": settings}
            result |= score(vectors, rate, items, distance) | {"seconds": time.monotonic() - begun}
            write_json(path, result)
        rows.append(result)
        table(rows[-1:], header=len(rows) == 1)
    plot(rows, args.out / "units.png")
    print(f"{args.out / 'units.png'}")


def table(rows, *, header) -> None:
    if header:
        print(f"{'system':8}{'units':>6}{'T':>3}{'within':>9}{'across':>9}{'95 % across':>16}{'bit/s':>8}  distance")
    for row in rows:
        bits = "-" if row["bits"] is None else f"{row['bits']:.0f}"
        low, high = row["across_interval"]
        print(
            f"{row['system']:8}{row['units'] or '-':>6}{row['reduction']:>3}{row['within']:9.2f}{row['across']:9.2f}"
            f"{low:9.1f} -{high:5.1f}{bits:>8}  {row['distance']}",
            flush=True,
        )


def plot(rows, path) -> None:
    """Error over bit rate, a line for each system and number of units; representations without units lie across."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = {system: f"C{number}" for number, system in enumerate(dict.fromkeys(row["system"] for row in rows))}
    lines: dict[tuple[str, int], list] = {}
    for row in rows:
        lines.setdefault((row["system"], row["units"]), []).append(row)
    for (system, units), points in lines.items():
        if not units:
            axes.axhline(points[0]["across"], linestyle="--", color=colours[system], label=system)
            continue
        places = np.array(sorted((row["bits"], row["across"]) for row in points))
        style = {64: ":o", 128: "-.^", 256: "-s", 512: "--D"}[units]
        axes.plot(*places.T, style, color=colours[system], label=f"{system} {units}")
    axes.set(xscale="log", xlabel="bit/s (ZeroSpeech 2019)", ylabel="ABX error across speakers, %")
    axes.set_xticks([100, 150, 200, 300, 400, 600, 800])
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
