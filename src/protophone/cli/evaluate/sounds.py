"""``evaluate resynthesis`` and ``all``: sounds scored, and everything of a bundle."""

from pathlib import Path
from typing import Literal

from protophone.cli.evaluate.options import Channel, Missing, Over
from protophone.cli.numbers import Seed

__all__ = ["everything", "resynthesis"]


def resynthesis(
    original: Path,
    sounds: Path,
    /,
    *,
    split: str | None = None,
    channel: Channel | None = None,
    asr: tuple[str, ...] = (),
    language: str | None = None,
    f0: bool = False,
    tracker: Literal["praat", "protophone"] | None = None,
    speaker: bool = False,
    embedder: str | None = None,
    voice: str | None = None,
    enrol: Path | None = None,
    one_person: tuple[str, ...] = (),
    quality: bool = False,
    missing: Missing = "error",
    over: Over = "recordings",
    seed: Seed = 0,
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
    channel
        Which channel of the recordings to read: left, right or the mix; without it as the manifest says, or the mix.
    asr
        A recogniser: a folder or name of a faster-whisper model, or pocketsphinx; may be given several times, and
        figures name theirs.
    language
        What is spoken (ISO 639-1), where the manifest does not say.
    f0
        Measure pitch.
    tracker
        Who tracks pitch; without it Praat where it is installed, else protophone.
    speaker
        Measure whose voice is heard.
    embedder
        The speaker embedder: resemblyzer (the default), or a folder or name of a transformers x-vector model.
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
    results = evaluate_resynthesis(original, sounds, measures, split=split, channel=channel, work=out, stage=bar)
    show(results, json=json, out=out)


def everything(
    bundle: Path,
    recordings: Path,
    /,
    *,
    out: Path,
    split: str | None = None,
    channel: Channel | None = None,
    speakers: tuple[str, ...] = (),
    items: Path | None = None,
    alignment: Path | None = None,
    tier: str | None = None,
    asr: tuple[str, ...] = (),
    language: str | None = None,
    embedder: str | None = None,
    one_person: tuple[str, ...] = (),
    voice: str | None = None,
    like: Path | None = None,
    pitch: str = "target",
    vocoder: str | None = None,
    work: Path | None = None,
    seed: Seed = 0,
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
    channel
        Which channel of the recordings to read: left, right or the mix; without it as the manifest says, or the mix.
    speakers
        Only recordings by these; may be given several times.
    items
        A ZeroSpeech item file, for ABX.
    alignment
        Phones, for purity, PNMI and boundaries: a CTM file, a TextGrid, an ELAN file, or a folder of these, named like
        the recordings.
    tier
        The tier of phones in TextGrids and ELAN files; without it the one called phones or segments, or the only one.
    asr
        A recogniser, for error rates: a folder or name of a faster-whisper model, or pocketsphinx; may be given several
        times, and figures name theirs.
    language
        What is spoken (ISO 639-1), where the manifest does not say.
    embedder
        The speaker embedder: resemblyzer (the default), or a folder or name of a transformers x-vector model.
    one_person
        Speakers who are one person, apart by commas; may be given several times.
    voice
        In whose voice all are spoken, and whom they shall resemble; without it, each in its own. With --like, only whom
        they shall resemble.
    like
        A recording in whose voice all are spoken, for vocoders that learned to take such.
    pitch
        The melody: target, copy, flat or a shift such as shift:+2st, as of convert.
    vocoder
        Which of the bundle's vocoders speaks, where it has several.
    work
        A folder for what recognisers hear and judges of quality find, where several evaluations of the same recordings
        shall share it; without it, --out.
    seed
        Of everything random.
    device
        cpu, cuda or another torch device.
    json
        Print JSON.

    """
    from protophone.bundle import Bundle
    from protophone.cli.progress import Terminal
    from protophone.cli.tables import show
    from protophone.cli.terminal import warn
    from protophone.delivery import Delivery
    from protophone.evaluate.everything import evaluate_all
    from protophone.evaluate.sources import recordings_of
    from protophone.locks import sole_writer
    from protophone.outlook import of_evaluation

    terminal = Terminal()
    found = recordings_of(recordings, split, speakers, channel)
    terminal.expect(of_evaluation(found, len(asr), speaks=bool(Bundle(bundle).voices)))
    with sole_writer(out):
        results = evaluate_all(
            bundle,
            recordings,
            out,
            split=split,
            channel=channel,
            speakers=speakers,
            items=items,
            alignment=alignment,
            tier=tier,
            asr=asr,
            language=language,
            embedder=embedder,
            one_person=one_person,
            voice=voice,
            like=like,
            delivery=Delivery(pitch),
            vocoder=vocoder,
            work=work,
            seed=seed,
            device=device,
            stage=terminal.stage,
            warn=warn,
        )
        show(results, json=json, out=out)
