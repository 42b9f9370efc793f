"""What README and docs say can be done: every command and option is there, every example prints what it says."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from protophone.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands():
    """Every ``protophone ...`` in a shell block or in code within a line, with the page it stands on."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"```(?:bash|console)\n(.*?)```", text, re.DOTALL)
        inline = re.findall(r"`(protophone [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        typed = [line for block in blocks for line in _typed(block.replace("\\\n", " ").splitlines())]
        for line in [*typed, *inline]:
            if line.startswith("protophone "):
                yield pytest.param(line, id=f"{page.name}: {line}")


def _typed(lines):
    """What is typed of a block: the lines after a prompt where there is one, else all."""
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return prompted or lines


@pytest.mark.parametrize("line", list(commands()))
def test_commands_are_called_as_they_can_be(line):
    words = shlex.split(line, comments=True)[1:]
    if len(words) == 1:  # only named in passing
        assert words[0] in [*app, "--help", "--version"]
        return
    if len(words) == 2 and words[0] == "evaluate":
        assert words[1] in app["evaluate"]
        return
    app.parse_args(words, exit_on_error=False, print_error=False)


def examples():
    """Blocks of Python with what they are said to print."""
    for page in PAGES:
        for code, printed in re.findall(
            r"```python\n((?:(?!```).)*)```\n\nprints\n\n```\n(.*?)```", page.read_text(), re.DOTALL
        ):
            yield pytest.param(code, printed, id=page.name)


@pytest.mark.parametrize(("code", "printed"), list(examples()))
def test_examples_print_what_the_page_says(code, printed):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "example", "exec"), {})  # noqa: S102 - the page's own code
    assert out.getvalue() == printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).is_file(), target


def test_paths_named_in_the_readme_are_there():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"(?:configs|examples|benchmarks|docs|tests)/[\w/]+\.(?:toml|py|md)", text))
    missing = sorted(name for name in named if not (ROOT / name).is_file())
    assert not missing
