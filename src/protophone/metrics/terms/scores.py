"""The scores of a class file against phones and words, and what was left out of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from protophone.errors import InputError
from protophone.metrics.alignment import Segment
from protophone.metrics.interval import Estimate, estimate, ratio
from protophone.metrics.terms.edit import pair_statistic
from protophone.metrics.terms.result import Score, TermScores, TypeScore
from protophone.metrics.terms.segments import Segments, microseconds

__all__ = ["term_scores"]

_NO_WORDS = "words are not aligned, and all edges of phones would be hits; give an alignment of words"
_NO_PAIR = "no class holds two fragments with a transcription"
_NO_GOLD = "no two fragments apart from one another have the same transcription, so that nothing could be grouped"


def term_scores(
    classes: Mapping[str, Sequence[tuple[str, float, float]]],
    phones: Mapping[str, Sequence[Segment]],
    words: Mapping[str, Sequence[Segment]] | None = None,
    *,
    silence: Sequence[str] = ("SIL",),
    noise: Sequence[str] = ("SPN",),
    lexicon: Literal["words", "transcriptions"] = "words",
    seed: int = 0,
) -> TermScores:
    """Scores of ``classes`` (file, onset, offset each) against ``phones`` and ``words`` (start, end, label by file).

    Times are seconds. ``silence`` is no phone in NED and no word, ``silence`` and ``noise`` are not to be covered.
    Type recall counts the different ``words`` as the challenge does, or their different ``transcriptions``. Intervals
    are over the recordings of ``phones``. ``InputError`` where no fragment can be scored, for alignments that are
    none, and for a type recall above 1, as words said in several ways may cause.
    """
    if lexicon not in {"words", "transcriptions"}:
        raise InputError(f"lexicon {lexicon!r} is neither words nor transcriptions")
    line = Segments.of(phones)
    if not len(line):
        raise InputError(f"no phones in the alignment of {len(phones)} recordings; give one with their phones")
    gold = None if words is None else Segments.of(words, line.recordings, silence, "words")
    if words is not None and not set(words) & set(phones):
        raise InputError(
            f"words of {len(words)} recordings, none of which has phones; give words and phones of the same recordings"
        )
    found = _Fragments.of(classes, line)
    corpus = _Corpus(line, found, silence, seed)
    missing = {} if gold is not None else dict.fromkeys(("token", "type", "boundary"), _NO_WORDS)
    grouping = corpus.grouping()
    if corpus.pairs == 0:
        missing |= {"ned": _NO_PAIR, "grouping": _NO_PAIR}
    elif grouping is None:
        missing["grouping"] = _NO_GOLD
    token, types, boundary = (None, None, None) if gold is None else corpus.against(gold, lexicon)
    return TermScores(
        ned=corpus.ned(),
        coverage=corpus.coverage({*silence, *noise}),
        grouping=grouping,
        token=token,
        type=types,
        boundary=boundary,
        not_computed=missing,
        classes=len(classes),
        fragments=len(corpus.unique),
        pairs=corpus.pairs,
        overlapping=found.overlapping(),
        elsewhere=found.elsewhere,
        silent=found.silent,
        words_elsewhere=sum(len(said) for name, said in (words or {}).items() if name not in phones),
        lexicon=lexicon,
    )


@dataclass(frozen=True, eq=False)
class _Fragments:
    """The members of all classes that hold a phone, ``[member]`` each: class, recording, times, span of phones."""

    number: np.ndarray
    recording: np.ndarray
    onset: np.ndarray
    offset: np.ndarray
    first: np.ndarray
    past: np.ndarray
    elsewhere: int
    silent: int

    @classmethod
    def of(cls, classes: Mapping[str, Sequence[tuple[str, float, float]]], line: Segments) -> "_Fragments":
        index = {name: at for at, name in enumerate(line.recordings)}
        rows = [(number, *fragment) for number, members in enumerate(classes.values()) for fragment in members]
        for _, file, onset, offset in rows:
            if not 0 <= onset < offset < np.inf:
                raise InputError(f"{file}: a fragment from {onset} to {offset}; give onset < offset in seconds")
        here = [row for row in rows if row[1] in index]
        if not here:
            example = f", as {rows[0][1]!r}" if rows else ""
            raise InputError(
                f"{len(rows)} fragments, none in the {len(index)} recordings with phones{example}; "
                "give the alignment of the recordings that were searched, under the same names"
            )
        number = np.array([row[0] for row in here], np.int64)
        recording = np.array([index[row[1]] for row in here], np.int64)
        begin, end = microseconds(row[2] for row in here), microseconds(row[3] for row in here)
        first, past = line.held(recording, begin, end)
        said = first < past
        if not said.any():
            raise InputError(f"{len(here)} fragments that hold no phone; are their times in seconds?")
        return cls(
            number=number[said],
            recording=recording[said],
            onset=begin[said],
            offset=end[said],
            first=first[said],
            past=past[said],
            elsewhere=len(rows) - len(here),
            silent=int((~said).sum()),
        )

    def overlapping(self) -> int:
        """Pairs within a class that share time."""
        order = np.lexsort((self.onset, self.recording, self.number))
        room = int(self.offset.max()) + 1
        group = np.unique(np.stack([self.number, self.recording])[:, order], axis=1, return_inverse=True)[1].reshape(-1)
        begins, ends = self.onset[order] + group * room, self.offset[order] + group * room
        return int((np.searchsorted(begins, ends, side="left") - np.arange(len(order)) - 1).sum())


class _Corpus:
    """What is counted of a corpus, one number a recording."""

    def __init__(self, line: Segments, found: _Fragments, silence: Sequence[str], seed: int) -> None:
        self._line, self._found, self._seed = line, found, seed
        self._texts = line.texts(found.first, found.past)
        known: dict[str, int] = {}
        self._text = np.array([known.setdefault(text, len(known)) for text in self._texts])
        stripped = str.maketrans("", "", line.letters(silence))
        said = [text.translate(stripped) for text in self._texts]
        self._edits, self._pairs = pair_statistic(found.number, found.recording, said)
        self.pairs = round(float(self._pairs(np.ones((1, len(line.recordings))))[0]))
        # the different fragments: one may be in several classes
        places = np.stack([found.recording, found.onset, found.offset])
        self.unique = np.unique(places, axis=1, return_index=True)[1]

    def ned(self) -> Estimate | None:
        if self.pairs == 0:
            return None
        names = self._line.recordings
        return estimate(lambda weights: self._edits(weights) / self._pairs(weights), names, seed=self._seed)

    def coverage(self, not_counted: set[str]) -> Estimate:
        line = self._line
        spoken = np.array([symbol not in not_counted for symbol in line.symbols])
        counted = spoken[line.symbol]
        if not counted.any():
            raise InputError("no phone but silence and noise in the alignment; there is nothing to cover")
        # how many fragments begin before each phone, less those that end before it
        steps = np.bincount(self._found.first, minlength=len(line) + 1)
        steps = steps - np.bincount(self._found.past, minlength=len(line) + 1)
        inside = np.cumsum(steps)[:-1] > 0
        over = self._by_recording(line.recording[inside & counted])
        under = self._by_recording(line.recording[counted])
        return estimate(ratio(over, under), line.recordings, seed=self._seed)

    def grouping(self) -> Score | None:
        found = self._found
        size = np.bincount(found.number)
        in_pair = size[found.number] > 1
        whole = self.unique
        gold = np.zeros(len(found.number), bool)
        gold[whole] = self._has_partner(whole, self._text[whole])
        together = np.unique(np.stack([found.number, self._text]), axis=1, return_inverse=True)[1].reshape(-1)
        both = self._has_partner(np.arange(len(found.number)), together)
        hits, there, is_gold = (self._tokens(chosen) for chosen in (both, in_pair, gold))
        if not there.sum() or not is_gold.sum():
            return None
        return self._score(hits, there, is_gold)

    def _has_partner(self, members: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Whether each of ``members`` shares its ``group`` with one that shares no time with it."""
        recording, onset, offset = (
            column[members] for column in (self._found.recording, self._found.onset, self._found.offset)
        )
        groups = int(group.max()) + 1
        some, other = np.full(groups, len(self._line.recordings)), np.full(groups, -1)
        np.minimum.at(some, group, recording)
        np.maximum.at(other, group, recording)
        local = np.unique(np.stack([group, recording]), axis=1, return_inverse=True)[1].reshape(-1)
        earliest_end = np.full(int(local.max()) + 1, np.iinfo(np.int64).max)
        latest_start = np.full(int(local.max()) + 1, -1)
        np.minimum.at(earliest_end, local, offset)
        np.maximum.at(latest_start, local, onset)
        return (some < other)[group] | (earliest_end[local] <= onset) | (latest_start[local] >= offset)

    def _tokens(self, chosen: np.ndarray) -> np.ndarray:
        """Different spans of phones among the chosen members, by recording: one token may be found many times."""
        spans = np.stack([self._found.first[chosen], self._found.past[chosen]])
        at = np.unique(spans, axis=1, return_index=True)[1]
        return self._by_recording(self._found.recording[chosen][at])

    def against(self, gold: Segments, lexicon: str) -> tuple[Score | None, TypeScore | None, Score | None]:
        """Token, type and boundary scores."""
        if not len(gold):
            raise InputError("no word but silence in the alignment of words; give the words that are said")
        line, found, whole = self._line, self._found, self.unique
        # a word is all the phones it shares time with, and a fragment is compared with the word it holds most of
        spans = line.overlapping(gold.recording, gold.start, gold.end)
        said = line.texts(*spans)
        recording, onset, offset = found.recording[whole], found.onset[whole], found.offset[whole]
        word = _most_held(gold, recording, onset, offset)
        hit = np.array(
            [w >= 0 and said[w] == self._texts[m] for w, m in zip(word.tolist(), whole.tolist(), strict=True)]
        )
        token = self._score(
            self._by_recording(gold.recording[np.unique(word[hit])]),
            self._by_recording(recording),
            self._by_recording(gold.recording),
        )
        hits = len(np.unique(self._text[whole[hit]]))
        known = len(gold.symbols) if lexicon == "words" else len(set(said) - {""})
        types = _type_score(hits, len(np.unique(self._text)), known)
        left = line.start[found.first[whole]], gold.start
        right = line.end[found.past[whole] - 1], gold.end
        return token, types, self._boundary(recording, gold.recording, left, right)

    def _boundary(
        self,
        recording: np.ndarray,
        gold_recording: np.ndarray,
        left: tuple[np.ndarray, np.ndarray],
        right: tuple[np.ndarray, np.ndarray],
    ) -> Score:
        """Edges (recording and time) found and there; a beginning is hit by beginnings alone, an end by ends."""
        sides = [(_edges(recording, f), _edges(gold_recording, g)) for f, g in (left, right)]
        hits = set().union(*(found & there for found, there in sides))
        found, there = (set().union(*(side[which] for side in sides)) for which in (0, 1))
        counts = (self._by_recording(np.array([r for r, _ in edges], np.int64)) for edges in (hits, found, there))
        return self._score(*counts)

    def _by_recording(self, recording: np.ndarray) -> np.ndarray:
        return np.bincount(recording, minlength=len(self._line.recordings))

    def _score(self, hits: np.ndarray, found: np.ndarray, gold: np.ndarray) -> Score:
        """Precision, recall and F of counts by recording."""
        names, seed = self._line.recordings, self._seed
        return Score(
            precision=estimate(ratio(hits, found), names, seed=seed),
            recall=estimate(ratio(hits, gold), names, seed=seed),
            f=estimate(ratio(2 * hits, found + gold), names, seed=seed),
            hits=int(hits.sum()),
            found=int(found.sum()),
            gold=int(gold.sum()),
        )


def _type_score(hits: int, found: int, gold: int) -> TypeScore:
    if hits > gold:
        raise InputError(
            f"{hits} transcriptions found of {gold} words, some of which are said in several ways: type recall would "
            "be above 1; count their transcriptions instead (lexicon transcriptions)"
        )
    return TypeScore(hits / found, hits / gold, 2 * hits / (found + gold), hits, found, gold)


def _most_held(gold: Segments, recording: np.ndarray, onset: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The word of whose length each stretch holds the greatest share, the first of equals; -1 where it meets none."""
    first, past = gold.overlapping(recording, onset, offset)
    best, share = np.full(len(first), -1), np.zeros(len(first))
    for step in range(int((past - first).max(initial=0))):
        inside = np.flatnonzero(first + step < past)
        word = first[inside] + step
        held = np.minimum(gold.end[word], offset[inside]) - np.maximum(gold.start[word], onset[inside])
        held = held / (gold.end[word] - gold.start[word])
        better = held > share[inside]
        best[inside[better]], share[inside[better]] = word[better], held[better]
    return best


def _edges(recording: np.ndarray, time: np.ndarray) -> set[tuple[int, int]]:
    return set(zip(recording.tolist(), time.tolist(), strict=True))
