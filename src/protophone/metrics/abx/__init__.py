"""ABX phone discrimination: how often X, a token of phone A, is nearer to one of B than to another of A.

Conventions (Schatz et al. 2013; Libri-Light's and ZeroSpeech 2021's averages): the error of a cell (A, B, context,
speakers) is the share of triplets answered wrongly, a tie counting one half; cells are averaged over contexts (and over
the speakers of X), then over the speakers of A and B, then over ordered pairs of phones. Figures of other items, frame
rates, distances or subsampling cannot be compared, so a result says all of them.
"""

from protophone.metrics.abx.distances import Distance
from protophone.metrics.abx.items import ABXItem, by_file, read_items
from protophone.metrics.abx.result import ABXResult
from protophone.metrics.abx.score import abx

__all__ = ["ABXItem", "ABXResult", "Distance", "abx", "by_file", "read_items"]
