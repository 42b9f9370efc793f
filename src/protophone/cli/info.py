"""``info``: what a bundle is, whom it can speak as, and what was measured of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protophone.bundle import Bundle

__all__ = ["info"]


def info(bundle: Path | None = None, /, *, json: bool = False) -> None:
    """Show a bundle's encoder, voices, training and figures.

    Parameters
    ----------
    bundle
        A bundle, or the folder that discover wrote; without one, the bundle that is shipped.
    json
        Print it as JSON.

    """
    from json import dumps

    from rich.console import Console
    from rich.table import Table

    from protophone.bundle import Bundle
    from protophone.model import DEFAULT_BUNDLE

    found = Bundle(bundle or DEFAULT_BUNDLE)
    if json:
        print(dumps({**found.facts, "voices": found.voices}, indent=1, ensure_ascii=False))
        return
    facts = found.facts["encoder"]
    table = Table(title=str(found.folder), show_header=False)
    rate = facts["sample_rate"] / facts["hop"]
    table.add_row("system", _system(found))
    table.add_row("units", f"{' x '.join(map(str, facts['sizes']))}, {rate:g} a second, codebook {facts['codebook']}")
    table.add_row("normalised by", facts["normalization"])
    for name, voice in found.voices.items():
        table.add_row(f"voice {name}", ", ".join(voice["speakers"]))
    for name, value in found.facts.get("training", {}).items():
        table.add_row(name, str(value))
    for name, value in found.facts.get("figures", {}).items():
        table.add_row(name, str(value))
    table.add_row("licence", str(found.facts.get("licence", "not stated")))
    Console(width=120).print(table)


def _system(bundle: "Bundle") -> str:
    """The kind of an encoder; of classical units, of their quantizer and what it takes."""
    from protophone.config import parse
    from protophone.encoders import EncoderConfig, PipelineConfig

    union: Any = EncoderConfig  # which no type checker takes for a class
    config = parse(union, bundle.encoder().config, source=str(bundle.folder / "encoder.toml"))
    if isinstance(config, PipelineConfig):
        return f"{config.quantizer.kind} ({config.kind} of {config.features.kind})"
    return str(config.kind)
