"""The commands of evaluation end to end: figures on standard output, faults in one line, exit codes."""

import json
import shutil
import sys
from typing import get_args, get_type_hints

import numpy as np
import pytest

from protophone.cli.evaluate import options, outcomes
from protophone.cli.evaluate.units import Distance as Choices
from protophone.evaluate.discrimination import evaluate_abx
from protophone.evaluate.figure import Over
from protophone.evaluate.representation import representation
from protophone.evaluate.results import read_results
from protophone.formats import Tier, write_classes, write_textgrid
from protophone.formats.submission import Kind
from protophone.metrics.abx.distances import Distance
from protophone.metrics.abx.slices import Fault
from tests.calls import one_line
from tests.evaluate.judges import use_fakes
from tests.evaluate.made import codes_of, speech, write_ctm, write_features, write_items, write_sounds, write_units

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Features, units, items and an alignment of made-up speech."""
    folder = tmp_path_factory.mktemp("evaluated")
    features, rows, phones = speech(files=8)
    write_features(folder / "features", features)
    write_items(folder / "all.item", rows)
    write_units(folder / "units", codes_of(phones))
    write_ctm(folder / "phones.ctm", phones)
    return folder


def abx(made, *options, source="features", speaker="within"):
    return "evaluate", "abx", made / source, "--items", made / "all.item", "--speaker", speaker, *options


def test_abx_prints_its_error_as_a_fraction(call, made, tmp_path):
    code, out, lines = call(*abx(made, "--json", "--out", tmp_path / "abx"))
    assert code == 0
    printed = json.loads(out)
    _, scores = evaluate_abx(representation(made / "features"), made / "all.item", speaker="within")
    assert next(iter(printed)) == "error"
    assert printed["error"] == scores.error
    assert printed["interval"] == list(scores.interval)
    assert lines == [f"{tmp_path / 'abx'}: results.json, results.md"]
    kept = json.loads((tmp_path / "abx" / "results.json").read_text())
    assert kept["figures"][0]["value"] == scores.error
    assert kept["settings"]["missing"] == "error"
    assert (tmp_path / "abx" / "cells.tsv").is_file()
    code, out, _ = call(*abx(made))
    assert code == 0
    assert f"{100 * scores.error:.2f} %" in out
    assert "8 recordings" in out


def test_abx_of_every_source_there_is(call, made, tiny_bundle, tiny_corpus, tmp_path):
    np.savez(tmp_path / "all.npz", **{path.stem: np.load(path) for path in (made / "features").glob("*.npy")})
    errors = [json.loads(call(*abx(made, "--json"), *more)[1])["error"] for more in ((), ("--frame-rate", "100"))]
    archive = ("evaluate", "abx", tmp_path / "all.npz", "--items", made / "all.item", "--speaker", "within")
    errors.append(json.loads(call(*archive, "--frame-rate", "100", "--json")[1])["error"])
    assert len(set(errors)) == 1
    one_line(call(*archive), "all.npz: nothing says its frame rate; give --frame-rate")
    assert call(*abx(made, "--distance", "levenshtein", "--json", source="units"))[0] == 0
    rows = [
        (f"{who}/{n}", at / 10, at / 10 + 0.1, "pt"[(at + n) % 2], "x", "y", who)
        for who in ("ana", "bo")
        for n in range(3)
        for at in range(12)
    ]
    items = write_items(tmp_path / "tiny.item", rows)
    encoder = ("evaluate", "abx", tiny_bundle, "--items", items, "--speaker", "across", "--json")
    code, out, _ = call(*encoder, "--recordings", tiny_corpus / "manifest.jsonl")
    assert code == 0
    printed = json.loads(out)
    assert set(printed["hashes"]) == {"source", "items", "recordings"}
    assert 0 <= printed["error"] <= 1
    one_line(call(*encoder), "say which recordings it shall encode")
    one_line(call(*encoder, "--split", "dev"), "--split dev: of which recordings?")


def features_with(made, folder, name, frames):
    shutil.copytree(made / "features", folder)
    np.save(folder / f"{name}.npy", frames)
    return folder


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (np.ones(60, np.float32), "r1: features float32 of shape (60,)"),
        (np.full((60, 4), np.nan, np.float32), "r1: features that are not finite"),
        (np.ones((20, 4), np.float32), "r1: an item at 0.2 to 0.25 s needs 25 frames where there are 20"),
        (np.ones((60, 5), np.float32), "r1: 5 dimensions where other files have 4"),
        (np.array([["a"]]), "r1.npy: "),
    ],
    ids=["one axis", "NaN", "short", "dimensions", "text"],
)
def test_features_that_cannot_be_scored_are_one_line(call, made, tmp_path, frames, said):
    source = features_with(made, tmp_path / "features", "r1", frames)
    command = ("evaluate", "abx", source, "--items", made / "all.item", "--speaker", "within", "--out", tmp_path / "o")
    one_line(call(*command), said)
    assert not (tmp_path / "o").exists()


def test_items_that_cannot_be_scored_are_one_line_or_counted(call, made, tmp_path):
    text = (made / "all.item").read_text()
    (tmp_path / "gone.item").write_text(text + "gone 0 0.1 p x y s0\n")
    gone = ("evaluate", "abx", made / "features", "--items", tmp_path / "gone.item", "--speaker", "within")
    one_line(call(*gone), "1 items are of 1 recordings that are not there, the first gone", "--missing skip")
    code, _, lines = call(*gone, "--missing", "skip")
    assert code == 0
    assert lines == ["left out: 1 items: their recordings are not there"]
    only = [row for row in text.splitlines() if row.endswith("s0")]
    (tmp_path / "alone.item").write_text("\n".join(only) + "\n")
    alone = ("evaluate", "abx", made / "features", "--items", tmp_path / "alone.item", "--speaker", "across")
    one_line(call(*alone), "all items are of one speaker (s0)")
    (tmp_path / "empty.item").write_text("\n".join(only[:2]).replace(" t ", " p ").replace(" k ", " p ") + "\n")
    empty = ("evaluate", "abx", made / "features", "--items", tmp_path / "empty.item", "--speaker", "within")
    one_line(call(*empty), "no ABX cell can be made from 2 items")


def test_wrong_calls_exit_with_2(call, made):
    for wrong in (
        ("evaluate", "abx", made / "features", "--items", made / "all.item"),
        abx(made, speaker="between"),
        abx(made, "--distance", "cosine"),
        ("evaluate", "bitrate"),
        ("evaluate", "units", made / "units", "--purity"),
        ("evaluate", "all", made),
        ("evaluate", "resynthesis", made),
    ):
        assert call(*wrong)[0] == 2, wrong


def test_bitrate_and_units_print_tables_and_json(call, made, tmp_path):
    code, out, _ = call("evaluate", "bitrate", made / "units", "--files", made / "units", "--json")
    assert code == 1  # one file a recording, or one file alone
    code, out, _ = call("evaluate", "bitrate", made / "units", "--files", made / "units" / "units.jsonl", "--json")
    names = [figure["name"] for figure in json.loads(out)["figures"]]
    assert code == 0
    assert len(names) == len(set(names)) == 6
    assert "bit rate" not in names
    code, out, lines = call(
        "evaluate", "units", made / "units", "--alignment", made / "phones.ctm", "--out", tmp_path / "out"
    )
    assert code == 0
    assert "PNMI" in out
    assert (tmp_path / "out" / "units_phones.png").is_file()
    assert read_results(tmp_path / "out")["PNMI"].count == 8
    assert any(line.startswith("not measured: speaker leakage") for line in lines)
    mixed = (made / "units" / "units.jsonl").read_text().splitlines()
    (tmp_path / "mixed.jsonl").write_text("\n".join([*mixed[:2], mixed[2].replace('"hop": 160', '"hop": 161')]) + "\n")
    one_line(call("evaluate", "bitrate", tmp_path / "mixed.jsonl"), "mixed frame rates: 100 Hz (r1), 99.3789 Hz (r2)")
    one_line(call("evaluate", "units", made / "none"), "none: not there")
    write_textgrid(tmp_path / "r0.TextGrid", [Tier(name, [(0.0, 0.3, "a"), (0.3, 0.6, "b")]) for name in "xy"], 0.6)
    grid = ("evaluate", "units", made / "units", "--alignment", tmp_path / "r0.TextGrid")
    one_line(call(*grid), "r0.TextGrid: which tier holds the phones? name one with --tier; its tiers are: x (2")
    code, out, lines = call(*grid, "--tier", "y")
    assert (code, "PNMI" in out) == (0, True)


def test_terms_print_the_challenge_s_scores(call, made, tmp_path):
    write_classes(tmp_path / "a.class", {"1": [("r0", 0, 0.2), ("r1", 0, 0.2)], "2": [("r2", 0.1, 0.3)]})
    code, out, lines = call("evaluate", "terms", tmp_path / "a.class", "--alignment", made / "phones.ctm", "--json")
    assert code == 0
    assert {"NED", "coverage"} <= {figure["name"] for figure in json.loads(out)["figures"]}
    assert any("words are not aligned" in line for line in lines)
    one_line(call("evaluate", "terms", made / "all.item", "--alignment", made / "phones.ctm"), "all.item:1: ")


@pytest.fixture
def sounds(tmp_path):
    manifest = write_sounds(tmp_path / "in", files=4)
    shutil.copytree(tmp_path / "in", tmp_path / "out")
    return manifest, tmp_path / "out"


def test_resynthesis_measures_what_is_asked_for(call, sounds, monkeypatch, tmp_path):
    use_fakes(monkeypatch)
    command = ("evaluate", "resynthesis", *sounds, "--asr", "any", "--f0", "--quality", "--tracker", "protophone")
    code, out, _ = call(*command, "--speaker", "--embedder", "zeros", "--json", "--out", tmp_path / "r")
    assert code == 0
    figures = {figure["name"]: figure for figure in json.loads(out)["figures"]}
    assert figures["WER"]["value"] == figures["WER, untouched"]["value"]
    assert figures["WER / untouched"]["value"] == 1
    assert figures["F0 frame error (FFE)"]["value"] == 0
    assert figures["speaker similarity to the original"]["value"] == pytest.approx(1)
    assert figures["mel-cepstral distortion"]["value"] == 0
    assert (tmp_path / "r" / "work" / "transcripts.jsonl").is_file()
    assert read_results(tmp_path / "r").settings["tracker"] == "protophone"


def test_missing_sounds_are_one_line_or_counted(call, sounds, monkeypatch):
    use_fakes(monkeypatch)
    (sounds[1] / "r2.wav").unlink()
    command = ("evaluate", "resynthesis", *sounds, "--quality")
    one_line(call(*command), "no sound of 1 of 4 recordings, the first r2", "--missing skip")
    code, _, lines = call(*command, "--missing", "skip")
    assert code == 0
    assert any(line.startswith("left out: 1 recordings: no sound of them") for line in lines)
    one_line(call("evaluate", "resynthesis", *sounds), "nothing to measure; give --asr MODEL, --f0")
    for option, value, measure in (
        ("--language", "en", "--asr"),
        ("--tracker", "protophone", "--f0"),
        ("--voice", "ana", "--speaker"),
        ("--one-person", "ana,bo", "--speaker"),
    ):
        one_line(call(*command, option, value), f"{option}: for {measure}, which is not asked for")
    one_line(
        call(*command, "--missing", "skip", "--over", "speakers"), "2 speakers: an interval over speakers needs 20"
    )


EXTRAS = {
    "praat": (("--f0", "--tracker", "praat"), ("parselmouth",)),
    "mos": (("--quality",), ("speechmos", "pystoi", "speechmos.dnsmos")),
    "asr": (("--asr", "base"), ("faster_whisper", "ctranslate2")),
    "pocketsphinx": (("--asr", "pocketsphinx"), ("pocketsphinx",)),
    "speaker": (("--speaker", "--embedder", "microsoft/x-vector"), ("transformers",)),
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_missing_extra_is_one_line_saying_what_to_install(call, sounds, monkeypatch, extra):
    options, modules = EXTRAS[extra]
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    one_line(call("evaluate", "resynthesis", *sounds, *options), f"pip install 'protophone[{extra}]'")


def test_missing_weights_are_one_line_saying_what_to_install(call, sounds, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    one_line(call("evaluate", "resynthesis", *sounds, "--speaker"), "pip install --no-deps resemblyzer")


def test_all_and_compare(call, tiny_bundle, tiny_corpus, monkeypatch, tmp_path):
    use_fakes(monkeypatch)
    command = ("evaluate", "all", tiny_bundle, tiny_corpus / "manifest.jsonl", "--embedder", "zeros")
    for name in ("one", "two"):
        code, out, lines = call(*command, "--out", tmp_path / "results" / name)
        assert code == 0
        assert "bit rate, ZeroSpeech 2019" in out
        assert "not measured: ABX: no items were given (--items)" in lines
        assert "encoding: done" in lines
    for paths in (sorted((tmp_path / "results").iterdir()), [tmp_path / "results" / "one" / "results.json"]):
        code, out, lines = call("compare", *paths, "--out", tmp_path / "compared")
        assert code == 0
        assert "F0 frame error (FFE)" in out
        assert lines[-1] == f"{tmp_path / 'compared'}: compare.md, compare.json"
    assert call("compare", *(tmp_path / "results" / "one").iterdir(), "--out", tmp_path / "c")[0] == 0
    one_line(call(*command, "--out", tmp_path), "exists already and is not empty")


def test_a_submission_is_written_and_checked(call, tmp_path):
    pytest.importorskip("yaml", reason="PyYAML (protophone[submission]) is not installed")
    features, rest, out = (tmp_path / name for name in ("features", "rest", "out"))
    for part in ("dev-clean", "dev-other", "test-clean", "test-other"):
        (features / part).mkdir(parents=True)
        np.save(features / part / "a.npy", np.ones((3, 2), np.float32))
    rest.mkdir()
    (rest / "params.yaml").write_text("feature_size: 0.01\n")
    (rest / "meta.yaml").write_text(
        "benchmark_name: abxLS\nopen_source: true\nmodel_info: {system_description: x, train_set: y}\n"
        "publication: {authors: a, institution: b, publication_year: 2026}\n"
    )
    write = ("evaluate", "submission", out, "--as", "abxLS")
    for some in (("--features", features), ("--rest", rest)):
        one_line(call(*write, *some), "made of --features and --rest, its .yaml files and others; give both")
    one_line(call(*write, "--features", features, "--rest", tmp_path / "none"), "none: no such folder")
    assert not out.exists()
    code, printed, _ = call(*write, "--features", features, "--rest", rest)
    assert code == 0
    assert "no fault found" in printed
    assert "not checked: whether every recording" in printed
    (out / "params.yaml").unlink()
    code, printed, lines = call(*write)
    assert code == 1
    assert "params.yaml: not there" in printed
    assert lines == [
        f"protophone: {out}: {len(printed.splitlines())} faults, listed above; mend them before submitting"
    ]


def test_compare_of_what_is_no_results_is_one_line(call, made, tmp_path):
    one_line(call("compare"), "no results to compare")
    one_line(call("compare", made / "units"), "no results.json in it")
    one_line(call("compare", made / "none"), "none: not there")
    assert call(*abx(made, "--out", tmp_path / "a"))[0] == 0
    kept = tmp_path / "a" / "results.json"
    draws = tmp_path / "a" / "draws.safetensors"
    draws.write_bytes(draws.read_bytes()[:-9])
    one_line(call("compare", kept), "draws.safetensors is", "evaluate again")
    kept.write_text(kept.read_text().replace('"format": 1', '"format": 7'))
    one_line(call("compare", kept), "of format 7, newer than this protophone's 1; update it")
    one_line(call(*abx(made, "--out", tmp_path / "a")), "of format 7")
    kept.write_text("{}")
    one_line(call("compare", kept), "not results of protophone evaluate")


def test_a_folder_of_other_results_is_told_before_anything_is_written(call, made, tmp_path):
    assert call(*abx(made, "--out", tmp_path))[0] == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    one_line(call(*abx(made, "--out", tmp_path, speaker="across")), "holds results of another evaluation")
    code, _, lines = call("evaluate", "units", made / "units", "--alignment", made / "phones.ctm", "--out", tmp_path)
    assert code == 1
    assert "holds results of another evaluation" in lines[-1]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_choices_are_those_of_the_library():
    """The command line writes them again, for their modules take long to import."""
    for here, there in ((Choices, Distance), (options.Over, Over), (options.Missing, Fault)):
        assert get_args(here) == get_args(there)
    form = get_type_hints(outcomes.submission)["form"]
    assert get_args(form) == get_args(Kind)
