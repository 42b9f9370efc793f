"""kill -9 at random moments: the same command, given again until it ends, leaves the bytes of an unbroken run."""

import shutil
from pathlib import Path

import pytest

from protophone.bundle import Bundle, write_bundle
from tests.tiny import ENCODER, VOICE, contents, run_jobs

TWICE = [("step", 11), ("step", 13)]
# Moments that are tried in every run, beside random ones; a list each, for some runs are killed again and again.
MOMENTS = {
    "encoder": [[("replace", 1)], [("replaced", 2)], [("replaced", 8)], TWICE],
    "voice": [[("replaced", 3)], [("replace", 11)], TWICE],
    "units": [[("append", 2)], [("replaced", 2)], [("append", 2), ("append", 1)]],
    "shards": [[("replace", 1)], [("append", 5)], [("append", 2), ("append", 1)]],
    "npy": [[("append", 5)], [("replaced", 2)]],
    "discover": [],
}
DISCOVER = ["discover", "corpus", "--out", "out", "--speaker-from", "parent", "--units", "8", "--steps", "4,3,3"]
DISCOVER += ["--max-bad", "0.5"]


def job(kind: str, cwd: Path, corpus: Path, bundle: Path) -> dict:
    """A folder in which ``kind`` has everything it reads, and what it is to do there."""
    cwd.mkdir(parents=True)
    (cwd / "corpus").symlink_to(corpus)
    if kind in {"units", "shards", "npy"}:
        return {"do": "encode", "cwd": str(cwd), "bundle": str(bundle), "form": kind}
    if kind == "discover":
        return {"do": "command", "cwd": str(cwd), "command": DISCOVER}
    if kind == "voice":
        write_bundle(cwd / "bundle", Bundle(bundle).encoder(), {}, "")
    text = {"encoder": ENCODER, "voice": VOICE}[kind]
    (cwd / "r.toml").write_text(text.format(recordings="corpus/manifest.jsonl", bundle="bundle"))
    return {"do": kind, "cwd": str(cwd), "recipe": "r.toml"}


def try_kills(place: Path, kinds: dict[str, list], tiny_corpus: Path, bundle: Path) -> None:
    corpus = shutil.copytree(tiny_corpus, place / "corpus")
    (corpus / "bo" / "3.wav").write_text("no sound")
    jobs = []
    for kind, moments in kinds.items():
        for number, deaths in enumerate([[], *moments]):
            what = job(kind, place / kind / str(number), corpus, bundle) | {"totals": f"{place / kind}/0/totals.json"}
            jobs += [what | {"die": die} for die in [*deaths, None]]
    run_jobs(place, jobs)
    for kind, moments in kinds.items():
        unbroken = left(place / kind / "0")
        assert {"encoder": "run/bundle/bundle.json", "voice": "bundle/bundle.json", "discover": "out/report.html"}.get(
            kind, "out/index.json"
        ) in unbroken
        for number, deaths in enumerate(moments, start=1):
            again = left(place / kind / str(number))
            assert sorted(again) == sorted(unbroken), (kind, deaths)
            assert [name for name in again if again[name] != unbroken[name]] == [], (kind, deaths)


def drawn(kind: str, count: int) -> list[list[tuple[str, int]]]:
    """Random moments; the seconds that some are counted in differ from run to run anyway."""
    return [[("random", 100 * list(MOMENTS).index(kind) + number)] for number in range(count)]


def left(cwd: Path) -> dict[str, bytes]:
    """Everything that a job wrote."""
    outputs = [cwd / name for name in ("out", "run", "bundle") if (cwd / name).exists()]
    return {f"{output.name}/{name}": data for output in outputs for name, data in contents(output).items()}


@pytest.mark.parametrize("kinds", [("encoder", "voice"), ("units", "shards", "npy"), ("discover",)], ids="-".join)
def test_killed_and_run_again_the_bytes_are_those_of_an_unbroken_run(kinds, tmp_path, tiny_corpus, tiny_bundle):
    try_kills(tmp_path, {kind: MOMENTS[kind] + drawn(kind, 2) for kind in kinds}, tiny_corpus, tiny_bundle)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MOMENTS)
def test_twenty_random_kills_change_no_byte(kind, tmp_path, tiny_corpus, tiny_bundle):
    try_kills(tmp_path, {kind: drawn(kind, 20)}, tiny_corpus, tiny_bundle)
