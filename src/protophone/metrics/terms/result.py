"""What the scores of discovered terms are, and what was left out of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from protophone.metrics.interval import Estimate

__all__ = ["Score", "TermScores", "TypeScore"]


@dataclass(frozen=True, eq=False)
class Score:
    """Hits among what was found (precision) and among what is there (recall), and their harmonic mean."""

    precision: Estimate
    recall: Estimate
    f: Estimate
    hits: int
    found: int
    gold: int


@dataclass(frozen=True)
class TypeScore:
    """As ``Score``, without intervals: a type is a set's element, there or not, however often recordings count."""

    precision: float
    recall: float
    f: float
    hits: int
    found: int
    gold: int
    no_interval: str = "types are counted once however often they occur, so that weights of recordings move nothing"


@dataclass(frozen=True, eq=False)
class TermScores:
    """Zero Resource 2017 scores; a score that is None is explained in ``not_computed``, by name.

    ``fragments`` counts the different ones that were scored. Left out: those ``elsewhere``, in recordings without
    phones, and ``silent`` ones, that hold no phone; of words, ``words_elsewhere``, in recordings without phones. Of the
    ``pairs`` in classes, ``overlapping`` are of two fragments that share time, or of one that is there twice.
    ``lexicon`` says what type recall counts.
    """

    ned: Estimate | None
    coverage: Estimate
    grouping: Score | None
    token: Score | None
    type: TypeScore | None
    boundary: Score | None
    not_computed: Mapping[str, str]
    classes: int
    fragments: int
    pairs: int
    overlapping: int
    elsewhere: int
    silent: int
    words_elsewhere: int
    lexicon: str
