"""The command line: one short file a command group, nothing here that the library cannot do."""

import signal
import sys
from io import TextIOWrapper
from typing import NoReturn

from cyclopts import App, Parameter

from protophone import __version__
from protophone.cli.codec import compress, decompress
from protophone.cli.corpus import convert, decode, encode, manifest
from protophone.cli.discover import discover
from protophone.cli.evaluate import compare, evaluate
from protophone.cli.info import info
from protophone.cli.train import train
from protophone.errors import ProtophoneError

__all__ = ["app", "main"]

app = App(
    name="protophone",
    help="Learns the sound units of a language from recordings alone, writes speech as units, and speaks it again.",
    version=__version__,
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative=()),
)
for command in (discover, encode, decode, convert, compress, decompress, evaluate, compare, manifest, train, info):
    app.command(command)


def main() -> None:
    """Runs the command line: 0 done, 1 with one line for a fault the user can mend, 2 for a wrong call."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing half-written is left
    for stream in (sys.stdout, sys.stderr):  # a file's name may be any bytes
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(exit_on_error=False, print_error=True)
    except ProtophoneError as error:
        _give_up(str(error))
    except KeyboardInterrupt:
        print("protophone: stopped; give the same command again", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:  # a file that may not be read, a disk that is gone: the user's to mend
        _give_up(f"{error.filename or 'a file'}: {error.strerror or error}; is it there, and yours to use?")
    except (MemoryError, RuntimeError) as error:  # torch has no kind of its own for the processor's memory
        short = any(said in str(error) for said in ("allocate memory", "out of memory"))
        if isinstance(error, RuntimeError) and not short:
            raise
        _give_up(f"not enough memory ({str(error)[:200]}); make the batch, the crop or the network smaller")
    except Exception as error:  # a wrong call, already printed by cyclopts
        if type(error).__module__.startswith("cyclopts"):
            sys.exit(2)
        raise


def _give_up(message: str) -> NoReturn:
    """One line on standard error, whatever the message quotes, and exit 1."""
    print(f"protophone: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(1)
