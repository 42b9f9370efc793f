"""A recogniser's errors on resynthesised clips, beside those on the clips untouched.

    python benchmarks/resynthesis.py --whisper MODEL --original MANIFEST --split dev --sounds lsgan=DIR mse=DIR \
        --out results.json

Every clip of the split is transcribed untouched and from ``DIR/ID.wav`` of each system; a missing sound stops the run,
so no clip is ever left out. ``--cache`` keeps transcripts by content and settings, so a second run is instant.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from protophone.errors import InputError, ProtophoneError
from protophone.files import write_json
from protophone.metrics.intelligibility import AGAINST, NORMALIZATION, Intelligibility, intelligibility
from protophone.recognizers import Remembered, TextRecognizer, load_recognizer, transcribe_all

UNTOUCHED = "untouched"
TELL_EVERY = 10


def read_clips(manifest: Path, split: str) -> list[dict]:
    """Lines of the manifest in ``split``, with the path of their sound."""
    try:
        lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{manifest}: not a readable manifest ({error})") from error
    clips = [line for line in lines if line.get("split") == split]
    if not clips:
        raise InputError(f"{manifest}: no recording of split {split}")
    for clip in clips:
        missing = [key for key in ("id", "audio", "text", "language") if not clip.get(key)]
        if missing:
            raise InputError(f"{manifest}: {clip.get('id')}: lacks {', '.join(missing)}, which scoring needs")
    return clips


def hear(recognizer: TextRecognizer, clips: list[dict], sounds: list[Path], name: str) -> list[str]:
    """Raw answers for every clip, progress on stderr."""
    absent = [str(sound) for sound in sounds if not sound.is_file()]
    if absent:
        raise InputError(f"{name}: {len(absent)} of {len(sounds)} clips have no sound, the first {absent[0]}")
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if done % TELL_EVERY == 0:
            print(f"{name}: {done} of {len(clips)}", file=sys.stderr)

    pairs = [(sound, clip["language"]) for clip, sound in zip(clips, sounds, strict=True)]
    return transcribe_all(recognizer, pairs, advance)


def as_dict(found: Intelligibility) -> dict:
    """Rates with the ratio of errors to those on the untouched clips."""
    out = {}
    for name in ("wer", "cer"):
        rate, times = getattr(found, name), getattr(found, f"{name}_ratio")
        out[name] = {
            "rate": rate.estimate.value,
            "interval": rate.estimate.interval,
            "errors": rate.errors,
            "length": rate.length,
            "clips": rate.clips,
            "empty": rate.empty,
        }
        if times is not None:
            out[name]["ratio"] = {"ratio": times.value, "interval": times.interval}
    return out


def score(clips: list[dict], answers: list[str], baseline: list[str]) -> dict:
    """Rates, pooled and by language."""
    texts, names, languages = ([clip[key] for clip in clips] for key in ("text", "id", "language"))
    found = intelligibility(texts, answers, baseline, names, languages)
    return {"all": as_dict(found)} | {language: as_dict(part) for language, part in found.by_language.items()}


def show(results: dict[str, dict]) -> None:
    """The table: a row a system and language."""
    table = Table(title="Recogniser's errors, % (95 % interval over clips)")
    for column in ("system", "clips of", "n", "empty", "WER", "CER", "CER / untouched"):
        table.add_column(column, justify="left" if column in {"system", "clips of"} else "right")
    for name, groups in results.items():
        for group, rates in groups.items():
            cells = [
                f"{100 * r['rate']:.1f} ({100 * r['interval'][0]:.1f}-{100 * r['interval'][1]:.1f})"
                for r in (rates["wer"], rates["cer"])
            ]
            ratio = rates["cer"].get("ratio")
            times = "-"
            if ratio and name != UNTOUCHED:
                times = f"{ratio['ratio']:.2f} ({ratio['interval'][0]:.2f}-{ratio['interval'][1]:.2f})"
            table.add_row(name, group, str(rates["cer"]["clips"]), str(rates["cer"]["empty"]), *cells, times)
        table.add_section()
    Console(width=110).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", required=True, help="a recogniser by name: a faster-whisper model")
    parser.add_argument("--original", required=True, type=Path, help="manifest with text and language")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--sounds", nargs="*", default=[], metavar="NAME=DIR", help="a system and its DIR/ID.wav")
    parser.add_argument("--cache", type=Path, help="JSONL of transcripts kept between runs")
    parser.add_argument("--out", required=True, type=Path, help="results as JSON")
    options = parser.parse_args()
    systems: dict[str, Path] = {}
    for pair in options.sounds:
        name, separator, folder = pair.partition("=")
        if not separator or not name or name == UNTOUCHED or name in systems:
            parser.error(f"--sounds {pair}: write NAME=DIR, each name once and none '{UNTOUCHED}'")
        systems[name] = Path(folder)
    try:
        clips = read_clips(options.original, options.split)
        recognizer = load_recognizer(options.whisper)
        if options.cache:
            recognizer = Remembered(recognizer, options.cache)
        untouched = [options.original.parent / clip["audio"] for clip in clips]
        answers = {UNTOUCHED: hear(recognizer, clips, untouched, UNTOUCHED)}
        for name, folder in systems.items():
            sounds = [folder / f"{clip['id']}.wav" for clip in clips]
            answers[name] = hear(recognizer, clips, sounds, name)
        results = {name: score(clips, heard, answers[UNTOUCHED]) for name, heard in answers.items()}
        write_json(
            options.out,
            {
                "settings": {**recognizer.settings, "normalization": NORMALIZATION, "against": AGAINST},
                "manifest": hashlib.sha256(options.original.read_bytes()).hexdigest()[:16],
                "split": options.split,
                "systems": results,
                "answers": {
                    clip["id"]: {name: heard[i] for name, heard in answers.items()} for i, clip in enumerate(clips)
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
