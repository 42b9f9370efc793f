"""Which tokens are compared with which: groups of tokens, and cells of three groups.

A group is the tokens of one phone by one speaker, in one context where contexts must agree. A cell is a group A, a
group B of another phone by the same speaker, and a group X of A's phone by that speaker (then X is A) or by another.
"""

from typing import Literal, NamedTuple

import numpy as np

from protophone.metrics.abx.items import ABXItem

__all__ = ["Cells", "Groups", "group_tokens", "make_cells"]


class Groups(NamedTuple):
    """Groups in the order of context, speaker and phone: which tokens, ``order[first[g]:first[g + 1]]``, and of what.

    ``context`` (0 where any will do), ``speaker`` and ``phone`` are numbers ``[group]`` of the names in their lists.
    """

    order: np.ndarray
    first: np.ndarray
    context: np.ndarray
    speaker: np.ndarray
    phone: np.ndarray
    contexts: np.ndarray
    speakers: np.ndarray
    phones: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Tokens a group."""
        return np.diff(self.first)


class Cells(NamedTuple):
    """Cells as groups int64 ``[cell, (X, A, B)]``, ordered by A.

    ``share`` of the whole error each cell is; how many A and B found no X, and how many cells were not drawn.
    """

    groups: np.ndarray
    share: np.ndarray
    without_x: int
    not_drawn: int


def group_tokens(
    items: list[ABXItem], *, context: Literal["within", "any"], max_size_group: int | None, seed: int
) -> Groups:
    """The groups of ``items``, of each ``max_size_group`` tokens drawn at most.

    The order of the items does not change what is drawn.
    """
    phones, phone = np.unique([item.phone for item in items], return_inverse=True)
    speakers, speaker = np.unique([item.speaker for item in items], return_inverse=True)
    contexts, place = np.array([["", ""]]), np.zeros(len(items), np.int64)
    if context == "within":
        contexts, place = np.unique([item.context for item in items], axis=0, return_inverse=True)
        place = place.reshape(-1)
    file = np.unique([item.file for item in items], return_inverse=True)[1]
    times = np.array([(item.onset, item.offset) for item in items])
    key = (place * len(speakers) + speaker) * len(phones) + phone
    order = np.lexsort((times[:, 1], times[:, 0], file, key))
    if max_size_group is not None:
        drawn = _draw(key[order], max_size_group, seed)
        order = order[drawn]
    kinds, first = np.unique(key[order], return_index=True)
    return Groups(
        order=order,
        first=np.append(first, len(order)),
        context=kinds // (len(speakers) * len(phones)),
        speaker=kinds // len(phones) % len(speakers),
        phone=kinds % len(phones),
        contexts=contexts,
        speakers=speakers,
        phones=phones,
    )


def make_cells(groups: Groups, *, speaker: Literal["within", "across"], max_x_across: int | None, seed: int) -> Cells:
    """All cells of ``groups``; across speakers at most ``max_x_across`` drawn speakers of X for each A and B."""
    by_same = groups.context * len(groups.speakers) + groups.speaker
    a, b = _partners(by_same)
    if speaker == "within":
        some = groups.sizes[a] > 1
        x, without_x, not_drawn = a[some], int((~some).sum()), 0
        a, b = a[some], b[some]
    else:
        same_phone = groups.context * len(groups.phones) + groups.phone
        order = np.argsort(same_phone, kind="stable")
        one, other = _partners(same_phone[order])
        one, other = order[one], order[other]
        by_one = np.argsort(one, kind="stable")
        others, first = other[by_one], np.searchsorted(one[by_one], np.arange(len(groups.phone) + 1))
        choices = np.diff(first)[a]
        without_x = int((choices == 0).sum())
        row, within = _expand(choices)
        x = others[first[a[row]] + within]
        drawn = np.arange(len(row)) if max_x_across is None else _draw(row, max_x_across, seed)
        not_drawn = len(row) - len(drawn)
        x, a, b = x[drawn], a[row[drawn]], b[row[drawn]]
    return Cells(np.stack([x, a, b], axis=1), _shares(groups, a, b), without_x, not_drawn)


def _partners(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All ordered pairs of different places with one key; ``key`` is in order."""
    _, first, size = np.unique(key, return_index=True, return_counts=True)
    block = np.repeat(np.arange(len(first)), size)
    row, within = _expand(size[block])
    column = first[block[row]] + within
    return row[row != column], column[row != column]


def _expand(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each place as often as it counts, and the number of each repetition: 2, 0, 1 -> 0 0 2, 0 1 0."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


def _draw(key: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Places, in order, of at most ``most`` of each key, drawn at random; ``key`` is in order."""
    order = np.lexsort((np.random.default_rng(seed).random(len(key)), key))
    first = np.searchsorted(key, key)  # of equal keys; sorting by key leaves these where they are
    return np.sort(order[np.arange(len(key)) - first < most])


def _shares(groups: Groups, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cells are averaged over contexts and speakers of X, then over speakers of A and B, then over pairs of phones."""
    pair = groups.phone[a] * len(groups.phones) + groups.phone[b]
    spoken, cell, cells = np.unique(
        pair * len(groups.speakers) + groups.speaker[a], return_inverse=True, return_counts=True
    )
    pairs, of, speakers = np.unique(spoken // len(groups.speakers), return_inverse=True, return_counts=True)
    return (1 / (cells * speakers[of] * max(1, len(pairs))))[cell]
