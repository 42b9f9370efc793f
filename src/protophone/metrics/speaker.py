"""Whether the speaker is still, or has become, who it should be: cosines of speaker embeddings ``[recording, dim]``.

* **Similarity**: the mean cosine between the embeddings of paired recordings, such as a resynthesis and its original
  (Polyak et al. 2021). Two recordings of one speaker are not at 1 themselves: read it beside their cosine.
* **Equal error rate**: that of accepting impostors and of missing the speaker, at the threshold where the two are
  equal (Martin et al. 1997, the DET curve); between two thresholds it is interpolated. The trials are every test
  recording against every enrolled speaker's centroid. A handful of speakers says nothing about other speakers' voices,
  so fewer than 20 people are refused.
* **Target nearer**: how often a converted recording is nearer to the target's centroid than to the source's.

Embeddings of different embedders do not compare. Two speakers of a corpus may be one person (``persons``: speaker to
person, others are people of their own): they are no impostors of each other, nor source and target of a conversion.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from protophone.errors import InputError
from protophone.metrics.interval import LEAST_SPEAKERS, LEVEL, Estimate, estimate, ratio

__all__ = [
    "Nearer",
    "Verification",
    "centroids",
    "cosines",
    "equal_error_rate",
    "pair_cosines",
    "similarity",
    "target_nearer",
]


@dataclass(frozen=True, eq=False)
class Verification:
    """An equal error rate, and the trials it was counted on.

    ``same_person`` trials, of a recording against another speaker who is the same person, count as neither.
    """

    rate: Estimate
    people: int
    targets: int
    impostors: int
    same_person: int


@dataclass(frozen=True, eq=False)
class Nearer:
    """A share of recordings, ``found`` of ``recordings``.

    Where the share is 0 or 1, every draw of the bootstrap gives the same; then ``wilson`` is Wilson's (1927) interval,
    over as many recordings (or speakers) as were drawn, and else None.
    """

    share: Estimate
    found: int
    recordings: int
    wilson: tuple[float, float] | None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval: Wilson's where there is one, else the bootstrap's."""
        return self.wilson or self.share.interval


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine float64 ``[recording]`` of each recording's two embeddings; ``InputError`` where they do not pair."""
    one, other = _directions(one), _directions(other)
    if one.shape != other.shape:
        raise InputError(
            f"embeddings {one.shape} and {other.shape} do not pair; give one of each recording, of one embedder"
        )
    return np.clip(np.sum(one * other, axis=1), -1, 1)


def similarity(one: np.ndarray, other: np.ndarray, names: Sequence[str], *, seed: int = 0) -> Estimate:
    """Mean cosine between the embeddings ``[recording, dim]`` of paired recordings; ``names`` one a recording."""
    found = cosines(one, other)
    _check_names(names, len(found))
    return estimate(ratio(found, np.ones(len(found))), names, seed=seed)


def centroids(vectors: np.ndarray, speakers: Sequence[str]) -> dict[str, np.ndarray]:
    """Each speaker's vector, float64 ``[dim]`` of length one: the mean direction of his ``vectors``.

    ``vectors`` are ``[recording, dim]``, ``speakers`` whose each is. Raises ``InputError`` where they do not pair.
    """
    directions = _directions(vectors)
    _check_names(speakers, len(directions), "speakers")
    whose = np.asarray(speakers, dtype=object)
    return {
        speaker: _directions(directions[whose == speaker].mean(0, keepdims=True))[0]
        for speaker in dict.fromkeys(speakers)
    }


def equal_error_rate(
    vectors: np.ndarray,
    speakers: Sequence[str],
    enrolled: Mapping[str, np.ndarray],
    names: Sequence[str],
    *,
    persons: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Verification:
    """How well embeddings tell who speaks, over all trials of a test recording against an enrolled speaker.

    ``vectors`` ``[recording, dim]`` are of the test recordings, ``speakers`` whose each is, ``enrolled`` the
    ``centroids`` of the same speakers from other recordings. A trial weighs what its test recording weighs: the
    interval is over test recordings, the enrolment as it is. Raises ``InputError`` for fewer than 20 people, and for a
    speaker who is not enrolled.
    """
    directions = _directions(vectors)
    _check_names(speakers, len(directions), "speakers")
    _check_names(names, len(directions))
    if strangers := sorted(set(speakers) - set(enrolled)):
        raise InputError(
            f"{strangers[0]}: tested but not enrolled ({len(strangers)} such speakers); enrol them from other "
            "recordings, or leave theirs out"
        )
    person = _person_of(persons)
    tested = np.array([person(speaker) for speaker in speakers], dtype=object)
    people = len(set(tested))
    if people < LEAST_SPEAKERS:
        raise InputError(
            f"{people} people tested: an equal error rate needs {LEAST_SPEAKERS}, for among fewer the impostors are "
            "the same few voices and the rate says nothing of others; use the similarity or the share nearer"
        )
    known = list(enrolled)
    scores = directions @ _directions(np.stack([enrolled[speaker] for speaker in known])).T
    target = np.asarray(speakers, dtype=object)[:, None] == np.array(known, dtype=object)
    impostor = tested[:, None] != np.array([person(speaker) for speaker in known], dtype=object)
    rows, columns = np.nonzero(target | impostor)
    curve = _Trials(scores[rows, columns], target[rows, columns], rows)
    return Verification(
        estimate(curve.equal_error, names, seed=seed),
        people,
        int(target.sum()),
        int(impostor.sum()),
        int((~target & ~impostor).sum()),
    )


class _Trials:
    """Trials ``[trial]``: ``scores`` float64, ``target`` bool, and the ``recording`` whose weight each has."""

    def __init__(self, scores: np.ndarray, target: np.ndarray, recording: np.ndarray) -> None:
        order = np.argsort(scores, kind="stable")
        scores, target, recording = scores[order], target[order], recording[order]
        self._targets, self._impostors = recording[target], recording[~target]
        # A threshold lies between two different scores: trials of one score are accepted or refused together.
        refused = np.concatenate([[0], np.flatnonzero(np.diff(scores)) + 1, [len(scores)]])
        self._targets_refused = np.append(0, np.cumsum(target))[refused]
        self._impostors_refused = refused - self._targets_refused

    def equal_error(self, weights: np.ndarray) -> np.ndarray:
        """The rate ``[draw]`` for weights ``[draw, recording]``; draws one at a time, as trials may be many."""
        return np.array([self._of_draw(draw) for draw in weights])

    def _of_draw(self, weights: np.ndarray) -> float:
        targets = np.append(0, np.cumsum(weights[self._targets]))
        impostors = np.append(0, np.cumsum(weights[self._impostors]))

        def missed(threshold: int) -> float:
            return float(targets[self._targets_refused[threshold]] / targets[-1])

        def excess(threshold: int) -> float:
            """How far more targets are missed than impostors accepted: from -1 to 1, rising."""
            return missed(threshold) - 1 + float(impostors[self._impostors_refused[threshold]] / impostors[-1])

        above = bisect_left(range(len(self._targets_refused)), 0.0, key=excess)
        low, high = excess(above - 1), excess(above)
        return missed(above - 1) + low / (low - high) * (missed(above) - missed(above - 1))


def pair_cosines(
    vectors: np.ndarray,
    pairs: Sequence[tuple[str, str]],
    enrolled: Mapping[str, np.ndarray],
    *,
    persons: Mapping[str, str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of recordings to their source's and to their target's centroid, both float64 ``[recording]``.

    ``pairs`` are (source, target) of each of the ``vectors`` ``[recording, dim]``. Raises ``InputError`` for a speaker
    who is not enrolled, and for a pair that is one person.
    """
    _check_names([source for source, _ in pairs], len(vectors), "pairs")
    if not pairs:
        raise InputError("no converted recordings; was everything left out?")
    person = _person_of(persons)
    for source, target in dict.fromkeys(pairs):
        for speaker in (source, target):
            if speaker not in enrolled:
                raise InputError(f"{source} to {target}: {speaker} is not enrolled; enrol this speaker first")
        if person(source) == person(target):
            raise InputError(f"{source} to {target}: both are the person {person(source)}; leave this pair out")
    towards = [np.stack([enrolled[speaker] for speaker in side]) for side in zip(*pairs, strict=True)]
    return cosines(vectors, towards[0]), cosines(vectors, towards[1])


def target_nearer(source: np.ndarray, target: np.ndarray, names: Sequence[str], *, seed: int = 0) -> Nearer:
    """Share of recordings nearer to the target's centroid than to the source's, from ``pair_cosines``; a tie is not."""
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 1 or not (np.isfinite(source) & np.isfinite(target)).all():
        raise InputError(
            f"cosines {source.shape} to the source and {target.shape} to the target; give finite ones, two a recording"
        )
    _check_names(names, len(source))
    nearer = target > source
    share = estimate(ratio(nearer, np.ones(len(nearer))), names, seed=seed)
    wilson = None
    if share.value in {0.0, 1.0}:
        drawn = len(share.names)
        found = binomtest(round(share.value * drawn), drawn).proportion_ci(LEVEL, "wilson")
        wilson = (float(found.low), float(found.high))
    return Nearer(share, int(nearer.sum()), len(nearer), wilson)


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Float64 ``[recording, dim]`` of length one; ``InputError`` where an embedding has no direction."""
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2:
        raise InputError(f"embeddings of shape {vectors.shape}; give [recording, dim]")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    wrong = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0))
    if len(wrong):
        raise InputError(
            f"embedding {wrong[0]} of {len(vectors)} is zero or not finite ({len(wrong)} such); leave its recording out"
        )
    return vectors / norms


def _check_names(names: Sequence[str], count: int, what: str = "names") -> None:
    if len(names) != count:
        raise InputError(f"{len(names)} {what} for {count} embeddings; give one a recording")


def _person_of(persons: Mapping[str, str] | None) -> Callable[[str], str]:
    known = persons or {}
    return lambda speaker: known.get(speaker, speaker)
