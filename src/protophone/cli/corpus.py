"""``manifest``, ``encode``, ``decode``, ``convert``: recordings to units and back."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from protophone.cli.numbers import Positive, Share

__all__ = ["convert", "decode", "encode", "manifest"]

Channel = Literal["mix", "left", "right"]
SpeakerFrom = Literal["none", "parent", "top", "prefix", "manifest"]


def manifest(
    recordings: Path, out: Path, /, *, speaker_from: SpeakerFrom = "none", channel: Channel | None = None
) -> None:
    """Write the manifest of a folder of recordings.

    Parameters
    ----------
    recordings
        A folder; every sound file below it.
    out
        The manifest to write, a .jsonl file.
    speaker_from
        Where a recording's speaker is named: nowhere, the folder it lies in (parent), the first folder below the
        source (top), or its file name up to the first - or _ (prefix).
    channel
        Which channel is to be read: left, right or the mix; without it as the manifest says, or the mix.

    """
    from protophone.cli.terminal import answer, introduce, left_out
    from protophone.errors import InputError
    from protophone.files import refuse_file, refuse_unwritable
    from protophone.manifest import build, write
    from protophone.tape import seconds_of

    if out.suffix.lower() != ".jsonl":
        raise InputError(f"{out}: a manifest is written as .jsonl; choose this suffix")
    refuse_unwritable(out)
    refuse_file(out)
    listing = build(recordings, speaker_from, channel=channel, probe=True)
    introduce(listing, seconds_of(listing.recordings))
    left_out(listing.failures)
    if not listing.recordings:
        raise InputError(f"{recordings}: none of its recordings can be used, so no manifest was written")
    write(out, listing.recordings)
    answer(f"{out}: {len(listing.recordings)} recordings")


def encode(
    bundle: Path,
    recordings: Path,
    /,
    *,
    out: Path,
    form: Annotated[Literal["units", "shards", "zerospeech", "npy"], Parameter(name="--as")] = "units",
    speaker_from: SpeakerFrom = "manifest",
    channel: Channel | None = None,
    split: str | None = None,
    max_bad: Share = 0.05,
    device: str = "cpu",
) -> None:
    """Write recordings as units.

    Parameters
    ----------
    bundle
        A bundle, or the folder that discover wrote.
    recordings
        A folder, a manifest, or one recording.
    out
        The folder to write to; an interrupted run goes on there.
    form
        units: units.jsonl; shards: for large corpora; zerospeech: one vector a line; npy: one array a recording.
    speaker_from
        Where speakers are named: in a manifest, nowhere, the folder a recording lies in (parent), the first folder
        below the source (top), or its file name up to the first - or _ (prefix).
    channel
        Which channel to read: left, right or the mix; without it as the manifest says, or the mix.
    split
        Only this split of a manifest.
    max_bad
        The share of recordings that may fail before the command does.
    device
        cpu, cuda or another torch device.

    """
    from protophone.cli.progress import bar
    from protophone.cli.terminal import answer, introduce, left_out, warn
    from protophone.corpus import check_failures, encode_corpus
    from protophone.files import refuse_existing
    from protophone.locks import sole_writer
    from protophone.manifest import build, of_split
    from protophone.model import load
    from protophone.tape import seconds_of

    with sole_writer(out):
        if not (out / "index.json").is_file():
            refuse_existing(out)
        model = load(bundle, device=device)
        listing = build(recordings, speaker_from, channel=channel)
        introduce(listing, seconds_of(listing.recordings) if speaker_from in {"parent", "top", "prefix"} else {})
        found = listing.recordings if split is None else of_split(listing.recordings, split, recordings)
        done = encode_corpus(model, found, out, form=form, stage=bar)
        failures = [*listing.failures, *done.failures]
        warn(done.warnings)
        left_out(failures)
        answer(f"{out}: {done.recordings} recordings, {done.seconds / 60:.1f} minutes")
        check_failures(failures, len(found) + len(listing.failures), max_bad)


def decode(
    bundle: Path,
    units: Path,
    /,
    *,
    out: Path,
    voice: str | None = None,
    like: Path | None = None,
    pitch: str = "target",
    rate: Positive = 1.0,
    vocoder: str | None = None,
    device: str = "cpu",
) -> None:
    """Speak units.

    Parameters
    ----------
    bundle
        The bundle they were encoded with.
    units
        A folder that encode wrote, or a units.jsonl file.
    out
        The folder for the sounds, one WAV a recording.
    voice
        Who speaks; without it each recording's own speaker, or the first voice.
    like
        A recording of who shall speak, in place of a voice's name; for vocoders that learned to take such.
    pitch
        The melody: target (the recording's, in the register of the voice), copy (in the recording's own hertz), flat,
        or a shift such as shift:+2st, in semitones.
    rate
        How many times as fast as the recording.
    vocoder
        Which of the bundle's vocoders, where it has several.
    device
        cpu, cuda or another torch device.

    """
    from protophone.cli.progress import bar
    from protophone.cli.terminal import answer
    from protophone.corpus import decode_corpus
    from protophone.delivery import Delivery
    from protophone.locks import sole_writer
    from protophone.model import load
    from protophone.store import read_units

    _check_who_speaks(voice, like)
    delivery = Delivery(pitch, rate)
    with sole_writer(out):
        model = load(bundle, device=device, vocoder=vocoder)
        records = list(read_units(units))
        target = voice if like is None else model.heard(like)
        done = decode_corpus(model, records, out, voice=target, delivery=delivery, source=units, stage=bar)
        answer(f"{out}: {done.recordings} sounds, {done.seconds / 60:.1f} minutes")


def convert(
    bundle: Path,
    source: Path,
    out: Path,
    /,
    *,
    voice: str | None = None,
    like: Path | None = None,
    speaker: str | None = None,
    channel: Channel = "mix",
    pitch: str = "target",
    rate: Positive = 1.0,
    vocoder: str | None = None,
    device: str = "cpu",
) -> None:
    """Speak a recording in another voice, along another melody, faster or slower.

    Parameters
    ----------
    bundle
        A bundle with voices, or the folder that discover wrote.
    source
        The recording.
    out
        The sound to write, .wav or .flac.
    voice
        Who speaks; without it the first voice.
    like
        A recording of who shall speak, in place of a voice's name; for vocoders that learned to take such.
    speaker
        Who speaks in the source, where it is one of the bundle's voices; without it, its register is measured.
    channel
        Which channel of the source to read.
    pitch
        The melody: target (the recording's, in the register of the voice), copy (in the recording's own hertz), flat,
        or a shift such as shift:+2st, in semitones.
    rate
        How many times as fast as the recording.
    vocoder
        Which of the bundle's vocoders, where it has several.
    device
        cpu, cuda or another torch device.

    """
    from protophone import audio
    from protophone.cli.terminal import answer, warn
    from protophone.delivery import Delivery
    from protophone.files import refuse_file
    from protophone.model import load
    from protophone.tape import Tape
    from protophone.types import Recording

    _check_who_speaks(voice, like)
    delivery = Delivery(pitch, rate)
    audio.check_writable(out)
    audio.probe(source)
    refuse_file(out)
    model = load(bundle, device=device, vocoder=vocoder)
    target = voice if like is None else model.heard(like)
    tape = Tape(Recording(id=source.stem, path=source, channel=channel), model.sample_rate)
    parts = model.convert_stream(tape, target, delivery, speaker=speaker)
    count = 0
    with audio.writing(out, model.sample_rate) as add:
        for part in parts:
            add(part)
            count += len(part)
    warn(tape.warnings)
    answer(f"{out}: {count / model.sample_rate:.1f} s")


def _check_who_speaks(voice: str | None, like: Path | None) -> None:
    """``InputError`` where a voice is named and a recording of one given, ``AudioError`` for one that is no sound."""
    from protophone import audio
    from protophone.errors import InputError

    if voice is not None and like is not None:
        raise InputError(f"--voice {voice} and --like {like}: two who shall speak; give one of them")
    if like is not None:
        audio.probe(like)
