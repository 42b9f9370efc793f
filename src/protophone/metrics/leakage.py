"""How much of the speaker is left in units: how often a linear probe names him from a recording it has not seen.

The probe is multinomial logistic regression on one vector a recording: the share of each unit, or mean features. It is
trained on some recordings and asked about the others, in folds that hold each speaker alike; what it is standardised
by comes from its training part too. Asked about recordings it was trained on, it would name nearly all from any units
that are many enough. Its accuracy means nothing by itself: where one person speaks most of the time, naming him always
is right most of the time, and how often that is so is given beside it. Recordings of one session share more than the
speaker; what the probe finds may be the room.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protophone.errors import InputError
from protophone.metrics.interval import DRAWS, Estimate, difference, estimate, ratio
from protophone.metrics.symbols import check_codes, check_names

__all__ = ["SpeakerLeakage", "speaker_leakage", "unit_shares"]

FOLDS = 5
_STEPS = 10_000  # of the solver; standardised features need a few hundred


@dataclass(frozen=True, eq=False)
class SpeakerLeakage:
    """The share of held-out recordings whose speaker is named right: by the probe, by the commonest speaker, by lot.

    ``above_majority`` is the first less the second, on the same recordings: nothing leaks where it is about 0.
    ``speakers`` counts the recordings of each who was probed, ``left_out`` those of each who has too few to be in
    every fold. Of how far the folds themselves were chance, the intervals say nothing.
    """

    accuracy: Estimate
    majority: Estimate
    above_majority: Estimate
    chance: float
    speakers: dict[str, int]
    left_out: dict[str, int]
    folds: int
    seed: int


def speaker_leakage(
    features: np.ndarray,
    speakers: Sequence[str],
    names: Sequence[str],
    *,
    folds: int = FOLDS,
    draws: int = DRAWS,
    seed: int = 0,
) -> SpeakerLeakage:
    """Probes ``features`` float ``[recording, dim]`` for the ``speakers`` of the recordings.

    Folds depend on ``names`` and ``seed``, not on the order of recordings. Raises ``InputError`` for features that are
    no numbers, and where fewer than two speakers have a recording for each fold.
    """
    check_names(names, features=features, speakers=speakers)
    if folds < 2:
        raise InputError(f"{folds} folds; give 2 or more, so that the probe is asked what it was not trained on")
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or not features.shape[1] or not np.isfinite(features).all():
        raise InputError(f"features of shape {features.shape}; give finite numbers [recording, dim]")
    counted = dict(sorted(Counter(speakers).items()))
    kept = {speaker: count for speaker, count in counted.items() if count >= folds}
    if len(kept) < 2:
        raise InputError(
            f"{len(kept)} speakers with {folds} recordings or more, among {counted}; a probe needs two to tell "
            "apart: give more recordings, or fewer folds"
        )
    order = np.array(
        sorted((i for i, who in enumerate(speakers) if who in kept), key=lambda i: (names[i], speakers[i]))
    )
    who = np.array(speakers, dtype=str)[order]
    right, guessed = _asked(features[order], who, folds, seed)
    sample = [names[index] for index in order]
    accuracy, majority = (
        estimate(ratio(answers, np.ones(len(order))), sample, draws=draws, seed=seed) for answers in (right, guessed)
    )
    return SpeakerLeakage(
        accuracy=accuracy,
        majority=majority,
        above_majority=difference(accuracy, majority),
        chance=1 / len(kept),
        speakers=kept,
        left_out={speaker: count for speaker, count in counted.items() if speaker not in kept},
        folds=folds,
        seed=seed,
    )


def unit_shares(codes: Sequence[np.ndarray], size: int) -> np.ndarray:
    """The share of each of ``size`` units in each recording's frames, float64 ``[recording, unit]``.

    Raises ``InputError`` for a recording without frames: it has no shares, and must be left out.
    """
    check_codes(codes, size)
    empty = sum(not len(row) for row in codes)
    if empty:
        raise InputError(f"{empty} of {len(codes)} recordings hold no frame; leave them out to probe the others")
    return np.stack([np.bincount(row, minlength=size) / len(row) for row in codes])


def _asked(features: np.ndarray, speakers: np.ndarray, folds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether the probe is right of each recording when it is held out, and naming the commonest speaker always."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    right = np.zeros(len(speakers))
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, speakers):
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_STEPS))
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                probe.fit(features[train], speakers[train])
            except ConvergenceWarning as warning:
                raise InputError(
                    f"the probe of {features.shape} features did not converge in {_STEPS} steps; are they so large "
                    "that they are no shares or means? scale them"
                ) from warning
        right[test] = probe.predict(features[test]) == speakers[test]
    known, counts = np.unique(speakers, return_counts=True)
    return right, (speakers == known[counts.argmax()]).astype(float)
