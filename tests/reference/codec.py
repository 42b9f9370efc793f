"""The codec in Python's own whole numbers, as slowly as it is plain: nothing is rounded, nothing overflows."""

from fractions import Fraction

TOTAL = 2**24
STATE = 2**64


class IntegerReader:
    """A range decoder: an interval of 64 bits that each symbol narrows, 32 bits taken in when it gets small."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 8
        self.low, self.width = 0, STATE - 1
        self.point = int.from_bytes(data[:8].ljust(8, b"\0"), "big")

    def get(self, frequencies: list[int]) -> int | None:
        """The next symbol; None where no writer made these bytes."""
        assert sum(frequencies) == TOTAL
        if len(frequencies) == 1:
            return 0
        unit = self.width // TOTAL
        place = (self.point - self.low) % STATE // unit
        if place >= TOTAL:
            return None
        symbol, below = 0, 0
        while place >= below + frequencies[symbol]:
            below += frequencies[symbol]
            symbol += 1
        self.low = (self.low + unit * below) % STATE
        self.width = unit * frequencies[symbol]
        if self.width < 2**32:
            self.low = self.low * 2**32 % STATE
            self.width *= 2**32
            more = int.from_bytes(self.data[self.at : self.at + 4].ljust(4, b"\0"), "big")
            self.point = (self.point * 2**32 + more) % STATE
            self.at += 4
        return symbol


def frequencies(sizes, groups, tables, contexts) -> list[int]:
    """What a context model says of one symbol, number by number."""
    starts, end = {}, 0
    for group, size in zip(groups, sizes, strict=True):
        if group not in starts:
            starts[group], end = end, end + size
    told = []
    for group, context in zip(groups, contexts, strict=True):
        told += [int(value) for value in tables["vectors"][starts[group] + int(context)]]
    hidden = []
    for unit in range(len(tables["first_bias"])):
        total = sum(value * int(tables["first"][at][unit]) for at, value in enumerate(told)) // 1024
        hidden.append(min(max(total + int(tables["first_bias"][unit]), 0), 2**14 - 1) // 16)
    weights = []
    for code in range(len(tables["bias"])):
        total = sum(value * int(tables["second"][unit][code]) for unit, value in enumerate(hidden)) // 64
        weights.append(total + int(tables["bias"][code]) + int(tables["direct"][int(contexts[0])][code]))
    entries = len(tables["exponentials"])
    heavy = [int(tables["exponentials"][min((max(weights) - weight) // 8, entries - 1)]) for weight in weights]
    return scaled(heavy)


def scaled(weights: list[int]) -> list[int]:
    """Whole frequencies of at least 1 in the proportion of ``weights``, the rest to the heaviest."""
    free = TOTAL - len(weights)
    out = [1 + int(Fraction(weight * free, sum(weights))) for weight in weights]
    out[weights.index(max(weights))] += TOTAL - sum(out)
    return out
