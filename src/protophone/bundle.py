"""The bundle on disk: the one folder users pass around, checked whole when it is opened.

``docs/formats.md`` lays it out. A file that is missing, altered since it was written, or of a newer
format is refused by name.
"""

import hashlib
import reprlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from protophone.errors import BundleError, InputError
from protophone.facts import check_facts
from protophone.files import atomic_folder, id_fault, read_json, read_text, restore_folder, write_json, write_text
from protophone.weights import Weights

__all__ = ["FORMAT", "Bundle", "Part", "add_part", "add_voice", "name_fault", "write_bundle"]

FORMAT = 1
_FURTHER = ("pitch", "entropy")  # parts that a bundle may have, a folder each


@dataclass(frozen=True)
class Part:
    """A network on disk: its resolved config as TOML, its weights, and what else its builder must know.

    The weights of an opened bundle are read when asked for.
    """

    config: str
    weights: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Bundle:
    """An opened bundle: ``facts`` is ``bundle.json``, ``voices`` each ``voice.json``; parts are read when asked for.

    Raises ``BundleError`` naming the file, and the key in it, that is missing, altered or of a newer format.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = find(folder)
        index = self.folder / "bundle.json"
        self.facts: dict[str, Any] = _table(index)
        version = self.facts.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise BundleError(
                f"{self.folder}: bundle format {version}, this protophone reads up to {FORMAT}; "
                "upgrade with pip install -U protophone"
            )
        check_facts(index, self.facts, "index")
        check_facts(index, self.facts["encoder"], "encoder", within="encoder.")
        for name, digest in self.facts["files"].items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise BundleError(
                    f"{index}: files names {name!r}, which lies outside the bundle; copy the whole folder again"
                )
            path = self.folder / name
            if not path.is_file():
                raise BundleError(f"{path}: missing from the bundle; copy the whole folder again")
            if _digest(path) != digest:
                raise BundleError(f"{path}: altered since the bundle was written; copy the whole folder again")
        #: Facts of each voice folder, by its name.
        self.voices: dict[str, dict[str, Any]] = {}
        for path in sorted((self.folder / "voices").glob("*/voice.json")):
            self.voices[path.parent.name] = _table(path)
            check_facts(path, self.voices[path.parent.name], "voice")
        #: Facts of each further part, by its name: pitch, entropy.
        self.parts: dict[str, dict[str, Any]] = {}
        for name in _FURTHER:
            path = self.folder / name / f"{name}.json"
            if path.is_file():
                self.parts[name] = _table(path)
                check_facts(path, self.parts[name], name)

    def mark(self, *within: str) -> str:
        """Tells apart bundles whose files below the folders ``within`` differ, ``("pitch", "voices/vocos")``."""
        chosen = sorted(
            item for item in self.facts["files"].items() if item[0].startswith(tuple(f"{w}/" for w in within))
        )
        return hashlib.sha256(repr(chosen).encode()).hexdigest()[:16]

    def encoder(self) -> Part:
        """The encoder's config, weights and facts."""
        return self._part(self.folder / "encoder.toml", self.folder / "encoder.safetensors", self.facts["encoder"])

    def voice(self, name: str) -> Part:
        """Config, weights and facts of the voice folder ``name``."""
        folder = self.folder / "voices" / name
        return self._part(folder / "vocoder.toml", folder / "vocoder.safetensors", self.voices[name])

    def part(self, name: str) -> Part:
        """Config, weights and facts of the further part ``name``, which is one of ``parts``."""
        folder = self.folder / name
        return self._part(folder / f"{name}.toml", folder / f"{name}.safetensors", self.parts[name])

    def _part(self, config: Path, weights: Path, facts: Mapping[str, Any]) -> Part:
        try:
            return Part(read_text(config), Weights(weights), facts)
        except (OSError, UnicodeDecodeError, SafetensorError) as error:
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


def _table(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``."""
    try:
        facts = read_json(path)
    except InputError as error:
        raise BundleError(f"{error}; copy the whole folder again") from None
    if not isinstance(facts, dict):
        raise BundleError(f"{path}: holds {reprlib.repr(facts)}, not a table; copy the whole folder again")
    return facts


def write_bundle(folder: str | Path, encoder: Part, facts: Mapping[str, Any], card: str) -> None:
    """Writes a bundle with an encoder and no voice yet, whole or not at all."""
    with atomic_folder(folder) as temporary:
        _write_part(temporary, "encoder", encoder)
        write_text(temporary / "card.md", card)
        _seal(temporary, {**facts, "encoder": dict(encoder.facts)})


def add_voice(folder: str | Path, name: str, voice: Part) -> None:
    """Puts a vocoder into the bundle at ``folder`` as ``voices/name``, replacing one of that name.

    ``InputError`` for a name that no folder can have.
    """
    if fault := name_fault(name):
        raise InputError(f"vocoder {name!r} {fault}")
    _add(folder, f"voices/{name}", voice, config="vocoder", facts="voice")


def name_fault(name: str) -> str | None:
    """Why a vocoder cannot be called ``name``, with the cure; None where it can."""
    return 'holds a "/"; write a name without' if "/" in name else id_fault(name)


def add_part(folder: str | Path, name: str, part: Part) -> None:
    """Puts a further part (pitch or entropy) into the bundle at ``folder``, replacing the one it has."""
    _add(folder, name, part, config=name, facts=name)


def _add(folder: str | Path, within: str, part: Part, *, config: str, facts: str) -> None:
    bundle = Bundle(folder)
    with atomic_folder(bundle.folder) as temporary:
        shutil.copytree(bundle.folder, temporary, dirs_exist_ok=True)
        target = temporary / within
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        _write_part(target, config, part)
        write_json(target / f"{facts}.json", dict(part.facts))
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
