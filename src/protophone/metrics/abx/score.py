"""The ABX error of features on the tokens of an item file, with its interval over recordings."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from protophone.errors import InputError
from protophone.metrics.abx.cells import Groups, group_tokens, make_cells
from protophone.metrics.abx.distances import DISTANCES, Distance
from protophone.metrics.abx.interval import over_recordings
from protophone.metrics.abx.items import ABXItem
from protophone.metrics.abx.result import ABXResult
from protophone.metrics.abx.slices import Fault, Features, Tokens, slice_tokens
from protophone.metrics.interval import speakers_of

__all__ = ["abx"]

_BATCH = 2**25  # distances held at a time: 128 MiB
_PIECES = 8  # of the work that each thread takes


def abx(
    features: Features,
    items: list[ABXItem],
    *,
    speaker: Literal["within", "across"],
    context: Literal["within", "any"] = "within",
    distance: Distance = "angular",
    frame_rate: float = 100,
    max_size_group: int | None,
    max_x_across: int | None,
    seed: int = 0,
    missing: Fault = "error",
    short: Fault = "error",
    over: Literal["recordings", "speakers"] = "recordings",
) -> ABXResult:
    """ABX error of ``features`` (file name -> ``[frame, dim]``) over the triplets of ``items``.

    ``speaker`` says whether X comes from the speaker of A and B; ``context`` whether the three share their
    neighbouring phones. ``identical`` and ``levenshtein`` compare symbols, ``[frame, codebook]`` or whole numbers
    ``[frame]``. ``max_size_group`` tokens of a phone in a cell at most and, across speakers, ``max_x_across`` speakers
    of X for each A, B and speaker of theirs are drawn with ``seed`` (Libri-Light: 10 and 5), ``None`` takes all; the
    tokens of a phone are the same wherever they are A, B or X. ``missing`` and ``short`` say whether items of absent
    recordings, or past the end of their features, are an error or left out and counted; a callable raises ``KeyError``
    for a recording that is absent. ``over`` is what the interval is over; over speakers needs 20 of them. Raises
    ``InputError`` for other faults of the features, and where no cell can be made. Features are held in memory; of
    distances, 128 MiB at a time.
    """
    _check(speaker, context, distance, frame_rate, max_size_group, max_x_across, missing, short)
    if not items:
        raise InputError("no ABX items; give the tokens of an item file")
    tokens = slice_tokens(features, items, distance=distance, frame_rate=frame_rate, missing=missing, short=short)
    if speaker == "across" and len(found := {item.speaker for item in tokens.items}) == 1:
        raise InputError(f"ABX across speakers, but all items are of one speaker ({found.pop()}); score it within")
    groups = group_tokens(tokens.items, context=context, max_size_group=max_size_group, seed=seed)
    cells = make_cells(groups, speaker=speaker, max_x_across=max_x_across, seed=seed)
    if not len(cells.share):
        raise InputError(
            f"no ABX cell can be made from {len(tokens.items)} items ({speaker} speaker, {context} context): "
            f"two phones must occur in one context for {'two speakers' if speaker == 'across' else 'one speaker'}"
        )
    files, file = np.unique([item.file for item in tokens.items], return_inverse=True)
    names = files.tolist() if over == "recordings" else _speakers(tokens.items, file)
    file = file[groups.order]
    errors = np.empty(len(cells.share))
    change = np.zeros(len(files))
    for batch in _batches(groups, cells.groups):
        distances, places = _distances(tokens, groups, cells.groups[batch], distance)
        placed = np.concatenate([cells.groups[batch], places], axis=1)
        _count(distances, groups, file, placed, cells.share[batch], errors[batch], change)
    sizes = groups.sizes
    x, a, b = cells.groups.T
    return ABXResult(
        estimate=over_recordings(errors, change, groups, cells, file, names),
        speaker=speaker,
        context=context,
        distance=distance,
        frame_rate=frame_rate,
        max_size_group=max_size_group,
        max_x_across=max_x_across,
        seed=seed,
        triplets=int((sizes[x] * (sizes[a] - (x == a)) * sizes[b]).sum()),
        tokens=len(groups.order),
        missing=tokens.missing,
        short=tokens.short,
        cut=tokens.cut,
        tokens_not_drawn=len(tokens.items) - len(groups.order),
        groups=groups,
        scored=cells,
        errors=errors,
    )


def _speakers(items: list[ABXItem], file: np.ndarray) -> Sequence[str]:
    """The speaker of each recording, ``file`` numbering that of each item; ``InputError`` where one has two."""
    found: dict[int, str] = {}
    for item, number in zip(items, file.tolist(), strict=True):
        if found.setdefault(number, item.speaker) != item.speaker:
            raise InputError(
                f"{item.file}: speakers {found[number]} and {item.speaker} in one recording; an interval over "
                "speakers needs one a recording"
            )
    return speakers_of([found[number] for number in sorted(found)])


def _check(
    speaker: str,
    context: str,
    distance: str,
    frame_rate: float,
    max_size_group: int | None,
    max_x_across: int | None,
    missing: str,
    short: str,
) -> None:
    faults = ("error", "skip")
    for name, value, known in (
        ("speaker", speaker, ("within", "across")),
        ("context", context, ("within", "any")),
        ("distance", distance, DISTANCES),
        ("missing", missing, faults),
        ("short", short, faults),
    ):
        if value not in known:
            raise InputError(f"ABX {name} {value!r} is none of {', '.join(known)}")
    for name, most, least in (("max_size_group", max_size_group, 2), ("max_x_across", max_x_across, 1)):
        if most is not None and most < least:
            raise InputError(f"ABX {name} {most}; give {least} or more, or None for all")
    if not 0 < frame_rate < float("inf"):
        raise InputError(f"ABX frame rate {frame_rate} Hz; give the frames of the features in a second")


def _batches(groups: Groups, cells: np.ndarray) -> Iterator[slice]:
    """Stretches of cells that need no more than about ``_BATCH`` distances, whole cells at the least."""
    sizes = groups.sizes
    x, a, b = sizes[cells].T
    # the distances of X and A serve every B, which come one after the other
    repeated = np.zeros(len(cells), bool)
    repeated[1:] = (cells[1:, :2] == cells[:-1, :2]).all(axis=1)
    needed = np.cumsum(x * (b + np.where(repeated, 0, a)))
    begin = 0
    while begin < len(cells):
        done = needed[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(needed, done + _BATCH, side="right")))
        yield slice(begin, end)
        begin = end


def _distances(tokens: Tokens, groups: Groups, cells: np.ndarray, distance: Distance) -> tuple[np.ndarray, np.ndarray]:
    """Distances between tokens that some cell needs, each once, and where those of X and A, X and B begin."""
    from protophone.metrics.abx.kernels import compare

    starts, stops = tokens.starts[groups.order], tokens.stops[groups.order]
    sizes, number = groups.sizes, len(groups.sizes)
    x, a, b = cells.T
    keys, place = np.unique(
        np.concatenate([np.minimum(x, y) * number + np.maximum(x, y) for y in (a, b)]), return_inverse=True
    )
    one, other = keys // number, keys % number
    ends = np.cumsum(sizes[one] * sizes[other])
    pairs = np.stack([one, other, ends - sizes[one] * sizes[other]], axis=1)
    out = np.empty(ends[-1], np.float32)
    frames = np.add.reduceat(stops - starts, groups.first[:-1])
    kind = DISTANCES.index(distance)

    def work(begin: int, end: int) -> None:
        compare(tokens.frames, starts, stops, groups.first, pairs, begin, end, kind, out)

    _in_threads(work, frames[one] * frames[other])
    return out, pairs[place, 2].reshape(2, -1).T


def _count(
    distances: np.ndarray,
    groups: Groups,
    file: np.ndarray,
    cells: np.ndarray,
    share: np.ndarray,
    errors: np.ndarray,
    change: np.ndarray,
) -> None:
    """Fills ``errors``, and adds to ``change`` how fast wrong answers grow with each recording's weight."""
    from protophone.metrics.abx.kernels import count_wrong

    def work(begin: int, end: int) -> np.ndarray:
        own = np.zeros_like(change)
        count_wrong(distances, groups.first, file, cells, share, begin, end, errors, own)
        return own

    for own in _in_threads(work, groups.sizes[cells[:, :3]].prod(axis=1)):
        change += own


def _in_threads(work: Callable[[int, int], np.ndarray | None], cost: np.ndarray) -> list:
    """``work(begin, end)`` of stretches of about equal cost, on as many threads as numba is given, in order."""
    import numba

    # get_num_threads would set that of torch's OpenMP as well
    threads = int(vars(numba.config)["NUMBA_NUM_THREADS"])
    done = np.cumsum(cost)
    edges = np.searchsorted(done, np.linspace(0, done[-1], threads * _PIECES + 1)[1:-1])
    edges = np.unique([0, *edges, len(cost)]).tolist()
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, edges[:-1], edges[1:]))
