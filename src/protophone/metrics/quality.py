"""How good a sound is to the ear, as far as programs tell: of a resynthesis beside its original, or of a sound alone.

* **STOI** (Taal et al. 2011), by pystoi: how alike the envelopes of original and resynthesis are in 15 bands, 1 for the
  same sound. It was made for noise on speech, compares frame by frame, and a delay or another voice lowers it.
* **DNSMOS** P.835 (Reddy et al. 2022) and P.808 (2021), by speechmos: opinion scores from 1 to 5 that a network expects
  listeners to give, of the whole (OVRL), the speech (SIG) and the background (BAK). It heard noise suppressors in
  English, not vocoders: to compare systems on the same recordings, not to quote as listeners' opinions. The package
  repeats sounds shorter than 9.01 s until they are as long.
* The distances of ``metrics.distortion``.

A recording that a measure says nothing of (less than 0.4 s of speech, lengths too far apart) is left out of that
measure and reported, never scored with the number that a package returns in such a case (pystoi: 0.00001).
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from protophone.audio import check_speech
from protophone.errors import AudioError, InputError
from protophone.metrics import distortion
from protophone.metrics.distortion import RATE, aligned, checked
from protophone.metrics.interval import Estimate, estimate, ratio

__all__ = ["MEASURES", "Quality", "Scores", "dnsmos", "pair_scores", "protocol", "sound_scores", "stoi", "summarize"]

LEAST_SPEECH = 0.4  # seconds: the 30 frames over which STOI correlates envelopes
DNSMOS = ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808")


@dataclass(frozen=True)
class Scores:
    """What the measures say of one recording: ``values`` by measure, and ``skipped``, why by measure."""

    values: Mapping[str, float]
    skipped: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Quality:
    """A measure over recordings.

    ``values`` float64 ``[kept]`` are of the recordings at ``kept`` int64 ``[kept]``, ``mean`` theirs (None where none
    is kept), ``skipped`` says why for the positions of the others.
    """

    mean: Estimate | None
    values: np.ndarray
    kept: np.ndarray
    skipped: Mapping[int, str]


def stoi(original: np.ndarray, made: np.ndarray, sample_rate: int) -> float:
    """Short-time objective intelligibility of a sound ``[sample]`` beside its original of the same length.

    Raises ``AudioError`` as ``distortion.aligned`` does, and for less than 0.4 s of speech; ``InputError`` where pystoi
    is not installed.
    """
    pystoi = _package("pystoi")
    original, made = aligned(original, made, sample_rate)
    _check_long(original)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(pystoi.stoi(original.astype(np.float64), made.astype(np.float64), RATE))
        except RuntimeWarning as error:
            raise AudioError(
                f"less than {LEAST_SPEECH} s of the original are speech (within 40 dB of its loudest frame)"
            ) from error


def dnsmos(samples: np.ndarray, sample_rate: int) -> dict[str, float]:
    """The four DNSMOS scores of a sound ``[sample]``, cut to -1 to 1 as a sound file would.

    Raises ``AudioError`` for less than 0.4 s and for digital silence; ``InputError`` where speechmos is not installed.
    """
    package = _package("speechmos.dnsmos")
    samples = np.clip(checked(samples, sample_rate), -1, 1)
    _check_long(samples)
    check_speech(samples, "the sound", RATE)
    found = package.run(samples, RATE)
    return {name: float(found[f"{name.removeprefix('dnsmos_')}_mos"]) for name in DNSMOS}


def _mcd(original: np.ndarray, made: np.ndarray, sample_rate: int) -> dict[str, float]:
    return {"mcd_db": distortion.mel_cepstral_distortion(original, made, sample_rate)}


def _stft(original: np.ndarray, made: np.ndarray, sample_rate: int) -> dict[str, float]:
    found = distortion.stft_distance(original, made, sample_rate)
    return {"spectral_convergence": found.convergence, "log_stft_magnitude": found.magnitude}


def _lsd(original: np.ndarray, made: np.ndarray, sample_rate: int) -> dict[str, float]:
    return {"lsd_db": distortion.log_spectral_distance(original, made, sample_rate)}


def _stoi(original: np.ndarray, made: np.ndarray, sample_rate: int) -> dict[str, float]:
    return {"stoi": stoi(original, made, sample_rate)}


MEASURES: dict[tuple[str, ...], Callable[[np.ndarray, np.ndarray, int], dict[str, float]]] = {
    ("mcd_db",): _mcd,
    ("spectral_convergence", "log_stft_magnitude"): _stft,
    ("lsd_db",): _lsd,
    ("stoi",): _stoi,
}
"""The measures of a sound beside its original, by the names of what each gives."""


def pair_scores(original: np.ndarray, made: np.ndarray, sample_rate: int) -> Scores:
    """All ``MEASURES`` of a sound ``[sample]`` beside its original; what cannot be measured is skipped, saying why."""
    values: dict[str, float] = {}
    skipped: dict[str, str] = {}
    for names, measure in MEASURES.items():
        try:
            values |= measure(original, made, sample_rate)
        except AudioError as error:
            skipped |= dict.fromkeys(names, str(error))
    return Scores(values, skipped)


def sound_scores(samples: np.ndarray, sample_rate: int) -> Scores:
    """The DNSMOS scores of a sound ``[sample]``; skipped, saying why, where there is no speech to judge."""
    try:
        return Scores(dnsmos(samples, sample_rate), {})
    except AudioError as error:
        return Scores({}, dict.fromkeys(DNSMOS, str(error)))


def summarize(scores: Sequence[Scores], names: Sequence[str], *, seed: int = 0) -> dict[str, Quality]:
    """Each measure over recordings, one of ``scores`` and of ``names`` (its id, or its speaker) a recording."""
    if len(names) != len(scores):
        raise InputError(f"{len(names)} names for the scores of {len(scores)} recordings; give one a recording")
    found = {}
    for measure in dict.fromkeys(name for each in scores for name in [*each.values, *each.skipped]):
        kept = [at for at, each in enumerate(scores) if measure in each.values]
        values = np.array([scores[at].values[measure] for at in kept])
        mean = None
        if kept:
            mean = estimate(ratio(values, np.ones(len(kept))), [names[at] for at in kept], seed=seed)
        skipped = {at: each.skipped[measure] for at, each in enumerate(scores) if measure not in each.values}
        found[measure] = Quality(mean, values, np.array(kept, np.int64), skipped)
    return found


def protocol(measure: str) -> dict[str, Any]:
    """The settings without which a figure of ``measure`` cannot be compared: lengths in samples, packages, weights.

    Raises ``InputError`` for a measure that is not known, or whose package is not installed.
    """
    if measure in distortion.SETTINGS:
        return {"sample_rate": RATE, **distortion.SETTINGS[measure]}
    if measure == "stoi":
        _package("pystoi")
        return {"sample_rate": RATE, "package": f"pystoi {version('pystoi')}"}
    if measure in DNSMOS:
        folder = Path(_package("speechmos.dnsmos").__file__).parent / "dnsmos_models"
        network = folder / ("model_v8.onnx" if measure == "dnsmos_p808" else "sig_bak_ovr.onnx")
        weights = hashlib.sha256(network.read_bytes()).hexdigest()[:16]
        return {"sample_rate": RATE, "package": f"speechmos {version('speechmos')}", "weights": weights}
    known = ", ".join([*distortion.SETTINGS, "stoi", *DNSMOS])
    raise InputError(f"{measure}: no measure of quality; known are {known}")


def _package(name: str) -> Any:
    """An optional package; ``InputError`` says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{name} cannot be used ({error}); pip install 'protophone[mos]'") from error


def _check_long(samples: np.ndarray) -> None:
    if len(samples) < LEAST_SPEECH * RATE:
        raise AudioError(f"too short: {len(samples) / RATE:.3f} s, and less than {LEAST_SPEECH} s is not judged")
