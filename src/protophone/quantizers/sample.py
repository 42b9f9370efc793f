"""A bounded random sample of a corpus's frames: what classical quantizers are fitted on, however large the corpus."""

from collections.abc import Iterable

import numpy as np

from protophone.errors import InputError

__all__ = ["sample_frames"]

_ROWS = 1 << 16  # rows of one large (memory-mapped) array looked at together


def sample_frames(frames: np.ndarray | Iterable[np.ndarray], limit: int, seed: int) -> np.ndarray:
    """At most ``limit`` frames, each as likely as any other, in the order they came: float32 ``[frame, dim]``.

    ``frames`` is one array ``[frame, dim]``, which may be memory-mapped, or any number of them; they are read once,
    and how they are cut does not change what is drawn. Raises ``InputError`` where there are none or where a value is
    not finite.
    """
    random = np.random.default_rng(seed)
    # Every frame draws a number; those with the smallest are kept. Merging waits until it is worth a sort.
    kept: list[np.ndarray] = []
    drawn: list[np.ndarray] = []
    ceiling, count = np.inf, 0
    for part in _parts(frames):
        numbers = random.random(len(part))
        chosen = numbers < ceiling
        kept.append(np.asarray(part[chosen], np.float32))
        drawn.append(numbers[chosen])
        count += int(chosen.sum())
        if count > limit + max(limit // 4, _ROWS):
            kept, drawn = _smallest(kept, drawn, limit)
            ceiling, count = float(drawn[0].max()), limit
    if not count:
        raise InputError("no frames to learn units from; give recordings that hold sound")
    sample = _smallest(kept, drawn, limit)[0][0]
    if not np.isfinite(sample).all():
        raise InputError("features that are not finite; leave out the recordings that hold NaN samples")
    return sample


def _parts(frames: np.ndarray | Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    if isinstance(frames, np.ndarray):
        return (frames[at : at + _ROWS] for at in range(0, len(frames), _ROWS))
    return frames


def _smallest(kept: list[np.ndarray], drawn: list[np.ndarray], limit: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    frames, numbers = np.concatenate(kept), np.concatenate(drawn)
    if len(numbers) > limit:
        chosen = np.sort(np.argpartition(numbers, limit - 1)[:limit])
        frames, numbers = frames[chosen], numbers[chosen]
    return [frames], [numbers]
