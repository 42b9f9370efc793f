"""The main job, told in one page: a folder of recordings to units, a voice that speaks them, and a report.

Every stage leaves its result in the output folder and is skipped when that is there, so an interrupted run goes on.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from protophone import audio
from protophone.bundle import Bundle
from protophone.corpus import check_failures, encode_corpus
from protophone.curriculum import (
    DiscoverConfig,
    TrainingSteps,
    learn_entropy,
    learn_pitch,
    learn_units,
    learn_voice,
)
from protophone.device import device_of
from protophone.errors import InputError
from protophone.figures import check_references, figures
from protophone.files import inside, read_json, refuse_existing, write_json
from protophone.findings import annotate, page
from protophone.fit import speakers_of
from protophone.folder import Listing
from protophone.manifest import build, write
from protophone.model import Model, load
from protophone.plan import Budget, closing_stages, noted, settle, stages
from protophone.progress import Advance, Unit, expected
from protophone.report import write_report
from protophone.store import UnitRecord, read_units
from protophone.survey import RATE, HeldOut, Survey, listen
from protophone.tape import seconds_of
from protophone.types import NOBODY, Recording

__all__ = ["LEAST_MINUTES", "LEAST_STEPS", "DiscoverConfig", "Watcher", "discover"]

LEAST_STEPS = 100  # of the voice's training
_SHOWN = 10  # warnings of signals on the page and the terminal
LEAST_MINUTES = 10.0  # of speech; below it units are learned, but they are few people's sounds and little of them


class Watcher(Protocol):
    """Shows progress."""

    def say(self, text: str) -> None:
        """Show a line of text."""

    def expect(self, stages: Sequence[tuple[str, float]]) -> None:
        """Take note of the stages to come and the seconds that each is expected to take."""

    def stage(self, title: str, total: float, unit: Unit = "steps") -> AbstractContextManager[Advance]:
        """Open a stage, as ``Stage``."""


def discover(
    source: str | Path,
    out: str | Path,
    options: DiscoverConfig,
    watcher: Watcher,
    *,
    items: str | Path | None = None,
    alignment: str | Path | None = None,
    tier: str | None = None,
) -> Path:
    """Learns units from the recordings in ``source`` (a folder or manifest) into ``out``; the report's path.

    ``items`` is a ZeroSpeech item file to score ABX on, ``alignment`` phones to hold units
    against (a CTM file, TextGrids or ELAN files, whose ``tier`` it is). Raises
    ``InputError`` where ``out`` holds something else, or too many recordings cannot be used.
    """
    source, out = Path(source), Path(out)
    device_of(options.device)  # refused before any work
    begun = _begin(out, source, options)
    listing = build(source, options.speaker_from, channel=options.channel)
    found = listing.recordings
    check_references([recording.id for recording in found], items=items, alignment=alignment, tier=tier)
    seconds = seconds_of(found)
    length = sum(seconds.values()) / 60
    minutes = Budget.of(length, options)
    whole = max(1, round(minutes.whole))
    learned = _is_learned(out)
    takes = f"; this will take about {'a minute' if whole == 1 else f'{whole} minutes'}"
    watcher.say(f"{len(found)} recordings{'' if learned or options.steps else takes}")
    watcher.expect(
        [*expected(60 * length, "listening"), ("learning", math.nan if options.steps else 60 * minutes.whole)]
    )

    for line in listing.lines(seconds):
        watcher.say(line)

    def begin() -> None:
        write_json(out / "discover.json", begun)

    survey = listen(source, found, out / "work" / "survey.json", begin, watcher.stage)
    write(out / "manifest.jsonl", survey.recordings)
    speakers = speakers_of(survey.recordings)
    watcher.say(f"{survey.minutes:.1f} minutes, {survey.speech_minutes:.1f} of speech, {len(speakers)} speakers")
    if learned:
        steps = noted(out / "plan.json")
        watcher.expect(closing_stages(survey.minutes))
    else:
        steps, paces = settle(out / "plan.json", options, minutes, speakers)
        watcher.expect(stages(survey.minutes, options, steps, paces))
    warnings = [*listing.warnings, *_warnings(survey, listing, options, steps)]
    for warning in warnings[len(listing.warnings) :]:
        watcher.say(f"warning: {warning}")
    if not (out / "bundle" / "bundle.json").exists():
        learn_units(survey, steps, options, out, watcher.stage)
    if "pitch" not in Bundle(out / "bundle").parts:
        learn_pitch(survey, steps, options, out, watcher.stage)
    model = load(out / "bundle", device=options.device)
    done = encode_corpus(model, survey.recordings, out, beside=True, stage=watcher.stage)
    if not model.voices:
        learn_voice(model, survey, steps, options, out, watcher.stage)
        model = load(out / "bundle", device=options.device)
    records = list(read_units(out))
    if "entropy" not in model.bundle.parts:
        learn_entropy(model, records, options, out, watcher.stage)
    by_id = {recording.id: recording for recording in survey.recordings}
    annotate(records, by_id, survey.segments, out)
    with watcher.stage("speaking", len(survey.held_out)) as advance:
        spoken = [_speak(model, held, records, out, advance) for held in survey.held_out]
    failures = [*listing.failures, *survey.failures, *done.failures]
    document = {
        "options": {name: value for name, value in asdict(options).items() if name not in {"minutes", "steps"}},
        "steps": asdict(steps),
        "corpus": {
            "recordings": len(survey.recordings),
            "minutes": round(survey.minutes, 3),
            "speech_minutes": round(survey.speech_minutes, 3),
            "speakers": _amounts(survey),
        },
        "warnings": warnings,
        "signal": survey.warnings,
        "failures": [{"file": name, "reason": reason} for name, reason in failures],
        "passed": [asdict(each) for each in listing.passed],
        "held_out": [recording.id for recording, _ in spoken],
        **figures(records, survey.segments, model, items=items, alignment=alignment, tier=tier),
    }
    write_json(out / "report.json", document)
    write_report(out / "report.html", page(document, records, by_id, survey.segments, spoken, model, out))
    for _, reason in failures:
        watcher.say(f"left out: {reason}")
    check_failures(failures, len(found) + len(listing.failures), options.max_bad)
    return out / "report.html"


def _amounts(survey: Survey) -> dict[str, dict[str, float]]:
    """Recordings, minutes and minutes of speech of each speaker."""
    amounts: dict[str, dict[str, float]] = {}
    for name in speakers_of(survey.recordings):
        own = [each.id for each in survey.recordings if (each.speaker or NOBODY) == name]
        speech = sum(part.end - part.start for each in own for part in survey.segments[each])
        amounts[name] = {
            "recordings": len(own),
            "minutes": round(sum(survey.lengths[each] for each in own) / RATE / 60, 3),
            "speech_minutes": round(speech / RATE / 60, 3),
        }
    return amounts


def _is_learned(out: Path) -> bool:
    """Return True if an earlier run finished its trainings."""
    return (out / "bundle" / "bundle.json").exists() and bool(Bundle(out / "bundle").voices)


def _begin(out: Path, source: Path, options: DiscoverConfig) -> dict[str, Any]:
    """Checks that the output is nothing yet, or an interrupted run with the same options; what tells runs apart."""
    kept = {name: value for name, value in asdict(options).items() if name not in {"max_bad", "device"}}
    wanted = {"source": str(source), "options": kept}
    path = out / "discover.json"
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{out}: lies among the recordings, and its sounds would count as such; name another output")
    if not path.exists():
        refuse_existing(out)
    elif read_json(path) != wanted:
        raise InputError(f"{out}: holds a run with other recordings or options; name another output, or give the same")
    return wanted


def _warnings(survey: Survey, listing: Listing, options: DiscoverConfig, steps: TrainingSteps) -> list[str]:
    warnings = _first(survey.warnings)
    failures = [*listing.failures, *survey.failures]
    found = len(listing.recordings) + len(listing.failures)
    if survey.speech_minutes < LEAST_MINUTES:
        warnings.append(
            f"{survey.speech_minutes:.1f} minutes of speech is little: below {LEAST_MINUTES:g} minutes units follow "
            "the speaker and the room more than the language; an hour or more is better"
        )
    if not any(recording.speaker for recording in survey.recordings):
        warnings.append("everything counts as one speaker; with several, say where they are named: --speaker-from")
    if len(failures) > options.max_bad * found:
        warnings.append(
            f"{len(failures)} of {found} recordings cannot be used, more than --max-bad {options.max_bad:g} "
            f"allows, so the command will end with an error; the first: {failures[0][1]}"
        )
    if steps.synthesizer < LEAST_STEPS:
        warnings.append(
            f"the synthesizer is trained for {steps.synthesizer} steps only: below {LEAST_STEPS} its voices are hardly "
            "more than noise; give more --minutes, or --steps, and another --out"
        )
    return warnings


def _first(warnings: Sequence[str]) -> list[str]:
    """The first warnings, and how many others there are."""
    others = len(warnings) - _SHOWN
    return [*warnings[:_SHOWN], *([f"{others} more of this kind; report.json lists them all"] if others > 0 else [])]


def _speak(
    model: Model, held: HeldOut, records: Sequence[UnitRecord], out: Path, advance: Advance
) -> tuple[Recording, UnitRecord]:
    """A part that was held out, and its units, spoken into ``sounds/`` by its own speaker where that is a voice."""
    record = next(record for record in records if record.id == held.recording.id)
    units = _cut(record, held)
    start = held.segment.end - units.num_samples
    part = replace(audio.part(held.recording, start, held.segment.end, RATE), id=held.id)
    path = inside(out / "sounds", held.id, ".wav")
    if not path.exists():
        own = held.recording.speaker
        sound = model.decode(units.to_utterance(), own if own in model.voices else None)
        audio.write(path, sound[0], sound.sample_rate)
    advance(1)
    return part, units


def _cut(record: UnitRecord, held: HeldOut) -> UnitRecord:
    """The units of a part of a recording, which begins where both a content and a pitch unit begin."""
    pitch, end = record.pitch, held.segment.end
    step = record.hop if pitch is None else math.lcm(record.hop, pitch.hop)
    start = held.segment.start // step * step
    codes = record.codes[:, start // record.hop : -(-end // record.hop)]
    if pitch is not None:
        pitch = replace(pitch, codes=pitch.codes[start // pitch.hop : -(-end // pitch.hop)])
    return replace(record, id=held.id, codes=codes, pitch=pitch, num_samples=end - start)
