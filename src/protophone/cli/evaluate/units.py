"""``evaluate abx``, ``bitrate``, ``units``, ``terms``: units and features scored."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from protophone.cli.evaluate.options import Channel, Missing, Over
from protophone.cli.numbers import Count, Positive, Seconds, Seed

__all__ = ["abx", "bitrate", "terms", "units"]

Distance = Literal["angular", "euclidean", "kl_symmetric", "identical", "levenshtein"]


def abx(
    source: Path,
    /,
    *,
    items: Path,
    speaker: Literal["within", "across"],
    context: Literal["within", "any"] = "within",
    distance: Distance | None = None,
    frame_rate: Positive | None = None,
    recordings: Path | None = None,
    split: str | None = None,
    channel: Channel | None = None,
    bundle: Path | None = None,
    max_size_group: Count | None = None,
    max_x_across: Count | None = None,
    seed: Seed = 0,
    missing: Missing = "error",
    over: Over = "recordings",
    out: Path | None = None,
    json: bool = False,
) -> None:
    """ABX phone discrimination error of features or units.

    Parameters
    ----------
    source
        Features (a folder of .npy, .pt, .safetensors or ZeroSpeech .txt, or one .npz or .safetensors), units, or a
        bundle that encodes --recordings.
    items
        A ZeroSpeech item file, of triphones or phonemes.
    speaker
        Whether X is by the speaker of A and B.
    context
        Whether A, B and X share their neighbouring phones.
    distance
        How tokens are compared, by DTW: angular (of the cosine; the default for features), euclidean, kl_symmetric
        (posteriors), identical (units; their default). Or levenshtein, for units.
    frame_rate
        Frames a second, where the files do not say.
    recordings
        Recordings for a bundle to encode: a manifest or a folder.
    split
        Only this split of the manifest.
    channel
        Which channel of the recordings to read: left, right or the mix; without it as the manifest says, or the mix.
    bundle
        Score the vectors that this bundle has for the units.
    max_size_group
        At most so many tokens of a phone in a cell, drawn by the seed; without it all. Libri-Light takes 10.
    max_x_across
        At most so many speakers of X a cell, drawn by the seed; without it all. Libri-Light takes 5.
    seed
        Of what is drawn.
    missing
        What to do about items of recordings that are not there or too short: stop, or leave them out and say so.
    over
        What the interval is over; over speakers needs 20 of them.
    out
        A folder for results.json and the scores of each cell.
    json
        Print JSON; the error is a fraction.

    """
    from protophone.cli.tables import show
    from protophone.errors import InputError
    from protophone.evaluate.discrimination import evaluate_abx, write_cells
    from protophone.evaluate.figure import LeftOut
    from protophone.evaluate.representation import representation
    from protophone.evaluate.results import Results, digest, refuse_others

    title = f"ABX, {speaker} speaker{'s' if speaker == 'across' else ''}, {source}"
    if out is not None:
        refuse_others(out, title)
    if split is not None and recordings is None:
        raise InputError(f"--split {split}: of which recordings? give their manifest with --recordings")
    if channel is not None and recordings is None:
        raise InputError(f"--channel {channel}: of which recordings? give them with --recordings")
    found, left_out = None, list[LeftOut]()
    if recordings is not None:
        from protophone.evaluate.sources import listing_of  # which takes long, and features need it not

        found, left_out = listing_of(recordings, split, channel=channel)
    frames = representation(source, bundle=bundle, recordings=found, frame_rate=frame_rate)
    part, scores = evaluate_abx(
        frames,
        items,
        speaker=speaker,
        context=context,
        distance=distance,
        max_size_group=max_size_group,
        max_x_across=max_x_across,
        seed=seed,
        missing=missing,
        over=over,
    )
    named = {"source": source, "items": items, "recordings": recordings, "bundle": bundle}
    read = {role: path for role, path in named.items() if path is not None}
    settings = {role: str(path) for role, path in read.items()} | {"split": split, "missing": missing}
    settings |= {} if channel is None else {"channel": channel}
    hashes = {role: digest(path) for role, path in read.items()}
    results = Results(title=title, settings=settings, hashes=hashes, left_out=left_out)
    results.add(part)
    if out is not None:
        write_cells(out, scores)
    interval = part.figures[0].interval
    show(results, json=json, out=out, more={"error": scores.error, "interval": interval and list(interval)})


def bitrate(
    units: Path,
    /,
    *,
    files: Path | None = None,
    over: Over = "recordings",
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Bit rates of units, each by its own definition.

    Parameters
    ----------
    units
        Units that encode or discover wrote.
    files
        Also measure the bytes of this file, or of every file of this folder, against the units' duration.
    over
        What intervals are over; over speakers needs 20 of them.
    out
        A folder for results.json.
    json
        Print JSON.

    """
    from protophone.cli.tables import show
    from protophone.evaluate.units import evaluate_bitrate

    show(evaluate_bitrate(units, files=files, over=over), json=json, out=out)


def units(
    source: Path,
    /,
    *,
    alignment: Path | None = None,
    tier: str | None = None,
    ignore: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ("SIL", "SPN"),
    tolerance: Seconds = 0.02,
    seed: Seed = 0,
    over: Over = "recordings",
    out: Path | None = None,
    json: bool = False,
) -> None:
    """What units are worth: usage, purity, PNMI, boundaries, durations, and how much they tell of the speaker.

    Parameters
    ----------
    source
        Units that encode or discover wrote.
    alignment
        Phones: a CTM file, a TextGrid, an ELAN file, or a folder of these, named like the recordings.
    tier
        The tier of phones in TextGrids and ELAN files; without it the one called phones or segments, or the only one.
    ignore
        Labels of the alignment that are no phones.
    tolerance
        Seconds by which a boundary may be off.
    seed
        Of the folds in which speakers are told apart.
    over
        What intervals are over; over speakers needs 20 of them.
    out
        A folder for results.json and the picture of units against phones.
    json
        Print JSON.

    """
    from protophone.cli.tables import show
    from protophone.evaluate.plots import heat_map
    from protophone.evaluate.results import refuse_others
    from protophone.evaluate.units import evaluate_units

    results, table = evaluate_units(
        source, alignment=alignment, tier=tier, ignore=ignore, tolerance=tolerance, seed=seed, over=over
    )
    if out is not None and table is not None:
        refuse_others(out, results.title)
        heat_map(out / "units_phones.png", table.counts, table.phones)
    show(results, json=json, out=out)


def terms(
    classes: Path,
    /,
    *,
    alignment: Path,
    words: Path | None = None,
    tier: str | None = None,
    words_tier: str | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Discovered terms by the scores of the Zero Resource 2017 challenge.

    Parameters
    ----------
    classes
        A file of "Class k" blocks: file, onset and offset in seconds a line, an empty line after each class.
    alignment
        Phones: a CTM file, a TextGrid, an ELAN file, or a folder of these, named like the recordings.
    words
        Words, likewise; without them what needs words is not computed.
    tier
        The tier of phones in TextGrids and ELAN files; without it the one called phones or segments, or the only one.
    words_tier
        The tier of words; without it the one called words, or the only one.
    out
        A folder for results.json.
    json
        Print JSON.

    """
    from protophone.cli.tables import show
    from protophone.evaluate.terms import evaluate_terms

    show(
        evaluate_terms(classes, alignment=alignment, words=words, tier=tier, words_tier=words_tier), json=json, out=out
    )
