"""Units from files: the metrics' figures by their names, what could not be measured said, nothing hanging on order."""

import json
import math

import numpy as np
import pytest

from protophone.errors import InputError, UnitsError
from protophone.evaluate.units import evaluate_bitrate, evaluate_units
from protophone.formats import Tier, write_eaf, write_textgrid
from tests.evaluate.made import codes_of, speech, write_ctm, write_units

IGNORED = ("SIL", "SPN")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("units")
    _, _, phones = speech(files=15, tokens=10)
    phones = {name: [*rows, (0.5, 0.03, "SIL")] for name, rows in phones.items()}
    spoken = {name: [row for row in rows if row[2] != "SIL"] for name, rows in phones.items()}
    codes = {name: np.append(row, [0, 0, 0]) for name, row in codes_of(spoken).items()}
    speakers = {name: ("bo", "ana", "ana")[int(name[1:]) % 3] for name in codes}
    units = write_units(folder / "units", codes, speakers=speakers)
    return units, write_ctm(folder / "phones.ctm", phones), codes, phones, speakers


def entropy(counts):
    total = sum(counts)
    return -sum(count / total * math.log2(count / total) for count in counts if count)


def test_each_bit_rate_is_the_formula_of_its_name(made):
    units, _, codes, *_ = made
    results = evaluate_bitrate(units)
    every = np.concatenate(list(codes.values()))
    seconds = len(every) / 100
    starts = [np.flatnonzero(np.diff(row, prepend=-1)) for row in codes.values()]
    runs = np.concatenate([row[start] for row, start in zip(codes.values(), starts, strict=True)])
    lasting = np.concatenate(
        [np.diff(start, append=len(row)) for row, start in zip(codes.values(), starts, strict=True)]
    )
    per_run = len(runs) / seconds
    expected = {
        "bit rate, ZeroSpeech 2019": 100 * entropy(np.bincount(every)),
        "bit rate, nominal (rate x log2 K)": 300,
        "bit rate, Polyak (rate x ceil log2 K)": 300,
        "bit rate, runs with their lengths": per_run * (entropy(np.bincount(runs)) + entropy(np.bincount(lasting))),
        "bit rate, runs without their lengths": per_run * entropy(np.bincount(runs)),
    }
    assert {figure.name: figure.value for figure in results.figures} == pytest.approx(expected)
    assert all(figure.name != "bit rate" for figure in results.figures)
    for figure in results.figures:
        assert figure.unit == "bit/s"
        assert (figure.interval is None) == ("rate x" in figure.name)
        assert figure.interval or figure.note == "a property of the grid and the codebook"
    assert results.hashes.keys() == {"units"}


def test_polyak_s_whole_bits_are_not_the_nominal_ones(tmp_path):
    results = evaluate_bitrate(write_units(tmp_path, {"a": [0, 1, 2]}, size=100, hop=320))
    assert results["bit rate, nominal (rate x log2 K)"].value == pytest.approx(50 * math.log2(100))
    assert results["bit rate, Polyak (rate x ceil log2 K)"].value == 350


def test_measured_bytes_are_those_of_the_files(made, tmp_path):
    units, _, codes, *_ = made
    seconds = sum(map(len, codes.values())) / 100
    for name, row in codes.items():
        (tmp_path / f"{name}.bin").write_bytes(b"x" * (len(row) // 4))
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    folder = evaluate_bitrate(units, files=tmp_path)["bit rate, measured bytes"]
    assert folder.value == pytest.approx(8 * total / seconds)
    assert folder.count == 15
    one = evaluate_bitrate(units, files=tmp_path / "r0.bin")["bit rate, measured bytes"]
    assert (one.interval, one.note) == (None, "one file holds all recordings")
    assert one.value == pytest.approx(8 * (tmp_path / "r0.bin").stat().st_size / seconds)
    (tmp_path / "r0.bin").unlink()
    with pytest.raises(InputError, match=r"0 files of r0; give a folder with one file ID\.\* a recording"):
        evaluate_bitrate(units, files=tmp_path)
    with pytest.raises(InputError, match="cannot be measured"):
        evaluate_bitrate(units, files=tmp_path / "none")


def test_names_of_files_are_not_patterns(tmp_path):
    units = write_units(tmp_path / "units", {"a[1]": [0, 1, 1], "b*": [1, 0, 0]})
    (tmp_path / "files").mkdir()
    for name in ("a[1].bin", "b*.bin", "bc.bin", "a1.bin"):
        (tmp_path / "files" / name).write_bytes(b"xx")
    assert evaluate_bitrate(units, files=tmp_path / "files")["bit rate, measured bytes"].count == 2


def test_usage_and_durations_by_hand(tmp_path):
    units = write_units(tmp_path, {"a": [0, 0, 1, 1, 1, 1], "b": [2, 2, 0, 0]}, size=16)
    results, table = evaluate_units(units)
    assert table is None
    assert results["units used, of 16"].value == 3
    assert results["perplexity"].value == pytest.approx(2 ** entropy([4, 4, 2]))
    assert results["perplexity"].better == ""  # it is the bit rate in other words, of which less is better
    assert results["duration of a unit's run, mean"].value == pytest.approx(25)
    assert results["duration of a unit's run, median"].value == pytest.approx(20)
    assert [(each.what, each.examples) for each in results.left_out if each.what == "measures"] == [
        ("measures", ("phones", "boundaries")),
        ("measures", ("speaker leakage",)),
    ]


def test_phones_and_boundaries_by_hand(made):
    units, ctm, codes, phones, _ = made
    results, table = evaluate_units(units, alignment=ctm)
    counts = np.zeros((8, 3), int)
    for name, row in codes.items():
        labels = [phone for _, lasting, phone in phones[name] for _ in range(round(100 * lasting))]
        for code, label in zip(row, labels, strict=True):
            if label != "SIL":
                counts[code, sorted("ptk").index(label)] += 1
    np.testing.assert_array_equal(table.counts, counts)
    assert table.phones == ("k", "p", "t")
    assert results["phone purity"].value == pytest.approx(counts.max(1).sum() / counts.sum())
    assert results["unit purity"].value == pytest.approx(counts.max(0).sum() / counts.sum())
    information = entropy(counts.sum(0)) + entropy(counts.sum(1)) - entropy(counts.ravel())
    assert results["PNMI"].value == pytest.approx(information / entropy(counts.sum(0)))
    precision, recall = results["boundary precision"].value, results["boundary recall"].value
    assert results["boundary F1"].value == pytest.approx(2 * precision * recall / (precision + recall))
    assert recall > 0.8  # units follow the phones but for a frame in five
    assert ("frames", 45, "their label is SIL") in [(e.what, e.count, e.reason) for e in results.left_out]
    for name in ("phone purity", "unit purity", "PNMI", "boundary F1", "boundary R-value"):
        low, high = results[name].interval
        assert low < results[name].value < high
    assert results["boundary F1"].protocol == {"tolerance": 0.02, "ignore": ["SIL", "SPN"]}
    assert results.hashes.keys() == {"units", "alignment"}


def test_recordings_without_an_alignment_are_counted(made, tmp_path):
    units, _, codes, phones, _ = made
    few = write_ctm(tmp_path / "few.ctm", {name: phones[name] for name in list(phones)[:10]})
    results, _ = evaluate_units(units, alignment=few)
    told = {(each.what, each.count): each.reason for each in results.left_out}
    frames = sum(len(codes[name]) for name in list(phones)[10:])
    assert told["frames", frames] == "they have no label in the alignment"
    assert told["recordings", 5] == "none of their frames is on a phone of the alignment"


@pytest.mark.parametrize("suffix", ["TextGrid", "eaf"])
def test_other_files_of_the_same_phones_give_the_same_figures(made, tmp_path, suffix):
    units, ctm, _, phones, _ = made
    for name, rows in phones.items():
        tiers = [Tier("phones", [(start, start + lasting, phone) for start, lasting, phone in rows])]
        tiers.append(Tier("words", [(0.0, 0.5, "word")]))
        seconds = max(start + lasting for start, lasting, _ in rows)
        if suffix == "eaf":
            write_eaf(tmp_path / f"{name}.eaf", tiers, f"{name}.wav", seconds)
        else:
            write_textgrid(tmp_path / f"{name}.TextGrid", tiers, seconds)
    wanted, _ = evaluate_units(units, alignment=ctm)
    for tier in (None, "phones"):
        found, _ = evaluate_units(units, alignment=tmp_path, tier=tier)
        assert [figure.row() for figure in found.figures] == [figure.row() for figure in wanted.figures]
        assert found.left_out == wanted.left_out
    with pytest.raises(InputError, match=r"1 phones on the .* frames"):
        evaluate_units(units, alignment=tmp_path, tier="words")
    with pytest.raises(InputError, match="--tier words: of which alignment"):
        evaluate_units(units, tier="words")


def test_what_an_alignment_lost_is_counted(made, tmp_path):
    units, ctm, _, phones, _ = made
    wanted, _ = evaluate_units(units, alignment=ctm)
    faulty = {name: [*rows, (0.05, 0.0, "p")] for name, rows in phones.items()}
    found, _ = evaluate_units(units, alignment=write_ctm(tmp_path / "a.ctm", faulty))
    assert [figure.row() for figure in found.figures] == [figure.row() for figure in wanted.figures]
    (lost,) = [each for each in found.left_out if each not in wanted.left_out]
    assert lost.line() == "left out: 15 intervals of the alignment: they end where they start"


def test_leakage_is_by_speakers_with_enough_recordings(made, tmp_path):
    units, _, codes, _, speakers = made
    results, _ = evaluate_units(units)
    right, above = results["speaker leakage, probe right"], results["speaker leakage, above commonest"]
    assert right.protocol["speakers"] == 2
    assert right.protocol["seed"] == 0
    assert above.value == pytest.approx(right.value - 2 / 3)  # two of three are by ana, in every fold
    named = write_units(tmp_path / "a", codes, speakers=speakers | {"r1": "cy", "r2": None})
    told = [(each.what, each.count, each.reason) for each in evaluate_units(named)[0].left_out]
    assert ("recordings", 1, "no speaker is named, so none can leak") in told
    assert ("recordings", 1, "cy has fewer than 5 for the speaker probe") in told


def test_units_that_tell_the_speaker_are_found_out(made, tmp_path):
    codes = {name: row % 4 + 4 * (made[4][name] == "bo") for name, row in made[2].items()}
    results, _ = evaluate_units(write_units(tmp_path, codes, speakers=made[4]))
    assert results["speaker leakage, probe right"].value == 1
    assert results["speaker leakage, above commonest"].value == pytest.approx(1 / 3)


def test_the_order_of_recordings_changes_nothing(made, tmp_path):
    units, ctm, codes, _, speakers = made
    order = np.random.default_rng(0).permutation(list(codes))
    shuffled = write_units(tmp_path, {name: codes[name] for name in order}, speakers=speakers)
    for evaluate in (evaluate_bitrate, lambda path: evaluate_units(path, alignment=ctm)[0]):
        one, other = evaluate(units), evaluate(shuffled)
        for a, b in zip(one.figures, other.figures, strict=True):
            assert a.key == b.key
            assert a.value == pytest.approx(b.value, rel=1e-12)
            assert a.interval == (pytest.approx(b.interval, rel=1e-9) if b.interval else None)


def test_another_seed_draws_no_other_recordings(made):
    """Figures of runs with other seeds are still paired; those that the seed decides are another protocol."""
    units, ctm, *_ = made
    one, other = (evaluate_units(units, alignment=ctm, seed=seed)[0] for seed in (0, 1))
    for a, b in zip(one.figures, other.figures, strict=True):
        if "leakage" in a.name:
            assert a.key != b.key
        else:
            assert (a.key, a.interval) == (b.key, b.interval)


def test_units_that_never_change_have_no_boundaries_but_a_purity(made, tmp_path):
    _, ctm, codes, *_ = made
    constant = write_units(tmp_path, {name: np.zeros(len(row), int) for name, row in codes.items()})
    results, _ = evaluate_units(constant, alignment=ctm)
    assert results["PNMI"].value == 0
    assert results["perplexity"].value == 1
    told = [each.line() for each in results.left_out]
    assert "not measured: boundaries: no unit ever follows another" in told
    rate = evaluate_bitrate(constant)["bit rate, ZeroSpeech 2019"]
    assert (rate.value, rate.interval, rate.note) == (0, None, "all draws alike, so no interval")


def test_what_cannot_be_scored_is_said(made, tmp_path):
    units, ctm, *_ = made
    two = write_units(tmp_path / "two", {}, size=8)
    line = {"id": "a", "codes": [[1, 2], [3, 4]], "hop": 160, "sample_rate": 16000, "size": [8, 8]}
    (two / "units.jsonl").write_text(json.dumps(line | {"num_samples": 320, "bundle": "ab"}) + "\n")
    with pytest.raises(InputError, match="2 codebooks; usage and purity are of one"):
        evaluate_units(two)
    assert evaluate_bitrate(two)["bit rate, nominal (rate x log2 K)"].value == 600
    with pytest.raises(UnitsError, match="not there"):
        evaluate_units(tmp_path / "none")
    for tolerance in (-0.01, float("nan")):
        with pytest.raises(InputError, match="a tolerance of"):
            evaluate_units(units, alignment=ctm, tolerance=tolerance)
    with pytest.raises(InputError, match=r"phones\.ctm: 1 phones on the"):
        evaluate_units(units, alignment=ctm, ignore=("SIL", "p", "t"))
    with pytest.raises(InputError, match="no alignment of any of the 15 recordings"):
        evaluate_units(units, alignment=write_ctm(tmp_path / "other.ctm", {"x": [(0, 1, "p")]}))


def test_over_speakers_needs_twenty(made, tmp_path):
    units, _, codes, *_ = made
    for evaluate in (evaluate_bitrate, evaluate_units):
        with pytest.raises(InputError, match="2 speakers: an interval over speakers needs 20"):
            evaluate(units, over="speakers")
    many = {f"r{number}": codes[f"r{number % 12}"] for number in range(40)}
    who = {name: f"s{int(name[1:]) % 20}" for name in many}
    rate = evaluate_bitrate(write_units(tmp_path / "m", many, speakers=who), over="speakers").figures[0]
    assert (rate.count, rate.over) == (20, "speakers")
    with pytest.raises(InputError, match="speaker"):
        evaluate_bitrate(write_units(tmp_path / "n", many, speakers=who | {"r3": None}), over="speakers")
