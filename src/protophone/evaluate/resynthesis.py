"""Sounds made from units beside their originals: what is left of the words, the tune, the speaker, the quality."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from protophone import audio
from protophone.errors import InputError
from protophone.evaluate.figure import Found, LeftOut, Over, drawn_over
from protophone.evaluate.intelligibility import hear
from protophone.evaluate.pairs import Pair
from protophone.evaluate.pitch import compare_pitch, load_tracker
from protophone.evaluate.quality import compare_quality, settings_of_quality
from protophone.evaluate.results import Results, digest, refuse_others
from protophone.evaluate.sources import listing_of, recordings_of
from protophone.evaluate.voices import compare_voices, persons_of
from protophone.features.speaker import load_embedder
from protophone.files import inside
from protophone.progress import Stage, silent
from protophone.types import Channel, Recording

__all__ = ["Measures", "evaluate_resynthesis", "measure", "pairs_of"]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is measured of sounds, and how.

    ``asr`` names recognisers, ``tracker`` of pitch is Praat's where that is installed; ``voice`` is the speaker whom
    all sounds shall sound like (None: each recording's own), ``enrol`` a manifest of recordings that speakers are known
    by (None: the originals' own), each of ``one_person`` lists speakers who are one person, apart by commas; ``over``
    is what intervals are over.
    """

    asr: tuple[str, ...] = ()
    language: str | None = None
    f0: bool = False
    tracker: Literal["praat", "protophone"] | None = None
    speaker: bool = False
    embedder: str | None = None
    voice: str | None = None
    enrol: Path | None = None
    one_person: tuple[str, ...] = ()
    quality: bool = False
    missing: Literal["error", "skip"] = "error"
    over: Over = "recordings"
    seed: int = 0


def evaluate_resynthesis(
    original: str | Path,
    sounds: str | Path,
    measures: Measures,
    *,
    split: str | None = None,
    channel: Channel | None = None,
    work: Path | None = None,
    stage: Stage = silent,
) -> Results:
    """The figures that ``measures`` asks for, of ``sounds/ID.wav`` beside the recordings of the manifest ``original``.

    ``channel`` is read of each recording; None: as the manifest says. What takes long is kept in ``work``, a folder,
    and not done again. Raises ``InputError`` where nothing is asked for, a sound is missing (unless ``missing`` is
    ``skip``), or a measure lacks what it needs.
    """
    if not (measures.asr or measures.f0 or measures.speaker or measures.quality):
        raise InputError("nothing to measure; give --asr MODEL, --f0, --speaker, --quality, or several of them")
    _check_options(measures)
    title = f"resynthesis, {sounds}"
    if work is not None:
        refuse_others(work, title)
    found, left_out = listing_of(original, split, channel=channel)
    pairs, absent = pairs_of(found, sounds, measures.missing)
    _check_judges(measures)
    others = recordings_of(measures.enrol or original, None, channel=channel) if measures.speaker else []
    settings = asdict(measures) | {"original": str(original), "sounds": str(sounds), "split": split}
    settings |= {} if channel is None else {"channel": channel}
    settings |= {"enrol": None if measures.enrol is None else str(measures.enrol)}
    results = Results(
        title=title,
        settings=settings,
        left_out=[*left_out, *absent],
        hashes={"original": digest(original), "sounds": digest(sounds)},
    )
    results.add(measure(pairs, others, measures, work=work, stage=stage))
    return results


def measure(
    pairs: Sequence[Pair], others: Sequence[Recording], measures: Measures, *, work: Path | None, stage: Stage
) -> Found:
    """What ``measures`` asks for, of pairs of sounds; ``others`` are recordings that speakers may be known by."""
    names = drawn_over([pair.id for pair in pairs], [pair.recording.speaker for pair in pairs], measures.over)
    found = Found()
    if measures.asr:
        found.add(hear(pairs, names, measures.asr, measures.language, work=work, stage=stage))
    if measures.f0:
        found.add(compare_pitch(pairs, names, measures.tracker, stage=stage))
    if measures.speaker:
        persons = persons_of(others, measures.one_person)
        voice, seed = measures.voice, measures.seed
        found.add(compare_voices(pairs, names, measures.embedder, others, persons, voice=voice, seed=seed, stage=stage))
    if measures.quality:
        found.add(compare_quality(pairs, names, work=work, stage=stage))
    found.figures = [replace(figure, over=measures.over) for figure in found.figures]
    return found


def _check_options(measures: Measures) -> None:
    """``InputError`` for options of a measure that is not asked for."""
    options = (
        ("--language", measures.language, "--asr", measures.asr),
        ("--tracker", measures.tracker, "--f0", measures.f0),
        ("--embedder", measures.embedder, "--speaker", measures.speaker),
        ("--voice", measures.voice, "--speaker", measures.speaker),
        ("--enrol", measures.enrol, "--speaker", measures.speaker),
        ("--one-person", measures.one_person, "--speaker", measures.speaker),
    )
    for option, value, measure, asked in options:
        if value and not asked:
            raise InputError(f"{option}: for {measure}, which is not asked for; give both or neither")


def _check_judges(measures: Measures) -> None:
    """``InputError`` where what shall judge is not installed: better said before the work than after it."""
    if measures.f0:
        load_tracker(measures.tracker)
    if measures.speaker:
        load_embedder(measures.embedder)
    if measures.quality:
        settings_of_quality()


def pairs_of(
    recordings: Sequence[Recording], sounds: str | Path, missing: Literal["error", "skip"]
) -> tuple[list[Pair], list[LeftOut]]:
    """Each recording with its sound ``ID.wav`` (or another sound file of that name), and those without.

    Raises ``InputError`` where one is missing and shall not be, or all are.
    """
    folder = Path(sounds)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with a sound ID.wav of each recording")
    pairs, absent = [], []
    for recording in recordings:
        candidates = (inside(folder, recording.id, suffix) for suffix in (".wav", *audio.EXTENSIONS))
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            absent.append(recording.id)
        else:
            pairs.append(Pair(recording, path))
    if absent and (missing == "error" or not pairs):
        raise InputError(
            f"{folder}: no sound of {len(absent)} of {len(recordings)} recordings, the first {absent[0]}; make them, "
            "give --split of those that were made, or --missing skip to leave them out"
        )
    left_out = (
        [LeftOut("recordings", len(absent), f"no sound of them in {folder}", tuple(absent[:3]))] if absent else []
    )
    return pairs, left_out
