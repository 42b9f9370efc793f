"""CTM alignments: ``file channel start duration symbol [confidence]`` a line, times in seconds (NIST's format)."""

import math
from pathlib import Path

from protophone.errors import InputError
from protophone.files import read_text

__all__ = ["read_ctm"]


def read_ctm(path: str | Path) -> dict[str, list[tuple[float, float, str]]]:
    """For each file of an alignment its ``(start, duration, symbol)`` in seconds, in the order of the lines.

    ``InputError``, naming the line, for fields that are missing, times that are none, or two channels of one file.
    """
    path = Path(path)
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable alignment ({error}); give a .ctm file") from error
    out: dict[str, list[tuple[float, float, str]]] = {}
    channels: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or line.startswith(";;"):
            continue
        if len(fields) not in {5, 6}:
            raise InputError(
                f"{path}:{number}: {len(fields)} fields where a line has five or six "
                "(file channel start duration symbol [confidence])"
            )
        file, channel, start, duration, symbol = fields[:5]
        try:
            times = float(start), float(duration)
        except ValueError:
            times = math.nan, math.nan
        if not (0 <= times[0] < math.inf and 0 <= times[1] < math.inf):
            raise InputError(f"{path}:{number}: start {start} and duration {duration}; give seconds from 0 on")
        if channels.setdefault(file, channel) != channel:
            raise InputError(
                f"{path}:{number}: channels {channels[file]} and {channel} of {file}; split it, one channel a file"
            )
        out.setdefault(file, []).append((*times, symbol))
    if not out:
        raise InputError(f"{path}: no alignments in it; give a .ctm file")
    return out
