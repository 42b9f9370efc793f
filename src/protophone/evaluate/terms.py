"""Discovered terms on disk, by the scores of the Zero Resource 2017 challenge."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from protophone.evaluate.figure import Figure, LeftOut, counted, estimated
from protophone.evaluate.results import Results, digest
from protophone.formats import read_classes, read_ctm
from protophone.metrics.terms import Score, TermScores, term_scores

__all__ = ["evaluate_terms"]


def evaluate_terms(classes: str | Path, *, alignment: str | Path, words: str | Path | None = None) -> Results:
    """NED, coverage and grouping of the ``Class k`` file ``classes`` against phones (CTM); the rest against ``words``.

    What cannot be computed is listed as left out, with the reason.
    """
    sources = {"classes": classes, "alignment": alignment} | ({} if words is None else {"words": words})
    scores = term_scores(read_classes(classes), _segments(alignment), None if words is None else _segments(words))
    results = Results(
        title=f"terms, {classes}",
        settings={name: str(path) for name, path in sources.items()},
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


def _segments(path: str | Path) -> dict[str, Sequence[tuple[float, float, str]]]:
    """Start, end and label, in seconds, of each file of a CTM."""
    return {
        file: [(start, start + duration, label) for start, duration, label in rows]
        for file, rows in read_ctm(path).items()
    }
