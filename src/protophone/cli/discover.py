"""``discover``: the main job."""

from pathlib import Path
from typing import Literal

from protophone.cli.numbers import Minutes, Seed, Share, Units

__all__ = ["discover"]


def discover(
    recordings: Path,
    /,
    *,
    out: Path,
    system: Literal["vqvae", "kmeans", "gmm", "dpgmm"] = "vqvae",
    speaker_from: Literal["none", "parent", "top", "prefix", "manifest"] = "none",
    channel: Literal["mix", "left", "right"] | None = None,
    minutes: Minutes | None = None,
    steps: str | None = None,
    units: Units = 256,
    time_reduction: Literal[1, 2, 4, 8] = 4,
    items: Path | None = None,
    alignment: Path | None = None,
    tier: str | None = None,
    max_bad: Share = 0.05,
    seed: Seed = 0,
    device: str = "cpu",
) -> None:
    """Learn the sound units of a language from recordings alone, and a voice that speaks them.

    Parameters
    ----------
    recordings
        A folder of recordings, a manifest, or one recording.
    out
        The folder for the bundle, the units, the sounds and the report; an interrupted run goes on there.
    system
        How units are learned.
    speaker_from
        Where a recording's speaker is named: nowhere, the folder it lies in (parent), the first folder below the
        source (top), its file name up to the first - or _ (prefix), or a manifest.
    channel
        Which channel to read: left, right or the mix; without it as the manifest says, or the mix.
    minutes
        How long everything may take; without it as long as the recordings last, 90 minutes at most.
    steps
        Steps of training of the units, the pitch units and the synthesizer, in place of minutes: 1200,300,900. A run
        names its own at the end; with them it can be repeated on another machine.
    units
        How many units.
    time_reduction
        Frames of 10 ms that a unit stands for.
    items
        A ZeroSpeech item file to score ABX on.
    alignment
        Phones to hold the units against: a CTM file, a TextGrid, an ELAN file, or a folder of these, named like the
        recordings.
    tier
        The tier of phones in TextGrids and ELAN files; without it the one called phones or segments, or the only one.
    max_bad
        The share of recordings that may fail before the command does.
    seed
        Of everything random.
    device
        cpu, cuda or another torch device.

    """
    import shlex
    from dataclasses import asdict

    from protophone.cli.progress import Terminal
    from protophone.cli.terminal import answer
    from protophone.config import build
    from protophone.curriculum import TrainingSteps
    from protophone.discover import DiscoverConfig
    from protophone.discover import discover as run
    from protophone.locks import sole_writer
    from protophone.plan import noted

    asked = {
        "system": system,
        "speaker_from": speaker_from,
        "channel": channel,
        "minutes": minutes,
        "units": units,
        "time_reduction": time_reduction,
        "max_bad": max_bad,
        "seed": seed,
        "device": device,
    }
    values = asked if steps is None else {**asked, "steps": asdict(TrainingSteps.read(steps))}
    options = build(DiscoverConfig, values, source="discover")
    with sole_writer(out):
        page = run(recordings, out, options, Terminal(), items=items, alignment=alignment, tier=tier)
    done, usual = noted(out / "plan.json"), DiscoverConfig()
    given = {"items": items, "alignment": alignment, "tier": tier}
    same = {name: value for name, value in [*asked.items(), *given.items()] if value != getattr(usual, name, None)}
    same.pop("minutes", None)
    words = ["protophone", "discover", str(recordings), "--out", str(out)]
    words += [word for name, value in same.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    answer(f"{page}: open it in a browser")
    answer(f"{out / 'textgrid'}, {out / 'elan'}: a file of each recording, for Praat and for ELAN")
    answer(f"the same again elsewhere: {shlex.join([*words, '--steps', str(done)])}")
