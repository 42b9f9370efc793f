"""Are the words still there? A recogniser hears each sound and its untouched recording, and both are scored."""

from collections.abc import Sequence
from pathlib import Path

from protophone.errors import AudioError, InputError
from protophone.evaluate.figure import Figure, Found, LeftOut, estimated
from protophone.evaluate.pairs import Pair
from protophone.metrics.intelligibility import ErrorRate, Intelligibility, intelligibility, scorable
from protophone.progress import Stage
from protophone.recognizers import Remembered, load_recognizer, transcribe_all

__all__ = ["hear"]


def hear(
    pairs: Sequence[Pair],
    names: Sequence[str],
    recognizer: str,
    language: str | None,
    *,
    work: Path | None,
    stage: Stage,
) -> Found:
    """Word and character error rates of sounds and originals, their ratios, and those of each language.

    ``names`` are what intervals are over, one a pair. What was heard is kept in ``work``. Raises ``InputError`` where
    no recording can be scored.
    """
    judge = load_recognizer(recognizer)
    if work is not None:
        judge = Remembered(judge, work / "work" / "transcripts.jsonl")
    scored = scorable([pair.recording for pair in pairs], judge.languages, language)
    left_out = [LeftOut("recordings", len(ids), reason, ids[:3]) for reason, ids in scored.left_out.items()]
    if not scored.kept:
        raise InputError(
            f"none of {len(pairs)} recordings can be scored by {recognizer}: "
            + "; ".join(f"{len(ids)}: {reason}" for reason, ids in scored.left_out.items())
        )
    spoken = dict(zip(scored.kept, scored.languages, strict=True))
    faults = {index: fault for index in spoken if (fault := _fault(pairs[index]))}
    if faults:
        examples = tuple(pairs[index].id for index in faults)[:3]
        left_out.append(LeftOut("recordings", len(faults), f"not heard: {next(iter(faults.values()))}", examples))
    if len(faults) == len(spoken):
        raise InputError(f"none of {len(spoken)} pairs of sounds can be read; the first: {next(iter(faults.values()))}")
    rows = [index for index in spoken if index not in faults]
    kept, languages = [pairs[index] for index in rows], [spoken[index] for index in rows]
    with stage("listening", 2 * len(kept)) as advance:
        sounds = zip((pair.sound for pair in kept), languages, strict=True)
        heard = transcribe_all(judge, list(sounds), advance)
        originals = zip((pair.recording for pair in kept), languages, strict=True)
        untouched = transcribe_all(judge, list(originals), advance)
    texts = [pair.recording.text or "" for pair in kept]
    found = intelligibility(texts, heard, untouched, [names[index] for index in rows], languages)
    figures = _figures(found, "", judge.settings)
    for each, part in found.by_language.items():
        figures += _figures(part, f", {each}", judge.settings)
    stated = {"recogniser": judge.settings, "against": found.against, "normalization": found.normalization}
    return Found(figures=figures, left_out=left_out, settings={"intelligibility": stated})


def _fault(pair: Pair) -> str | None:
    """Why a pair cannot be heard, None where it can."""
    try:
        pair.read_sound()
        pair.read_original()
    except AudioError as error:
        return str(error)
    return None


def _figures(found: Intelligibility, suffix: str, protocol: dict) -> list[Figure]:
    figures = []
    for name, rate, untouched, ratio in (
        ("CER", found.cer, found.untouched_cer, found.cer_ratio),
        ("WER", found.wer, found.untouched_wer, found.wer_ratio),
    ):
        figures.append(_rate(f"{name}{suffix}", rate, protocol))
        figures.append(_rate(f"{name}, untouched{suffix}", untouched, protocol))
        if ratio is not None:  # else the untouched recordings have no error, and the row above says so
            figures.append(estimated(f"{name} / untouched{suffix}", ratio, "times", better="lower", protocol=protocol))
    return figures


def _rate(name: str, rate: ErrorRate, protocol: dict) -> Figure:
    note = f"{rate.empty} heard as nothing" if rate.empty else ""
    return estimated(name, rate.estimate, "share", better="lower", protocol=protocol, note=note)
