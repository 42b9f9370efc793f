"""Are the words still there? A recogniser hears each sound and its untouched recording, and both are scored."""

from collections.abc import Sequence
from pathlib import Path

from protophone.errors import AudioError, InputError
from protophone.evaluate.figure import Figure, Found, LeftOut, estimated
from protophone.evaluate.pairs import Pair
from protophone.metrics.intelligibility import ErrorRate, Intelligibility, intelligibility, scorable
from protophone.progress import Stage
from protophone.recognizers import Remembered, load_recognizer, transcribe_all

__all__ = ["hear", "titles_of"]


def hear(
    pairs: Sequence[Pair],
    names: Sequence[str],
    recognizers: Sequence[str],
    language: str | None,
    *,
    work: Path | None,
    stage: Stage,
) -> Found:
    """Compute word and character error rates of sounds and originals, their ratios, and those of each language.

    With several ``recognizers``, figures end in the name of theirs. ``names`` are what intervals are over, one a pair.
    Transcripts are kept in ``work``. Raises ``InputError`` where no recording can be scored, or one recognizer is named
    twice.
    """
    titles = titles_of(recognizers)
    found = Found()
    for name, title in titles.items():
        found.add(_heard_by(pairs, names, name, title if len(titles) > 1 else "", language, work=work, stage=stage))
    return found


def titles_of(recognizers: Sequence[str]) -> dict[str, str]:
    """Return the name in figures of each recognizer: of a folder its last part, where that tells them apart."""
    short = {name: Path(name).name or name for name in recognizers}
    if len(short) < len(recognizers):
        raise InputError(f"--asr {recognizers[0]}: a recognizer named twice; name each once")
    return short if len(set(short.values())) == len(short) else dict(zip(short, short, strict=True))


def _heard_by(
    pairs: Sequence[Pair],
    names: Sequence[str],
    recognizer: str,
    title: str,
    language: str | None,
    *,
    work: Path | None,
    stage: Stage,
) -> Found:
    """The figures of one recognizer, which end in its ``title``."""
    judge = load_recognizer(recognizer)
    if work is not None:
        judge = Remembered(judge, work / "work" / "transcripts.jsonl")
    scored = scorable([pair.recording for pair in pairs], judge.languages, language)
    by = f"by {title}: " if title else ""
    left_out = [LeftOut("recordings", len(ids), f"{by}{reason}", ids[:3]) for reason, ids in scored.left_out.items()]
    if not scored.kept:
        raise InputError(
            f"none of {len(pairs)} recordings can be scored by {recognizer}: "
            + "; ".join(f"{len(ids)}: {reason}" for reason, ids in scored.left_out.items())
        )
    spoken = dict(zip(scored.kept, scored.languages, strict=True))
    faults = {index: fault for index in spoken if (fault := _fault(pairs[index]))}
    if faults:
        examples = tuple(pairs[index].id for index in faults)[:3]
        left_out.append(LeftOut("recordings", len(faults), f"{by}not heard: {next(iter(faults.values()))}", examples))
    if len(faults) == len(spoken):
        raise InputError(f"none of {len(spoken)} pairs of sounds can be read; the first: {next(iter(faults.values()))}")
    rows = [index for index in spoken if index not in faults]
    kept, languages = [pairs[index] for index in rows], [spoken[index] for index in rows]
    with stage("recognizing", 2 * len(kept)) as advance:
        sounds = zip((pair.sound for pair in kept), languages, strict=True)
        heard = transcribe_all(judge, list(sounds), advance)
        originals = zip((pair.recording for pair in kept), languages, strict=True)
        untouched = transcribe_all(judge, list(originals), advance)
    texts = [pair.recording.text or "" for pair in kept]
    found = intelligibility(texts, heard, untouched, [names[index] for index in rows], languages)
    end = f", by {title}" if title else ""
    figures = _figures(found, end, judge.settings)
    for each, part in found.by_language.items():
        figures += _figures(part, f", {each}{end}", judge.settings)
    stated = {"recogniser": judge.settings, "against": found.against, "normalization": found.normalization}
    return Found(figures=figures, left_out=left_out, settings={f"intelligibility{end}": stated})


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
    whole = [(found, "", protocol)]
    if found.capped is not None:
        whole.append((found.capped, ", capped", protocol | {"errors": "of a recording, its length at most"}))
    for rates, capped, stated in whole:
        for name, rate, untouched, ratio in (
            ("CER", rates.cer, rates.untouched_cer, rates.cer_ratio),
            ("WER", rates.wer, rates.untouched_wer, rates.wer_ratio),
        ):
            figures.append(_rate(f"{name}{capped}{suffix}", rate, stated))
            figures.append(_rate(f"{name}, untouched{capped}{suffix}", untouched, stated))
            if ratio is not None:  # else the untouched recordings have no error, and the row above says so
                title = f"{name} / untouched{capped}{suffix}"
                figures.append(estimated(title, ratio, "times", better="lower", protocol=stated))
    return figures


def _rate(name: str, rate: ErrorRate, protocol: dict) -> Figure:
    note = f"{rate.empty} heard as nothing" if rate.empty else ""
    return estimated(name, rate.estimate, "share", better="lower", protocol=protocol, note=note)
