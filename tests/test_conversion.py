"""How conversions are counted."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from protophone.features.speaker import Ge2e, Resemblyzer

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def conversion(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("conversion")


def test_rates_count_the_nearer_speaker(conversion):
    towards_target = {
        ("untouched", "a:b"): [0] * 9 + [1],
        ("resynthesis", "a:b"): [1],
        ("conversion", "a:b"): [1] * 6,
        ("untouched", "b:a"): [0],
        ("resynthesis", "b:a"): [0],
        ("conversion", "b:a"): [1, 1, 1, 0],
    }
    rates = conversion.rates(
        [
            conversion.Trial(str(i), pair, kind, 0.7 if target else 0.9, 0.8)
            for (kind, pair), heard in towards_target.items()
            for i, target in enumerate(heard)
        ]
    )
    # Wilson's interval of 9 in 10 and of 3 in 4, from its formula with z = 1.95996
    assert rates["untouched"]["a:b"]["interval"] == pytest.approx([0.59585, 0.98212], abs=1e-5)
    assert rates["conversion"]["b:a"]["interval"] == pytest.approx([0.30064, 0.95441], abs=1e-5)
    assert {kind: each["all"]["rate"] for kind, each in rates.items()} == {
        "untouched": 10 / 11,
        "resynthesis": 0.5,
        "conversion": 0.9,
    }


def test_every_recording_is_scored_three_times(conversion, tiny_corpus, tiny_bundle, tmp_path, monkeypatch):
    rows = [json.loads(line) for line in (tiny_corpus / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        row |= {"audio": str(tiny_corpus / row["audio"]), "split": "dev" if row["id"].endswith("2") else "train"}
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(conversion, "load_embedder", lambda _: Resemblyzer(Ge2e(), "untrained"))
    out = tmp_path / "results.json"
    command = ["conversion.py", str(tiny_bundle), "--manifest", str(manifest), "--out", str(out), "--pairs"]
    monkeypatch.setattr(sys, "argv", [*command, "ana:bo", "bo:ana"])
    assert conversion.main() == 0
    results = json.loads(out.read_text())
    assert {kind: rates["all"]["recordings"] for kind, rates in results["rates"].items()} == {
        "untouched": 2,
        "resynthesis": 2,
        "conversion": 2,
    }
    assert [row[:2] for row in results["cosines"]["bo:ana"]] == [["bo/2", kind] for kind in conversion.KINDS]


@pytest.mark.parametrize("pair", ["ana", "ana:ana", "ana:cy", "cy:ana"])
def test_pairs_that_cannot_be_scored_are_refused(
    conversion, tiny_corpus, tiny_bundle, tmp_path, monkeypatch, capsys, pair
):
    command = ["conversion.py", str(tiny_bundle), "--manifest", str(tiny_corpus / "manifest.jsonl")]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path / "out.json"), "--pairs", pair])
    monkeypatch.setattr(conversion, "load_embedder", lambda _: None)
    assert conversion.main() == 1
    assert pair in capsys.readouterr().err
