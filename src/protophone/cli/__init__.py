"""The command line: one short file a command group, nothing here that the library cannot do."""

import sys

from cyclopts import App

from protophone import __version__
from protophone.cli.corpus import convert, decode, encode, manifest
from protophone.cli.discover import discover
from protophone.cli.info import info
from protophone.cli.train import train
from protophone.errors import ProtophoneError

__all__ = ["app", "main"]

app = App(
    name="protophone",
    help="Learns the sound units of a language from recordings alone, writes speech as units, and speaks it again.",
    version=__version__,
)
for command in (discover, encode, decode, convert, manifest, train, info):
    app.command(command)


def main() -> None:
    """Runs the command line: 0 done, 1 with one line for a fault the user can mend, 2 for a wrong call."""
    try:
        app(exit_on_error=False, print_error=True)
    except ProtophoneError as error:
        print(f"protophone: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("protophone: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:  # a wrong call, already printed by cyclopts
        if type(error).__module__.startswith("cyclopts"):
            sys.exit(2)
        raise
