"""Entropy models that were never fitted, and recordings drawn at random, for tests of the codec."""

import numpy as np
import torch

from protophone.codec import ContextConfig, EntropyModel
from protophone.codec.context import ContextModel
from protophone.codec.tracks import Stream, tracks_of
from protophone.types import FrameGrid, UnitBatch, Utterance

CONFIG = ContextConfig(lags=3, pitch_lags=2, hidden=8, dim=4)


def context_model(
    sizes: tuple[int, ...], groups: tuple[str, ...], size: int, seed: int = 0, hidden: int = 8, dim: int = 3
) -> ContextModel:
    """Tables drawn at random, some of them large."""
    draw = torch.Generator().manual_seed(seed)
    shapes = {
        "vectors": (sum(dict(zip(groups, sizes, strict=True)).values()), dim),
        "first": (len(sizes) * dim, hidden),
        "first_bias": (hidden,),
        "second": (hidden, size),
        "direct": (sizes[0], size),
        "bias": (size,),
    }
    tables = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    return ContextModel.from_floats(sizes, groups, tables)


def entropy_model(
    sizes: tuple[int, ...] = (16,), pitch: int | None = 5, voices: tuple[str, ...] = ("ana", "bo"), seed: int = 0
) -> EntropyModel:
    """A model of content units 320 samples apart and pitch units 1280 apart."""
    content = Stream(sizes, FrameGrid(16000, 320, 80), "c0ffee00")
    melody = None if pitch is None else Stream((pitch,), FrameGrid(16000, 1280), "0ddba115")
    tracks = tracks_of(content, melody, len(voices), CONFIG.lags, CONFIG.pitch_lags)
    models = {track.name: context_model(track.sizes, track.groups, track.size, seed) for track in tracks}
    return EntropyModel(CONFIG, content, melody, voices, models, {})


def utterance(model: EntropyModel, num_samples: int, seed: int = 0, *, pitch: bool = True, **told) -> Utterance:
    """Units drawn at random, in runs, for a recording of so many samples."""
    rng = np.random.default_rng(seed)

    def units(stream: Stream) -> UnitBatch:
        frames = stream.grid.num_frames(num_samples)
        runs = np.cumsum(rng.random(frames) < 0.7)
        return stream.units(np.stack([rng.integers(0, size, frames + 1)[runs] for size in stream.sizes]))

    melody = units(model.pitch) if pitch and model.pitch is not None else None
    if melody is not None and not isinstance(told.get("voice"), str):
        told = {"pitch_statistics": (5.0, 0.2)} | {name: value for name, value in told.items() if value is not None}
    return Utterance(content=units(model.content), num_samples=num_samples, pitch=melody, **told)


def assert_same(found: Utterance, wanted: Utterance) -> None:
    """The units, their grids, codebooks and lengths."""
    assert found.num_samples == wanted.num_samples
    assert (found.pitch is None) == (wanted.pitch is None)
    pairs = [(found.content, wanted.content)]
    if found.pitch is not None and wanted.pitch is not None:
        pairs.append((found.pitch, wanted.pitch))
    for ours, theirs in pairs:
        assert ours.codes.equal(theirs.codes)
        assert (ours.sizes, ours.grid, ours.codebook) == (theirs.sizes, theirs.grid, theirs.codebook)
