"""Alignments in every file they come in: CTM, TextGrid, ELAN and folders of them say the same, faults included."""

import codecs
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone.errors import InputError, ProtophoneError
from protophone.formats import (
    Tier,
    read_alignment,
    read_classes,
    read_ctm,
    read_eaf,
    read_textgrid,
    read_zerospeech,
    write_eaf,
    write_textgrid,
)
from protophone.formats.tier import in_order
from protophone.metrics.abx import read_items

CASES = Path(__file__).parents[2] / "shared" / "cases"
PHONES = [(0.1, 0.25, "a"), (0.25, 0.3, "b"), (0.5, 1.0, "ŋ")]
TIERS = [Tier("words", [(0.1, 1.0, "abŋ")]), Tier("phones", PHONES)]

times = st.one_of(st.integers(-3, 30).map(lambda n: n / 10), st.floats(-1, 3, allow_nan=False))
intervals = st.lists(st.tuples(times, times, st.sampled_from(["a", "b", "ŋ"])), max_size=12)


# --- overlaps and intervals without length


@settings(max_examples=80, deadline=None, derandomize=True)
@given(intervals)
def test_intervals_of_any_file_come_in_order_with_nothing_lost_uncounted(given_):
    kept, mended = in_order(given_)
    tier = Tier("t", kept)  # which checks order, lengths and overlaps
    skipped = sum(count for reason, count in mended.items() if not reason.startswith("parts"))
    assert len(tier.intervals) + skipped == len(given_)
    assert {(end, label) for _, end, label in kept} <= {(end, label) for _, end, label in given_}
    assert in_order(kept) == (kept, {})


@settings(max_examples=40, deadline=None, derandomize=True)
@given(intervals=intervals, form=st.sampled_from(["long", "short", "eaf", "ctm"]))
def test_every_format_reads_faulty_intervals_alike(tmp_path_factory, intervals, form):
    rows = [(round(abs(a), 3), round(abs(b), 3), label) for a, b, label in intervals] + [(3.5, 4.0, "z")]
    if form == "ctm":  # durations, so no interval ends before it starts
        rows = [(min(a, b), max(a, b), label) for a, b, label in rows]
    folder = tmp_path_factory.mktemp("faulty")
    path = folder / {"long": "x.TextGrid", "short": "x.TextGrid", "eaf": "x.eaf", "ctm": "all.ctm"}[form]
    path.write_text({"long": long_textgrid, "short": short_textgrid, "eaf": eaf_of, "ctm": ctm_of}[form](rows))
    found = read_alignment(path, ["x"])
    kept, mended = in_order(rows, rounding=1e-3 if form == "ctm" else 1e-6)
    assert [label for *_, label in found.segments["x"]] == [label for *_, label in kept]
    flat = [time for *pair, _ in found.segments["x"] for time in pair]
    assert flat == pytest.approx([time for *pair, _ in kept for time in pair], abs=1e-9)
    assert sum(found.mended.values()) == pytest.approx(sum(mended.values()), abs=0 if form != "ctm" else 3)


def long_textgrid(rows):
    parts = "".join(f'xmin = {a!r} xmax = {b!r} text = "{c}"\n' for a, b, c in rows)
    head = f'{LONG}xmin = 0\nxmax = 4\ntiers? <exists>\nsize = 1\nitem []:\nclass = "IntervalTier"\nname = "p"\n'
    return f"{head}xmin = 0\nxmax = 4\nintervals: size = {len(rows)}\n{parts}"


def short_textgrid(rows):
    parts = "".join(f'{a!r}\n{b!r}\n"{c}"\n' for a, b, c in rows)
    return f'{SHORT}0\n4\n<exists>\n1\n"IntervalTier"\n"p"\n0\n4\n{len(rows)}\n{parts}'


def eaf_of(rows, media="", more="", name="p"):
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="s{number}{side}" TIME_VALUE="{round(time * 1000)}"/>'
        for number, pair in enumerate(rows)
        for side, time in zip("ab", pair[:2], strict=True)
    )
    tier = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" TIME_SLOT_REF1="s{number}a" '
        f'TIME_SLOT_REF2="s{number}b"><ANNOTATION_VALUE>{label}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>'
        for number, (_, _, label) in enumerate(rows)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds">{media}'
        f'</HEADER><TIME_ORDER>{slots}</TIME_ORDER><TIER TIER_ID="{name}">{tier}</TIER>{more}</ANNOTATION_DOCUMENT>'
    )


def ctm_of(rows):
    return "".join(f"x 1 {start!r} {end - start!r} {label}\n" for start, end, label in rows)


LONG = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
SHORT = 'File type = "ooTextFile short"\n"TextGrid"\n\n'

# --- headers and marks


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "header",
    [
        SHORT,
        LONG,
        'File type = "ooTextFile"\n"TextGrid"\n',
        '"ooTextFile"\n"TextGrid"\n',
        "File type = ooTextFile short\nTextGrid\n",
        "ooTextFile\nTextGrid\n",
        'File type = "ooTextFile short" ! old\n! a comment\nObject class = "TextGrid 1"\n',
    ],
)
def test_headers_of_every_version_of_praat_are_read(tmp_path, header, newline):
    text = short_textgrid(PHONES).replace(SHORT, header).replace("\n", newline)
    (tmp_path / "a.TextGrid").write_bytes(text.encode())
    assert read_textgrid(tmp_path / "a.TextGrid") == [Tier("p", PHONES)]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        *((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
        *((b"", "utf-16-le"), (b"", "utf-16-be")),
    ],
)
def test_every_encoding_is_read_by_every_reader_of_text(tmp_path, mark, encoding):
    texts = {
        read_ctm: ctm_of(PHONES),
        read_textgrid: short_textgrid(PHONES),
        read_eaf: eaf_of(PHONES).replace("UTF-8", "UTF-16" if "16" in encoding else "UTF-8"),
        read_items: "x 0.1 0.2 a b c ŋ\n",
        read_classes: "Class 1\nx 0.1 0.2\n\n",
        read_zerospeech: "1 2.5\n3 4\n",
    }
    for number, (read, text) in enumerate(texts.items()):
        bare, marked = tmp_path / f"{number}", tmp_path / f"{number}-marked"
        bare.write_text(text if "UTF-16" not in text else text.replace("UTF-16", "UTF-8"), encoding="utf-8")
        marked.write_bytes(mark + text.encode(encoding))
        one, other = read(bare), read(marked)
        assert (one == other) if not hasattr(one, "shape") else (one == other).all()


# --- ELAN


@settings(max_examples=30, deadline=None, derandomize=True)
@given(origin=st.integers(-200, 10**7))
def test_time_origin_is_added(tmp_path_factory, origin):
    path = tmp_path_factory.mktemp("origin") / "a.eaf"
    path.write_text(eaf_of(PHONES, f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/a.wav" TIME_ORIGIN="{origin}"/>'))
    (tier,) = read_eaf(path)
    wanted, _ = in_order((start + origin / 1000, end + origin / 1000, label) for start, end, label in PHONES)
    assert [time for *pair, _ in tier.intervals for time in pair] == pytest.approx(
        [time for *pair, _ in wanted for time in pair], abs=1e-3
    )


def test_of_several_media_the_one_of_the_recording_says_where_time_begins(tmp_path):
    media = "".join(
        f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/rec/{name}" MIME_TYPE="{kind}" TIME_ORIGIN="{origin}"/>'
        for name, kind, origin in (("v.mp4", "video/mp4", 7000), ("a.wav", "audio/x-wav", 1000))
    )
    for name in ("a", "other"):  # a video says nothing beside a sound
        (tmp_path / f"{name}.eaf").write_text(eaf_of(PHONES, media))
        assert read_alignment(tmp_path / f"{name}.eaf", [name]).segments[name][0] == (1.1, 1.25, "a")
    for name, start in (("b%20c", 2.1), ("a", 1.1)):
        both = media + '<MEDIA_DESCRIPTOR MEDIA_URL="x\\b%20c.wav" MIME_TYPE="audio/x-wav" TIME_ORIGIN="2000"/>'
        stem = name.replace("%20", " ")
        (tmp_path / f"{stem}.eaf").write_text(eaf_of(PHONES, both))
        assert read_alignment(tmp_path / f"{stem}.eaf", [stem]).segments[stem][0][0] == pytest.approx(start)
    (tmp_path / "z.eaf").write_text(eaf_of(PHONES, both))
    with pytest.raises(InputError, match=r"begin at different times \(TIME_ORIGIN\): a \(1000 ms\), b c \(2000 ms\)"):
        read_eaf(tmp_path / "z.eaf")


def referring(name, rows, body=""):
    tier = "".join(
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{own}" ANNOTATION_REF="{parent}"'
        f"{f' PREVIOUS_ANNOTATION={previous!r}' if previous else ''}><ANNOTATION_VALUE>{own}</ANNOTATION_VALUE>"
        "</REF_ANNOTATION></ANNOTATION>"
        for own, parent, previous in rows
    )
    return f'<TIER TIER_ID="{name}">{tier}{body}</TIER>'


def test_symbolic_annotations_take_the_time_of_their_parents(tmp_path):
    """A chain of tiers: morphemes divide words, glosses belong to morphemes; written in any order."""
    gloss = referring("gloss", [("g2", "m2", ""), ("g1", "m1", "")])
    morphemes = referring("morphemes", [("m2", "a0", "m1"), ("m3", "a0", "m2"), ("m1", "a0", ""), ("m4", "a1", "")])
    path = tmp_path / "x.eaf"
    path.write_text(eaf_of([(1.0, 4.0, "abc"), (4.0, 5.0, "d")], more=gloss + morphemes, name="words"))
    words, glosses, parts = read_eaf(path)
    assert [label for *_, label in parts.intervals] == ["m1", "m2", "m3", "m4"]
    assert [time for *pair, _ in parts.intervals for time in pair] == pytest.approx([1, 2, 2, 3, 3, 4, 4, 5])
    assert glosses.intervals == [(*interval[:2], f"g{n + 1}") for n, interval in enumerate(parts.intervals[:2])]
    assert [tier.mended for tier in (words, glosses, parts)] == [{}, {}, {}]


def test_references_that_lead_nowhere_are_counted_and_the_rest_kept(tmp_path):
    circle = referring("circle", [("c1", "c2", ""), ("c2", "c1", "")])
    unclear = referring("unclear", [("u1", "a0", ""), ("u2", "a0", ""), ("u3", "a1", "u3"), ("u4", "a1", "u3")])
    aligned = eaf_of([(0, 1, "a"), (1, 2, "b"), (2, 3, "c")]).split('<TIER TIER_ID="p">')[1].split("</TIER>")[0]
    mixed = referring("mixed", [("r", "none", "")], body=aligned.replace('"a', '"x'))
    untimed = aligned.replace('"a', '"y').replace("s1", "none")
    path = tmp_path / "x.eaf"
    path.write_text(
        eaf_of(
            [(0, 1, "a"), (1, 2, "b"), (2, 3, "c")],
            more=circle + unclear + mixed + f'<TIER TIER_ID="untimed">{untimed}</TIER>',
        )
    )
    found = {tier.name: ([label for *_, label in tier.intervals], sum(tier.mended.values())) for tier in read_eaf(path)}
    assert found == {
        "p": (["a", "b", "c"], 0),
        "circle": ([], 2),
        "unclear": (["u1", "u2"], 2),
        "mixed": (["a", "b", "c"], 1),
        "untimed": (["a", "c"], 1),
    }


def test_aligned_annotations_are_kept_beside_symbolic_ones(tmp_path):
    aligned = eaf_of([(0, 1, "a"), (1, 2, "b"), (2, 3, "c")]).split('<TIER TIER_ID="p">')[1].split("</TIER>")[0]
    rows = [("r0", "a0", ""), ("r1", "a1", ""), ("r2", "a2", ""), ("r3", "a3", "")]
    mixed = referring("mixed", rows, body=aligned.replace('"a', '"x'))
    (tmp_path / "x.eaf").write_text(eaf_of([(n, n + 1, "p") for n in range(4)], more=mixed))
    found = read_eaf(tmp_path / "x.eaf")[1]
    assert [label for *_, label in found.intervals] == ["a", "b", "c", "r3"]
    assert [time for *pair, _ in found.intervals for time in pair] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert sum(found.mended.values()) == 3


# --- one reader for all


def written(folder, form):
    """The same phones of recordings ``s/x`` and ``y`` in one of the ways they may come."""
    folder.mkdir()
    for name in ("s/x", "y"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if form == "TextGrid":
            write_textgrid(path.with_suffix(".TextGrid"), TIERS, 1.0)
        elif form == "eaf":
            write_eaf(path.with_suffix(".eaf"), TIERS, f"{name}.wav", 1.0)
        else:
            path.with_suffix(".ctm").write_text(ctm_of(PHONES).replace("x 1", f"{name} 1"))
    return folder


@pytest.mark.parametrize("form", ["TextGrid", "eaf", "ctm"])
def test_folders_of_every_format_say_the_same(tmp_path, form):
    folder = written(tmp_path / "in", form)
    (folder / "x.wav").touch()
    found = read_alignment(folder, ["s/x", "y", "z"])
    assert set(found.segments) == {"s/x", "y"}
    for rows in found.segments.values():
        assert [label for *_, label in rows] == [label for *_, label in PHONES]
        assert [time for *pair, _ in rows for time in pair] == pytest.approx([t for *pair, _ in PHONES for t in pair])
    assert read_alignment(folder, ["x"]).segments["x"] == found.segments["s/x"]
    assert read_alignment(folder, ["t/y"]).segments["t/y"] == found.segments["y"]
    assert set(read_alignment(folder).segments) == {"s/x", "y"}
    with pytest.raises(InputError, match="no alignment of any of the 2 recordings"):
        read_alignment(folder, ["a/x", "b/x"])
    one = folder / f"y.{form}"
    assert read_alignment(one, ["y"]).segments["y"] == found.segments["y"]
    if form != "ctm":
        assert read_alignment(folder, ["y"], "words").segments["y"] == [(0.1, 1.0, "abŋ")]
        assert read_alignment(folder, ["y"], of="words").segments["y"] == [(0.1, 1.0, "abŋ")]
        with pytest.raises(InputError, match=r"no tier tones; its tiers are: words \(1 intervals\), phones \(3 int"):
            read_alignment(one, ["y"], "tones")
        with pytest.raises(InputError, match="no tier tones"):
            read_alignment(folder, ["s/x", "y"], "tones")
        write_textgrid(folder / "y.textgrid", [Tier("tones", PHONES)], 1.0)
        with pytest.raises(InputError, match=r"aligns y, as .*y\.\w+ does; keep one of them"):
            read_alignment(folder, ["y"])


def test_recordings_without_the_tier_are_counted(tmp_path):
    write_textgrid(tmp_path / "a.TextGrid", [Tier("Tones", PHONES)], 1.0)
    write_textgrid(tmp_path / "b.TextGrid", TIERS, 1.0)
    found = read_alignment(tmp_path, ["a", "b"], "tones")
    assert (set(found.segments), found.mended) == ({"a"}, {"files: they have no tier tones": 1})


@pytest.mark.parametrize(("wanted", "count"), [("tx", 4), ("TX", 4), ("tx@ana", 1), ("bo - tx", 1), ("tx2", 1)])
def test_a_tier_is_named_with_its_speaker_or_without(tmp_path, wanted, count):
    for number, name in enumerate(("tx@ana", "bo - tx", "tx", "Tx")):
        tiers = [Tier(name, PHONES), Tier("tx2", PHONES)] if number == 0 else [Tier(name, PHONES)]
        write_textgrid(tmp_path / f"{number}.TextGrid", tiers, 1.0)
    found = read_alignment(tmp_path, [f"{number}" for number in range(4)], wanted)
    assert len(found.segments) == count
    assert found.mended == ({f"files: they have no tier {wanted}": 4 - count} if count < 4 else {})


def test_white_space_around_labels_makes_no_other_label(tmp_path):
    rows = [(0.0, 0.5, "a"), (0.5, 1.0, " a\n"), (1.0, 1.5, "b c\t"), (1.5, 2.0, " ")]
    write_textgrid(tmp_path / "x.TextGrid", [Tier("phones", rows)], 2.0)
    assert [label for *_, label in read_alignment(tmp_path, ["x"]).segments["x"]] == ["a", "a", "b c"]


def test_two_speakers_of_one_tier_are_not_mixed(tmp_path):
    write_textgrid(tmp_path / "x.TextGrid", [Tier("tx@ana", PHONES), Tier("tx@bo", PHONES)], 1.0)
    with pytest.raises(InputError, match="which tier holds the phones"):
        read_alignment(tmp_path, ["x"], "tx")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["Mary"], "Mary"),
        (["words", "phones"], "phones"),
        (["ana - words", "ana - phones"], "ana - phones"),
        (["ref@A", "Segments@A"], "Segments@A"),
        (["words", "Phoneme"], "Phoneme"),
        (["a", "b"], None),
        (["ana - phones", "bo - phones"], None),
    ],
)
def test_the_tier_of_phones_is_known_by_its_name(tmp_path, names, chosen):
    tiers = [Tier(name, [(0.0, 1.0, name)]) for name in names] + [Tier("nothing", [])]
    write_textgrid(tmp_path / "x.TextGrid", tiers, 1.0)
    if chosen is None:
        with pytest.raises(InputError, match=f"name one with --tier; its tiers are: {names[0]} "):
            read_alignment(tmp_path / "x.TextGrid", ["x"])
    else:
        assert read_alignment(tmp_path / "x.TextGrid", ["x"]).segments["x"] == [(0.0, 1.0, chosen)]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(data=st.data(), form=st.sampled_from(["x.TextGrid", "x.eaf", "x.ctm"]))
def test_cut_and_flipped_files_are_read_or_refused_in_one_line(tmp_path_factory, data, form):
    text = {"x.TextGrid": long_textgrid, "x.eaf": eaf_of, "x.ctm": ctm_of}[form](PHONES)
    content = bytearray(text.encode())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / form
    path.write_bytes(content)
    fault = None
    try:
        found = read_alignment(path, ["x"])
    except ProtophoneError as error:
        fault = str(error)
    if fault is not None:
        assert fault.startswith(str(path))
        assert "\n" not in fault
    else:
        for (_, end, _), (start, _, _) in pairwise(found.segments["x"]):
            assert start >= end - 1e-3


# --- others' readers


def test_praatio_reads_what_we_read(tmp_path):
    textgrid = pytest.importorskip("praatio.textgrid")
    write_textgrid(tmp_path / "a.TextGrid", [Tier("p", PHONES)], 1.0)
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=False)
    assert [(entry.start, entry.end, entry.label) for entry in grid.getTier("p").entries] == PHONES
    for form in ("long_textgrid", "short_textgrid"):
        grid.save(str(tmp_path / "b.TextGrid"), format=form, includeBlankSpaces=True)
        assert read_textgrid(tmp_path / "b.TextGrid") == [Tier("p", PHONES)]


def test_pympi_writes_what_we_read(tmp_path):
    pympi = pytest.importorskip("pympi")
    made = pympi.Elan.Eaf()
    made.add_linked_file("a.wav", mimetype="audio/x-wav", time_origin=500)
    made.add_linguistic_type("gloss", "Symbolic_Association")
    for name in ("phones", "words"):
        made.add_tier(name)
    made.add_tier("glosses", "gloss", parent="phones")
    for start, end, label in PHONES:
        made.add_annotation("phones", round(start * 1000), round(end * 1000), label)
        made.add_ref_annotation("glosses", "phones", round(start * 1000) + 1, f"gloss {label}")
    made.to_file(str(tmp_path / "a.eaf"))
    again = pympi.Elan.Eaf(str(tmp_path / "a.eaf"))
    found = {tier.name: tier.intervals for tier in read_eaf(tmp_path / "a.eaf")}
    for name in ("phones", "glosses"):
        data = again.get_annotation_data_for_tier(name)
        rows = sorted((row[0] / 1000 + 0.5, row[1] / 1000 + 0.5, row[2]) for row in data)
        assert [label for *_, label in found[name]] == [label for *_, label in rows]
        assert [t for *pair, _ in found[name] for t in pair] == pytest.approx([t for *pair, _ in rows for t in pair])


# --- the cases that were found in use


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no {CASES}")
def test_the_cases_found_in_use_are_read():
    (tier,) = read_eaf(CASES / "eaf_time_origin" / "time_origin.eaf")
    assert tier.intervals == [(15.0, 17.0, "a")]
    assert read_textgrid(CASES / "textgrid_old_short" / "oldshort.TextGrid") == [Tier("p", [(0.0, 1.0, "a")])]
    assert read_items(CASES / "item_bom" / "bom.item")
