"""Runs a case as the console script would be run, in this process or in a child, and says what was wrong."""

import faulthandler
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from protophone.cli import main
from tests.fuzz.cases import Case
from tests.tiny import environment

__all__ = ["SECONDS", "Outcome", "by_script", "faults", "files", "in_child", "in_folder", "in_process"]

SECONDS = 20.0  # of the processor that a case may take
WAIT = 100.0  # seconds that a case may take on a busy machine, where one that hangs takes no processor
GROWTH = 1 << 30  # bytes
_STDERR = os.dup(2)  # where a process that hangs says so
PROGRESS = re.compile(
    r"(left out: |warning: |[^:]+: done$|[a-z ]+: \d+ of \d+|\d+ recordings(; this will take.*)?$|[\d.]+ minutes, |"
    r"not compared: |no plot: |not measured: |\d+ [a-z]+ left out|"
    r".*: (results\.json, results\.md|compare\.md, compare\.json.*)$)"
)


class _TooSlow(BaseException):
    """Raised by the alarm."""


@dataclass
class Outcome:
    """What a run left: exit code, text, seconds and bytes of memory it took, and the traceback where it had one."""

    code: int | None
    out: str
    err: str
    seconds: float
    grown: int = 0
    error: str = ""
    left: tuple[str, ...] = ()


@contextmanager
def in_folder(world: Path) -> Iterator[Path]:
    """A new current folder with a link to each of the sound inputs."""
    before = Path.cwd()
    with TemporaryDirectory(prefix="fuzz-") as name:
        for path in world.iterdir():
            Path(name, path.name).symlink_to(path)
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def in_process(arguments: list[str]) -> Outcome:
    """Calls ``main`` here, with the streams it writes to caught at their descriptors."""
    error, code = "", 0
    peak, begun = _peak(reset=True), time.monotonic()
    with TemporaryFile() as out, TemporaryFile() as err:
        try:
            with _caught(out, err), warnings.catch_warnings(), _as_started(arguments), _limited():
                main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except _TooSlow:
            error = f"took {time.monotonic() - begun:.0f} s\n{traceback.format_exc()}"
        except BaseException:  # noqa: BLE001 - that there is none is what is tested
            error = traceback.format_exc()
        return Outcome(code, _text(out), _text(err), time.monotonic() - begun, _peak() - peak, error)


def in_child(arguments: list[str]) -> Outcome:
    """Calls ``main`` in a child of this process, which may take no more memory than the limit."""
    with TemporaryFile() as out, TemporaryFile() as err:
        begun = time.monotonic()
        child = os.fork()
        if not child:
            code = 70
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (size + 2 * GROWTH, resource.RLIM_INFINITY))
                resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + SECONDS), resource.RLIM_INFINITY))
                sys.stdout, sys.stderr = (open(stream, "w", encoding="utf-8", closefd=False) for stream in (1, 2))  # noqa: SIM115
                with _as_started(arguments):
                    main()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        error = ""
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() - begun > WAIT:
                os.kill(child, signal.SIGKILL)
                error = f"took longer than {WAIT:g} seconds"
                ended = os.waitpid(child, 0)
                break
            time.sleep(0.005)
        said = _text(err)
        error = error or (said if "Traceback" in said else "")
        return Outcome(os.waitstatus_to_exitcode(ended[1]), _text(out), said, time.monotonic() - begun, 0, error)


def by_script(arguments: list[str]) -> Outcome:
    """Starts the console script, which may take no more memory than any other."""
    script = shutil.which("protophone", path=Path(sys.executable).parent)
    command = [script] if script else [sys.executable, "-c", "from protophone.cli import main; main()"]
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [*command, *arguments], capture_output=True, timeout=3 * WAIT, check=False, env=environment()
        )
    except subprocess.TimeoutExpired as late:
        return Outcome(None, "", str(late.stderr), 3 * WAIT, 0, "did not end")
    out, err = (stream.decode("utf-8", "backslashreplace") for stream in (done.stdout, done.stderr))
    return Outcome(done.returncode, out, err, time.monotonic() - begun, 0, err if "Traceback" in err else "")


def faults(case: Case, arguments: list[str], found: Outcome, before: set[str]) -> list[str]:
    """Everything that was wrong with a run of ``case``; ``before`` are the files that its folder held."""
    if found.error:
        return [found.error]
    wrong = []
    lines = [line for line in found.err.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("protophone: ")]
    if found.code not in {0, 1, 2}:
        wrong.append(f"exit code {found.code}")
    if found.code == 0 and case.refused:
        wrong.append("accepted")
    if found.code == 1:
        if len(told) != 1:
            wrong.append(f"{len(told)} lines say why: {lines}")
        elif not any(token in told[0] for token in case.tokens):
            wrong.append(f"names none of {case.tokens}: {told[0]}")
    if found.code != 2 and (noise := [line for line in lines if line not in told and not PROGRESS.match(line)]):
        wrong.append(f"noise: {noise[:5]}")
    if "Traceback" in found.err + found.out:
        wrong.append(found.err + found.out)
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", found.err + found.out):
        wrong.append(f"control characters on the terminal: {found.err + found.out!r}"[:500])
    if found.grown > GROWTH:
        wrong.append(f"took {found.grown / 2**30:.1f} GB")
    now = files()
    left = [name for name in now - before if "/." in f"/{name}" and "writing-" in name]
    if found.code and (new := now - before):
        left += [name for name in new if name in arguments and not name.endswith("/")]
    if left:
        wrong.append(f"left half-written: {left}")
    if Path("executed").exists():
        wrong.append("a pickle was run")
    return wrong


def files() -> set[str]:
    """Every file below the current folder, links not followed."""
    return {os.path.normpath(f"{folder}/{name}") for folder, _, names in os.walk(".") for name in names}


@contextmanager
def _caught(out: IO[bytes], err: IO[bytes]) -> Iterator[None]:
    """Standard output and error, what C libraries write to them too, into files."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2), sys.stdout, sys.stderr
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.stdout, sys.stderr = (open(stream, "w", encoding="utf-8", closefd=False) for stream in (1, 2))  # noqa: SIM115
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        os.close(kept[0])
        os.close(kept[1])
        sys.stdout, sys.stderr = kept[2:]


@contextmanager
def _limited() -> Iterator[None]:
    """Raises after the time that a case may take; ends the process, with a traceback, where nothing can be raised."""
    begun, used = time.monotonic(), time.process_time()

    def look(*_: object) -> None:
        if time.monotonic() - begun > WAIT or time.process_time() - used > SECONDS:
            raise _TooSlow

    before = signal.signal(signal.SIGALRM, look)
    faulthandler.dump_traceback_later(3 * WAIT, exit=True, file=_STDERR)
    signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _as_started(arguments: list[str]) -> Iterator[None]:
    """Arguments, warnings and signals as a process has them that was just started."""
    kept = sys.argv, sys.excepthook, sys.unraisablehook, signal.getsignal(signal.SIGTERM)
    sys.argv = ["protophone", *arguments]
    sys.unraisablehook = sys.__unraisablehook__
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    warnings.showwarning = _show
    try:
        yield
    finally:
        sys.argv, sys.excepthook, sys.unraisablehook = kept[:3]
        signal.signal(signal.SIGTERM, kept[3])


def _show(message, category, filename, lineno, file=None, line=None) -> None:
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "backslashreplace")


def _peak(*, reset: bool = False) -> int:
    """The most memory this process has held, in bytes; since the last reset, where the system can."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
