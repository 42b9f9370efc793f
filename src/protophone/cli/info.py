"""``info``: what a bundle is, whom it can speak as, and what was measured of it; what the bits of a .ppn file go to."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from protophone.errors import InputError

if TYPE_CHECKING:
    from protophone.bundle import Bundle

__all__ = ["info"]


def info(source: Path | None = None, /, *, bundle: Path | None = None, json: bool = False) -> None:
    """Show a bundle's encoder, voices, training and figures, or what the bits of a .ppn file go to.

    Parameters
    ----------
    source
        A bundle, the folder that discover wrote, or a .ppn file; without one, the bundle that is shipped.
    bundle
        Of a .ppn file, the bundle it was compressed with; without it, the bundle that is shipped.
    json
        Print it as JSON.

    """
    if source is not None and not source.is_dir() and (source.suffix == ".ppn" or source.is_file()):
        _info_of_packed(source, bundle, json=json)
        return
    if bundle is not None:
        raise InputError(f"--bundle {bundle}: goes with a .ppn file; to show a bundle, give it alone")
    from json import dumps

    from protophone.bundle import Bundle
    from protophone.cli.terminal import answer_json, answer_table
    from protophone.model import DEFAULT_BUNDLE

    found = Bundle(source or DEFAULT_BUNDLE)
    if json:
        answer_json(dumps({**found.facts, "voices": found.voices}, indent=1, ensure_ascii=False))
        return
    facts = found.facts["encoder"]
    rate, level = facts["sample_rate"] / facts["hop"], facts.get("level")
    rows = [
        ("system", _system(found)),
        ("units", f"{' x '.join(map(str, facts['sizes']))}, {rate:g} a second, codebook {facts['codebook']}"),
        ("normalised by", facts["normalization"]),
        ("speech level", "as recorded" if level is None else f"{level:g} dB relative to full scale"),
        *((f"look-ahead, {name}", value) for name, value in _lookaheads(found).items()),
    ]
    if "entropy" in found.parts:
        rows.append(("packs", _packing(found.parts["entropy"], rate)))
    rows += [(f"voice {name}", ", ".join(voice["speakers"])) for name, voice in found.voices.items()]
    for part in ("training", "figures"):
        rows += [(name, str(value)) for name, value in found.facts.get(part, {}).items()]
    rows.append(("licence", str(found.facts.get("licence", "not stated"))))
    answer_table(str(found.folder), (), rows, width=120)


def _lookaheads(bundle: "Bundle") -> dict[str, str]:
    """How long after a unit begins its encoder has heard all that it looks at, of content and of pitch."""
    found = {}
    for name, facts in (("content", bundle.facts["encoder"]), ("pitch", bundle.parts.get("pitch", {}))):
        if "lookahead" not in facts:  # bundles written before there was a codec do not tell
            continue
        ahead = facts["lookahead"]
        if ahead is None:
            found[name] = "the whole recording, by whose statistics it is normalised"
            continue
        seconds = ahead / facts["sample_rate"]
        found[name] = f"{seconds:.3g} s from a unit's beginning"
    if "pitch" in found:
        found["pitch"] += "; of a speaker who is not known the whole recording"
    return found


def _packing(facts: dict[str, Any], rate: float) -> str:
    """Which files an entropy model packs, and how tightly, where that was measured."""
    rates = {track: rate for track in facts["measured"] if track.startswith("content")}
    if (pitch := facts["pitch"]) is not None:
        slow = pitch["grid"]["sample_rate"] / pitch["grid"]["hop"]
        rates |= {track: slow for track in facts["measured"] if track.startswith("pitch")}
    told = "".join(f", {track} {bits * rates[track]:.0f} bit/s" for track, bits in facts["measured"].items())
    return f".ppn files of bundle {facts['id']}{told}"


def _info_of_packed(source: Path, bundle: Path | None, *, json: bool) -> None:
    """Prints the bits of each stream of a .ppn file."""
    from json import dumps

    from protophone.bundle import Bundle
    from protophone.cli.terminal import answer, answer_json, answer_table
    from protophone.codec import describe, read_entropy, read_packed, unpack
    from protophone.model import DEFAULT_BUNDLE

    entropy = read_entropy(Bundle(bundle or DEFAULT_BUNDLE))
    data = read_packed(source)
    units = unpack(data, entropy, str(source))
    bits = describe(units, entropy)
    seconds = units.num_samples / units.content.grid.sample_rate
    voice = units.voice if isinstance(units.voice, str) else "none" if units.voice is None else "an embedding"
    if json:
        facts = {"bundle": entropy.id.hex(), "bytes": len(data), "seconds": seconds, "voice": voice, "bits": bits}
        answer_json(dumps(facts, indent=1, ensure_ascii=False))
        return
    answer(f"{source}: {seconds:.2f} s, voice {voice}, {len(data)} bytes, bundle {entropy.id.hex()}")
    rows = [
        (name, f"{count:.1f}", f"{count / seconds:.1f}" if seconds else "")
        for name, count in {**bits, "all": 8.0 * len(data)}.items()
    ]
    answer_table(None, ("stream", "bits", "bit/s"), rows, width=120)


def _system(bundle: "Bundle") -> str:
    """The kind of an encoder; of classical units, of their quantizer and what it takes."""
    from protophone.config import parse
    from protophone.encoders import EncoderConfig, PipelineConfig

    union: Any = EncoderConfig  # which no type checker takes for a class
    config = parse(union, bundle.encoder().config, source=str(bundle.folder / "encoder.toml"))
    if isinstance(config, PipelineConfig):
        return f"{config.quantizer.kind} ({config.kind} of {config.features.kind})"
    return str(config.kind)
