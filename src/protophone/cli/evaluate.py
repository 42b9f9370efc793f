"""``evaluate`` and ``compare``: every figure a paper reports, with its interval, from files."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

__all__ = ["compare", "evaluate"]

evaluate = App(name="evaluate", help="Measure units, features and sounds, each figure with its interval.")

Distance = Literal["angular", "euclidean", "kl_symmetric", "identical", "levenshtein"]
Missing = Literal["error", "skip"]


@evaluate.command
def abx(
    source: Path,
    /,
    *,
    items: Path,
    speaker: Literal["within", "across"],
    context: Literal["within", "any"] = "within",
    distance: Distance = "angular",
    frame_rate: float | None = None,
    recordings: Path | None = None,
    split: str | None = None,
    bundle: Path | None = None,
    max_size_group: int | None = None,
    max_x_across: int | None = None,
    seed: int = 0,
    missing: Missing = "error",
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
        How tokens are compared: angular (of the cosine) or euclidean for features, kl_symmetric for posteriors, by
        DTW; identical by DTW, or levenshtein, for units.
    frame_rate
        Frames a second, where the files do not say.
    recordings
        Recordings for a bundle to encode: a manifest or a folder.
    split
        Only this split of the manifest.
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
    out
        A folder for results.json and the scores of each cell.
    json
        Print JSON; the error is a fraction.

    """
    from protophone.cli.tables import show
    from protophone.evaluate.discrimination import evaluate_abx, write_cells
    from protophone.evaluate.results import Results, digest
    from protophone.evaluate.sources import recordings_of, representation

    found = None if recordings is None else recordings_of(recordings, split)
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
    )
    hashes = {"source": digest(source), "items": digest(items)}
    results = Results(title=f"ABX, {source}", settings={"source": str(source), "items": str(items)}, hashes=hashes)
    results.add(part)
    if out is not None:
        write_cells(out, scores)
    show(results, json=json, out=out, more={"error": scores.error, "interval": list(scores.interval)})


@evaluate.command
def bitrate(units: Path, /, *, files: Path | None = None, out: Path | None = None, json: bool = False) -> None:
    """Bit rates of units, each by its own definition.

    Parameters
    ----------
    units
        Units that encode or discover wrote.
    files
        Also measure the bytes of this file, or of every file of this folder, against the units' duration.
    out
        A folder for results.json.
    json
        Print JSON.

    """
    from protophone.cli.tables import show
    from protophone.evaluate.units import evaluate_bitrate

    show(evaluate_bitrate(units, files=files), json=json, out=out)


@evaluate.command
def units(
    source: Path,
    /,
    *,
    alignment: Path | None = None,
    ignore: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ("SIL", "SPN"),
    tolerance: float = 0.02,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """What units are worth: usage, purity, PNMI, boundaries, durations, and how much they tell of the speaker.

    Parameters
    ----------
    source
        Units that encode or discover wrote.
    alignment
        A CTM file of phones.
    ignore
        Labels of the alignment that are no phones.
    tolerance
        Seconds by which a boundary may be off.
    seed
        Of the folds in which speakers are told apart.
    out
        A folder for results.json and the picture of units against phones.
    json
        Print JSON.

    """
    from protophone.cli.tables import show
    from protophone.evaluate.plots import heat_map
    from protophone.evaluate.units import evaluate_units

    results, table = evaluate_units(source, alignment=alignment, ignore=ignore, tolerance=tolerance, seed=seed)
    if out is not None and table is not None:
        heat_map(out / "units_phones.png", table.counts, table.phones)
    show(results, json=json, out=out)


@evaluate.command
def terms(
    classes: Path,
    /,
    *,
    alignment: Path,
    words: Path | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Discovered terms by the scores of the Zero Resource 2017 challenge.

    Parameters
    ----------
    classes
        A file of "Class k" blocks: file, onset and offset in seconds a line, an empty line after each class.
    alignment
        A CTM file of phones.
    words
        A CTM file of words; without it what needs words is not computed.
    out
        A folder for results.json.
    json
        Print JSON.

    """
    from protophone.cli.tables import show
    from protophone.evaluate.terms import evaluate_terms

    show(evaluate_terms(classes, alignment=alignment, words=words), json=json, out=out)


@evaluate.command
def resynthesis(
    original: Path,
    sounds: Path,
    /,
    *,
    split: str | None = None,
    asr: str | None = None,
    language: str | None = None,
    f0: bool = False,
    tracker: Literal["praat", "protophone"] | None = None,
    speaker: bool = False,
    embedder: str = "resemblyzer",
    voice: str | None = None,
    enrol: Path | None = None,
    one_person: tuple[str, ...] = (),
    quality: bool = False,
    missing: Missing = "error",
    over: Literal["recordings", "speakers"] = "recordings",
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Sounds made from units beside their originals: intelligibility, pitch, speaker, quality.

    Parameters
    ----------
    original
        The manifest of the originals, with text for --asr and speakers for --speaker.
    sounds
        A folder with ID.wav of each of them.
    split
        Only this split of the manifest.
    asr
        A recogniser: a folder or name of a faster-whisper model, or pocketsphinx.
    language
        What is spoken (ISO 639-1), where the manifest does not say.
    f0
        Measure pitch.
    tracker
        Who tracks pitch; without it Praat where it is installed, else protophone.
    speaker
        Measure whose voice is heard.
    embedder
        The speaker embedder: resemblyzer, or a folder or name of a transformers x-vector model.
    voice
        The speaker in whose voice all sounds speak; without it each recording's own.
    enrol
        A manifest of recordings that speakers are known by; without it other recordings of the originals' manifest.
    one_person
        Speakers who are one person, apart by commas; may be given several times. The key person of a manifest says so
        too.
    quality
        Measure DNSMOS, mel-cepstral distortion, spectral distances and STOI.
    missing
        What to do about recordings without a sound: stop, or leave them out and say so.
    over
        What intervals are over; over speakers needs 20 of them.
    seed
        Of the recordings drawn that speakers are known by.
    out
        A folder for results.json; what was heard is kept in it, so that an interrupted run goes on.
    json
        Print JSON.

    """
    from protophone.cli.progress import bar
    from protophone.cli.tables import show
    from protophone.evaluate.resynthesis import Measures, evaluate_resynthesis

    measures = Measures(
        asr=asr,
        language=language,
        f0=f0,
        tracker=tracker,
        speaker=speaker,
        embedder=embedder,
        voice=voice,
        enrol=enrol,
        one_person=one_person,
        quality=quality,
        missing=missing,
        over=over,
        seed=seed,
    )
    show(evaluate_resynthesis(original, sounds, measures, split=split, work=out, stage=bar), json=json, out=out)


@evaluate.command(name="all")
def everything(
    bundle: Path,
    recordings: Path,
    /,
    *,
    out: Path,
    split: str | None = None,
    items: Path | None = None,
    alignment: Path | None = None,
    asr: str | None = None,
    language: str | None = None,
    embedder: str = "resemblyzer",
    one_person: tuple[str, ...] = (),
    seed: int = 0,
    device: str = "cpu",
    json: bool = False,
) -> None:
    """Everything that can be measured of a bundle: it encodes the recordings, speaks them, and both are scored.

    Parameters
    ----------
    bundle
        A bundle, or the folder that discover wrote.
    recordings
        A manifest, or a folder of recordings.
    out
        A folder for the units, the sounds and the results; an interrupted run goes on there.
    split
        Only this split of the manifest.
    items
        A ZeroSpeech item file, for ABX.
    alignment
        A CTM file of phones, for purity, PNMI and boundaries.
    asr
        A recogniser, for error rates: a folder or name of a faster-whisper model, or pocketsphinx.
    language
        What is spoken (ISO 639-1), where the manifest does not say.
    embedder
        The speaker embedder: resemblyzer, or a folder or name of a transformers x-vector model.
    one_person
        Speakers who are one person, apart by commas; may be given several times.
    seed
        Of everything random.
    device
        cpu, cuda or another torch device.
    json
        Print JSON.

    """
    from protophone.cli.progress import bar
    from protophone.cli.tables import show
    from protophone.evaluate.everything import evaluate_all

    results = evaluate_all(
        bundle,
        recordings,
        out,
        split=split,
        items=items,
        alignment=alignment,
        asr=asr,
        language=language,
        embedder=embedder,
        one_person=one_person,
        seed=seed,
        device=device,
        stage=bar,
    )
    show(results, json=json, out=out)


@evaluate.command
def submission(
    folder: Path,
    /,
    *,
    form: Annotated[Literal["zerospeech2019", "zerospeech2020", "abxLS"], Parameter(name="--as")],
    features: Path | None = None,
    rest: Path | None = None,
) -> None:
    """Check a folder that is to be submitted to a ZeroSpeech challenge, naming every fault; or write it first.

    Parameters
    ----------
    folder
        The folder.
    form
        The challenge whose layout it has.
    features
        Write the folder from these features, named as in it, such as dev-clean/84-121123-0000.npy.
    rest
        A folder with everything else that goes into it: its .yaml files, code, sounds.

    """
    from protophone.errors import InputError
    from protophone.formats import read_arrays
    from protophone.formats.submission import validate_submission, write_submission

    if features is not None:
        if rest is None:
            raise InputError(
                "--features alone make no submission; --rest names the folder of its .yaml files and others"
            )
        files = {path.relative_to(rest).as_posix(): path for path in sorted(rest.rglob("*")) if path.is_file()}
        report = write_submission(folder, form, read_arrays(features), {}, copies=files)
    else:
        report = validate_submission(folder, form)
    for fault in report.faults:
        print(fault)
    if report.faults:
        raise InputError(f"{folder}: {len(report.faults)} faults, listed above; mend them before submitting")
    print(f"{folder}: a {form} submission of {report.files} files, no fault found")
    for each in report.unchecked:
        print(f"not checked: {each}")


def compare(*results: Path, out: Path = Path("comparison")) -> None:
    """Systems beside each other: a table, the plot of ABX against bit rate, and which differences are real.

    Parameters
    ----------
    results
        Folders that evaluate wrote with --out.
    out
        A folder for the table and the plot.

    """
    from protophone.cli.tables import show_comparison
    from protophone.errors import InputError
    from protophone.evaluate.compare import systems_in, write_comparison

    if not results:
        raise InputError("no results to compare; name folders that protophone evaluate wrote with --out")
    found, picture = write_comparison(out, systems_in(results))
    show_comparison(found, out, picture)
