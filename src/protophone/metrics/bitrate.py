"""How many bits a second units cost, by six definitions that are not to be confused.

* **ZeroSpeech 2019** (Dunbar et al. 2019): ``N / D * H``, the entropy of the units, each frame charged alike; what
  tables of this field report. Durations are charged only in so far as each frame of a run is.
* **Nominal**: what fixed-length codes cost at log2 of the codebook's size.
* **Polyak's** (Polyak et al. 2021): the same with whole bits, ceil(log2 K) a codebook, as that paper counts.
* **Run-length-charged**: what a coder pays that sends each run's unit and, as well, how long it lasts.
* **Collapsed**: runs' units alone, their durations free. A decoder could not restore the timing from it; it is here
  because published figures (SpidR's) are of this kind.
* **Measured**: the bytes of files that hold the units, whatever made them.

The entropies are empirical, without context, of one histogram over all recordings; one for each would flatter short
recordings. Speakers and pitch are not charged. Sequences are one array a recording: symbols ``[frame]``, several
codebooks or vectors ``[frame, dim]``. What is charged is what is sent: vectors that a decoder makes of units, at its
own rate, are no units; what does not fit codebooks and frame rate is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from protophone.errors import InputError, UnitsError
from protophone.metrics.interval import DRAWS, Estimate, estimate, ratio
from protophone.metrics.symbols import Symbols, centred, check_names, entropy, histograms, number

__all__ = [
    "BitRateEstimates",
    "BitRates",
    "bit_rates",
    "collapsed_bitrate",
    "estimate_bit_rates",
    "estimate_measured",
    "estimate_zerospeech",
    "measured_bitrate",
    "nominal_bitrate",
    "num_bytes",
    "polyak_bitrate",
    "run_length_bitrate",
    "zerospeech_bitrate",
]

_FRAMES_OFF = 2  # how many more or fewer frames than its length says a recording may have; framings differ at the ends


@dataclass(frozen=True)
class BitRates:
    """Bits a second of one set of units, each definition under its own name."""

    zerospeech: float
    nominal: float
    polyak: float
    run_length: float
    collapsed: float

    def as_dict(self) -> dict[str, float]:
        """The fields by name, for a report."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class BitRateEstimates:
    """Bits a second with their intervals over recordings; nominal and Polyak's are the same for any recordings.

    ``empty`` recordings of all had no frame; their seconds count.
    """

    zerospeech: Estimate
    nominal: float
    polyak: float
    run_length: Estimate
    collapsed: Estimate
    recordings: int
    empty: int
    frames: int
    runs: int
    seconds: float

    @property
    def rates(self) -> BitRates:
        """The figures without their intervals."""
        return BitRates(self.zerospeech.value, self.nominal, self.polyak, self.run_length.value, self.collapsed.value)


def bit_rates(
    sequences: Sequence[np.ndarray], seconds: float, *, frame_rate: float | Fraction, sizes: Sequence[int]
) -> BitRates:
    """Every bit rate of units on a grid of ``frame_rate`` hertz with codebooks of ``sizes``; ``seconds`` in all.

    Raises ``InputError`` for what is not one code of each codebook a frame, at that rate.
    """
    _check_seconds(seconds)
    _check_units(sequences, seconds, frame_rate, sizes)
    return BitRates(
        zerospeech=zerospeech_bitrate(sequences, seconds),
        nominal=nominal_bitrate(frame_rate, sizes),
        polyak=polyak_bitrate(frame_rate, sizes),
        run_length=run_length_bitrate(sequences, seconds),
        collapsed=collapsed_bitrate(sequences, seconds),
    )


def estimate_bit_rates(
    sequences: Sequence[np.ndarray],
    seconds: Sequence[float],
    names: Sequence[str],
    *,
    frame_rate: float | Fraction,
    sizes: Sequence[int],
    draws: int = DRAWS,
    seed: int = 0,
) -> BitRateEstimates:
    """The same with intervals over recordings, which last ``seconds`` each and are called ``names``."""
    lasting = _each(sequences, seconds, names)
    total = float(lasting.sum())
    _check_units(sequences, total, frame_rate, sizes)
    symbols = number(sequences)
    runs = symbols.runs()[0]
    zerospeech, run_length, collapsed = (
        centred(estimate(_charge(tables, lasting), names, draws=draws, seed=seed))
        for tables in ([_table(symbols)], _run_tables(symbols), [_table(runs)])
    )
    return BitRateEstimates(
        zerospeech=zerospeech,
        nominal=nominal_bitrate(frame_rate, sizes),
        polyak=polyak_bitrate(frame_rate, sizes),
        run_length=run_length,
        collapsed=collapsed,
        recordings=len(names),
        empty=sum(not len(sequence) for sequence in sequences),
        frames=len(symbols.values),
        runs=len(runs.values),
        seconds=total,
    )


def zerospeech_bitrate(sequences: Sequence[np.ndarray], seconds: float) -> float:
    """Bits a second by the formula of the ZeroSpeech 2019 challenge: ``N / D * H``.

    ``N`` counts the lines (frames) of all ``sequences``, ``D`` is ``seconds``, ``H`` the entropy of the distinct lines
    in bits. With several codebooks a line is the tuple; of continuous vectors nearly each is its own symbol, so that
    they are charged log2 N a frame. Raises ``InputError`` where there is no frame, or no time.
    """
    _check_seconds(seconds)
    return _plain([_table(number(sequences))], seconds)


def estimate_zerospeech(
    sequences: Sequence[np.ndarray],
    seconds: Sequence[float],
    names: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """``zerospeech_bitrate`` with its interval, for vectors of a submission too, which no codebook need fit."""
    lasting = _each(sequences, seconds, names)
    statistic = _charge([_table(number(sequences))], lasting)
    return centred(estimate(statistic, names, draws=draws, seed=seed))


def nominal_bitrate(frame_rate: float | Fraction, sizes: Sequence[int]) -> float:
    """Bits a second of ``frame_rate`` frames a second, each log2 K bits for every codebook's size K in ``sizes``."""
    _check_grid(frame_rate, sizes)
    return float(frame_rate) * float(np.sum(np.log2(np.asarray(sizes, np.float64))))


def polyak_bitrate(frame_rate: float | Fraction, sizes: Sequence[int]) -> float:
    """Bits a second of ``frame_rate`` frames a second, each ceil(log2 K) whole bits for every codebook's size K.

    Polyak et al. 2021 (arXiv 2104.00355): 100 units at 50 hertz are 350 bits a second.
    """
    _check_grid(frame_rate, sizes)
    return float(frame_rate) * sum((int(size) - 1).bit_length() for size in sizes)


def run_length_bitrate(sequences: Sequence[np.ndarray], seconds: float) -> float:
    """Bits a second when runs of one unit are sent as the unit and its duration: ``R / D * (H(unit) + H(duration))``.

    ``R`` counts runs, which never cross recordings; ``H(unit)`` is the entropy of the units of runs, ``H(duration)``
    that of their lengths in frames, one histogram for all units: two separate codes. That is never below their joint
    entropy, and the second table stays as small as the longest run.
    """
    _check_seconds(seconds)
    return _plain(_run_tables(number(sequences)), seconds)


def collapsed_bitrate(sequences: Sequence[np.ndarray], seconds: float) -> float:
    """Bits a second of the units of runs alone, ``R / D * H(unit)``, durations lost."""
    _check_seconds(seconds)
    return _plain([_table(number(sequences).runs()[0])], seconds)


def measured_bitrate(size: int, seconds: float) -> float:
    """Bits a second of ``size`` bytes, as ``num_bytes`` finds them, that hold ``seconds`` of sound."""
    _check_seconds(seconds)
    if size <= 0:
        raise InputError(f"{size} bytes for {seconds} seconds; give what the files hold")
    return 8 * size / seconds


def estimate_measured(
    paths: Sequence[str | Path],
    seconds: Sequence[float],
    names: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """``measured_bitrate`` of one file (or folder) a recording, with its interval; headers and all are charged."""
    lasting = _each(paths, seconds, names)
    return estimate(ratio(np.array([8 * num_bytes(path) for path in paths]), lasting), names, draws=draws, seed=seed)


def num_bytes(path: str | Path) -> int:
    """Bytes of a file, or of all files in a folder; ``InputError`` where there are none."""
    path = Path(path)
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    try:
        total = sum(file.stat().st_size for file in files)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be measured ({error.strerror}); give the file that holds the units"
        ) from error
    if not total:
        raise InputError(f"{path}: holds no bytes; give the file that holds the units")
    return total


def _charge(tables: Sequence[csr_array], seconds: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The statistic ``N / D * H``, ``H`` the sum of the entropies of ``tables``, each of ``N`` symbols."""
    counted = ratio(tables[0].sum(axis=1), seconds)

    def statistic(weights: np.ndarray) -> np.ndarray:
        return counted(weights) * sum(entropy(weights, table) for table in tables)

    return statistic


def _plain(tables: Sequence[csr_array], seconds: float) -> float:
    """The same of all recordings alike, which last ``seconds`` in all."""
    recordings = tables[0].shape[0]
    return float(_charge(tables, np.full(recordings, seconds / recordings))(np.ones((1, recordings)))[0])


def _table(symbols: Symbols) -> csr_array:
    return histograms(symbols.values, symbols.recording, symbols.recordings)


def _run_tables(symbols: Symbols) -> list[csr_array]:
    runs, lengths = symbols.runs()
    return [_table(runs), histograms(lengths, runs.recording, runs.recordings)]


def _check_seconds(seconds: float) -> None:
    if not 0 < seconds < np.inf:
        raise InputError(f"{seconds} seconds of sound; a bit rate needs the recordings' duration")


def _check_grid(frame_rate: float | Fraction, sizes: Sequence[int]) -> None:
    if frame_rate <= 0 or not sizes or min(sizes) < 1:
        raise InputError(f"frame rate {frame_rate} and codebook sizes {list(sizes)}; give positive numbers")


def _each(things: Sequence[object], seconds: Sequence[float], names: Sequence[str]) -> np.ndarray:
    """The seconds of each recording, checked to be one a recording, as all else is, and some time in all."""
    check_names(names, sequences=things, seconds=seconds)
    lasting = np.asarray(seconds, np.float64)
    _check_seconds(float(lasting.sum() if (lasting >= 0).all() else lasting.min()))
    return lasting


def _check_units(
    sequences: Sequence[np.ndarray], seconds: float, frame_rate: float | Fraction, sizes: Sequence[int]
) -> None:
    """``InputError`` unless ``sequences`` are a code of each codebook a frame, as many frames as ``seconds`` hold."""
    _check_grid(frame_rate, sizes)
    for sequence in map(np.asarray, sequences):
        books = 1 if sequence.ndim == 1 else sequence.shape[-1]
        if books != len(sizes) or not (np.issubdtype(sequence.dtype, np.integer) or not len(sequence)):
            raise UnitsError(
                f"sequences of {sequence.dtype} {sequence.shape} for {len(sizes)} codebooks; give whole numbers "
                "[frame, codebook]: the codes themselves, not the vectors they stand for"
            )
        if len(sequence) and not (sequence.min() >= 0 and (sequence.reshape(-1, books).max(axis=0) < sizes).all()):
            raise UnitsError(
                f"codes from {sequence.min()} to {sequence.max()} for codebooks of {list(sizes)}; "
                "are these the units of another codebook?"
            )
    frames, expected = sum(map(len, sequences)), float(frame_rate) * seconds
    if frames and abs(frames - expected) > _FRAMES_OFF * len(sequences):
        raise UnitsError(
            f"{frames} frames in {seconds:g} seconds, where {float(frame_rate):g} a second make {expected:.0f}; give "
            "one code a frame (runs expanded) and the rate they are sent at"
        )
