"""How many bits a second units cost, by four definitions that are not to be confused.

* **ZeroSpeech 2019**: entropy of the units, each frame charged alike; what tables of this field report.
* **Nominal**: what fixed-length codes cost at log2 of the codebook's size.
* **Run-length-charged**: what a coder pays that sends each run's unit and, as well, how long it lasts.
* **Collapsed**: runs' units alone, their durations free. A decoder could not restore the timing from it; it is here
  because published figures (SpidR's) are of this kind.

The entropies are empirical, without context, of one histogram over all recordings; speakers and pitch are not charged.
Sequences are one array a recording: symbols ``[frame]``, several codebooks or vectors ``[frame, dim]``.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np

from protophone.errors import InputError

__all__ = [
    "BitRates",
    "bit_rates",
    "collapsed_bitrate",
    "nominal_bitrate",
    "run_length_bitrate",
    "zerospeech_bitrate",
]


@dataclass(frozen=True)
class BitRates:
    """Bits a second of one set of units, each definition under its own name."""

    zerospeech: float
    nominal: float
    run_length: float
    collapsed: float

    def as_dict(self) -> dict[str, float]:
        """The fields by name, for a report."""
        return asdict(self)


def bit_rates(
    sequences: Sequence[np.ndarray], seconds: float, *, frame_rate: float | Fraction, sizes: Sequence[int]
) -> BitRates:
    """Every bit rate of units on a grid of ``frame_rate`` hertz with codebooks of ``sizes``; ``seconds`` in all."""
    return BitRates(
        zerospeech=zerospeech_bitrate(sequences, seconds),
        nominal=nominal_bitrate(frame_rate, sizes),
        run_length=run_length_bitrate(sequences, seconds),
        collapsed=collapsed_bitrate(sequences, seconds),
    )


def zerospeech_bitrate(sequences: Sequence[np.ndarray], seconds: float) -> float:
    """Bits a second by the formula of the ZeroSpeech 2019 challenge: ``N / D * H``.

    ``N`` counts the lines (frames) of all ``sequences``, ``D`` is ``seconds``, ``H`` the entropy of the distinct lines
    in bits. With several codebooks a line is the tuple; of continuous vectors nearly each is its own symbol, so that
    they are charged log2 N a frame. Raises ``InputError`` where there is no frame, or no time.
    """
    symbols, _ = _symbols(sequences, seconds)
    return len(symbols) / seconds * _entropy(symbols)


def nominal_bitrate(frame_rate: float | Fraction, sizes: Sequence[int]) -> float:
    """Bits a second of ``frame_rate`` frames a second, each log2 K bits for every codebook's size K in ``sizes``."""
    if frame_rate <= 0 or not sizes or min(sizes) < 1:
        raise InputError(f"frame rate {frame_rate} and codebook sizes {list(sizes)}; give positive numbers")
    return float(frame_rate) * float(np.sum(np.log2(np.asarray(sizes, np.float64))))


def run_length_bitrate(sequences: Sequence[np.ndarray], seconds: float) -> float:
    """Bits a second when runs of one unit are sent as the unit and its duration: ``R / D * (H(unit) + H(duration))``.

    ``R`` counts runs, which never cross recordings; ``H(unit)`` is the entropy of the units of runs, ``H(duration)``
    that of their lengths in frames, one histogram for all units: two separate codes. That is never below their joint
    entropy, and the second table stays as small as the longest run.
    """
    units, durations = _runs(sequences, seconds)
    return len(units) / seconds * (_entropy(units) + _entropy(durations))


def collapsed_bitrate(sequences: Sequence[np.ndarray], seconds: float) -> float:
    """Bits a second of the units of runs alone, ``R / D * H(unit)``, durations lost."""
    units, _ = _runs(sequences, seconds)
    return len(units) / seconds * _entropy(units)


def _symbols(sequences: Sequence[np.ndarray], seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Each frame as the number of its distinct value, all recordings in a row; and where recordings begin."""
    if not 0 < seconds < np.inf:
        raise InputError(f"{seconds} seconds of sound; a bit rate needs the recordings' duration")
    tables = [np.asarray(sequence) for sequence in sequences]
    tables = [table[:, None] if table.ndim == 1 else table for table in tables]
    shapes = {table.shape[1:] for table in tables}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise InputError(
            f"sequences of shapes {sorted({str(table.shape) for table in tables})[:4]}; each must be [frame], or "
            "[frame, dim] of one dim"
        )
    lengths = [len(table) for table in tables]
    if not sum(lengths):
        raise InputError(f"{len(tables)} sequences without a frame; there is nothing to charge")
    symbols = np.unique(np.concatenate(tables), axis=0, return_inverse=True)[1].reshape(-1)
    begins = np.cumsum([0, *lengths[:-1]])
    return symbols, begins[np.array(lengths) > 0]


def _runs(sequences: Sequence[np.ndarray], seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Symbol and duration in frames of each run."""
    symbols, begins = _symbols(sequences, seconds)
    fresh = np.ones(len(symbols), bool)
    fresh[1:] = symbols[1:] != symbols[:-1]
    fresh[begins] = True
    first = np.flatnonzero(fresh)
    return symbols[first], np.diff(first, append=len(symbols))


def _entropy(symbols: np.ndarray) -> float:
    """Bits of the empirical distribution of ``symbols``, int ``[any]``."""
    counts = np.unique(symbols, return_counts=True)[1]
    share = counts / counts.sum()
    return float(max(0.0, -np.sum(share * np.log2(share))))
