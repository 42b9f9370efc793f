"""The main job, told in one page: a folder of recordings to units, a voice that speaks them, and a report.

Every stage leaves its result in the output folder and is skipped when that is there, so an interrupted run goes on.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from protophone import audio
from protophone.bundle import add_voice
from protophone.config import config
from protophone.corpus import Done, check_failures, encode_corpus
from protophone.encoders.pipeline import PipelineConfig
from protophone.encoders.vqvae import VQVAEConfig
from protophone.errors import InputError, ProtophoneError
from protophone.files import read_json, refuse_existing, write_json
from protophone.findings import annotate, figures, page
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
_LONGEST_MINUTES = 90.0  # of training unless asked for more
_HELD_OUT = 8  # recordings at most that are kept from training, to be listened to


@config
class DiscoverConfig:
    """Options of ``discover``.

    ``minutes`` is the budget for training in all; without it, as long as the recordings last, 90 at most. A quarter of
    it goes to the voice's training for k-means and mixtures' sake too, nearly half where the units are trained as well.
    """

    system: Literal["vqvae", "kmeans", "gmm", "dpgmm"] = "vqvae"
    speaker_from: SpeakerFrom = "none"
    minutes: float | None = None
    units: int = 256
    time_reduction: Literal[1, 2, 4] = 4
    max_bad: float = 0.05
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
    _begin(out, Path(source), options)
    survey = _survey(Path(source), out, options, watcher)
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
                learned, _system(options), training, work / "encoder", segments=survey.segments, report=report,
                progress=progress,
            )
        write_encoder(bundle, encoder, learned, training)
    model = load(bundle, device=options.device)
    with watcher.stage("encoding", len(survey.recordings)) as advance:
        encode_corpus(model, survey.recordings, out / "units", advance=advance)
    if not model.voices:
        training = TrainConfig(
            minutes=minutes * 0.4, batch=16, crop=160, seed=options.seed, device=options.device, save_every=200,
            learning_rate=5e-4,
        )
        with _training(watcher, "learning to speak") as (report, progress):
            vocoder, _ = fit_voice(
                learned, model.encoder, Code2SpecConfig(), training, work / "voice", segments=survey.segments,
                report=report, progress=progress,
            )
        add_voice(bundle, "code2spec", voice_part(vocoder))
        model = load(bundle, device=options.device)
    records = list(read_units(out / "units"))
    by_id = {recording.id: recording for recording in survey.recordings}
    annotate(records, by_id, survey.segments, out)
    for record in (record for record in records if record.id in held_out):
        path = out / "sounds" / f"{record.id}.wav"
        if not path.exists():
            own = record.extra.get("speaker")
            sound = model.decode(record.to_utterance(), own if own in model.voices else None)
            audio.write(path, sound[0], sound.sample_rate)
    measured = figures(records, by_id, model, items=items, alignment=alignment)
    document = {
        "options": asdict(options),
        "corpus": {
            "recordings": len(survey.recordings),
            "minutes": round(survey.minutes, 3),
            "speech_minutes": round(survey.speech_minutes, 3),
            "speakers": list(speakers_of(survey.recordings)),
        },
        "warnings": warnings,
        "failures": [{"file": name, "reason": reason} for name, reason in survey.failures],
        "held_out": sorted(held_out),
        **measured,
    }
    write_json(out / "report.json", document)
    write_report(out / "report.html", page(document, records, by_id, model, out, survey.segments))
    check_failures(Done(failures=survey.failures), len(survey.recordings) + len(survey.failures), options.max_bad)
    return out / "report.html"
