"""The bundle on disk: the one folder users pass around, checked whole when it is opened.

``FORMATS.md`` of the documentation lays it out. A file that is missing, altered since it was written, or of a newer
format is refused by name.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from protophone.errors import BundleError, InputError
from protophone.files import atomic_folder, read_json, restore_folder, write_json, write_text

__all__ = ["FORMAT", "Bundle", "Part", "add_voice", "write_bundle"]

FORMAT = 1


@dataclass(frozen=True)
class Part:
    """A network on disk: its resolved config as TOML, its weights, and what else its builder must know."""

    config: str
    weights: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Bundle:
    """An opened bundle: ``facts`` is ``bundle.json``; parts are read when asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = find(folder)
        try:
            self.facts: dict[str, Any] = read_json(self.folder / "bundle.json")
        except InputError as error:
            raise BundleError(f"{error}; copy the bundle again") from None
        version = self.facts.get("format") if isinstance(self.facts, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise BundleError(
                f"{self.folder}: bundle format {version}, this protophone reads up to {FORMAT}; "
                "upgrade with pip install -U protophone"
            )
        if not isinstance(version, int) or not all(
            isinstance(self.facts.get(key), dict) for key in ("files", "encoder")
        ):
            raise BundleError(
                f"{self.folder / 'bundle.json'}: lacks format, files or encoder; copy the whole folder again"
            )
        for name, digest in self.facts["files"].items():
            path = self.folder / name
            if not path.is_file():
                raise BundleError(f"{path}: missing from the bundle; copy the whole folder again")
            if _digest(path) != digest:
                raise BundleError(f"{path}: altered since the bundle was written; copy the whole folder again")

    def encoder(self) -> Part:
        """The encoder's config, weights and facts."""
        return self._part(self.folder / "encoder.toml", self.folder / "encoder.safetensors", self.facts["encoder"])

    @property
    def voices(self) -> dict[str, dict[str, Any]]:
        """Facts of each voice folder (``voice.json``), by its name."""
        folders = sorted((self.folder / "voices").glob("*/voice.json"))
        return {path.parent.name: read_json(path) for path in folders}

    def voice(self, name: str) -> Part:
        """Config, weights and facts of the voice folder ``name``."""
        folder = self.folder / "voices" / name
        return self._part(folder / "vocoder.toml", folder / "vocoder.safetensors", read_json(folder / "voice.json"))

    def _part(self, config: Path, weights: Path, facts: Mapping[str, Any]) -> Part:
        try:
            return Part(config.read_text(encoding="utf-8"), load_file(weights), facts)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{weights}: not readable ({error}); copy the whole bundle again") from None


def find(folder: str | Path) -> Path:
    """The bundle at ``folder``: itself, or the ``bundle`` inside a folder that ``discover`` wrote."""
    folder = Path(folder)
    for candidate in (folder, folder / "bundle"):
        restore_folder(candidate)
        if (candidate / "bundle.json").is_file():
            return candidate
    if (folder / "encoder.safetensors").is_file():
        raise BundleError(f"{folder / 'bundle.json'}: missing from the bundle; copy the whole folder again")
    raise BundleError(
        f"{folder}: no bundle here (no bundle.json); give a bundle, or the folder that protophone discover wrote"
    )


def write_bundle(folder: str | Path, encoder: Part, facts: Mapping[str, Any], card: str) -> None:
    """Writes a bundle with an encoder and no voice yet, whole or not at all."""
    with atomic_folder(folder) as temporary:
        _write_part(temporary, "encoder", encoder)
        write_text(temporary / "card.md", card)
        _seal(temporary, {**facts, "encoder": dict(encoder.facts)})


def add_voice(folder: str | Path, name: str, voice: Part) -> None:
    """Puts a vocoder into the bundle at ``folder`` as ``voices/name``, replacing one of that name."""
    bundle = Bundle(folder)
    with atomic_folder(bundle.folder) as temporary:
        shutil.copytree(bundle.folder, temporary, dirs_exist_ok=True)
        target = temporary / "voices" / name
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        _write_part(target, "vocoder", voice)
        write_json(target / "voice.json", dict(voice.facts))
        _seal(temporary, bundle.facts)


def set_card(folder: str | Path, card: str, figures: Mapping[str, Any]) -> None:
    """Replaces the bundle's card and its measured figures."""
    bundle = Bundle(folder)
    with atomic_folder(bundle.folder) as temporary:
        shutil.copytree(bundle.folder, temporary, dirs_exist_ok=True)
        write_text(temporary / "card.md", card)
        _seal(temporary, {**bundle.facts, "figures": dict(figures)})


def _write_part(folder: Path, name: str, part: Part) -> None:
    write_text(folder / f"{name}.toml", part.config)
    weights = {key: value.detach().cpu().contiguous() for key, value in part.weights.items()}
    (folder / f"{name}.safetensors").write_bytes(save(weights))


def _seal(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes ``bundle.json`` with the digest of every other file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "bundle.json")
    digests = {path.relative_to(folder).as_posix(): _digest(path) for path in files}
    write_json(folder / "bundle.json", {**facts, "format": FORMAT, "files": digests})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
