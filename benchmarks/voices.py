"""The vocoders beside each other on one bundle's units, with the melody and without: the rows of Polyak et al. 2021.

    python benchmarks/voices.py --bundle runs/content/bundle --manifest ../shared/data/prompts/manifest.jsonl \
        --minutes 25 --asr whisper-base --one-person prompts-en,prompts-es --out results/voices

Each cell trains a recipe of ``configs`` for so many minutes on the manifest's ``train`` split, in the voices of all its
speakers or of those ``--speakers`` names, and puts the vocoder into a copy of the bundle under the cell's name; then
``protophone evaluate all`` is run with it on the other split. Vocoders that are not told the melody guess it. Into
``--out`` goes what ``protophone compare`` writes of them all. An interrupted run goes on.

``hifigan``, the published shape, is trained only where ``--only`` names it: it is for a GPU.
"""

import argparse
import shutil
import sys
from pathlib import Path

from protophone.bundle import Bundle
from protophone.cli.progress import bar
from protophone.errors import InputError, ProtophoneError
from protophone.evaluate.compare import write_comparison
from protophone.evaluate.everything import evaluate_all
from protophone.evaluate.results import write_results
from protophone.evaluate.sources import recordings_of
from protophone.files import atomic_folder
from protophone.recipe import load_recipe, run_recipe

CELLS = {
    "vocos": ("vocos", 'voice.pitch = "contour"'),
    "vocos-no-pitch": ("vocos", 'voice.pitch = "none"'),
    "hifigan-small": ("hifigan-small", 'voice.pitch = "units"'),
    "hifigan-small-no-pitch": ("hifigan-small", 'voice.pitch = "none"'),
    "hifigan": ("hifigan", 'voice.pitch = "units"'),
    "code2spec": ("code2spec",),  # there is none that is told the melody
}
USUAL = tuple(name for name in CELLS if name != "hifigan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="units, pitch units and an entropy model")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--speakers", nargs="*", default=[], help="whose voices are learned and scored; without, all")
    parser.add_argument("--minutes", type=float, default=25.0, help="of training for each vocoder")
    parser.add_argument("--asr", action="append", help="a faster-whisper model; without it, words are not scored")
    parser.add_argument("--one-person", action="append", default=[], help="speakers who are one person, A,B")
    parser.add_argument("--only", nargs="*", default=list(USUAL), choices=list(CELLS), metavar="CELL")
    parser.add_argument("--out", type=Path, default=Path("results/voices"))
    args = parser.parse_args()
    try:
        run(args)
    except ProtophoneError as error:
        sys.exit(f"error: {error}")


def run(args: argparse.Namespace) -> None:
    """Trains and scores the cells, and writes them beside each other."""
    recordings_of(args.manifest, args.split)  # better missed before the training than after it
    bundle = args.out / "bundle"
    if not bundle.is_dir():
        with atomic_folder(bundle) as temporary:
            shutil.copytree(Bundle(args.bundle).folder, temporary, dirs_exist_ok=True)
    elif Bundle(bundle).encoder().facts["codebook"] != Bundle(args.bundle).encoder().facts["codebook"]:
        raise InputError(f"{bundle}: holds vocoders of other units than {args.bundle}; name another --out")
    told = [f'data.recordings = "{args.manifest}"', f'bundle = "{bundle}"', f"train.minutes = {args.minutes:g}"]
    if args.speakers:
        told.append(f"data.speakers = {args.speakers}")
    folders = {}
    for name in args.only:
        config, *own = CELLS[name]
        run_recipe(
            load_recipe(f"configs/{config}.toml", [*told, f'name = "{name}"', *own]),
            args.out / "runs" / name,
            stage=bar,
        )
        folders[name] = args.out / name
        results = evaluate_all(
            bundle,
            args.manifest,
            folders[name],
            split=args.split,
            speakers=args.speakers,
            asr=args.asr or (),
            one_person=args.one_person,
            vocoder=name,
            work=args.out,
            stage=bar,
        )
        write_results(folders[name], results)
    found, _ = write_comparison(args.out, folders)
    for row in found.table():
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
