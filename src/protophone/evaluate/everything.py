"""All that can be measured of a bundle on recordings it was not trained on, in one go: units, ABX, sounds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from protophone import audio
from protophone.codec import pack, read_entropy
from protophone.corpus import decode_corpus, encode_corpus
from protophone.delivery import Delivery
from protophone.errors import InputError
from protophone.evaluate.discrimination import evaluate_abx, write_cells
from protophone.evaluate.figure import Found, LeftOut
from protophone.evaluate.pairs import Pair
from protophone.evaluate.plots import heat_map
from protophone.evaluate.references import check_references
from protophone.evaluate.representation import representation
from protophone.evaluate.results import Results, digest, refuse_others
from protophone.evaluate.resynthesis import Measures, measure, pairs_of
from protophone.evaluate.sources import listing_of, recordings_of
from protophone.evaluate.units import evaluate_bitrate, evaluate_units
from protophone.evaluate.voices import persons_of
from protophone.features.speaker import load_embedder
from protophone.files import atomic, inside, read_json, refuse_existing, refuse_unwritable, write_json, write_text
from protophone.model import Heard, Model, load
from protophone.progress import Stage, silent
from protophone.recognizers import load_recognizer
from protophone.report.comparison import Scene, Take, comparison
from protophone.store import UnitRecord, read_units
from protophone.types import Channel, Recording

__all__ = ["evaluate_all"]

_AS_RECORDED = Delivery()
_HEARD = 12  # pairs on the page to listen to


def evaluate_all(
    bundle: str | Path,
    recordings: str | Path,
    out: str | Path,
    *,
    split: str | None = None,
    channel: Channel | None = None,
    speakers: Sequence[str] = (),
    items: str | Path | None = None,
    alignment: str | Path | None = None,
    tier: str | None = None,
    asr: Sequence[str] = (),
    language: str | None = None,
    embedder: str | None = None,
    one_person: Sequence[str] = (),
    voice: str | None = None,
    like: str | Path | None = None,
    delivery: Delivery = _AS_RECORDED,
    vocoder: str | None = None,
    work: str | Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    stage: Stage = silent,
    warn: Callable[[Sequence[str]], None] = lambda _: None,
) -> Results:
    """Encodes the recordings into ``out``, packs and speaks them where the bundle can, and scores all that.

    They are spoken in ``voice``, without one each in its own, by ``vocoder`` where the bundle has several; with
    ``like``, in the voice of that recording, and then ``voice`` is only whom they are held against. Of ``speakers``
    alone, where some are named. ``channel`` is read of each recording; None: as the manifest says.
    What recognisers hear and judges of quality find is kept in ``work``, without one in ``out``.
    What cannot be measured, for an extra is not installed or nothing to score against was given, is listed among what
    was left out, with the reason. An interrupted run goes on in ``out``. ``warn`` is called with the faults of the
    recordings' signals.
    """
    out = Path(out)
    kept = out if work is None else Path(work)
    if kept.exists() and not kept.is_dir():
        raise InputError(f"{kept}: a file; name a folder with {'--out' if work is None else '--work'}")
    if not (out / "units").is_dir():
        refuse_existing(out)
    found, left_out = listing_of(recordings, split, speakers, channel)
    check_references([recording.id for recording in found], items=items, alignment=alignment, tier=tier)
    others = recordings_of(recordings, None, channel=channel)
    persons_of(others, one_person)
    model = load(bundle, device=device, vocoder=vocoder)
    speaks: str | Heard | None = None
    if model.voices:  # what cannot be is better said before the work than after it
        speaks = voice if like is None else model.heard(like)
        if isinstance(speaks, str):
            model.check_voice(speaks)
        if like is not None and voice is not None and voice not in {recording.speaker for recording in others}:
            raise InputError(f"--voice {voice}: with --like, whom they shall resemble, and {recordings} has no such")
        for name in asr:
            load_recognizer(name)
    if embedder is not None:
        load_embedder(embedder)
    refuse_unwritable(kept / "work" / "quality.jsonl")
    title = f"everything, {_name_of(bundle)}"
    refuse_others(out, title)
    read = {"bundle": model.bundle.folder, "recordings": recordings, "items": items}
    results = Results(
        title=title,
        settings={role: path and str(path) for role, path in read.items()}
        | {"split": split, "asr": list(asr), "language": language, "embedder": embedder}
        | {"one_person": list(one_person), "seed": seed}
        | {"speakers": list(speakers), "like": like and str(like), "voice": voice, "vocoder": vocoder}
        | {"pitch": delivery.pitch, "rate": delivery.rate}
        | ({} if channel is None else {"channel": channel}),
        hashes={role: digest(path) for role, path in read.items() if path is not None},
        left_out=left_out,
    )
    done = encode_corpus(model, found, out / "units", stage=stage)
    warn(done.warnings)
    if len(done.failures) == len(found):
        raise InputError(f"none of {len(found)} recordings can be used, the first: {done.failures[0][1]}")
    if done.failures:
        examples = tuple(reason for _, reason in done.failures[:3])
        results.left_out.append(LeftOut("recordings", len(done.failures), "they cannot be used", examples))
    records = list(read_units(out / "units"))
    _score_units(results, out, alignment, tier, seed, packed=_packed(model, records, out / "packed"))
    if items is None:
        results.left_out.append(LeftOut("measures", 1, "no items were given (--items)", ("ABX",)))
    else:
        results.add(_abx(out, items, seed, model.bundle.folder))
    if not model.voices:
        results.left_out.append(LeftOut("measures", 1, "the bundle has no voice", ("resynthesis",)))
        return results
    source = out / "units"
    decode_corpus(model, records, out / "sounds", voice=speaks, delivery=delivery, source=source, stage=stage)
    spoken = {record.id for record in records}
    pairs, _ = pairs_of([recording for recording in found if recording.id in spoken], out / "sounds", "error")
    results.hashes["sounds"] = digest(out / "sounds")
    write_text(out / "listen.html", _to_hear(pairs, title, model.sample_rate))
    measures = Measures(asr=tuple(asr), language=language, embedder=embedder, one_person=tuple(one_person), seed=seed)
    if voice is None and like is not None:
        reason = f"spoken like {like}; name the speaker whom they shall resemble (--voice)"
        results.left_out.append(LeftOut("measures", 1, reason, ("speaker",)))
        resembling = []
    elif voice is None:
        resembling = [pair for pair in pairs if pair.recording.speaker in model.voices]
        if len(resembling) < len(pairs):
            reason = (
                f"similarity to the speaker: they speak as {model.voices[0]}, for the bundle has no voice of theirs"
            )
            results.left_out.append(LeftOut("recordings", len(pairs) - len(resembling), reason))
    else:
        resembling = pairs
    _score_sounds(results, pairs, resembling, others, replace(measures, voice=voice), work=kept, stage=stage)
    return results


def _score_units(
    results: Results, out: Path, alignment: str | Path | None, tier: str | None, seed: int, packed: Path | None
) -> None:
    """Adds bit rates and what the units tell of phones and speakers to ``results``, with a table of both."""
    rates = evaluate_bitrate(out / "units", files=packed)
    quality, table = evaluate_units(out / "units", alignment=alignment, tier=tier, seed=seed)
    if table is not None:
        heat_map(out / "units_phones.png", table.counts, table.phones)
    for part in (rates, quality):
        results.add(part)
        results.hashes |= part.hashes


def _score_sounds(
    results: Results,
    pairs: Sequence[Pair],
    resembling: Sequence[Pair],
    others: Sequence[Recording],
    measures: Measures,
    *,
    work: Path,
    stage: Stage,
) -> None:
    """Adds the words, pitch and quality of ``pairs`` and the speakers of those ``resembling`` theirs to ``results``.

    What needs an extra that is not installed is listed among what was left out; but faults of a recogniser or an
    embedder that was asked for are errors.
    """
    each = replace(measures, asr=(), voice=None)
    if not measures.asr:
        results.left_out.append(LeftOut("measures", 1, "no recogniser was given (--asr)", ("intelligibility",)))
    else:
        results.add(measure(pairs, [], replace(each, asr=measures.asr), work=work, stage=stage))
    for name, some, wanted in (
        ("f0", pairs, replace(each, f0=True)),
        ("speaker", resembling, replace(each, speaker=True, voice=measures.voice)),
        ("quality", pairs, replace(each, quality=True)),
    ):
        if not some:
            continue
        try:
            results.add(measure(some, others, wanted, work=work, stage=stage))
        except InputError as error:
            if name == "speaker" and measures.embedder is not None:
                raise
            results.left_out.append(LeftOut("measures", 1, str(error), (name,)))


def _packed(model: Model, records: Sequence[UnitRecord], folder: Path) -> Path | None:
    """A folder with each recording as a .ppn file, those of an interrupted run kept; None where the bundle cannot pack.

    ``InputError`` where there are files of another entropy model.
    """
    if "entropy" not in model.bundle.parts:
        return None
    entropy = read_entropy(model.bundle)
    index = folder / "packed.json"
    wanted = {"bundle": entropy.id.hex()}
    if not index.is_file():
        refuse_existing(folder)
    elif read_json(index) != wanted:
        raise InputError(f"{folder}: holds files of another entropy model; name another folder with --out")
    write_json(index, wanted)
    for record in records:
        path = inside(folder, record.id, ".ppn")
        if not path.exists():
            units = record.to_utterance()
            if units.speaker is not None and units.speaker not in entropy.voices:  # who may have pitch units know
                lies = None if model.pitch is None else model.pitch.voices.get(units.speaker)
                units = replace(units, voice=None, pitch_statistics=units.pitch_statistics or lies)
            with atomic(path) as temporary:
                temporary.write_bytes(pack(units, entropy))
    return folder


def _to_hear(pairs: Sequence[Pair], title: str, sample_rate: int) -> str:
    """A page with some of the pairs, evenly from the first to the last."""
    some = [pairs[at] for at in sorted({round(at) for at in np.linspace(0, len(pairs) - 1, _HEARD)})]
    scenes = [
        Scene(
            f"{pair.id} · {pair.recording.speaker}" if pair.recording.speaker else pair.id,
            [
                Take("recording", audio.read(pair.recording, sample_rate)),
                Take("from its units", audio.read(pair.sound, sample_rate)),
            ],
            [("what is said", pair.recording.text)] if pair.recording.text else (),
        )
        for pair in some
    ]
    intro = f"{len(some)} of {len(pairs)} recordings, and what was spoken from their units alone."
    return comparison(title, intro, scenes, sample_rate)


def _name_of(bundle: str | Path) -> str:
    """What a bundle is called by: its folder, or the one of the run that it lies in."""
    path = Path(bundle).resolve()
    return path.parent.name if path.name == "bundle" else path.name


def _abx(out: Path, items: str | Path, seed: int, bundle: Path) -> Found:
    """Both conditions, of the vectors that the units stand for; items of recordings that are not there are left out."""
    source = representation(out / "units", bundle=bundle)
    both = Found()
    conditions: tuple[Literal["within", "across"], ...] = ("within", "across")
    for speaker in conditions:
        try:
            found, scores = evaluate_abx(source, items, speaker=speaker, seed=seed, missing="skip")
        except InputError as error:
            both.left_out.append(LeftOut("measures", 1, str(error), (f"ABX, {speaker}",)))
            continue
        write_cells(out / f"abx_{speaker}", scores)
        both.figures += found.figures
        both.left_out += [replace(each, reason=f"ABX, {speaker}: {each.reason}") for each in found.left_out]
        both.settings |= found.settings
    return both
