"""The HTML page that shows what was learned: one file, with its pictures and sounds inside, that opens offline."""

from protophone.report.contents import (
    BitRate,
    Corpus,
    Curve,
    Example,
    Failure,
    Listed,
    Pair,
    PhoneMatrix,
    ReportData,
    Speaker,
)
from protophone.report.page import render, write_report

__all__ = [
    "BitRate",
    "Corpus",
    "Curve",
    "Example",
    "Failure",
    "Listed",
    "Pair",
    "PhoneMatrix",
    "ReportData",
    "Speaker",
    "render",
    "write_report",
]
