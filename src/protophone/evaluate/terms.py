"""Discovered terms on disk, by the scores of the Zero Resource 2017 challenge."""

from collections.abc import Mapping
from pathlib import Path

from protophone.errors import InputError
from protophone.evaluate.figure import Figure, LeftOut, counted, estimated
from protophone.evaluate.references import mended_in
from protophone.evaluate.results import Results, digest
from protophone.formats import read_alignment, read_classes
from protophone.metrics.terms import Score, TermScores, term_scores

__all__ = ["evaluate_terms"]


def evaluate_terms(
    classes: str | Path,
    *,
    alignment: str | Path,
    words: str | Path | None = None,
    tier: str | None = None,
    words_tier: str | None = None,
) -> Results:
    """NED, coverage and grouping of the ``Class k`` file ``classes`` against phones; the rest against ``words``.

    Both are a CTM file, a TextGrid, an ELAN file, or a folder of them, whose tiers ``tier`` and ``words_tier`` name.
    What cannot be computed is listed as left out, with the reason.
    """
    sources = {"classes": classes, "alignment": alignment} | ({} if words is None else {"words": words})
    if words is None and words_tier is not None:
        raise InputError(f"--words-tier {words_tier}: of which words? give them with --words")
    phones = read_alignment(alignment, tier=tier)
    spoken = None if words is None else read_alignment(words, tier=words_tier, of="words")
    found = read_classes(classes)
    try:
        scores = term_scores(found, phones.segments, None if spoken is None else spoken.segments)
    except InputError as error:
        raise InputError(f"{classes}, against {alignment}: {error}") from None
    results = Results(
        title=f"terms, {classes}",
        settings={name: str(path) for name, path in sources.items()} | {"tier": tier, "words_tier": words_tier},
        hashes={name: digest(path) for name, path in sources.items()},
    )
    protocol = {"tool": "Zero Resource 2017", "lexicon": scores.lexicon}
    if scores.ned is not None:
        results.figures.append(estimated("NED", scores.ned, "share", better="lower", protocol=protocol))
    results.figures.append(estimated("coverage", scores.coverage, "share", better="higher", protocol=protocol))
    parts = {"grouping": scores.grouping, "token": scores.token, "boundary": scores.boundary}
    for name, score in parts.items():
        if score is not None:
            results.figures += _three(name, score, protocol)
    if scores.type is not None:
        for name in ("precision", "recall", "f"):
            value, why = getattr(scores.type, name), scores.type.no_interval
            title = f"type {'F' if name == 'f' else name}"
            results.figures.append(counted(title, value, "share", why, better="higher", protocol=protocol))
    results.settings["counts"] = {name: getattr(scores, name) for name in ("classes", "fragments", "pairs")}
    for each in filter(None, (phones, spoken)):
        results.left_out += mended_in(each)
    results.left_out += _left_out(scores)
    return results


def _three(name: str, score: Score, protocol: Mapping[str, str]) -> list[Figure]:
    note = f"{score.hits} of {score.found} found, {score.gold} there"
    return [
        estimated(f"{name} {title}", found, "share", better="higher", protocol=protocol, note=note)
        for title, found in (("precision", score.precision), ("recall", score.recall), ("F", score.f))
    ]


def _left_out(scores: TermScores) -> list[LeftOut]:
    reasons: dict[str, list[str]] = {}
    for name, reason in scores.not_computed.items():
        reasons.setdefault(reason, []).append(name)
    counts = (
        ("fragments", scores.elsewhere, "they are in recordings without phones in the alignment"),
        ("fragments", scores.silent, "they hold no phone"),
        ("words", scores.words_elsewhere, "they are in recordings without phones"),
    )
    return [
        *(LeftOut("measures", len(names), reason, tuple(names)) for reason, names in reasons.items()),
        *(LeftOut(*each) for each in counts if each[1]),
    ]
