"""The command line called in this process, and the one line a fault is told in."""

import sys

from protophone.cli import main


def called(arguments, monkeypatch, capsys):
    """Exit code, standard output and lines of standard error."""
    monkeypatch.setattr(sys, "argv", ["protophone", *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


def one_line(result, *parts):
    """The one line a fault is told in."""
    code, out, lines = result
    assert code == 1, (out, lines)
    assert out == ""
    assert len(lines) == 1, lines
    assert lines[0].startswith("protophone: ")
    for part in parts:
        assert part in lines[0], (part, lines[0])
    return lines[0]


def fault_only(result, *parts):
    """The line a fault is told in, below what was said on the way."""
    code, _, lines = result
    assert code == 1, lines
    assert sum(line.startswith("protophone: ") for line in lines) == 1
    for part in parts:
        assert part in lines[-1], (part, lines[-1])
    assert not any("Traceback" in line for line in lines)
