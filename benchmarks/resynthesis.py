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
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
import soxr
from rich.console import Console
from rich.table import Table

from protophone.errors import InputError, ProtophoneError
from protophone.files import read_json, write_json
from protophone.metrics.intelligibility import (
    WhisperRecognizer,
    count_errors,
    error_rate,
    error_ratio,
    normalize_text,
)

UNTOUCHED = "untouched"
SAVE_EVERY = 10


class CachedRecognizer:
    """A recogniser that remembers, in a JSON file, what it heard in a file of the same bytes and settings."""

    def __init__(self, recognizer: WhisperRecognizer, path: Path | None) -> None:
        self.recognizer = recognizer
        self.path = path
        self.heard: dict[str, str] = read_json(path) if path and path.exists() else {}
        self.unsaved = 0

    def transcribe(self, sound: Path, language: str) -> str:
        """What is heard in the file ``sound``."""
        try:
            content = sound.read_bytes()
        except OSError as error:
            raise InputError(f"{sound}: cannot be read ({error.strerror}); every clip needs its sound") from error
        state = json.dumps([self.recognizer.settings, language], sort_keys=True).encode()
        key = hashlib.sha256(state + content).hexdigest()[:32]
        if key not in self.heard:
            self.heard[key] = self.recognizer.transcribe(read_sound(sound), language)
            self.unsaved += 1
            if self.unsaved >= SAVE_EVERY:
                self.save()
        return self.heard[key]

    def save(self) -> None:
        """Writes what is new to the cache."""
        if self.path and self.unsaved:
            write_json(self.path, self.heard)
            self.unsaved = 0


def read_sound(path: Path) -> np.ndarray:
    """Samples float32 ``[sample]``, mono, at 16 kHz."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: not a readable sound file ({error}); make it again") from error
    return soxr.resample(samples.mean(1), rate, 16000).astype(np.float32)


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


def transcribe_all(recognizer: CachedRecognizer, clips: list[dict], sounds: list[Path], name: str) -> list[str]:
    """Raw answers for every clip, progress on stderr."""
    absent = [str(sound) for sound in sounds if not sound.is_file()]
    if absent:
        raise InputError(f"{name}: {len(absent)} of {len(sounds)} clips have no sound, the first {absent[0]}")
    answers = []
    try:
        for number, (clip, sound) in enumerate(zip(clips, sounds, strict=True), start=1):
            answers.append(recognizer.transcribe(sound, clip["language"]))
            if number % SAVE_EVERY == 0:
                print(f"{name}: {number} of {len(clips)}", file=sys.stderr)
    finally:
        recognizer.save()
    return answers


def score(clips: list[dict], answers: list[str], baseline: list[str]) -> dict:
    """Rates, pooled and by language, with the ratio of errors to those on the untouched clips."""
    languages = [clip["language"] for clip in clips]
    references = [normalize_text(clip["text"], clip["language"]) for clip in clips]
    heard = [normalize_text(text, language) for text, language in zip(answers, languages, strict=True)]
    before = [normalize_text(text, language) for text, language in zip(baseline, languages, strict=True)]
    groups = {"all": np.arange(len(clips))}
    for language in sorted(set(languages)):
        groups[language] = np.flatnonzero(np.array(languages) == language)
    empty = np.array([not text for text in heard])
    out: dict = {group: {} for group in groups}
    for unit, name in (("word", "wer"), ("character", "cer")):
        errors, lengths = count_errors(references, heard, unit)
        untouched, _ = count_errors(references, before, unit)
        for group, members in groups.items():
            rate = error_rate(errors[members], lengths[members], empty=int(empty[members].sum()))
            out[group][name] = asdict(rate)
            if untouched[members].sum():
                out[group][name]["ratio"] = asdict(error_ratio(errors[members], untouched[members]))
    return out


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
    parser.add_argument("--whisper", required=True, help="folder of a faster-whisper model")
    parser.add_argument("--original", required=True, type=Path, help="manifest with text and language")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--sounds", nargs="*", default=[], metavar="NAME=DIR", help="a system and its DIR/ID.wav")
    parser.add_argument("--cache", type=Path, help="JSON of transcripts kept between runs")
    parser.add_argument("--threads", type=int, default=0, help="of the recogniser; 0: its own choice")
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
        recognizer = CachedRecognizer(WhisperRecognizer(options.whisper, threads=options.threads), options.cache)
        answers = {
            UNTOUCHED: transcribe_all(
                recognizer, clips, [options.original.parent / clip["audio"] for clip in clips], UNTOUCHED
            )
        }
        for name, folder in systems.items():
            sounds = [folder / f"{clip['id']}.wav" for clip in clips]
            answers[name] = transcribe_all(recognizer, clips, sounds, name)
        results = {name: score(clips, heard, answers[UNTOUCHED]) for name, heard in answers.items()}
        write_json(
            options.out,
            {
                "settings": recognizer.recognizer.settings,
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
