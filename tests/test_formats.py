"""Other tools' files: what Praat and XML parsers make of them, and what comes back."""

import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from protophone.errors import InputError, UnitsError
from protophone.formats import (
    Tier,
    read_ctm,
    read_textgrid,
    read_zerospeech,
    write_eaf,
    write_fairseq,
    write_textgrid,
    write_zerospeech,
)

from .conftest import corpus

UNITS = Tier("units", [(0.04, 0.12, "12"), (0.12, 0.3, "7"), (0.5, 1.0, 'say "ŋgɔ́" & <b>\n语')])


TIERS = [UNITS, Tier("", [(0.0, 0.25, "a")]), Tier("nothing", [])]


# --- tiers


@pytest.mark.parametrize(
    ("intervals", "words"),
    [
        ([(0.2, 0.2, "a")], "from 0.2 to 0.2 s"),
        ([(0.3, 0.2, "a")], "from 0.3 to 0.2 s"),
        ([(0.0, math.inf, "a")], "from 0.0 to inf"),
        ([(-0.1, 0.2, "a")], "before the recording"),
        ([(0.1, 0.2, "a"), (0.15, 0.3, "b")], "starts at 0.15 s"),
        ([(0.1, 0.2, "\udc80")], "not valid Unicode"),
    ],
)
def test_tiers_check_themselves(intervals, words):
    with pytest.raises(InputError, match=words):
        Tier("t", intervals)


@pytest.mark.parametrize("write", [write_textgrid, lambda p, t, d: write_eaf(p, t, "a.wav", d)])
def test_tiers_that_do_not_fit_are_not_written(tmp_path, write):
    path = tmp_path / "out"
    for tiers, duration, words in (
        ([UNITS], 0.9, "ends at 1.0 s, the recording at 0.9 s"),
        ([UNITS], 0.0, "a recording of 0.0 s"),
        ([], 1.0, "no tiers"),
    ):
        with pytest.raises(InputError, match=f"out: .*{words}"):
            write(path, tiers, duration)
    assert not list(tmp_path.iterdir())


# --- TextGrid


def test_textgrid_is_praats_long_format_to_the_letter(tmp_path):
    write_textgrid(tmp_path / "a.TextGrid", [Tier('a "b"', [(0.1, 0.25, 'x"')])], 0.25)
    assert (tmp_path / "a.TextGrid").read_bytes().decode() == (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 0.25\ntiers? <exists>\nsize = 1\n'
        'item []:\n    item [1]:\n        class = "IntervalTier"\n        name = "a ""b"""\n'
        "        xmin = 0\n        xmax = 0.25\n        intervals: size = 2\n"
        '        intervals [1]:\n            xmin = 0.0\n            xmax = 0.1\n            text = ""\n'
        '        intervals [2]:\n            xmin = 0.1\n            xmax = 0.25\n            text = "x"""\n'
    )


def test_textgrids_come_back(tmp_path):
    write_textgrid(tmp_path / "a.TextGrid", TIERS, 1.2)
    assert read_textgrid(tmp_path / "a.TextGrid") == TIERS


@pytest.mark.parametrize("short", [False, True])
def test_praat_reads_our_textgrids_and_we_read_praats(tmp_path, short):
    parselmouth = pytest.importorskip("parselmouth", reason="Praat (praat-parselmouth) is not installed")
    call = parselmouth.praat.call
    # Boundaries as frames give them, with the float noise of hop / rate, and a last one past a rounded duration.
    frames = Tier("frames", [(i * 0.1, (i + 1) * 0.1, f"{i}") for i in range(11) if i != 4])
    write_textgrid(tmp_path / "a.TextGrid", [*TIERS, frames], 1.1)
    grid = call("Read from file...", str(tmp_path / "a.TextGrid"))
    assert call(grid, "Get number of tiers") == 4
    assert call(grid, "Get total duration") == 1.1
    labels = [call(grid, "Get label of interval...", 1, i) for i in range(1, 7)]
    assert call(grid, "Get number of intervals...", 1) == 6
    assert labels == ["", "12", "7", "", UNITS.intervals[2][2], ""]
    assert [call(grid, "Get start time of interval...", 1, i) for i in (2, 3)] == [0.04, 0.12]
    assert call(grid, "Get tier name...", 1) == "units"
    assert call(grid, "Get number of intervals...", 4) == 11
    call(grid, "Insert point tier...", 2, "points")
    call(grid, "Insert point...", 2, 0.5, 'a "point"')
    call(grid, "Save as short text file..." if short else "Save as text file...", str(tmp_path / "b.TextGrid"))
    again = read_textgrid(tmp_path / "b.TextGrid")
    assert again.pop(1) == Tier("points", [], {"points: they have no length": 1})
    assert [tier.name for tier in again] == ["units", "", "nothing", "frames"]
    assert [[label for *_, label in tier.intervals] for tier in again] == [
        [label for *_, label in tier.intervals] for tier in [*TIERS, frames]
    ]
    found = [time for tier in again for interval in tier.intervals for time in interval[:2]]
    given = [time for tier in [*TIERS, frames] for interval in tier.intervals for time in interval[:2]]
    assert found == pytest.approx(given, abs=1e-9)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le+bom", "utf-16-be+bom"])
def test_short_textgrids_in_every_encoding_are_read(tmp_path, encoding):
    text = (
        'File type = "ooTextFile"\r\n"TextGrid" ! a comment with "quotes\r\n\r\n0\r\n2.5\r\n<exists>\r\n1\r\n'
        '"IntervalTier"\r\n"语"\r\n0\r\n2.5\r\n2\r\n0\r\n1e-1\r\n"a ""b"" ! 3"\r\n.1\r\n2.5\r\n""\r\n'
    )
    bom = "\ufeff" if "+bom" in encoding else ""
    (tmp_path / "a.TextGrid").write_bytes((bom + text).encode(encoding.removesuffix("+bom")))
    assert read_textgrid(tmp_path / "a.TextGrid") == [Tier("语", [(0.0, 0.1, 'a "b" ! 3')])]


HEAD = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 1\ntiers? <exists>\nsize = 1\n'


TIER = 'class = "IntervalTier"\nname = "t"\nxmin = 0\nxmax = 1\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: not a TextGrid"),
        ("12 7 7", ":1: not a TextGrid"),
        ("ooBinaryFile\x08TextGrid", ":1: a binary TextGrid"),
        ('File type = "ooTextFile"\nObject class = "Pitch 1"\n', ":1: not a TextGrid"),
        (HEAD, ":7: the file ends"),
        (HEAD + TIER + "size = 2\n0\n0.5\n", ":12|:14: the file ends where a quoted text is due"),
        (HEAD + TIER + 'size = 1\n0\n0.5\n"open', ":15: a quoted text that does not close"),
        (HEAD + TIER + 'size = 1.5\n0\n0.5\n"a"', ":12: 1.5 where a count is due"),
        (HEAD + TIER + 'size = 1\n1e999\n0.5\n"a"', ":13: 1e999 where a time is due"),
        (HEAD + TIER + f'size = {"9" * 5000}\n0\n0.5\n"a"', ":12: 9+ where a count is due"),
        (HEAD + TIER.replace("Interval", "Other") + "size = 0\n", ":12: a tier of class 'OtherTier'"),
    ],
)
def test_broken_textgrids_are_named(tmp_path, text, words):
    path = tmp_path / "a.TextGrid"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_textgrid(path)
    assert str(caught.value).startswith(f"{path}:")
    path.write_bytes("é".encode("latin-1"))
    with pytest.raises(InputError, match="neither UTF-8 nor UTF-16"):
        read_textgrid(path)


# --- CTM


def test_alignments_are_read(tmp_path):
    path = tmp_path / "a.ctm"
    path.write_text(";; a comment\nx 1 0.0 0.3 SIL\n\ny A 0.25 0.05 ŋ 0.9\nx 1 0.3 0.03 a\n", encoding="utf-8")
    assert read_ctm(path) == {"x": [(0.0, 0.3, "SIL"), (0.3, 0.03, "a")], "y": [(0.25, 0.05, "ŋ")]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x 1 0.0 0.3", ":2: 4 fields"),
        ("x 1 zero 0.3 a", ":2: start zero and duration 0.3"),
        ("x 1 0.0 -0.3 a", ":2: start 0.0 and duration -0.3"),
        ("x 1 nan 0.3 a", ":2: start nan"),
        ("x 2 0.3 0.3 a", ":2: channels 1 and 2 of x"),
    ],
)
def test_broken_alignments_are_named(tmp_path, line, words):
    path = tmp_path / "a.ctm"
    path.write_text(f"x 1 0.0 0.3 SIL\n{line}\n")
    with pytest.raises(InputError, match=f"a.ctm{words}"):
        read_ctm(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="no alignments"):
        read_ctm(path)


def test_the_alignment_of_real_recordings_is_contiguous():
    files = read_ctm(corpus("mboshi") / "dev" / "phones.ctm")
    assert len(files) > 200
    assert sum(map(len, files.values())) == 5367
    for phones in files.values():
        for (start, duration, _), (following, *_) in pairwise(phones):
            assert following == pytest.approx(start + duration, abs=0.0051)


# --- ZeroSpeech


def test_vectors_are_short_text_and_come_back_exactly(tmp_path):
    path = tmp_path / "a.txt"
    write_zerospeech(path, np.array([[0.1, -2.0, 1e-8], [1 / 3, 3e38, 0.0]], np.float32))
    assert path.read_bytes() == b"0.1 -2.0 1e-08\n0.33333334 3e+38 0.0\n"
    bits = np.random.default_rng(0).integers(0, 2**32, 20000, dtype=np.uint32).view(np.float32)
    frames = bits[np.isfinite(bits)][:19000].reshape(-1, 19)
    write_zerospeech(path, frames)
    again = read_zerospeech(path)
    assert again.dtype == np.float32
    assert again.tobytes() == frames.tobytes()
    write_zerospeech(path, np.array([[1, 0], [0, 1]]))
    assert path.read_bytes() == b"1 0\n0 1\n"


def test_vectors_that_cannot_be_scored_are_refused(tmp_path):
    path = tmp_path / "a.txt"
    for frames, words in ((np.zeros((0, 3)), "no vectors"), (np.array([[np.nan]]), "not finite")):
        with pytest.raises(InputError, match=words):
            write_zerospeech(path, frames)
    assert not path.exists()
    for text, words in (
        ("", ":1: no vectors"),
        ("1 2\n3\n", ":2: 1 numbers where line 1 has 2"),
        ("1 2\n\n3 4\n", ":2: 0 numbers"),
        ("1 2\n3 x\n", ":2: could not convert"),
        ("1 nan\n", ":1: a number that is not finite"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=f"a.txt{words}"):
            read_zerospeech(path)


# --- fairseq


def record(
    name: str, codes: list[list[int]], samples: int, durations: list[int] | None = None, **extra
) -> SimpleNamespace:
    held = None if durations is None else np.array(durations)
    return SimpleNamespace(id=name, codes=np.array(codes), durations=held, num_samples=samples, extra=extra)


def test_fairseq_lists_are_aligned(tmp_path):
    records = [record("a", [[1, 1, 2]], 960, audio="x/a.flac"), record("b c", [[5, 7]], 1000, [3, 1])]
    write_fairseq(tmp_path, iter(records), root="/recordings", split="dev")
    assert (tmp_path / "dev.tsv").read_text() == "/recordings\nx/a.flac\t960\nb c\t1000\n"
    assert (tmp_path / "dev.km").read_text() == "1 1 2\n5 5 5 7\n"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (record("b", [[1], [2]], 320), "2 codebooks"),
        (record("b", [[1]], 320, start=16000), "a segment of a file"),
        (record("b\tc", [[1]], 320), "tabs and newlines"),
        (record("b\udc80", [[1]], 320), "not valid Unicode"),
    ],
)
def test_what_fairseq_cannot_hold_is_refused_and_nothing_written(tmp_path, bad, words):
    with pytest.raises(UnitsError, match=words):
        write_fairseq(tmp_path, [record("a", [[1]], 320), bad])
    assert not list(tmp_path.iterdir())
