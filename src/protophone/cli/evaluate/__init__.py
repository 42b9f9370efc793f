"""``evaluate`` and ``compare``: every figure a paper reports, with its interval, from files."""

from cyclopts import App

from protophone.cli.evaluate.outcomes import compare, submission
from protophone.cli.evaluate.sounds import everything, resynthesis
from protophone.cli.evaluate.units import abx, bitrate, terms, units

__all__ = ["compare", "evaluate"]

evaluate = App(name="evaluate", help="Measure units, features and sounds, each figure with its interval.")
for command in (abx, bitrate, units, terms, resynthesis, submission):
    evaluate.command(command)
evaluate.command(everything, name="all")
