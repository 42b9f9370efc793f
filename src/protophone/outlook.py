"""Stages that a command will go through, with the time that each is expected to take."""

import math
from collections.abc import Sequence

from protophone.encoders.content import ContentVQVAEConfig
from protophone.encoders.pipeline import PipelineConfig
from protophone.encoders.vqvae import VQVAEConfig
from protophone.progress import expected
from protophone.recipe import EncoderRecipe, EntropyRecipe, PitchRecipe, Recipe, VoiceRecipe, select
from protophone.tape import seconds_of
from protophone.train import TrainConfig
from protophone.types import Recording

__all__ = ["of_evaluation", "of_training"]


def of_training(recipe: Recipe) -> list[tuple[str, float]]:
    """Return the stages of a recipe; the time of a training is known only if its recipe gives minutes."""
    sound = sum(seconds_of(select(recipe.data).recordings).values())
    if isinstance(recipe, EntropyRecipe):
        return [*expected(sound, "encoding"), ("learning what follows what in content0", math.nan)]
    lasts = _seconds(recipe.train)
    if isinstance(recipe, PitchRecipe):
        return [*expected(sound, "tracking pitch"), ("learning pitch units", lasts)]
    if isinstance(recipe, VoiceRecipe):
        read = expected(sound, "encoding for training", "reading sound", "tracking pitch")
        return [*read, ("learning to speak", lasts)]
    return [*expected(sound, *_features(recipe)), ("learning units", lasts)]


def of_evaluation(recordings: Sequence[Recording], recognizers: int, *, speaks: bool) -> list[tuple[str, float]]:
    """Return the stages of ``evaluate all``: encoding alone unless the bundle ``speaks``."""
    sound = sum(seconds_of(recordings).values())
    if not speaks:
        return expected(sound, "encoding")
    heard = [stage for _ in range(recognizers) for stage in expected(2 * sound, "recognizing")]
    scored = expected(2 * sound, "tracking pitch", "hearing voices", "judging quality")
    return [*expected(sound, "encoding", "speaking"), *heard, *scored]


def _features(recipe: EncoderRecipe) -> list[str]:
    """Titles of the stages that read recordings for an encoder."""
    encoder = recipe.encoder
    titles = ["computing features"]
    if isinstance(encoder, VQVAEConfig) and encoder.target != encoder.features:
        titles.append("computing features")
    if isinstance(encoder, ContentVQVAEConfig):
        titles.append("tracking pitch")
    if isinstance(encoder, PipelineConfig | VQVAEConfig | ContentVQVAEConfig) and encoder.normalization == "corpus":
        titles.insert(0, "computing statistics")
    return titles


def _seconds(training: TrainConfig) -> float:
    """Seconds that a training lasts, NaN if it is told by steps."""
    return math.nan if training.steps is not None or training.minutes is None else 60 * training.minutes
