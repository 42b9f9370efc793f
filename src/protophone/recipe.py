"""Recipes: what to train on which recordings, from a TOML file to a part of a bundle.

An encoder's recipe packs features and trains (VQ-VAE, content units) or fits (k-means, mixtures) and writes a bundle.
The others put a part into a finished bundle: pitch units, a voice that learns from its units beside the sound, and last
an entropy model of its units. All go on where they were interrupted.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from protophone.bundle import Bundle, add_part, add_voice, name_fault, write_bundle
from protophone.codec import ContextConfig, EntropyModel, fit_entropy
from protophone.config import KIND, config, dump, load, tables
from protophone.corpus import encode_corpus
from protophone.device import device_of
from protophone.encoders import EncoderSettings
from protophone.encoders.base import Encoder
from protophone.encoders.pitch import PitchVQVAEConfig, pitch_part
from protophone.errors import ConfigError, InputError
from protophone.features.pitch import PitchConfig
from protophone.features.speaker import SpeakerEmbedder, load_embedder
from protophone.files import is_leftover, refuse_existing, write_text
from protophone.fit import fit_encoder, fit_voice, speakers_of
from protophone.folder import Listing
from protophone.manifest import build, of_speakers, of_split
from protophone.melody import fit_pitch
from protophone.model import Model
from protophone.parts import encoder_part, voice_part
from protophone.progress import Stage, silent
from protophone.store import UnitRecord, read_units
from protophone.train import FREE, TrainConfig
from protophone.types import Channel, Recording
from protophone.vocoders import VocoderSettings
from protophone.vocoders.code2spec import Code2SpecConfig

__all__ = [
    "DataConfig",
    "EncoderRecipe",
    "EntropyRecipe",
    "PitchRecipe",
    "Recipe",
    "VoiceRecipe",
    "entropy_of",
    "load_recipe",
    "run_recipe",
    "select",
    "write_encoder",
]


@config
class DataConfig:
    """Which recordings: a manifest or folder, and of a manifest which split (``all``: every one) and speakers.

    Recordings that name no split are of ``train``. ``channel`` is read of each; None: as the manifest says, or the
    mix.
    """

    recordings: str
    split: str = "train"
    speakers: tuple[str, ...] | None = None
    channel: Channel | None = None

    def __post_init__(self) -> None:
        if self.speakers == ():
            raise ConfigError("speakers = []: names nobody; leave it out to take everybody")


@config
class EncoderRecipe:
    """An encoder, the recordings it learns from, and how long."""

    data: DataConfig
    encoder: Annotated[EncoderSettings, KIND]
    train: TrainConfig = TrainConfig()


@config
class VoiceRecipe:
    """A voice for a bundle, the recordings it learns from, and how long.

    ``embedder`` makes the embeddings of voices where ``voice.embedding_dim`` says that it is to learn such.
    """

    data: DataConfig
    bundle: str
    name: str
    voice: Annotated[VocoderSettings, KIND]
    embedder: str = "resemblyzer"
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        if fault := name_fault(self.name):
            raise ConfigError(f"name {self.name!r} {fault}")


@config
class PitchRecipe:
    """Pitch units for a bundle, the recordings they learn from, and how long."""

    data: DataConfig
    bundle: str
    pitch: PitchVQVAEConfig = PitchVQVAEConfig()
    train: TrainConfig = TrainConfig()


@config
class EntropyRecipe:
    """An entropy model for the units of a bundle, pitch and all, and the recordings that it learns what is usual from.

    Fitted last: it must be fitted again where the bundle's units or pitch units have changed.
    """

    data: DataConfig
    bundle: str
    entropy: ContextConfig = ContextConfig()


Recipe = EncoderRecipe | PitchRecipe | VoiceRecipe | EntropyRecipe
_KINDS: dict[str, Any] = {"pitch": PitchRecipe, "voice": VoiceRecipe, "entropy": EntropyRecipe}  # by the table


def load_recipe(path: str | Path, overrides: list[str]) -> Recipe:
    """The recipe in a TOML file, told by its table: ``[encoder]``, ``[pitch]``, ``[voice]`` or ``[entropy]``.

    Paths in it are relative to where the command is run.
    """
    found = tables(path)
    kind = next((kind for name, kind in _KINDS.items() if name in found), EncoderRecipe)
    return load(kind, path, overrides)


def run_recipe(
    recipe: Recipe,
    folder: str | Path,
    *,
    stage: Stage = silent,
    failures: list[tuple[str, str]] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Trains what ``recipe`` says in ``folder``; the bundle written or, but for encoders, that it was put into.

    Recordings that cannot be used are left out and appended to ``failures``; without such a list the first is raised.
    ``say`` is called with a line for other files that are left out.
    ``InputError`` when ``folder`` holds something else.
    """
    folder = Path(folder)
    if not isinstance(recipe, EntropyRecipe):
        device_of(recipe.train.device)  # refused before any work
    listing = select(recipe.data)
    recordings = listing.recordings
    if failures is None and listing.failures:
        raise InputError(listing.failures[0][1])
    if failures is not None:
        failures += listing.failures
    for each in listing.passed:
        say(f"left out: {each}")
    kept = folder / "recipe.toml"
    if not kept.is_file():
        refuse_existing(folder)
    elif any(part != kept and not is_leftover(part) for part in folder.iterdir()) and (
        differing := _differences(load_recipe(kept, []), recipe)
    ):
        raise InputError(f"{folder}: holds a run of another recipe ({differing[0]}); name another folder for this one")
    write_text(kept, dump(recipe))
    options: dict[str, Any] = {"stage": stage, "failures": failures}
    if isinstance(recipe, VoiceRecipe):
        model = Model(Bundle(recipe.bundle))
        embedder = _embedder(recipe)
        vocoder, _ = fit_voice(
            recordings,
            model.encoder,
            recipe.voice,
            recipe.train,
            folder,
            pitch=model.pitch,
            embedder=embedder,
            **options,
        )
        add_voice(recipe.bundle, recipe.name, voice_part(vocoder, embedder, model.pitch))
        return Path(recipe.bundle)
    if isinstance(recipe, PitchRecipe):
        _check_grid(recipe)  # better said before the training than after it
        pitch, _ = fit_pitch(recordings, recipe.pitch, recipe.train, folder, **options)
        add_part(recipe.bundle, "pitch", pitch_part(pitch))
        return Path(recipe.bundle)
    if isinstance(recipe, EntropyRecipe):
        add_part(recipe.bundle, "entropy", _entropy(recipe, recordings, folder, **options).part())
        return Path(recipe.bundle)
    encoder, _ = fit_encoder(recordings, recipe.encoder, recipe.train, folder, stage=stage, failures=failures)
    bundle = folder / "bundle"
    # A bundle of these very units may have got voices meanwhile.
    if not (bundle / "bundle.json").is_file() or Model(Bundle(bundle)).encoder.codebook.hash != encoder.codebook.hash:
        write_encoder(bundle, encoder, recordings, recipe.train)
    return bundle


def _check_grid(recipe: PitchRecipe) -> None:
    """``ConfigError`` where pitch units would lie so that nothing in the bundle could be told them."""
    facts, tracker = Bundle(recipe.bundle).facts["encoder"], recipe.pitch.tracker
    if tracker.sample_rate != (rate := facts["sample_rate"]):
        raise ConfigError(
            f"pitch.tracker.sample_rate {tracker.sample_rate}: {recipe.bundle} takes sound at {rate} Hz; write this "
            "number"
        )
    if tracker.hop != (due := PitchConfig().hop):
        raise ConfigError(
            f"pitch.tracker.hop {tracker.hop}: vocoders are told the melody every {due}; write this number"
        )
    hop = tracker.hop * recipe.pitch.time_reduction
    if hop % facts["hop"]:
        raise ConfigError(
            f"pitch.time_reduction {recipe.pitch.time_reduction}: pitch units {hop} samples apart, which must be a "
            f"multiple of the {facts['hop']} between the units of {recipe.bundle}; choose a larger one"
        )


def _embedder(recipe: VoiceRecipe) -> SpeakerEmbedder | None:
    """Who embeds the voices of a recipe, None where they are known by name alone."""
    wanted = None if isinstance(recipe.voice, Code2SpecConfig) else recipe.voice.embedding_dim
    if wanted is None:
        return None
    embedder = load_embedder(recipe.embedder)
    if embedder.dim != wanted:
        raise InputError(
            f"voice.embedding_dim {wanted}: {recipe.embedder} makes vectors of {embedder.dim}; write this number"
        )
    return embedder


def _entropy(
    recipe: EntropyRecipe,
    recordings: Sequence[Recording],
    folder: Path,
    *,
    stage: Stage,
    failures: list[tuple[str, str]] | None,
) -> EntropyModel:
    """The entropy model of the units of ``recordings``, which are encoded into ``folder`` first."""
    model = Model(Bundle(recipe.bundle))
    done = encode_corpus(model, recordings, folder / "units", stage=stage)
    if failures is None and done.failures:
        raise InputError(done.failures[0][1])
    if failures is not None:
        failures += done.failures
    return entropy_of(model, list(read_units(folder / "units")), recipe.entropy, stage=stage)


def entropy_of(
    model: Model, records: Sequence[UnitRecord], settings: ContextConfig, *, stage: Stage = silent
) -> EntropyModel:
    """The entropy model of the units that ``model`` made of recordings."""
    utterances = [record.to_utterance() for record in records]
    grid = model.encoder.grid  # of how many samples make a unit records tell nothing
    utterances = [replace(each, content=replace(each.content, grid=grid)) for each in utterances]
    order = np.random.default_rng(settings.seed).permutation(len(utterances))
    vectors = {f"content{index}": book for index, book in enumerate(model.encoder.codebook.vectors)}
    if model.pitch is not None:
        vectors["pitch0"] = model.pitch.codebook.vectors[0]
    voices = sorted({utterance.voice for utterance in utterances if isinstance(utterance.voice, str)})
    return fit_entropy((utterances[at] for at in order), voices, settings, vectors=vectors, stage=stage)


def _differences(before: Recipe, now: Recipe) -> list[str]:
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


def select(data: DataConfig) -> Listing:
    """The recordings a recipe names; ``InputError`` where none is left."""
    listing = build(data.recordings, "manifest", channel=data.channel)
    kept = listing.recordings
    if data.split != "all":
        kept = of_split(kept, data.split, f"{data.recordings}, data.split", unnamed="train")
    if data.speakers is not None:
        kept = of_speakers(kept, data.speakers, f"{data.recordings}, data.speakers")
    return replace(listing, recordings=kept)


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
