"""How good do the sounds sound? DNSMOS, distances to the original, STOI, each where it can be measured."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from protophone import __version__
from protophone.errors import AudioError
from protophone.evaluate.figure import Better, Found, LeftOut, estimated
from protophone.evaluate.pairs import RATE, Pair
from protophone.evaluate.results import digest
from protophone.ledger import Ledger
from protophone.metrics.quality import DNSMOS, Scores, pair_scores, protocol, sound_scores, summarize
from protophone.progress import Stage

__all__ = ["compare_quality", "settings_of_quality"]

_NAMES: dict[str, tuple[str, str, Better]] = {
    "dnsmos_ovrl": ("DNSMOS overall", "", "higher"),
    "dnsmos_sig": ("DNSMOS speech", "", "higher"),
    "dnsmos_bak": ("DNSMOS background", "", "higher"),
    "dnsmos_p808": ("DNSMOS P.808", "", "higher"),
    "mcd_db": ("mel-cepstral distortion", "dB", "lower"),
    "spectral_convergence": ("multi-resolution STFT, spectral convergence", "", "lower"),
    "log_stft_magnitude": ("multi-resolution STFT, log magnitude", "", "lower"),
    "lsd_db": ("log-spectral distance", "dB", "lower"),
    "stoi": ("STOI", "", "higher"),
}


def compare_quality(pairs: Sequence[Pair], names: Sequence[str], *, work: Path | None, stage: Stage) -> Found:
    """Means over recordings, and DNSMOS of the untouched recordings beside that of the sounds.

    ``names`` are what intervals are over, one a pair; scores are kept in ``work``. Raises ``InputError`` where a
    package is missing.
    """
    settings = settings_of_quality()
    ledger = Ledger(None if work is None else work / "work" / "quality.jsonl")
    made, untouched = [], []
    with stage("judging quality", len(pairs)) as advance:
        for pair in pairs:
            kept = ledger.get([__version__, settings, digest(pair.sound), _identity(pair)], partial(_scores, pair))
            made.append(Scores(kept["made"]["values"], kept["made"]["skipped"]))
            untouched.append(Scores(kept["untouched"]["values"], kept["untouched"]["skipped"]))
            advance(1)
    found = Found(settings={"quality": settings})
    skipped: dict[tuple[tuple[int, ...], str], list[str]] = {}  # measures that leave out the same for one reason
    for scores, suffix in ((made, ""), (untouched, ", untouched")):
        for measure, quality in summarize(scores, names).items():
            title, unit, better = _NAMES[measure]
            if quality.mean is not None:
                found.figures.append(
                    estimated(title + suffix, quality.mean, unit, better=better, protocol=settings[measure])
                )
            if quality.skipped:
                reason = next(iter(quality.skipped.values()))
                skipped.setdefault((tuple(quality.skipped), reason), []).append(title + suffix)
    for (positions, reason), titles in skipped.items():
        named = f"{'; '.join(titles)}: {reason}"
        found.left_out.append(LeftOut("recordings", len(positions), named, (pairs[positions[0]].id,)))
    return found


def settings_of_quality() -> dict[str, dict[str, Any]]:
    """What each measure's figures hang on; ``InputError`` where a package is missing."""
    return {measure: protocol(measure) for measure in _NAMES}


def _identity(pair: Pair) -> list[Any]:
    """What the original is: its file, and which part and channel of it."""
    recording = pair.recording
    return [digest(recording.path), recording.start, recording.num_samples, *filter(None, [recording.channel])]


def _scores(pair: Pair) -> dict[str, Any]:
    """Scores of the sound beside its original, and of the original alone, ready for JSON."""
    try:
        original, made = pair.read_original(), pair.read_sound()
    except AudioError as error:
        nothing = {"values": {}, "skipped": dict.fromkeys(DNSMOS, str(error))}
        return {"made": nothing | {"skipped": dict.fromkeys(_NAMES, str(error))}, "untouched": nothing}
    pairwise, alone, before = pair_scores(original, made, RATE), sound_scores(made, RATE), sound_scores(original, RATE)
    return {
        "made": {
            "values": {**alone.values, **pairwise.values},
            "skipped": {**alone.skipped, **pairwise.skipped},
        },
        "untouched": {"values": dict(before.values), "skipped": dict(before.skipped)},
    }
