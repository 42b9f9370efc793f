"""Units on disk scored: what they cost, how they are used, and what they tell of phones and of speakers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from protophone.errors import InputError
from protophone.evaluate.figure import Figure, Found, LeftOut, Over, counted, drawn_over, estimated
from protophone.evaluate.references import mended_in
from protophone.evaluate.results import Results, digest
from protophone.evaluate.sources import units_of
from protophone.files import inside
from protophone.formats import read_alignment
from protophone.metrics.bitrate import estimate_bit_rates, estimate_measured, measured_bitrate, num_bytes
from protophone.metrics.boundaries import TOLERANCE, BoundaryFit, boundary_fit
from protophone.metrics.leakage import FOLDS, speaker_leakage, unit_shares
from protophone.metrics.units import IGNORED, PhoneFit, phone_fit, run_durations, unit_usage
from protophone.store import UnitRecord

__all__ = ["evaluate_bitrate", "evaluate_units"]


def evaluate_bitrate(units: str | Path, *, files: str | Path | None = None, over: Over = "recordings") -> Results:
    """Bit rates of the units in ``units``, each by its definition, and of ``files`` what they weigh.

    ``files`` is one file for all recordings, or a folder with one (``ID.*``) for each. Codes alone are charged: not
    speakers, not pitch. ``over`` is what intervals are over.
    """
    records = units_of(units)
    names = drawn_over([record.id for record in records], [record.extra.get("speaker") for record in records], over)
    seconds = [record.seconds for record in records]
    first = records[0]
    rates = estimate_bit_rates(
        [record.codes.T for record in records],
        seconds,
        names,
        frame_rate=first.grid.frame_rate,
        sizes=first.sizes,
    )
    fixed = "a property of the grid and the codebook"
    results = Results(
        title=f"bit rates, {units}",
        settings={"units": str(units)},
        figures=[
            estimated("bit rate, ZeroSpeech 2019", rates.zerospeech, "bit/s", better="lower"),
            counted("bit rate, nominal (rate x log2 K)", rates.nominal, "bit/s", fixed, better="lower"),
            counted("bit rate, Polyak (rate x ceil log2 K)", rates.polyak, "bit/s", fixed, better="lower"),
            estimated("bit rate, runs with their lengths", rates.run_length, "bit/s", better="lower"),
            estimated("bit rate, runs without their lengths", rates.collapsed, "bit/s", better="lower"),
        ],
        hashes={"units": digest(units)},
    )
    if files is not None:
        results.figures.append(_measured(Path(files), records, names))
        results.hashes["files"] = digest(files)
        results.settings["files"] = str(files)
    results.figures = [replace(figure, over=over) for figure in results.figures]
    return results


def _measured(files: Path, records: Sequence[UnitRecord], names: Sequence[str]) -> Figure:
    seconds = [record.seconds for record in records]
    title = "bit rate, measured bytes"
    if not files.is_dir():
        one = "one file holds all recordings"
        return counted(title, measured_bitrate(num_bytes(files), sum(seconds)), "bit/s", one, better="lower")
    paths = []
    for record in records:
        stem = inside(files, record.id, "")
        found = sorted(stem.parent.glob(f"{_literal(stem.name)}.*"))
        if len(found) != 1:
            raise InputError(
                f"{files}: {len(found)} files of {record.id}; give a folder with one file ID.* a recording"
            )
        paths.append(found[0])
    return estimated(title, estimate_measured(paths, seconds, names), "bit/s", better="lower")


def evaluate_units(
    units: str | Path,
    *,
    alignment: str | Path | None = None,
    tier: str | None = None,
    ignore: Sequence[str] = IGNORED,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    over: Over = "recordings",
) -> tuple[Results, PhoneFit | None]:
    """Usage, durations, and what units tell of speakers; with ``alignment``, of phones as well.

    ``alignment`` is a CTM file, a TextGrid, an ELAN file, or a folder of them; ``tier`` names the tier of phones.

    The second is the table of units and phones, None without an alignment. What lacks its ground, speakers or an
    alignment, is listed as left out. ``over`` is what intervals are over; that of the leakage is over recordings.
    """
    records = units_of(units)
    if len(records[0].sizes) > 1:
        raise InputError(
            f"{units}: {len(records[0].sizes)} codebooks; usage and purity are of one: write the units of each alone"
        )
    results = Results(
        title=f"units, {units}",
        settings={"units": str(units), "ignore": list(ignore), "tolerance": tolerance, "seed": seed},
        hashes={"units": digest(units)},
    )
    names = drawn_over([record.id for record in records], [record.extra.get("speaker") for record in records], over)
    results.add(_usage(records, names))
    table = None
    if alignment is None:
        if tier is not None:
            raise InputError(f"--tier {tier}: of which alignment? give it with --alignment")
        results.left_out.append(
            LeftOut("measures", 2, "no alignment of phones was given (--alignment)", ("phones", "boundaries"))
        )
    else:
        results.settings["alignment"] = str(alignment)
        results.hashes["alignment"] = digest(alignment)
        results.settings["tier"] = tier
        found, table = _phones(records, names, alignment, tier, ignore, tolerance)
        results.add(found)
    results.figures = [replace(figure, over=over) for figure in results.figures]
    results.add(_leakage(records, seed))
    return results, table


def _usage(records: Sequence[UnitRecord], names: Sequence[str]) -> Found:
    codes, size = [record.codes[0] for record in records], records[0].sizes[0]
    usage = unit_usage(codes, names, size=size)
    hop = float(1 / records[0].grid.frame_rate)
    runs = run_durations(codes, names, size=size, frame_seconds=hop)
    grows = "grows with the recordings, so no interval"
    return Found(
        figures=[
            counted(f"units used, of {size}", usage.used, "units", grows, better="higher"),
            estimated("perplexity", usage.perplexity, "units", protocol={"size": size}),
            estimated("duration of a unit's run, mean", runs.mean_ms, "ms"),
            counted("duration of a unit's run, median", runs.median_ms, "ms", "a step function, so no interval"),
        ]
    )


def _phones(
    records: Sequence[UnitRecord],
    names: Sequence[str],
    alignment: str | Path,
    tier: str | None,
    ignore: Sequence[str],
    tolerance: float,
) -> tuple[Found, PhoneFit]:
    aligned = read_alignment(alignment, [record.id for record in records], tier)
    codes = [record.codes[0] for record in records]
    centres = [
        (record.offset + record.hop * np.arange(record.codes.shape[1])) / record.sample_rate for record in records
    ]
    segments = [aligned.segments.get(record.id, []) for record in records]
    try:
        fit = phone_fit(codes, centres, segments, names, size=records[0].sizes[0], ignore=ignore)
    except InputError as error:
        raise InputError(f"{alignment}: {error}") from None
    phones = {"ignore": sorted(ignore)}
    found = Found(
        figures=[
            estimated("phone purity", fit.phone_purity, "share", better="higher", protocol=phones),
            estimated("unit purity", fit.unit_purity, "share", better="higher", protocol=phones),
            estimated("PNMI", fit.pnmi, "share", better="higher", protocol=phones),
        ]
    )
    found.left_out = mended_in(aligned)
    found.left_out += [
        LeftOut("frames", count, f"their label is {label}" if label else "they have no label in the alignment")
        for label, count in fit.left_out.items()
    ]
    if fit.without:
        found.left_out.append(LeftOut("recordings", fit.without, "none of their frames is on a phone of the alignment"))
    if any((np.diff(row) != 0).any() for row in codes):
        try:
            edges = boundary_fit(codes, centres, segments, names, tolerance=tolerance, ignore=ignore)
        except InputError as error:
            raise InputError(f"{alignment}: {error}") from None
        found.add(_boundaries(edges, {"tolerance": tolerance} | phones))
    else:
        found.left_out.append(LeftOut("measures", 1, "no unit ever follows another", ("boundaries",)))
    return found, fit


def _boundaries(edges: BoundaryFit, at: Mapping[str, Any]) -> Found:
    figures = [
        estimated("boundary precision", edges.precision, "share", better="higher", protocol=at),
        estimated("boundary recall", edges.recall, "share", better="higher", protocol=at),
        estimated("boundary F1", edges.f1, "share", better="higher", protocol=at),
        estimated("boundary over-segmentation", edges.over_segmentation, "share", protocol=at),
        estimated("boundary R-value", edges.r_value, "share", better="higher", protocol=at),
    ]
    left_out = []
    if edges.left_out:
        left_out.append(LeftOut("unit boundaries", edges.left_out, "they lie where the alignment knows no phone"))
    return Found(figures=figures, left_out=left_out)


def _leakage(records: Sequence[UnitRecord], seed: int) -> Found:
    who = [record.extra.get("speaker") for record in records]
    known = [(record, str(speaker)) for record, speaker in zip(records, who, strict=True) if speaker]
    left_out = []
    if len(known) < len(records):
        left_out.append(LeftOut("recordings", len(records) - len(known), "no speaker is named, so none can leak"))
    speakers = [speaker for _, speaker in known]
    enough = [speaker for speaker, count in Counter(speakers).items() if count >= FOLDS]
    if len(enough) < 2:
        reason = f"two speakers with {FOLDS} recordings or more are needed, and there are {len(enough)}"
        return Found(left_out=[*left_out, LeftOut("measures", 1, reason, ("speaker leakage",))])
    names = [record.id for record, _ in known]
    shares = unit_shares([record.codes[0] for record, _ in known], records[0].sizes[0])
    found = speaker_leakage(shares, speakers, names, seed=seed)
    left_out += [
        LeftOut("recordings", count, f"{speaker} has fewer than {FOLDS} for the speaker probe")
        for speaker, count in found.left_out.items()
    ]
    protocol = {"probe": "logistic regression on unit shares", "folds": found.folds, "seed": seed}
    protocol["speakers"] = len(found.speakers)
    return Found(
        figures=[
            estimated("speaker leakage, probe right", found.accuracy, "share", better="lower", protocol=protocol),
            estimated(
                "speaker leakage, above commonest", found.above_majority, "share", better="lower", protocol=protocol
            ),
        ],
        left_out=left_out,
    )


def _literal(name: str) -> str:
    """``name`` for a pattern of files, meaning itself."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
