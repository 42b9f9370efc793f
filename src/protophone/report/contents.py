"""What a report is made of: counts, curves, sounds. Each part checks itself where it is made.

Sounds are mono float ``[sample]`` at ``ReportData.sample_rate``, in [-1, 1]; what lies outside is clipped. Everything
but ``title``, ``system`` and ``corpus`` may be left out, and the page then leaves out what it would have shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from protophone.errors import InputError

__all__ = [
    "BitRate",
    "Corpus",
    "Curve",
    "Example",
    "Failure",
    "Listed",
    "Pair",
    "PhoneMatrix",
    "ReportData",
    "Speaker",
]

System = Literal["kmeans", "gmm", "dpgmm", "vqvae"]


@dataclass(frozen=True)
class Speaker:
    """A speaker's name, the number of recordings, their minutes, and the minutes of speech in them."""

    name: str
    recordings: int
    minutes: float
    speech_minutes: float


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The recordings learned from; ``speech_minutes`` is what voice activity detection kept of ``minutes``."""

    recordings: int
    minutes: float
    speakers: Sequence[Speaker]
    speech_minutes: float


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A recording in the list.

    ``runs`` of equal units lie in its speech, of ``units`` different ones. ``links`` are addresses of files beside the
    page, by what they are called.
    """

    id: str
    speaker: str | None
    seconds: float
    speech_seconds: float
    runs: int
    units: int
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A recording that was left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class BitRate:
    """A bit rate under its own name, with a sentence on what it counts."""

    name: str
    bits_per_second: float
    meaning: str


@dataclass(frozen=True)
class Curve:
    """A loss over the steps of a training; curves of one ``name`` share a picture."""

    name: str
    split: Literal["train", "held-out"]
    steps: Sequence[int] | np.ndarray
    values: Sequence[float] | np.ndarray

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.values):
            raise InputError(
                f"curve {self.name!r}: {len(self.steps)} steps for {len(self.values)} values; give one value a step"
            )


@dataclass(frozen=True)
class Example:
    """A place where a unit was heard: the sound, the recording it is from, and seconds into that recording."""

    samples: np.ndarray
    recording: str
    seconds: float

    def __post_init__(self) -> None:
        _check_sound(self.samples, f"example of {self.recording}")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A recording held out from training and what the units make of it.

    ``codes`` int ``[frame]``, frame *t* of which starts at sample ``t * hop``.
    """

    id: str
    original: np.ndarray
    resynthesis: np.ndarray
    codes: Sequence[int] | np.ndarray
    hop: int
    speaker: str | None = None

    def __post_init__(self) -> None:
        _check_sound(self.original, f"original of {self.id}")
        _check_sound(self.resynthesis, f"resynthesis of {self.id}")
        if np.ndim(self.codes) != 1:
            raise InputError(f"codes of {self.id} have shape {np.shape(self.codes)}; give one code a frame")
        if self.hop <= 0:
            raise InputError(f"hop {self.hop} of {self.id} must be a positive number of samples")


@dataclass(frozen=True)
class PhoneMatrix:
    """How often unit and phone fall together: ``counts`` ``[unit, phone]`` in frames, ``phones`` naming the columns."""

    phones: Sequence[str]
    counts: np.ndarray

    def __post_init__(self) -> None:
        if np.ndim(self.counts) != 2 or self.counts.shape[1] != len(self.phones):
            raise InputError(
                f"unit-phone counts of shape {np.shape(self.counts)} for {len(self.phones)} phones; "
                "give one row a unit and one column a phone"
            )
        if not np.isfinite(self.counts).all() or (self.counts < 0).any():
            raise InputError("unit-phone counts hold negative numbers or NaN; they count frames")


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything the page shows. There is no date in it: the same contents make the same page.

    Figures of units are of speech alone: ``usage`` counts frames of each unit, ``[unit]``; ``unit_run_ms`` is the mean
    run of each, NaN where it has none; ``run_lengths`` maps frames to how many runs last that long. ``hop`` is a frame
    in samples. ``examples`` maps a unit to sounds of it, best first. ``abx`` maps a condition to its error in percent.
    ``folder`` is the name of the results' folder, for the commands to go on with. Raises ``InputError`` if the parts do
    not fit each other.
    """

    title: str
    system: System
    corpus: Corpus
    sample_rate: int = 16000
    hop: int | None = None
    warnings: Sequence[str] = ()
    failures: Sequence[Failure] = ()
    passed: Sequence[str] = ()
    bit_rates: Sequence[BitRate] = ()
    usage: Sequence[int] | np.ndarray | None = None
    unit_run_ms: Sequence[float] | np.ndarray | None = None
    run_lengths: Mapping[int, int] = field(default_factory=dict)
    mean_run_ms: float | None = None
    perplexity: float | None = None
    curves: Sequence[Curve] = ()
    abx: Mapping[str, float] = field(default_factory=dict)
    phone_matrix: PhoneMatrix | None = None
    examples: Mapping[int, Sequence[Example]] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()
    listed: Sequence[Listed] = ()
    voices: Sequence[str] = ()
    folder: str | None = None

    def __post_init__(self) -> None:
        units = self.num_units
        if units is None:
            if self.examples or self.unit_run_ms is not None:
                raise InputError("examples and run lengths of units need usage, the count of each unit")
            return
        usage = np.asarray(self.usage)
        if usage.ndim != 1 or usage.min(initial=0) < 0:
            raise InputError(f"usage of shape {usage.shape} must be one count, 0 or more, for each unit")
        if self.unit_run_ms is not None and len(self.unit_run_ms) != units:
            raise InputError(f"{len(self.unit_run_ms)} mean runs for {units} units; give one a unit")
        if self.phone_matrix is not None and len(self.phone_matrix.counts) != units:
            raise InputError(f"unit-phone counts of {len(self.phone_matrix.counts)} units, usage of {units}")
        strange = [unit for unit in self.examples if not 0 <= unit < units]
        if strange:
            raise InputError(f"examples of unit {strange[0]}; there are units 0 to {units - 1}")

    @property
    def num_units(self) -> int | None:
        """Units there are, used or not; None where usage was not given."""
        return None if self.usage is None else len(self.usage)


def _check_sound(samples: np.ndarray, name: str) -> None:
    if np.ndim(samples) != 1 or not np.issubdtype(np.asarray(samples).dtype, np.floating):
        raise InputError(f"{name}: sound must be float [sample], got {np.asarray(samples).dtype} {np.shape(samples)}")
    if not len(samples):
        raise InputError(f"{name}: the sound holds no samples; leave it out")
    if not np.isfinite(samples).all():
        raise InputError(f"{name}: the sound holds NaN or infinite samples; decode or read it again")
