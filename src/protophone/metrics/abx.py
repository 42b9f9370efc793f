"""ABX phone discrimination: how often X, a token of phone A, is nearer to one of B than to another of A.

Conventions (Libri-Light's and ZeroSpeech 2021's): tokens are compared by dynamic time warping, the cost divided by the
length of the path; the error of a cell (A, B, context, speakers) is the share of triplets answered wrongly, a tie
counting one half; cells are averaged over contexts (and over the speakers of X), then over the
speakers of A and B, then over ordered pairs of phones.
Frame *t* of a representation at ``frame_rate`` hertz lies at ``(t + 1/2) / frame_rate`` seconds, and a token is the
frames that lie in ``[onset, offset]``; a token that holds the centre of no frame is the frame around its middle.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numba
import numpy as np
from scipy.special import stdtrit

from protophone.errors import InputError
from protophone.metrics.dtw import DISTANCES, Distance, dtw_distances, prepare
from protophone.metrics.items import ABXItem, by_file, read_items

__all__ = ["ABXItem", "ABXResult", "Distance", "abx", "by_file", "read_items"]

_BATCH = 4_000_000  # pairs of tokens compared before they are scored
_GROUPS = 20  # of files, left out in turn for the interval


@dataclass(frozen=True)
class ABXResult:
    """An ABX error with what it was measured on.

    ``error`` is a fraction; ``cells`` counts (A, B, context, speakers) cells, ``triplets`` the comparisons in them.
    ``interval`` (95 %) says how far the error would move with other recordings of these speakers: a jackknife that
    leaves out each of 20 groups of files in turn (each file, of fewer); 0 to 1 where one of them holds every cell.
    It errs on the wide side; two systems scored on the same items differ by less chance than their intervals say.
    """

    error: float
    interval: tuple[float, float]
    cells: int
    triplets: int
    tokens: int
    speaker: str
    context: str
    distance: str
    frame_rate: float


def abx(
    features: Mapping[str, np.ndarray] | Callable[[str], np.ndarray],
    items: list[ABXItem],
    *,
    speaker: Literal["within", "across"],
    context: Literal["within", "any"] = "within",
    distance: Distance = "angular",
    frame_rate: float = 100,
) -> ABXResult:
    """ABX error of ``features`` (file name -> float ``[frame, dim]``) over every triplet of ``items``.

    ``speaker`` says whether X comes from the speaker of A and B; ``context`` whether the three share their
    neighbouring phones. With ``identical``, frames differ or not: symbols ``[frame, codebook]``. Raises ``InputError``
    where a file is missing, a token lies past the frames, or no cell can be made.
    """
    for name, value, known in (
        ("speaker", speaker, ("within", "across")),
        ("context", context, ("within", "any")),
        ("distance", distance, DISTANCES),
    ):
        if value not in known:
            raise InputError(f"ABX {name} {value!r} is none of {', '.join(known)}")
    frames, starts, stops = _slice(features, items, distance, frame_rate)
    if not items:
        raise InputError("no ABX items; give the tokens of an item file")
    files, file = np.unique([item.file for item in items], return_inverse=True)
    phones, phone = np.unique([item.phone for item in items], return_inverse=True)
    _, who = np.unique([item.speaker for item in items], return_inverse=True)
    group = np.zeros(len(items), np.int64)
    if context == "within":
        group = np.unique(np.array([item.context for item in items]), axis=0, return_inverse=True)[1].reshape(-1)
    blocks = list(_blocks(group, who, phone, across=speaker == "across"))
    group_of = (np.arange(len(files)) % _GROUPS)[file]
    # [speaker of A and B, A, B, (error, cells)], and what leaving out each group of files adds to it
    table = np.zeros((int(who.max()) + 1, len(phones), len(phones), 2))
    change = np.zeros((min(len(files), _GROUPS), *table.shape))
    triplets = 0
    for block, matrix in _matrices(blocks, frames, starts, stops, distance):
        for side in block.sides:
            apart = matrix.T if side.transposed else matrix
            own = np.zeros(table.shape[1:])
            triplets += _score(apart, phone[side.x], phone[side.ab], block.same, own)
            table[side.speaker] += own
            for left_out in set(group_of[side.x].tolist()) | set(group_of[side.ab].tolist()):
                x, ab = group_of[side.x] != left_out, group_of[side.ab] != left_out
                change[left_out, side.speaker] -= own
                rest = change[left_out, side.speaker]
                _score(apart[x][:, ab], phone[side.x[x]], phone[side.ab[ab]], block.same, rest)
    cells = round(table[..., 1].sum())
    if not cells:
        raise InputError(
            f"no ABX cell can be made from {len(items)} items ({speaker} speaker, {context} context): "
            f"two phones must occur in one context for {'two speakers' if speaker == 'across' else 'one speaker'}"
        )
    error = _mean(table)
    return ABXResult(
        error=error,
        interval=_jackknife(error, [_mean(table + one) for one in change]),
        cells=cells,
        triplets=triplets,
        tokens=len(items),
        speaker=speaker,
        context=context,
        distance=distance,
        frame_rate=frame_rate,
    )


def _slice(
    features: Mapping[str, np.ndarray] | Callable[[str], np.ndarray],
    items: list[ABXItem],
    distance: Distance,
    frame_rate: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All frames in one array, prepared for the distance, and each token's first frame and end in it."""
    lookup = features if callable(features) else features.__getitem__
    offsets: dict[str, tuple[int, int]] = {}
    parts: list[np.ndarray] = []
    total = 0
    for name in dict.fromkeys(item.file for item in items):
        try:
            part = np.asarray(lookup(name))
        except KeyError:
            raise InputError(f"{name}: in the items, but no features of that name were given") from None
        if part.ndim != 2 or not part.size:
            raise InputError(f"{name}: features of shape {part.shape}; ABX needs [frame, dim] with a frame or more")
        if parts and part.shape[1] != parts[0].shape[1]:
            raise InputError(f"{name}: {part.shape[1]} dimensions where other files have {parts[0].shape[1]}")
        if not np.isfinite(part).all():
            raise InputError(f"{name}: features that are not finite; encode this recording again")
        offsets[name] = (total, len(part))
        parts.append(part)
        total += len(part)
    frames = prepare(np.concatenate(parts), distance) if parts else np.empty((0, 1), np.float32)
    starts, stops = np.empty(len(items), np.int64), np.empty(len(items), np.int64)
    for index, item in enumerate(items):
        base, length = offsets[item.file]
        # times are decimals and their products with the rate are not exact: round before the edges decide
        first = max(0, int(np.ceil(round(item.onset * frame_rate - 0.5, 6))))
        end = min(length, int(np.floor(round(item.offset * frame_rate - 0.5, 6))) + 1)
        if end <= first:
            middle = (item.onset + item.offset) / 2 * frame_rate
            if middle > length + 1:
                raise InputError(
                    f"{item.file}: a token at {item.onset} to {item.offset} s lies past its {length} frames at "
                    f"{float(frame_rate):g} Hz; is the frame rate right?"
                )
            first = min(length - 1, int(middle))
            end = first + 1
        starts[index], stops[index] = base + first, base + end
    return frames, starts, stops


class _Side(NamedTuple):
    """Who is X in a block: its tokens, those of A and B, and the speaker of A and B."""

    x: np.ndarray
    ab: np.ndarray
    speaker: int
    transposed: bool


class _Block(NamedTuple):
    """Tokens of one context by one speaker, or by two: the distances between them serve X from either side."""

    rows: np.ndarray
    columns: np.ndarray
    needed: np.ndarray  # bool [row, column]: distances that some triplet uses
    same: bool
    sides: list[_Side]


def _blocks(group: np.ndarray, who: np.ndarray, phone: np.ndarray, *, across: bool) -> Iterator[_Block]:
    order = np.lexsort((who, group))
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        by_speaker = [
            (int(speaker), members[who[members] == speaker]) for speaker in dict.fromkeys(who[members].tolist())
        ]
        for position, (one, rows) in enumerate(by_speaker):
            for other, columns in by_speaker[position + 1 :] if across else [(one, rows)]:
                # X needs a phone that its A can have, and another phone beside it for B
                counts = (_counts(phone[rows]), _counts(phone[columns]))
                least = 1 if across else 2
                as_x = np.array([counts[1].get(p, 0) >= least for p in phone[rows]]) & (len(counts[1]) > 1)
                as_y = np.array([counts[0].get(p, 0) >= least for p in phone[columns]]) & (len(counts[0]) > 1)
                needed = as_x[:, None] | as_y[None, :]
                if not needed.any():
                    continue
                if not across:  # a distance is the same both ways, and none to the token itself
                    yield _Block(rows, rows, np.triu(needed, 1), True, [_Side(rows, rows, one, False)])
                    continue
                sides = [_Side(rows, columns, other, False)] if as_x.any() else []
                sides += [_Side(columns, rows, one, True)] if as_y.any() else []
                yield _Block(rows, columns, needed, False, sides)


def _counts(phone: np.ndarray) -> dict[int, int]:
    values, counts = np.unique(phone, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _mean(table: np.ndarray) -> float:
    """Mean over cells, then over speakers, then over pairs of phones; NaN where there is no cell."""
    some = table[..., 1] > 0.5  # counts, but what is taken away again may leave a rounding error in the errors
    per_speaker = np.where(some, table[..., 0], 0) / np.where(some, table[..., 1], 1)
    speakers = some.sum(0)
    pairs = speakers > 0
    return float(np.mean(per_speaker.sum(0)[pairs] / speakers[pairs])) if pairs.any() else float("nan")


def _jackknife(error: float, without: list[float]) -> tuple[float, float]:
    """Interval (95 %, Student's t) from the errors without each group of files; 0 to 1 where one is unknown."""
    groups = len(without)
    if groups < 2 or not np.isfinite(without).all():
        return 0.0, 1.0
    spread = np.sqrt((groups - 1) * np.var(without)) * stdtrit(groups - 1, 0.975)
    return float(max(0.0, error - spread)), float(min(1.0, error + spread))


def _matrices(
    blocks: list[_Block], frames: np.ndarray, starts: np.ndarray, stops: np.ndarray, distance: Distance
) -> Iterator[tuple[_Block, np.ndarray]]:
    """Each block with its distances float32 ``[row, column]``; what is not needed is NaN."""
    batch: list[tuple[_Block, np.ndarray, np.ndarray]] = []
    size = 0
    for number, block in enumerate(blocks, start=1):
        row, column = np.nonzero(block.needed)
        batch.append((block, row, column))
        size += len(row)
        if size < _BATCH and number < len(blocks):
            continue
        pairs = np.concatenate([np.stack([b.rows[r], b.columns[c]], axis=1) for b, r, c in batch])
        found = dtw_distances(frames, starts, stops, pairs, distance)
        at = 0
        for done, r, c in batch:
            matrix = np.full(done.needed.shape, np.nan, np.float32)
            matrix[r, c] = found[at : at + len(r)]
            if done.same:
                matrix[c, r] = matrix[r, c]
            at += len(r)
            yield done, matrix
        batch, size = [], 0


def _score(matrix: np.ndarray, phone_x: np.ndarray, phone_ab: np.ndarray, same: bool, table: np.ndarray) -> int:  # noqa: FBT001
    """Adds the error of each cell in a block, and one, to ``table[A, B]``; returns how many triplets there were.

    With ``same``, rows are the columns and a token is not compared with itself: there the matrix is NaN.
    """
    if not matrix.size:
        return 0
    # each row phone by phone, ascending within a phone, NaN last
    order = np.argsort(matrix, axis=1)
    order = np.take_along_axis(order, np.argsort(phone_ab[order], axis=1, kind="stable"), axis=1)
    ends = np.cumsum(np.bincount(phone_ab, minlength=len(table)))
    return _count(np.take_along_axis(matrix, order, axis=1), phone_x, ends, int(same), table)


@numba.njit(cache=True)
def _count(rows: np.ndarray, phone_x: np.ndarray, ends: np.ndarray, itself: int, table: np.ndarray) -> int:
    phones = len(ends)
    wrong = np.zeros((phones, phones))
    tokens = np.zeros(phones, np.int64)  # X of each phone
    for x in range(len(rows)):
        a = phone_x[x]
        tokens[a] += 1
        first_a = ends[a - 1] if a else 0
        for b in range(phones):
            first = ends[b - 1] if b else 0
            if a == b or first == ends[b]:
                continue
            below = upto = first  # tokens of B nearer than this one of A, and those as near
            for column in range(first_a, ends[a] - itself):
                while below < ends[b] and rows[x, below] < rows[x, column]:
                    below += 1
                upto = max(upto, below)
                while upto < ends[b] and rows[x, upto] == rows[x, column]:
                    upto += 1
                wrong[a, b] += below - first + 0.5 * (upto - below)
    triplets = 0
    for a in range(phones):
        alike = ends[a] - (ends[a - 1] if a else 0) - itself
        for b in range(phones):
            count = tokens[a] * alike * (ends[b] - (ends[b - 1] if b else 0))
            if a != b and alike > 0 and count:
                table[a, b, 0] += wrong[a, b] / count
                table[a, b, 1] += 1
                triplets += count
    return triplets
