"""The main job, told in one page: a folder of recordings to units, a voice that speaks them, and a report.

Every stage leaves its result in the output folder and is skipped when that is there, so an interrupted run goes on.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from protophone import audio
from protophone.bundle import add_voice
from protophone.config import Count, Positive, Share, config
from protophone.corpus import check_failures, encode_corpus
from protophone.encoders.pipeline import PipelineConfig
from protophone.encoders.vqvae import VQVAEConfig
from protophone.errors import InputError, ProtophoneError
from protophone.figures import check_references, figures
from protophone.files import inside, read_json, refuse_existing, write_json
from protophone.findings import annotate, page
from protophone.fit import fit_encoder, fit_voice, speakers_of
from protophone.manifest import SpeakerFrom, build, write
from protophone.model import Model, load
from protophone.parts import voice_part
from protophone.progress import Advance
from protophone.quantizers import DPGMMConfig, GMMConfig, KMeansConfig
from protophone.recipe import write_encoder
from protophone.report import write_report
from protophone.store import UnitRecord, read_units
from protophone.survey import RATE, HeldOut, Survey, listen
from protophone.train import TrainConfig
from protophone.types import Recording
from protophone.vocoders.code2spec import Code2SpecConfig

__all__ = ["LEAST_MINUTES", "DiscoverConfig", "Watcher", "discover"]

LEAST_MINUTES = 10.0  # of speech; below it units are learned, but they are few people's sounds and little of them
_LONGEST_MINUTES = 90.0  # for all the work unless more is asked for


@config
class DiscoverConfig:
    """Options of ``discover``.

    ``minutes`` is the budget for everything; without it, as long as the recordings last, 90 at most. Of what reading,
    encoding and the report leave of it, a third of it at least, the units' training gets 60 %, the voice's 40 %.
    """

    system: Literal["vqvae", "kmeans", "gmm", "dpgmm"] = "vqvae"
    speaker_from: SpeakerFrom = "none"
    minutes: Positive | None = None
    units: Count = 256
    time_reduction: Literal[1, 2, 4, 8] = 4
    max_bad: Share = 0.05
    seed: int = 0
    device: str = "cpu"


class Watcher(Protocol):
    """Where progress is shown."""

    def say(self, text: str) -> None:
        """A line of text."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """A stage of ``total`` steps."""


@dataclass(frozen=True)
class _Plan:
    """Minutes of training for the units and for the voice, and of everything."""

    units: float
    voice: float
    whole: float


def discover(
    source: str | Path,
    out: str | Path,
    options: DiscoverConfig,
    watcher: Watcher,
    *,
    items: str | Path | None = None,
    alignment: str | Path | None = None,
) -> Path:
    """Learns units from the recordings in ``source`` (a folder or manifest) into ``out``; the report's path.

    ``items`` is a ZeroSpeech item file to score ABX on, ``alignment`` a CTM file to hold units against phones. Raises
    ``InputError`` where ``out`` holds something else, or too many recordings cannot be used.
    """
    source, out = Path(source), Path(out)
    begun = _begin(out, source, options)
    found, _ = build(source, options.speaker_from)
    check_references([recording.id for recording in found], items=items, alignment=alignment)
    plan = _plan(_minutes(found), options)
    whole = max(1, round(plan.whole))
    watcher.say(f"{len(found)} recordings; this will take about {'a minute' if whole == 1 else f'{whole} minutes'}")

    def begin() -> None:
        write_json(out / "discover.json", begun)

    survey = listen(source, found, out / "work" / "survey.json", begin, watcher.stage)
    write(out / "manifest.jsonl", survey.recordings)
    warnings = _warnings(survey, len(found), options)
    watcher.say(
        f"{survey.minutes:.1f} minutes, {survey.speech_minutes:.1f} of speech, "
        f"{len(speakers_of(survey.recordings))} speakers"
    )
    for warning in warnings:
        watcher.say(f"warning: {warning}")
    if not (out / "bundle" / "bundle.json").exists():
        _learn_units(survey, plan, options, out, watcher)
    model = load(out / "bundle", device=options.device)
    with watcher.stage("encoding", len(survey.recordings)) as advance:
        done = encode_corpus(model, survey.recordings, out, beside=True, advance=advance)
    if not model.voices:
        _learn_voice(model, survey, plan, options, out, watcher)
        model = load(out / "bundle", device=options.device)
    records = list(read_units(out))
    by_id = {recording.id: recording for recording in survey.recordings}
    annotate(records, by_id, survey.segments, out)
    spoken = [_speak(model, held, records, out) for held in survey.held_out]
    failures = [*survey.failures, *done.failures]
    document = {
        "options": asdict(options),
        "corpus": {
            "recordings": len(survey.recordings),
            "minutes": round(survey.minutes, 3),
            "speech_minutes": round(survey.speech_minutes, 3),
            "speakers": list(speakers_of(survey.recordings)),
        },
        "warnings": warnings,
        "failures": [{"file": name, "reason": reason} for name, reason in failures],
        "held_out": [recording.id for recording, _ in spoken],
        **figures(records, model, items=items, alignment=alignment),
    }
    write_json(out / "report.json", document)
    write_report(out / "report.html", page(document, records, by_id, survey.segments, spoken, model, out))
    for _, reason in failures:
        watcher.say(f"left out: {reason}")
    check_failures(failures, len(found), options.max_bad)
    return out / "report.html"


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


def _minutes(found: Sequence[Recording]) -> float:
    """How long the recordings last, by their headers; what has none that can be read counts nothing here."""
    seconds = 0.0
    for recording in found:
        with suppress(ProtophoneError):
            info = audio.probe(recording.path)
            seconds += audio.extent(recording, info)[1] / info.sample_rate
    return seconds / 60


def _plan(minutes: float, options: DiscoverConfig) -> _Plan:
    """Reading, encoding and the report come first; training has the rest of the budget, a third of it at least."""
    budget = options.minutes or min(_LONGEST_MINUTES, minutes)
    fixed = 0.5 + minutes / 30
    training = max(budget / 3, budget - fixed)
    return _Plan(units=0.6 * training, voice=0.4 * training, whole=fixed + training)


def _warnings(survey: Survey, found: int, options: DiscoverConfig) -> list[str]:
    warnings = []
    if survey.speech_minutes < LEAST_MINUTES:
        warnings.append(
            f"{survey.speech_minutes:.1f} minutes of speech is little: below {LEAST_MINUTES:g} minutes units follow "
            "the speaker and the room more than the language; an hour or more is better"
        )
    if options.speaker_from == "none":
        warnings.append("everything counts as one speaker; with several, say where they are named: --speaker-from")
    if len(survey.failures) > options.max_bad * found:
        warnings.append(
            f"{len(survey.failures)} of {found} recordings cannot be used, more than --max-bad {options.max_bad:g} "
            f"allows, so the command will end with an error; the first: {survey.failures[0][1]}"
        )
    return warnings


def _system(options: DiscoverConfig) -> VQVAEConfig | PipelineConfig:
    if options.system == "vqvae":
        base = VQVAEConfig()
        return replace(
            base, time_reduction=options.time_reduction, quantizer=replace(base.quantizer, num_units=options.units)
        )
    kind = {"kmeans": KMeansConfig, "gmm": GMMConfig, "dpgmm": DPGMMConfig}[options.system]
    return PipelineConfig(quantizer=kind(num_units=options.units), time_reduction=options.time_reduction)


def _training(options: DiscoverConfig, minutes: float, batch: int, rate: float) -> TrainConfig:
    return TrainConfig(minutes=minutes, batch=batch, learning_rate=rate, seed=options.seed, device=options.device)


def _learn_units(survey: Survey, plan: _Plan, options: DiscoverConfig, out: Path, watcher: Watcher) -> None:
    """The encoder, into a new bundle."""
    recordings, segments = survey.learned
    training = _training(options, plan.units, 32, 1e-3)
    encoder, _ = fit_encoder(
        recordings,
        _system(options),
        training,
        out / "work" / "encoder",
        segments=segments,
        stage=watcher.stage,
        failures=[],
    )
    write_encoder(out / "bundle", encoder, recordings, training)


def _learn_voice(
    model: Model, survey: Survey, plan: _Plan, options: DiscoverConfig, out: Path, watcher: Watcher
) -> None:
    """The voices, into the bundle."""
    recordings, segments = survey.learned
    vocoder, _ = fit_voice(
        recordings,
        model.encoder,
        Code2SpecConfig(),
        _training(options, plan.voice, 16, 5e-4),
        out / "work" / "voice",
        segments=segments,
        stage=watcher.stage,
        failures=[],
    )
    add_voice(out / "bundle", "code2spec", voice_part(vocoder))


def _speak(model: Model, held: HeldOut, records: Sequence[UnitRecord], out: Path) -> tuple[Recording, UnitRecord]:
    """A part that was held out, and its units, spoken into ``sounds/`` by its own speaker where that is a voice."""
    record = next(record for record in records if record.id == held.recording.id)
    first, end = held.segment.start // record.hop, -(-held.segment.end // record.hop)
    start = first * record.hop
    units = replace(record, id=held.id, codes=record.codes[:, first:end], num_samples=held.segment.end - start)
    rate = audio.probe(held.recording.path).sample_rate
    part = replace(
        held.recording,
        id=held.id,
        start=held.recording.start + start * rate // RATE,
        num_samples=(held.segment.end - start) * rate // RATE,
        sample_rate=rate,
    )
    path = inside(out / "sounds", held.id, ".wav")
    if not path.exists():
        own = held.recording.speaker
        sound = model.decode(units.to_utterance(), own if own in model.voices else None)
        audio.write(path, sound[0], sound.sample_rate)
    return part, units
