"""Makes the bundle that is shipped: trains it on the prompts, halves its weights, writes its card and its sayings.

    python examples/ship_bundle.py --manifest ../shared/data/prompts/manifest.jsonl --work runs/prompts

Trains ``configs/content.toml``, ``pitch.toml``, ``vocos.toml`` and ``entropy.toml`` on the manifest's train split, one
after the other (going on where it was interrupted), and writes ``src/protophone/bundles/prompts``: the bundle with
weights in half precision, and ``sayings.jsonl``, units of recordings of two voices that ``make demo`` speaks. When it
has been measured (``docs/results.md``), the figures go into the card and ``bundle.json``:

    python examples/ship_bundle.py --manifest ../shared/data/prompts/manifest.jsonl --results results/prompts
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from protophone.bundle import Bundle, Part, add_part, add_voice, set_card, write_bundle
from protophone.cli.progress import bar
from protophone.errors import InputError
from protophone.evaluate.results import read_results
from protophone.manifest import build
from protophone.model import DEFAULT_BUNDLE, load
from protophone.recipe import load_recipe, run_recipe
from protophone.store import UnitRecord

VOICES = ("prompts-en", "prompts-it")
LICENCE = "CC BY-SA 3.0"
CARD = """# Units, voices and codec of the prompts

**What it is.** Content units ({units}, {rate:g} a second), pitch units, an entropy model for both, and an inverse-STFT
vocoder of five voices, which takes the voice of a recording as well (embedded by Resemblyzer), of protophone. Learned
from sound alone: no text, no alignment.

**Data.** The train split of the Asterisk core sounds 1.6.1, {minutes:.0f} minutes of studio prompts: English and
Spanish by Allison Smith, French by June Wallack, Italian by Carlo Flora, Russian by Maxim Topal (Debian packages
asterisk-core-sounds-*-g722; CC BY-SA 3.0, Russian CC BY 3.0).

**Licence.** These weights: CC BY-SA 3.0, with the attribution above. The code around them: Apache-2.0.

**The voices are real people's.** Do not use them to make anybody believe that these persons said what they did not.

**Figures.** {figures}

**Limits.** Studio speech of telephone prompts by four persons; other languages, rooms and microphones are encoded with
more errors, and other voices are lost: five are too few to learn from to imitate one heard once (`--like`), of whom
what is spoken keeps little. Discover units of your own recordings instead.

**Made by** `python examples/ship_bundle.py`: codebook {codebook}{overrides}.
"""


def train(manifest: Path, work: Path, overrides: list[str]) -> Path:
    """The trained bundle: units, pitch units, a voice, an entropy model, each of its own recipe."""
    bundle = work / "content" / "bundle"
    for name in ("content", "pitch", "vocos", "entropy"):
        told = [f'data.recordings = "{manifest}"', *(f'bundle = "{bundle}"' for _ in range(name != "content"))]
        mine = [each.partition(":")[2] for each in overrides if each.partition(":")[0] == name]
        run_recipe(load_recipe(f"configs/{name}.toml", [*told, *mine]), work / name, stage=bar)
    return bundle


def note_figures(results: Path) -> None:
    """Puts what ``protophone evaluate all`` measured of the shipped bundle into its card and facts."""
    found = read_results(results)
    names = ("bit rate, measured bytes", "CER", "CER / untouched", "F0 frame error (FFE)")
    rate, cer, ratio, pitch = (found[name] for name in names)
    if ratio.interval is None:
        raise InputError(f"{results}: no interval of the CER; evaluate more recordings")
    figures = {
        "measured on": f"{cer.count} recordings of split {found.settings['split']}",
        "bit/s, whole files": round(rate.value, 1),
        "recogniser": f"{cer.protocol['recognizer']}, model {cer.protocol['model']}",
        "CER, %": round(100 * cer.value, 1),
        "CER, times that of the untouched recordings": round(ratio.value, 2),
        "95 % interval of that": [round(bound, 2) for bound in ratio.interval],
        "F0 frame error, %": round(100 * pitch.value, 1),
    }
    card = (DEFAULT_BUNDLE / "card.md").read_text(encoding="utf-8")
    line = next(line for line in card.splitlines() if line.startswith("**Figures.**"))
    said = "; ".join(f"{key}: {value}" for key, value in figures.items())
    set_card(
        DEFAULT_BUNDLE, card.replace(line, f"**Figures.** Resynthesis: {said}. More in `docs/results.md`."), figures
    )
    print(f"{DEFAULT_BUNDLE / 'card.md'}: {said}")


def halved(part: Part) -> Part:
    """Weights in half precision but for the codebook, whose hash must stay, and the statistics of features."""
    kept = ("quantizer.", "vectors", "mean", "deviation")
    weights = {
        name: value.half() if value.dtype == torch.float32 and not name.startswith(kept) else value
        for name, value in part.weights.items()
    }
    return replace(part, weights=weights)


def without_decoder(part: Part) -> Part:
    """A content encoder without what it learned against."""
    config = part.config.replace('represent = "decoded"', 'represent = "codes"')
    weights = {name: value for name, value in part.weights.items() if not name.startswith("decoder.")}
    return replace(part, config=config, weights=weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/prompts"))
    parser.add_argument("--bundle", type=Path, help="ship this trained bundle instead of training one")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        help="laid over a recipe, which is named first: 'content:train.steps = 5000'",
    )
    parser.add_argument("--results", type=Path, help="of protophone evaluate all: put its figures into the card")
    args = parser.parse_args()
    if args.results:
        note_figures(args.results)
        return
    trained = Bundle(args.bundle or train(args.manifest, args.work, args.set))
    part = trained.encoder()
    recordings = build(args.manifest, "manifest", probe=True).recordings
    recordings = [recording for recording in recordings if recording.split == "train"]
    minutes = sum(recording.num_samples / recording.sample_rate for recording in recordings) / 60
    facts = {name: trained.facts[name] for name in ("training", "figures")} | {"licence": LICENCE}
    shutil.rmtree(DEFAULT_BUNDLE, ignore_errors=True)
    grid = part.facts
    card = CARD.format(
        units=grid["sizes"][0],
        rate=grid["sample_rate"] / grid["hop"],
        minutes=minutes,
        figures="not measured yet.",
        codebook=grid["codebook"],
        overrides="".join(f", `{each}`" for each in args.set),
    )
    write_bundle(DEFAULT_BUNDLE, halved(without_decoder(part)), facts, card)
    for name in trained.voices:
        add_voice(DEFAULT_BUNDLE, name, halved(trained.voice(name)))
    for name in trained.parts:
        add_part(DEFAULT_BUNDLE, name, trained.part(name))
    model = load()
    lines = []
    for voice in VOICES:
        seconds = 0.0
        for recording in recordings:
            if recording.speaker != voice or seconds > 100:
                continue
            units = model.encode(recording)
            if not 2.5 < units.num_samples / model.sample_rate < 10:
                continue
            record = UnitRecord.from_utterance(units, recording.id, {"speaker": recording.speaker})
            lines.append(record.to_json())
            seconds += units.num_samples / model.sample_rate
    (DEFAULT_BUNDLE.parent / "sayings.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in DEFAULT_BUNDLE.rglob("*") if path.is_file())
    print(f"{DEFAULT_BUNDLE}: {size / 1e6:.1f} MB, {len(lines)} sayings")


if __name__ == "__main__":
    main()
