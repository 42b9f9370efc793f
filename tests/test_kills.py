"""kill -9 at random moments: the same command, given again until it ends, leaves the bytes of an unbroken run."""

from pathlib import Path

import pytest

from protophone.bundle import Bundle, write_bundle
from tests.tiny import ENCODER, VOICE, contents, run_jobs

KINDS = ("encoder", "voice", "shards", "npy")
DISCOVER = ["discover", "corpus", "--out", "out", "--speaker-from", "parent", "--units", "8", "--steps", "4,3,3"]


def job(kind: str, cwd: Path, corpus: Path, bundle: Path) -> dict:
    """A folder in which ``kind`` has everything it reads, and what it is to do there."""
    cwd.mkdir(parents=True)
    (cwd / "corpus").symlink_to(corpus)
    if kind in {"shards", "npy"}:
        return {"do": "encode", "cwd": str(cwd), "bundle": str(bundle), "form": kind}
    if kind == "discover":
        return {"do": "command", "cwd": str(cwd), "command": DISCOVER}
    if kind == "voice":
        write_bundle(cwd / "bundle", Bundle(bundle).encoder(), {}, "")
    text = {"encoder": ENCODER, "voice": VOICE}[kind]
    (cwd / "r.toml").write_text(text.format(recordings="corpus/manifest.jsonl", bundle="bundle"))
    return {"do": kind, "cwd": str(cwd), "recipe": "r.toml"}


def try_kills(place: Path, kinds: tuple[str, ...], moments: int, corpus: Path, bundle: Path) -> None:
    jobs = []
    for kind in kinds:
        for number in range(moments + 1):
            what = job(kind, place / kind / str(number), corpus, bundle) | {"totals": f"{place / kind}/0/totals.json"}
            jobs += [what | {"die": ["random", 100 * len(kind) + number]}] * bool(number) + [what | {"die": None}]
    run_jobs(place, jobs)
    for kind in kinds:
        unbroken = left(place / kind / "0")
        for number in range(1, moments + 1):
            again = left(place / kind / str(number))
            assert sorted(again) == sorted(unbroken), (kind, number)
            assert [name for name in again if again[name] != unbroken[name]] == [], (kind, number)


def left(cwd: Path) -> dict[str, bytes]:
    """Everything that a job wrote."""
    outputs = [cwd / name for name in ("out", "run", "bundle") if (cwd / name).exists()]
    return {f"{output.name}/{name}": data for output in outputs for name, data in contents(output).items()}


def test_two_random_kills_of_each_command_change_no_byte(tmp_path, tiny_corpus, tiny_bundle):
    try_kills(tmp_path, KINDS, 2, tiny_corpus, tiny_bundle)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_twenty_random_kills_change_no_byte(kind, tmp_path, tiny_corpus, tiny_bundle):
    try_kills(tmp_path, (kind,), 20, tiny_corpus, tiny_bundle)
