"""How likely each code is after the codes before it: a small network in whole numbers, the same on every machine.

Each context (a code some frames back, the voice) looks up a vector; a first table turns all vectors together into the
hidden layer, cut off at zero, and a second one that into a logarithmic weight for each code, to which the voice adds
one directly. Numbers are fixed-point, powers of two apart; exponentials come from a table in the bundle. The products
of matrices are done in float64, whose every sum here is a whole number far below 2^53: exact, in any order.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from protophone.codec.coder import scaled

__all__ = ["ContextModel"]

_STEP = 10  # bits behind the point of every table
_HIDDEN = 6  # and of the hidden layer
_MOST = 2**14 - 1  # of the hidden layer before it is shortened to that
_FINE = 7  # bits behind the point of what the table of exponentials is asked with
_ENTRIES = 2048  # of that table: down to e^-16
_WHOLE: dict[str, type[np.signedinteger]] = {
    **dict.fromkeys(("vectors", "first", "second", "direct"), np.int16),
    **dict.fromkeys(("first_bias", "bias", "exponentials"), np.int32),
}  # the tables


class ContextModel:
    """Frequencies of codes given their contexts.

    ``sizes`` are the values each context may take, and contexts of the same of ``groups`` share their vectors; the
    first is the voice. Tables are int16 and int32: ``vectors`` ``[sum of the groups' sizes, dim]``, ``first``
    ``[context * dim, hidden]``, ``second`` ``[hidden, size]``, ``direct`` ``[voice, size]``, ``bias`` ``[size]``.
    """

    def __init__(self, sizes: tuple[int, ...], groups: tuple[str, ...], tables: Mapping[str, np.ndarray]) -> None:
        self.sizes, self.groups = sizes, groups
        self.tables = {name: tables[name] for name in _WHOLE}
        self.size = len(tables["bias"])
        hidden, dim = len(tables["first_bias"]), tables["vectors"].shape[1]
        books = dict(zip(groups, sizes, strict=True))
        wanted = {
            "vectors": (sum(books.values()), dim),
            "first": (len(sizes) * dim, hidden),
            "second": (hidden, self.size),
            "direct": (sizes[0], self.size),
            "first_bias": (hidden,),
            "bias": (self.size,),
            "exponentials": (_ENTRIES,),
        }
        if any(self.tables[name].shape != shape for name, shape in wanted.items()):
            raise ValueError(f"tables do not fit contexts of sizes {sizes}")
        if any(table.dtype != _WHOLE[name] for name, table in self.tables.items()):
            raise ValueError("tables are not in whole numbers of 16 and 32 bits")
        if self.tables["exponentials"].min() < 0 or not self.tables["exponentials"][0]:
            raise ValueError("the table of exponentials falls below nothing, or begins with it")
        starts = dict(zip(books, np.cumsum([0, *books.values()]), strict=False))
        self._starts = np.array([starts[group] for group in groups])
        self._vectors, self._first, self._second = (
            self.tables[name].astype(np.float64) for name in ("vectors", "first", "second")
        )
        self._direct = self.tables["direct"].astype(np.int64)
        self._exponentials = self.tables["exponentials"].astype(np.int64)

    def frequencies(self, contexts: np.ndarray) -> np.ndarray:
        """Frequencies int64 ``[symbol, size]`` after ``contexts`` int64 ``[symbol, context]``."""
        vectors = self._vectors[contexts + self._starts].reshape(len(contexts), -1)
        hidden = ((vectors @ self._first).astype(np.int64) >> _STEP) + self.tables["first_bias"]
        hidden = np.clip(hidden, 0, _MOST) >> (_STEP - _HIDDEN)
        weights = (hidden.astype(np.float64) @ self._second).astype(np.int64) >> _HIDDEN
        weights += self._direct[contexts[:, 0]] + self.tables["bias"]
        below = (weights.max(1, keepdims=True) - weights) >> (_STEP - _FINE)
        return scaled(self._exponentials[np.minimum(below, _ENTRIES - 1)])

    @classmethod
    def from_floats(
        cls, sizes: tuple[int, ...], groups: tuple[str, ...], tables: Mapping[str, Tensor]
    ) -> "ContextModel":
        """The model nearest to the float tables that training leaves."""
        whole = {}
        for name, kind in _WHOLE.items():
            if name == "exponentials":
                continue
            most = np.iinfo(kind).max
            values = np.rint(tables[name].detach().double().cpu().numpy() * 2**_STEP)
            whole[name] = np.clip(values, -most, most).astype(kind)
        falls = np.exp(-np.arange(_ENTRIES) / 2**_FINE)
        whole["exponentials"] = np.rint(falls * 2**24).astype(np.int32)
        return cls(sizes, groups, whole)

    def state(self) -> dict[str, Tensor]:
        """The tables as a bundle keeps them."""
        return {name: torch.from_numpy(table.copy()) for name, table in self.tables.items()}

    @classmethod
    def from_state(cls, sizes: tuple[int, ...], groups: tuple[str, ...], state: Mapping[str, Tensor]) -> "ContextModel":
        """The model of the tables in a bundle; ``KeyError`` or ``ValueError`` where they are not such."""
        return cls(sizes, groups, {name: state[name].numpy() for name in _WHOLE})
