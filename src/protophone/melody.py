"""Learning pitch units from recordings: pitch packed on disk, where each voice lies, then a VQ-VAE trained.

Like every training it goes on where it was interrupted; everything on the way lies in a folder of the run's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from protophone.crops import CropSampler
from protophone.data import Pack
from protophone.encoders.pitch import ENOUGH, PitchVQVAE, PitchVQVAEConfig, VoicePitch
from protophone.errors import InputError
from protophone.features.pitch import PitchConfig, PitchTracker
from protophone.memory import check_trainable
from protophone.progress import Stage, silent
from protophone.tape import Tape
from protophone.train import Run, TrainConfig, train
from protophone.types import NOBODY, FrameGrid, Recording
from protophone.vad import Segment

__all__ = ["fit_pitch", "pack_melody", "pack_pitch", "pack_pitch_units", "pitch_of_voices"]

_LEVEL_HZ = 150.0
_TICK = 100  # ticks a second in which the length of crops is counted, as that of other trainings


def fit_pitch(
    recordings: Sequence[Recording],
    settings: PitchVQVAEConfig,
    training: TrainConfig,
    folder: str | Path,
    *,
    segments: Mapping[str, Sequence[Segment]] | None = None,
    stage: Stage = silent,
    failures: list[tuple[str, str]] | None = None,
) -> tuple[PitchVQVAE, Run]:
    """Pitch units learned from ``recordings``, of ``segments`` of these alone where given, with their loss history.

    ``training.crop`` counts 10 ms, like that of other encoders. Recordings that cannot be read are left out and
    appended to ``failures``; without such a list their error is raised. ``InputError`` where there is no voice in any.
    """
    folder = Path(folder)
    tracker = settings.tracker.build()
    pack = pack_pitch(folder / "pitch", recordings, tracker, stage=stage, failures=failures)
    voices, pooled = pitch_of_voices(pack)
    build = partial(settings.build, voices, pooled)
    check_trainable(build, "pitch")
    torch.manual_seed(training.seed)
    pitch = build()
    if segments is not None:
        pack = pack.cut(segments, tracker.grid.hop)
    units = round(training.crop * pitch.grid.frame_rate / _TICK)
    sampler = CropSampler(
        pack,
        pack,
        crop=max(1, units) * pitch.reduction,
        context=pitch.context,
        batch=training.batch,
        seed=training.seed,
        speakers=tuple(voices),
    )
    run = train(pitch, sampler, training, folder, data=sampler.digest, stage=stage, title="learning pitch units")
    return pitch.cpu().eval(), run


def pack_pitch(
    folder: str | Path,
    recordings: Sequence[Recording],
    tracker: PitchTracker,
    *,
    stage: Stage = silent,
    failures: list[tuple[str, str]] | None = None,
) -> Pack:
    """The pitch of every recording, ``[frame, 2]`` in Hz: as tracked, 0 where there is no voice, and continued there.

    A recording without any voice has no melody to continue: 0 throughout.
    """

    def parts(tape: Tape) -> Iterator[np.ndarray]:
        pitch = tracker.track_blocks(tape.blocks())
        yield np.stack([pitch[0], pitch.continued(0.0)[0]], 1)

    settings = {"tracker": tracker.settings}
    return Pack.build(
        folder,
        recordings,
        parts,
        sample_rate=tracker.sample_rate,
        dtype="float32",
        settings=settings,
        title="tracking pitch",
        stage=stage,
        failures=failures,
    )


def pack_melody(folder: str | Path, recordings: Sequence[Recording], grid: FrameGrid, *, stage: Stage = silent) -> Pack:
    """The melody of every recording in Hz, gaps filled: ``[step, k]``, the values of 5 ms that a step of ``grid`` has.

    A recording without any voice has a level one, for what sings it must be told something.
    """
    tracker = PitchConfig(sample_rate=grid.sample_rate).build()
    per_step = grid.hop // tracker.grid.hop

    def parts(tape: Tape) -> Iterator[np.ndarray]:
        melody = tracker.track_blocks(tape.blocks()).continued(_LEVEL_HZ)[0]
        steps = grid.num_frames(tape.num_samples) * per_step  # more than the melody has, or fewer with a wide window
        yield np.pad(melody, (0, max(0, steps - len(melody))), mode="edge")[:steps].reshape(-1, per_step)

    settings = {"tracker": tracker.settings, "hop": grid.hop}
    return Pack.build(
        folder,
        recordings,
        parts,
        sample_rate=grid.sample_rate,
        dtype="float32",
        settings=settings,
        title="tracking pitch",
        stage=stage,
    )


def pack_pitch_units(
    folder: str | Path, recordings: Sequence[Recording], grid: FrameGrid, pitch: PitchVQVAE, *, stage: Stage = silent
) -> Pack:
    """The pitch unit in force at each step of ``grid``, whose hop divides that of pitch units: ``[step, 1]``."""
    tracker = pitch.config.tracker.build()
    repeat = pitch.grid.hop // grid.hop

    def parts(tape: Tape) -> Iterator[np.ndarray]:
        track = tracker.track_blocks(tape.blocks())
        codes = pitch.encode(track, pitch.statistics(track, [tape.speaker]))[0][0]
        yield np.repeat(codes, repeat)[: grid.num_frames(tape.num_samples), None]

    settings = {"pitch": pitch.codebook.hash, "hop": grid.hop}
    return Pack.build(
        folder,
        recordings,
        parts,
        sample_rate=grid.sample_rate,
        dtype="float32",
        settings=settings,
        title="tracking pitch",
        stage=stage,
    )


def pitch_of_voices(pack: Pack) -> tuple[dict[str, VoicePitch], VoicePitch]:
    """Where each voice of a pack of pitch lies, by its name; and all of them pooled.

    A voice of less than a second of voiced frames has the pooled statistics. ``InputError`` where nothing is voiced.
    """
    tracks: dict[str, list[np.ndarray]] = {}
    for row, track in zip(pack.rows, pack, strict=True):
        tracks.setdefault(row.speaker or NOBODY, []).append(track[track[:, 0] > 0, 0])
    voiced = {name: np.concatenate(found) for name, found in sorted(tracks.items())}
    everything = np.concatenate(list(voiced.values()))
    if not len(everything):
        raise InputError(f"no voice in any of {len(pack)} recordings, so no pitch to learn from; give speech")
    pooled = VoicePitch.of(everything)
    return {name: VoicePitch.of(f0) if len(f0) >= ENOUGH else pooled for name, f0 in voiced.items()}, pooled
