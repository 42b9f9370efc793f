"""Everything of a bundle in one go: what is found, what cannot be, and that a run stopped on the way goes on."""

import json
import shutil
from importlib import import_module

import numpy as np
import pytest
import soundfile

from protophone.errors import InputError, UnitsError
from protophone.evaluate import everything
from protophone.evaluate.everything import evaluate_all
from protophone.evaluate.results import write_results
from protophone.evaluate.units import evaluate_bitrate
from tests.evaluate.judges import use_fakes
from tests.evaluate.made import write_ctm, write_items
from tests.tiny import contents


@pytest.fixture(scope="module")
def corpus(tiny_corpus, tmp_path_factory):
    """The tiny corpus with texts and splits, items of phones a tenth of a second long, and their alignment."""
    folder = shutil.copytree(tiny_corpus, tmp_path_factory.mktemp("all") / "corpus")
    manifest = folder / "manifest.jsonl"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    rng = np.random.default_rng(0)
    items, phones = [], {}
    for line in lines:
        line |= {"text": "one two three", "language": "en", "split": "train" if line["id"][-1] == "2" else "dev"}
        said = rng.integers(0, 2, 14)
        rows = [(round(0.1 * at, 1), 0.1, "pt"[phone]) for at, phone in enumerate(said)]
        phones[line["id"]] = rows
        items += [
            (line["id"], start, round(start + lasting, 1), phone, "x", "y", line["speaker"])
            for start, lasting, phone in rows
        ]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_items(folder / "all.item", items)
    write_ctm(folder / "phones.ctm", phones)
    return folder


@pytest.fixture(scope="module")
def evaluate(corpus, tiny_bundle):
    """Evaluates into a folder and writes the results, as the command does, with judges that are quick."""
    with pytest.MonkeyPatch.context() as patch:
        judge, asked = use_fakes(patch)

        def run(out, *, bundle=tiny_bundle, manifest=corpus / "manifest.jsonl", **options):
            results = evaluate_all(bundle, manifest, out, **{"split": "dev", "embedder": "zeros"} | options)
            write_results(out, results)
            return results

        run.judge, run.asked = judge, asked
        run.references = {"items": corpus / "all.item", "alignment": corpus / "phones.ctm", "asr": ("any",)}
        yield run


@pytest.fixture(scope="module")
def whole(evaluate, tmp_path_factory):
    """An unbroken run: its folder, its results, and how often its judges were asked."""
    out = tmp_path_factory.mktemp("whole") / "out"
    results = evaluate(out, **evaluate.references)
    return out, results, evaluate.judge.heard, len(evaluate.asked)


EXPECTED = [
    "bit rate, ZeroSpeech 2019",
    "perplexity",
    "PNMI",
    "boundary R-value",
    "ABX, within speaker",
    "ABX, across speakers",
    "WER",
    "WER, untouched",
    "F0 frame error (FFE)",
    "speaker similarity to the original",
    "own speaker nearer than any other",
    "DNSMOS overall",
    "DNSMOS overall, untouched",
    "mel-cepstral distortion",
]


def test_all_is_found_and_what_cannot_be_is_told(whole):
    out, results, *_ = whole
    for name in EXPECTED:
        assert np.isfinite(results[name].value), name
    assert results["WER"].count == 4
    told = [each.line() for each in results.left_out]
    assert any("speaker leakage" in line for line in told)  # two recordings of each speaker
    assert any("speaker EER" in line for line in told)
    # items of recordings of the other split are left out, and counted
    assert "left out: 28 items: ABX, within: their recordings are not there" in told
    for file in ("units/units.jsonl", "sounds/ana/0.wav", "units_phones.png", "abx_within/cells.tsv", "results.json"):
        assert (out / file).is_file(), file
    rate = evaluate_bitrate(out / "units")["bit rate, ZeroSpeech 2019"]
    assert results["bit rate, ZeroSpeech 2019"].value == rate.value
    content = json.loads((out / "results.json").read_text())
    assert (content["settings"]["asr"], content["settings"]["split"]) == (["any"], "dev")
    assert {"bundle", "recordings", "items", "alignment", "units", "sounds"} <= set(content["hashes"])


STOPS = (
    ("protophone.corpus.UnitsWriter.append", 3),
    ("protophone.corpus.audio.write", 2),
    ("tests.evaluate.judges.Loudness.transcribe", 5),
    ("protophone.evaluate.quality.pair_scores", 3),
    ("protophone.evaluate.results.write_json", 1),
)


def test_a_run_stopped_again_and_again_ends_as_an_unbroken_one(evaluate, whole, tmp_path, monkeypatch):
    folder, _, heard, scored = whole
    out = tmp_path / "out"
    for place, call in STOPS:
        with monkeypatch.context() as patch:
            module, owner, name = place.rsplit(".", 2)
            real = getattr(getattr(import_module(module), owner, None) or import_module(f"{module}.{owner}"), name)
            calls = [0]

            def stopping(*arguments, real=real, calls=calls, last=call, **options):
                calls[0] += 1
                if calls[0] == last:
                    raise KeyboardInterrupt
                return real(*arguments, **options)

            patch.setattr(place, stopping)
            with pytest.raises(KeyboardInterrupt):
                evaluate(out, **evaluate.references)
        assert not (out / "results.json").exists()
    evaluate(out, **evaluate.references)
    assert evaluate.judge.heard == 2 * heard  # nothing that was kept is asked again
    assert len(evaluate.asked) == 2 * scored
    texts = [(path / "results.json").read_text() for path in (folder, out)]
    assert texts[0].replace(str(folder), "") == texts[1].replace(str(out), "")
    one, other = contents(folder), contents(out)
    for name in ("work/transcripts.jsonl", "work/quality.jsonl"):
        assert sorted(one.pop(name).splitlines()) == sorted(other.pop(name).splitlines())
    one.pop("results.json")
    other.pop("results.json")
    assert one == other


def test_evaluations_that_share_a_folder_ask_their_judges_once(evaluate, whole, tmp_path):
    before = evaluate.judge.heard, len(evaluate.asked)
    evaluate(tmp_path / "out", asr=("any",), work=whole[0])
    assert (evaluate.judge.heard, len(evaluate.asked)) == before
    assert not (tmp_path / "out" / "work").exists()


def test_without_references_and_extras_the_rest_is_measured(evaluate, tmp_path, monkeypatch):
    def absent(measure):
        raise InputError("pystoi cannot be used; pip install 'protophone[mos]'")

    monkeypatch.setattr("protophone.evaluate.quality.protocol", absent)
    results = evaluate(tmp_path / "out", embedder=None)
    told = {each.examples: each.reason for each in results.left_out if each.what == "measures"}
    assert told["ABX",] == "no items were given (--items)"
    assert told["phones", "boundaries"] == "no alignment of phones was given (--alignment)"
    assert told["intelligibility",] == "no recogniser was given (--asr)"
    assert told["quality",] == "pystoi cannot be used; pip install 'protophone[mos]'"
    assert "no speaker embedder of this name" in told["speaker",]
    assert results["F0 frame error (FFE)"].count == 4
    with pytest.raises(UnitsError, match="begun with other"):
        evaluate(tmp_path / "out", split="train")


def without_voices(bundle, folder):
    shutil.copytree(bundle, folder)
    shutil.rmtree(folder / "voices")
    facts = json.loads((folder / "bundle.json").read_text())
    facts["files"] = {name: digest for name, digest in facts["files"].items() if not name.startswith("voices/")}
    (folder / "bundle.json").write_text(json.dumps(facts))
    return folder


def test_a_bundle_without_a_voice_has_units_alone(evaluate, corpus, tiny_bundle, tmp_path):
    lines = (corpus / "manifest.jsonl").read_text().splitlines()
    alone = corpus / "alone.jsonl"
    alone.write_text("".join(line + "\n" for line in lines if '"ana"' in line))
    silent = without_voices(tiny_bundle, tmp_path / "silent")
    results = evaluate(
        tmp_path / "out", bundle=silent, manifest=alone, split=None, items=corpus / "all.item", asr=("none at all",)
    )
    told = {each.examples: each.reason for each in results.left_out}
    assert told["resynthesis",] == "the bundle has no voice"
    assert not (tmp_path / "out" / "sounds").exists()
    assert "all items are of one speaker (ana)" in told["ABX, across",]
    assert results["ABX, within speaker"].count == 3


def test_where_no_recording_can_be_used_the_first_fault_is_told(evaluate, corpus, tmp_path):
    alone = corpus / "silent.jsonl"
    soundfile.write(corpus / "silent.wav", np.zeros(16000), 16000)
    alone.write_text('{"id": "quiet", "audio": "silent.wav"}\n')
    for _ in range(2):  # of a run that goes on, too
        with pytest.raises(InputError, match=r"none of 1 recordings .*silent\.wav: digital silence"):
            evaluate(tmp_path / "out", manifest=alone, split=None)


def test_whoever_has_no_voice_is_not_held_against_his_own(evaluate, corpus, tmp_path):
    """They speak in another's voice, which is a conversion, not a resynthesis."""
    text = (corpus / "manifest.jsonl").read_text()
    other = corpus / "other.jsonl"
    other.write_text(text.replace('"speaker": "bo"', '"speaker": "cy"'))
    results = evaluate(tmp_path / "out", manifest=other)
    assert results["speaker similarity to the original"].count == 2
    reasons = {each.count: each.reason for each in results.left_out if each.reason.startswith("similarity")}
    assert "they speak as ana" in reasons[2]


def test_faults_are_told_before_the_work(evaluate, corpus, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("work was begun")

    monkeypatch.setattr(everything, "encode_corpus", fail)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    for options, message in (
        ({"split": "test"}, "no recording in split 'test'"),
        ({"embedder": "none"}, "none: no speaker embedder of this name"),
        ({"items": corpus / "none"}, "none: not a readable item file"),
        ({"alignment": corpus / "none"}, "none: not a readable alignment"),
        ({"one_person": ("ana,cy",)}, "no recording of cy"),
        ({"out": tmp_path / "full"}, "exists already and is not empty"),
        ({"voice": "nobody"}, "no voice 'nobody' in .*; the voices are: ana, bo"),
        ({"like": corpus / "ana" / "0.wav"}, "vocoders know voices by name only"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(**({"out": tmp_path / "out"} | options))
    assert not (tmp_path / "out").exists()
