"""Recipes: what to train on which recordings, from a TOML file to a part of a bundle.

An encoder's recipe packs features and trains (VQ-VAE) or fits (k-means, mixtures); a voice's recipe packs the units of
a finished encoder beside the sound and trains an inverter. Both go on where they were interrupted.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from protophone.bundle import Bundle, add_voice, write_bundle
from protophone.config import KIND, config, dump, load, tables
from protophone.encoders import PipelineConfig, VQVAEConfig
from protophone.encoders.base import Encoder
from protophone.errors import InputError
from protophone.files import refuse_existing, write_text
from protophone.fit import fit_encoder, fit_voice, speakers_of
from protophone.manifest import build
from protophone.model import Model, encoder_part, voice_part
from protophone.progress import Stage, silent
from protophone.train import FREE, TrainConfig
from protophone.types import Recording
from protophone.vocoders.code2spec import Code2SpecConfig

__all__ = [
    "DataConfig",
    "EncoderRecipe",
    "VoiceRecipe",
    "load_recipe",
    "run_recipe",
    "select",
    "write_encoder",
]


@config
class DataConfig:
    """Which recordings: a manifest or folder, and of a manifest which split and speakers."""

    recordings: str
    split: str | None = "train"
    speakers: tuple[str, ...] | None = None


@config
class EncoderRecipe:
    """An encoder, the recordings it learns from, and how long."""

    data: DataConfig
    encoder: Annotated[VQVAEConfig | PipelineConfig, KIND]
    train: TrainConfig = TrainConfig()


@config
class VoiceRecipe:
    """A voice for a bundle, the recordings it learns from, and how long."""

    data: DataConfig
    bundle: str
    name: str
    voice: Code2SpecConfig
    train: TrainConfig = TrainConfig()


def load_recipe(path: str | Path, overrides: list[str]) -> EncoderRecipe | VoiceRecipe:
    """The recipe in a TOML file: a voice's where it has a table ``[voice]``, an encoder's otherwise.

    Paths in it are relative to where the command is run.
    """
    if "voice" in tables(path):
        return load(VoiceRecipe, path, overrides)
    return load(EncoderRecipe, path, overrides)


def run_recipe(
    recipe: EncoderRecipe | VoiceRecipe,
    folder: str | Path,
    *,
    stage: Stage = silent,
    failures: list[tuple[str, str]] | None = None,
) -> Path:
    """Trains what ``recipe`` says in ``folder``; the bundle written or, for a voice, the bundle it was put into.

    Recordings that cannot be used are left out and appended to ``failures``; without such a list the first is raised.
    ``InputError`` when ``folder`` holds something else.
    """
    folder = Path(folder)
    recordings = select(recipe.data)
    kept = folder / "recipe.toml"
    if not kept.is_file():
        refuse_existing(folder)
    elif differing := _differences(load_recipe(kept, []), recipe):
        raise InputError(f"{folder}: holds a run of another recipe ({differing[0]}); name another folder for this one")
    write_text(kept, dump(recipe))
    if isinstance(recipe, VoiceRecipe):
        speaks = Model(Bundle(recipe.bundle)).encoder
        vocoder, _ = fit_voice(recordings, speaks, recipe.voice, recipe.train, folder, stage=stage, failures=failures)
        add_voice(recipe.bundle, recipe.name, voice_part(vocoder))
        return Path(recipe.bundle)
    encoder, _ = fit_encoder(recordings, recipe.encoder, recipe.train, folder, stage=stage, failures=failures)
    bundle = folder / "bundle"
    # A bundle of these very units may have got voices meanwhile.
    if not (bundle / "bundle.json").is_file() or Model(Bundle(bundle)).encoder.codebook.hash != encoder.codebook.hash:
        write_encoder(bundle, encoder, recordings, recipe.train)
    return bundle


def _differences(before: EncoderRecipe | VoiceRecipe, now: EncoderRecipe | VoiceRecipe) -> list[str]:
    """What makes a recipe another run's: everything but how long, where, and how often it is saved."""
    old, new = (_flat(asdict(recipe)) for recipe in (before, now))
    free = {f"train.{name}" for name in FREE}
    return [
        f"{key} was {old.get(key)}, now {new.get(key)}"
        for key in [*old, *(key for key in new if key not in old)]
        if key not in free and old.get(key) != new.get(key)
    ]


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys to values."""
    out: dict[str, Any] = {}
    for name, value in table.items():
        out |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return out


def select(data: DataConfig) -> list[Recording]:
    """The recordings a recipe names; ``InputError`` where none is left."""
    found, _ = build(data.recordings, "manifest")
    kept = [
        recording
        for recording in found
        if (recording.split is None or data.split is None or recording.split == data.split)
        and (data.speakers is None or recording.speaker in data.speakers)
    ]
    if not kept:
        raise InputError(
            f"{data.recordings}: no recording of split {data.split!r}"
            + (f" by {', '.join(data.speakers)}" if data.speakers else "")
            + "; change data.split or data.speakers"
        )
    return kept


def write_encoder(folder: Path, encoder: Encoder, recordings: Sequence[Recording], training: TrainConfig) -> None:
    """A bundle with ``encoder``, and a card that says what it learned from."""
    speakers = speakers_of(recordings)
    names = hashlib.sha256("\n".join(sorted(recording.id for recording in recordings)).encode()).hexdigest()[:16]
    facts = {
        "training": {"recordings": len(recordings), "speakers": len(speakers), "ids": names, "seed": training.seed},
        "figures": {},
        "licence": "as that of the recordings it learned from",
    }
    card = (
        f"# Units learned by {encoder.config.kind}\n\n"
        f"Learned from {len(recordings)} recordings by {len(speakers)} speakers, without text. "
        "The voices of this bundle are real people's: speak as them only with their consent.\n"
    )
    write_bundle(folder, encoder_part(encoder, speakers), facts, card)
