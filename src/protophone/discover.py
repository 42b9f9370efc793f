"""The main job, told in one page: a folder of recordings to units, a voice that speaks them, and a report.

Every stage leaves its result in the output folder and is skipped when that is there, so an interrupted run goes on.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from protophone import audio
from protophone.bundle import add_voice
from protophone.config import Count, Positive, Share, config
from protophone.corpus import Done, check_failures, encode_corpus
from protophone.encoders.pipeline import PipelineConfig
from protophone.encoders.vqvae import VQVAEConfig
from protophone.errors import InputError, ProtophoneError
from protophone.files import inside, read_json, refuse_existing, write_json
from protophone.findings import annotate, check_references, figures, page
from protophone.manifest import SpeakerFrom, build, write
from protophone.model import load, voice_part
from protophone.quantizers import DPGMMConfig, GMMConfig, KMeansConfig
from protophone.recipe import fit_encoder, fit_voice, speakers_of, write_encoder
from protophone.report import write_report
from protophone.store import read_units
from protophone.train import Progress, TrainConfig
from protophone.types import Recording
from protophone.vad import Segment, VadConfig, speech_segments
from protophone.vocoders.code2spec import Code2SpecConfig

__all__ = ["LEAST_MINUTES", "DiscoverConfig", "Watcher", "discover"]

LEAST_MINUTES = 10.0  # of speech; below it units are learned, but they are few people's sounds and little of them
_RATE = 16000
_LONGEST_MINUTES = 90.0  # of training unless asked for more
_HELD_OUT = 8  # recordings at most that are kept from training, to be listened to


@config
class DiscoverConfig:
    """Options of ``discover``.

    ``minutes`` is the budget for training in all; without it, as long as the recordings last, 90 at most. Half of
    it goes to the units' training, the rest to the voice's.
    """

    system: Literal["vqvae", "kmeans", "gmm", "dpgmm"] = "vqvae"
    speaker_from: SpeakerFrom = "none"
    minutes: Positive | None = None
    units: Count = 256
    time_reduction: Literal[1, 2, 4] = 4
    max_bad: Share = 0.05
    seed: int = 0
    device: str = "cpu"


class Watcher(Protocol):
    """Where progress is shown."""

    def say(self, text: str) -> None:
        """A line of text."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[..., None]]:
        """A bar of ``total`` steps, moved by calling what it yields with a count (``note=``, ``total=``)."""


@dataclass(frozen=True)
class _Survey:
    """What is there to learn from."""

    recordings: list[Recording]
    segments: dict[str, list[Segment]]
    failures: list[tuple[str, str]]
    minutes: float
    speech_minutes: float


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
    out = Path(out)
    begun = _begin(out, Path(source), options)
    check_references(items=items, alignment=alignment)
    survey = _survey(Path(source), out, options, begun, watcher)
    minutes = options.minutes or min(_LONGEST_MINUTES, survey.minutes)
    warnings = _warnings(survey, options)
    watcher.say(
        f"{len(survey.recordings)} recordings, {survey.minutes:.1f} minutes, {survey.speech_minutes:.1f} of speech, "
        f"{len(speakers_of(survey.recordings))} speakers; this will take about {minutes * 1.15 + 0.5:.0f} minutes"
    )
    for warning in warnings:
        watcher.say(f"warning: {warning}")
    held_out = _held_out(survey.recordings)
    learned = [recording for recording in survey.recordings if recording.id not in held_out]
    work = out / "work"
    bundle = out / "bundle"
    if not (bundle / "bundle.json").exists():
        training = TrainConfig(
            minutes=minutes * 0.55, batch=32, crop=160, seed=options.seed, device=options.device, save_every=200
        )
        with _training(watcher, "learning units") as (report, progress):
            encoder, _ = fit_encoder(
                learned,
                _system(options),
                training,
                work / "encoder",
                segments=survey.segments,
                report=report,
                progress=progress,
                failures=[],
            )
        write_encoder(bundle, encoder, learned, training)
    model = load(bundle, device=options.device)
    with watcher.stage("encoding", len(survey.recordings)) as advance:
        done = encode_corpus(model, survey.recordings, out, beside=True, advance=advance)
    failures = [*survey.failures, *done.failures]
    if not model.voices:
        training = TrainConfig(
            minutes=minutes * 0.4,
            batch=16,
            crop=160,
            seed=options.seed,
            device=options.device,
            save_every=200,
            learning_rate=5e-4,
        )
        with _training(watcher, "learning to speak") as (report, progress):
            vocoder, _ = fit_voice(
                learned,
                model.encoder,
                Code2SpecConfig(),
                training,
                work / "voice",
                segments=survey.segments,
                report=report,
                progress=progress,
                failures=[],
            )
        add_voice(bundle, "code2spec", voice_part(vocoder))
        model = load(bundle, device=options.device)
    records = list(read_units(out))
    by_id = {recording.id: recording for recording in survey.recordings}
    annotate(records, by_id, survey.segments, out)
    for record in (record for record in records if record.id in held_out):
        path = inside(out / "sounds", record.id, ".wav")
        if not path.exists():
            own = record.extra.get("speaker")
            sound = model.decode(record.to_utterance(), own if own in model.voices else None)
            audio.write(path, sound[0], sound.sample_rate)
    measured = figures(records, model, items=items, alignment=alignment)
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
        "held_out": sorted(held_out),
        **measured,
    }
    write_json(out / "report.json", document)
    write_report(out / "report.html", page(document, records, by_id, model, out, survey.segments))
    for _, reason in failures:
        watcher.say(f"left out: {reason}")
    check_failures(Done(failures=failures), len(survey.recordings) + len(survey.failures), options.max_bad)
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


def _survey(source: Path, out: Path, options: DiscoverConfig, begun: Mapping[str, Any], watcher: Watcher) -> _Survey:
    """Finds the recordings, listens through each once for speech, and writes what it found."""
    path = out / "work" / "survey.json"
    found, _ = build(source, options.speaker_from)
    if not path.exists():
        document: dict[str, Any] = {"segments": {}, "failures": [], "samples": {}}
        with watcher.stage("listening", len(found)) as advance:
            for recording in found:
                try:
                    segments, samples = _listen(recording)
                    document["segments"][recording.id] = [[segment.start, segment.end] for segment in segments]
                    document["samples"][recording.id] = samples
                except ProtophoneError as error:
                    document["failures"].append([recording.id, str(error)])
                advance(1)
        if any(document["segments"].values()):  # else nothing is begun
            write_json(out / "discover.json", begun)
            write_json(path, document)
    else:
        document = read_json(path)
    heard = {*document["segments"], *(name for name, _ in document["failures"])}
    if heard != {recording.id for recording in found}:
        raise InputError(f"{source}: its recordings are not those {out} was begun with; name another output")
    kept = [recording for recording in found if document["segments"].get(recording.id)]
    silent = [name for name, segments in document["segments"].items() if not segments]
    failures = [(name, reason) for name, reason in document["failures"]]
    failures += [(name, f"{name}: no speech found in it; is it the right file?") for name in silent]
    if not kept:
        raise InputError(f"{source}: no recording with speech in it; the first: {failures[0][1]}")
    speech_in = {name: [Segment(*pair) for pair in document["segments"][name]] for name in (r.id for r in kept)}
    speech = sum(segment.end - segment.start for parts in speech_in.values() for segment in parts)
    samples = sum(document["samples"][recording.id] for recording in kept)
    write(out / "manifest.jsonl", kept)
    return _Survey(kept, speech_in, failures, samples / _RATE / 60, speech / _RATE / 60)


def _listen(recording: Recording) -> tuple[list[Segment], int]:
    """Speech segments of a recording, in samples at 16 kHz, and its length."""
    count = 0
    loud = False

    def blocks() -> Iterator[np.ndarray]:
        nonlocal count, loud
        for block in audio.stream(recording, _RATE, 10 * _RATE):
            count += len(block)
            loud = loud or bool(np.ptp(block) > 0)
            yield block

    segments = speech_segments(blocks(), _RATE, VadConfig())
    if not loud or count < _RATE // 40:
        audio.check_speech(np.zeros(count, np.float32), str(recording.path), _RATE)
    return segments, count


def _warnings(survey: _Survey, options: DiscoverConfig) -> list[str]:
    warnings = []
    if survey.speech_minutes < LEAST_MINUTES:
        warnings.append(
            f"{survey.speech_minutes:.1f} minutes of speech is little: below {LEAST_MINUTES:g} minutes units follow "
            "the speaker and the room more than the language; an hour or more is better"
        )
    if options.speaker_from == "none":
        warnings.append("everything counts as one speaker; with several, say where they are named: --speaker-from")
    return warnings


def _held_out(recordings: Sequence[Recording]) -> set[str]:
    """A twentieth of the recordings, eight at most, chosen by their names; none where there is but one."""
    ranked = sorted(recordings, key=lambda recording: hashlib.sha256(recording.id.encode()).hexdigest())
    count = min(_HELD_OUT, max(1, len(ranked) // 20)) if len(ranked) > 1 else 0
    return {recording.id for recording in ranked[:count]}


def _system(options: DiscoverConfig) -> VQVAEConfig | PipelineConfig:
    if options.system == "vqvae":
        base = VQVAEConfig()
        return replace(
            base, time_reduction=options.time_reduction, quantizer=replace(base.quantizer, num_units=options.units)
        )
    kind = {"kmeans": KMeansConfig, "gmm": GMMConfig, "dpgmm": DPGMMConfig}[options.system]
    return PipelineConfig(quantizer=kind(num_units=options.units), time_reduction=options.time_reduction)


@contextmanager
def _training(watcher: Watcher, title: str) -> Iterator[tuple[Callable[[Progress], None], Callable]]:
    """A report for the training loop and a wrapper for reading, both shown on one bar each."""

    def progress(recordings: Iterable[Recording]) -> Iterator[Recording]:
        recordings = list(recordings)
        with watcher.stage("reading", len(recordings)) as advance:
            for recording in recordings:
                yield recording
                advance(1)

    with watcher.stage(title, 1) as advance:
        seen = 0

        def report(state: Progress) -> None:
            nonlocal seen
            note = " ".join(f"{name} {value:.3f}" for name, value in state.figures.items())
            advance(state.step - seen, note=note, total=state.steps)
            seen = state.step

        yield report, progress
