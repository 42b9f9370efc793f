"""How likely each code is after the codes before it: a small network in whole numbers, the same on every machine.

Each context (a code some frames back, the voice) looks up a row of a table; the sum of the rows, cut off at zero, is
the hidden layer, and a second table turns it into a logarithmic weight for each code, to which the first contexts add
one directly. Numbers are fixed-point, powers of two apart; exponentials come from a table in the bundle. The one
product of matrices is done in float64, whose every sum here is a whole number far below 2^53: exact, in any order.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from protophone.codec.coder import scaled

__all__ = ["DIRECT", "ContextModel"]

DIRECT = 2  # of the contexts, those that also speak for codes directly: the voice and the code just before
_STEP = 10  # bits behind the point of every table
_HIDDEN = 6  # and of the hidden layer
_MOST = 2**14 - 1  # of the hidden layer before it is shortened to that
_FINE = 7  # bits behind the point of what the table of exponentials is asked with
_ENTRIES = 2048  # of that table: down to e^-16
_TABLES = ("first", "first_bias", "second", "direct", "bias", "exponentials")


class ContextModel:
    """Frequencies of codes given their contexts.

    ``sizes`` are the values each context may take, ``size`` the number of codes. Tables are int16 and int32:
    ``first`` ``[sum(sizes), hidden]``, ``second`` ``[hidden, size]``, ``direct`` ``[sum(sizes[:DIRECT]), size]``.
    """

    def __init__(self, sizes: tuple[int, ...], tables: Mapping[str, np.ndarray]) -> None:
        self.sizes = sizes
        self.tables = {name: tables[name] for name in _TABLES}
        self.size = len(tables["bias"])
        hidden = len(tables["first_bias"])
        wanted = {
            "first": (sum(sizes), hidden),
            "second": (hidden, self.size),
            "direct": (sum(sizes[:DIRECT]), self.size),
            "exponentials": (_ENTRIES,),
        }
        if any(self.tables[name].shape != shape for name, shape in wanted.items()):
            raise ValueError(f"tables do not fit contexts of sizes {sizes}")
        self._starts = np.cumsum([0, *sizes[:-1]])
        self._first = self.tables["first"].astype(np.int32)
        self._second = self.tables["second"].astype(np.float64)
        self._direct = self.tables["direct"].astype(np.int64)
        self._exponentials = self.tables["exponentials"].astype(np.int64)

    def frequencies(self, contexts: np.ndarray) -> np.ndarray:
        """Frequencies int64 ``[symbol, size]`` after ``contexts`` int64 ``[symbol, context]``."""
        rows = contexts + self._starts
        hidden = self._first[rows].sum(1) + self.tables["first_bias"]
        hidden = np.clip(hidden, 0, _MOST) >> (_STEP - _HIDDEN)
        weights = (hidden.astype(np.float64) @ self._second).astype(np.int64) >> _HIDDEN
        weights += self._direct[rows[:, :DIRECT]].sum(1) + self.tables["bias"]
        below = (weights.max(1, keepdims=True) - weights) >> (_STEP - _FINE)
        return scaled(self._exponentials[np.minimum(below, _ENTRIES - 1)])

    @classmethod
    def from_floats(cls, sizes: tuple[int, ...], tables: Mapping[str, Tensor]) -> "ContextModel":
        """The model nearest to the float tables that training leaves."""
        whole = {}
        for name in _TABLES[:-1]:
            kind = np.int32 if name.endswith("bias") else np.int16
            most = np.iinfo(kind).max
            values = np.rint(tables[name].detach().double().cpu().numpy() * 2**_STEP)
            whole[name] = np.clip(values, -most, most).astype(kind)
        falls = np.exp(-np.arange(_ENTRIES) / 2**_FINE)
        whole["exponentials"] = np.rint(falls * 2**24).astype(np.int32)
        return cls(sizes, whole)

    def state(self) -> dict[str, Tensor]:
        """The tables as a bundle keeps them."""
        return {name: torch.from_numpy(table.copy()) for name, table in self.tables.items()}

    @classmethod
    def from_state(cls, sizes: tuple[int, ...], state: Mapping[str, Tensor]) -> "ContextModel":
        """The model of the tables in a bundle; ``KeyError`` or ``ValueError`` where they are not such."""
        return cls(sizes, {name: state[name].numpy() for name in _TABLES})
