"""Voice conversion scored by a pretrained speaker embedder: whether it sounds like the target or the source.

    pip install --no-deps resemblyzer
    python benchmarks/conversion.py BUNDLE --manifest MANIFEST --split dev --pairs abiayi:kouarata kouarata:abiayi \
        --out results.json

A speaker's centroid is the mean embedding of some of the train recordings. Every recording of the split by the source
of a pair SOURCE:TARGET is then embedded three times, and it counts whether one centroid of the two is nearer (cosine):
the source's for the recording untouched and for its units spoken in the source's own voice, the target's for its units
spoken in the target's voice. The first row tells how far the embedder itself can be trusted on these speakers.
Intervals are Wilson's, over recordings.
"""

import argparse
import hashlib
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import soxr
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from protophone import audio
from protophone.errors import InputError, ProtophoneError
from protophone.features.speaker import SpeakerEmbedder, load_embedder
from protophone.files import write_json
from protophone.manifest import read
from protophone.metrics.speaker import centroids
from protophone.model import Model, load
from protophone.types import AudioBatch, Recording

KINDS = {"untouched": "source", "resynthesis": "source", "conversion": "target"}  # whose centroid should be nearer
POOLED = "all"


@dataclass(frozen=True)
class Trial:
    """One sound of a recording, and its cosines to the centroids of the pair's two speakers."""

    recording: str
    pair: str
    kind: str
    source: float
    target: float

    @property
    def found(self) -> bool:
        """Whether the speaker that should be heard is nearer than the other."""
        nearer = "source" if self.source > self.target else "target"
        return nearer == KINDS[self.kind]


def speaker_pairs(texts: list[str], recordings: list[Recording], split: str, voices: tuple[str, ...]) -> list[tuple]:
    """SOURCE:TARGET parted, each checked for recordings and a voice; ``InputError`` names what is missing."""
    known = {name: {r.speaker for r in recordings if r.split == name} for name in ("train", split)}
    pairs = []
    for text in texts:
        source, _, target = text.partition(":")
        if not source or not target or source == target or (source, target) in pairs:
            raise InputError(f"--pairs {text}: write SOURCE:TARGET, two speakers, each pair once")
        for speaker in (source, target):
            if speaker not in known["train"]:
                raise InputError(f"--pairs {text}: no train recordings of {speaker} in the manifest to know it by")
            if speaker not in voices:
                raise InputError(f"--pairs {text}: no voice {speaker} in the bundle; it has {', '.join(voices)}")
        if source not in known[split]:
            raise InputError(f"--pairs {text}: no recordings of {source} in split {split}")
        pairs.append((source, target))
    return pairs


def embed(embedder: SpeakerEmbedder, samples: np.ndarray) -> np.ndarray:
    """The vector float32 ``[dim]`` of one sound at the embedder's rate."""
    return embedder.embed(AudioBatch.from_arrays([samples], embedder.sample_rate))[0].numpy()


def enrol(embedder: SpeakerEmbedder, recordings: list[Recording], speaker: str, most: int, seed: int) -> np.ndarray:
    """The centroid of a speaker, from at most ``most`` of the train recordings, drawn by ``seed``."""
    own = [r for r in recordings if r.speaker == speaker and r.split == "train"]
    drawn = np.random.default_rng(seed).permutation(len(own))[:most]
    vectors = [embed(embedder, audio.read(own[i], embedder.sample_rate)) for i in drawn]
    return centroids(np.stack(vectors), [speaker] * len(vectors))[speaker]


def compare(
    model: Model,
    embedder: SpeakerEmbedder,
    clips: list[Recording],
    pair: tuple[str, str],
    known: dict[str, np.ndarray],
) -> list[Trial]:
    """Trials of the source's recordings ``clips``: untouched, in the source's own voice, in the target's."""
    source, target = pair
    trials = []
    for number, clip in enumerate(clips, start=1):
        units = model.encode(clip)
        vectors = {"untouched": embed(embedder, audio.read(clip, embedder.sample_rate))}
        for kind, voice in (("resynthesis", source), ("conversion", target)):
            spoken = soxr.resample(model.decode(units, voice)[0], model.sample_rate, embedder.sample_rate)
            vectors[kind] = embed(embedder, spoken)
        for kind, vector in vectors.items():
            cosines = [float(vector @ known[speaker]) for speaker in pair]
            trials.append(Trial(clip.id, f"{source}:{target}", kind, *cosines))
        if number % 20 == 0:
            print(f"{source}:{target}: {number} of {len(clips)}", file=sys.stderr)
    return trials


def rates(trials: list[Trial]) -> dict[str, dict[str, dict]]:
    """By kind of sound and pair, and over all pairs: how often the right speaker was nearer, with a 95 % interval."""
    pairs = list(dict.fromkeys(trial.pair for trial in trials))
    groups = {
        (kind, pair): [t for t in trials if t.kind == kind and pair in {t.pair, POOLED}]
        for kind in KINDS
        for pair in (pairs if len(pairs) == 1 else [*pairs, POOLED])
    }
    out: dict[str, dict[str, dict]] = {kind: {} for kind in KINDS}
    for (kind, pair), members in groups.items():
        found = sum(trial.found for trial in members)
        interval = binomtest(found, len(members)).proportion_ci(0.95, "wilson")
        out[kind][pair] = {
            "found": found,
            "recordings": len(members),
            "rate": found / len(members),
            "interval": [float(interval.low), float(interval.high)],
            "cosine_source": float(np.mean([trial.source for trial in members])),
            "cosine_target": float(np.mean([trial.target for trial in members])),
        }
    return out


def show(results: dict[str, dict[str, dict]]) -> None:
    """The table: a row a kind of sound and pair."""
    table = Table(title="How often the right speaker is nearer, % (95 % interval over recordings)")
    for column in ("sound", "should be", "pair", "n", "nearer", "cosine source", "cosine target"):
        table.add_column(column, justify="left" if column in {"sound", "should be", "pair"} else "right")
    for kind, pairs in results.items():
        for pair, rate in pairs.items():
            low, high = rate["interval"]
            nearer = f"{100 * rate['rate']:.1f} ({100 * low:.1f}-{100 * high:.1f})"
            cosines = [f"{rate[key]:.3f}" for key in ("cosine_source", "cosine_target")]
            table.add_row(kind, KINDS[kind], pair, str(rate["recordings"]), nearer, *cosines)
        table.add_section()
    Console(width=110).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="a bundle with voices")
    parser.add_argument("--manifest", required=True, type=Path, help="recordings with speaker and split")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--pairs", required=True, nargs="+", metavar="SOURCE:TARGET")
    parser.add_argument("--enrol", type=int, default=50, help="train recordings a speaker is known by")
    parser.add_argument("--limit", type=int, help="recordings of a source to convert, the first ones; without: all")
    parser.add_argument("--embedder", default="resemblyzer", help="or an x-vector model's folder or cached name")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of train recordings")
    parser.add_argument("--out", required=True, type=Path, help="results as JSON")
    options = parser.parse_args()
    if options.enrol < 1 or (options.limit is not None and options.limit < 1):
        parser.error("--enrol and --limit must be at least 1")
    try:
        model = load(options.bundle)
        embedder = load_embedder(options.embedder)
        recordings = read(options.manifest)
        pairs = speaker_pairs(options.pairs, recordings, options.split, model.voices)
        speakers = sorted({speaker for pair in pairs for speaker in pair})
        known = {name: enrol(embedder, recordings, name, options.enrol, options.seed) for name in speakers}
        trials: list[Trial] = []
        for pair in pairs:
            clips = [r for r in recordings if r.split == options.split and r.speaker == pair[0]][: options.limit]
            trials += compare(model, embedder, clips, pair, known)
        results = rates(trials)
        write_json(
            options.out,
            {
                "codebook": model.encoder.codebook.hash,
                "manifest": hashlib.sha256(options.manifest.read_bytes()).hexdigest()[:16],
                "split": options.split,
                **embedder.settings,
                "enrol": options.enrol,
                "seed": options.seed,
                "rates": results,
                "cosines": {
                    pair: [[t.recording, t.kind, t.source, t.target] for t in members]
                    for pair, members in groupby(trials, lambda trial: trial.pair)
                },
            },
        )
    except ProtophoneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    show(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
