"""The command line: one short file a command group, nothing here that the library cannot do."""

import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter

from protophone import __version__
from protophone.cli.codec import compress, decompress
from protophone.cli.corpus import convert, decode, encode, manifest
from protophone.cli.discover import discover
from protophone.cli.evaluate import compare, evaluate
from protophone.cli.info import info
from protophone.cli.train import train
from protophone.errors import ProtophoneError
from protophone.names import printable

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


class _Stopped(KeyboardInterrupt):
    """A signal that ends the command, its number the argument."""


def main() -> None:
    """Run the command line: 0 done, 1 with one line for a fault the user can mend, 2 for a wrong call."""
    for name in ("SIGTERM", "SIGHUP"):  # so that nothing half-written is left
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup asks for
            signal.signal(number, _stop)
    for stream in (sys.stdout, sys.stderr):  # an encoding may lack what a name has
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(exit_on_error=False, print_error=False)
    except ProtophoneError as error:
        _give_up(str(error))
    except KeyboardInterrupt as stop:
        number = stop.args[0] if isinstance(stop, _Stopped) else signal.SIGINT
        _give_up("stopped; give the same command again", 128 + number)
    except UnicodeEncodeError as error:  # of a path or an option that goes into a text
        near = error.object[max(0, error.start - 100) : error.start + 100]
        _give_up(f"{near}: a name or value that is not UTF-8; rename it, or write it in UTF-8")
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:  # a file that may not be read, a disk that is gone: the user's to mend
        _give_up(f"{error.filename or 'a file'}: {error.strerror or error}; is it there, and yours to use?")
    except (MemoryError, RuntimeError) as error:
        from protophone.memory import is_short

        if not is_short(error):
            raise
        _give_up(f"not enough memory ({str(error)[:200]}); make the batch, the crop or the network smaller")
    except CycloptsError as error:
        _give_up(str(error), 2)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise _Stopped(number)


def _give_up(message: str, code: int = 1) -> NoReturn:
    """One line on standard error, whatever the message quotes, and the exit code."""
    with suppress(OSError):  # a terminal that is gone
        print(f"protophone: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)
    sys.exit(code)
