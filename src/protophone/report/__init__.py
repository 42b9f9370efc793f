"""The HTML page that shows what was learned: one file, with its pictures and sounds inside, that opens offline."""

from protophone.report.contents import (
    BitRate,
    Corpus,
    Curve,
    Example,
    Failure,
    Pair,
    PhoneMatrix,
    ReportData,
)
from protophone.report.page import render, write_report

__all__ = [
    "BitRate",
    "Corpus",
    "Curve",
    "Example",
    "Failure",
    "Pair",
    "PhoneMatrix",
    "ReportData",
    "render",
    "write_report",
]
