"""ELAN's files: what it expects, back again, and broken ones named."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from protophone.errors import InputError
from protophone.formats import (
    Tier,
    read_eaf,
    write_eaf,
)
from tests.test_formats import TIERS, UNITS

# --- ELAN


def test_eaf_is_what_elan_expects(tmp_path):
    (tmp_path / "sounds here").mkdir()
    media = tmp_path / "sounds here" / "ŋ & b.wav"
    write_eaf(tmp_path / "a.eaf", TIERS, media, 1.0)
    root = ET.fromstring((tmp_path / "a.eaf").read_bytes())
    assert [child.tag for child in root] == ["HEADER", "TIME_ORDER", "TIER", "TIER", "TIER", "LINGUISTIC_TYPE"]
    assert root.attrib["FORMAT"] == "3.0"
    assert root.find("HEADER").attrib["TIME_UNITS"] == "milliseconds"
    descriptor = root.find("HEADER/MEDIA_DESCRIPTOR").attrib
    assert descriptor["MEDIA_URL"] == f"file:///{media.resolve().as_posix().lstrip('/')}"
    assert descriptor["RELATIVE_MEDIA_URL"] == "./sounds here/ŋ & b.wav"
    assert descriptor["MIME_TYPE"] == "audio/x-wav"
    slots = {slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) for slot in root.find("TIME_ORDER")}
    assert list(slots.values()) == [0, 40, 120, 120, 250, 300, 500, 1000]
    first = root.find("TIER/ANNOTATION/ALIGNABLE_ANNOTATION")
    assert (slots[first.attrib["TIME_SLOT_REF1"]], slots[first.attrib["TIME_SLOT_REF2"]]) == (40, 120)
    assert [value.text for value in root.find("TIER").iter("ANNOTATION_VALUE")] == [i[2] for i in UNITS.intervals]
    kinds = {kind.attrib["LINGUISTIC_TYPE_ID"] for kind in root.iter("LINGUISTIC_TYPE")}
    assert {tier.attrib["LINGUISTIC_TYPE_REF"] for tier in root.iter("TIER")} == kinds
    ids = [a.attrib["ANNOTATION_ID"] for a in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(set(ids)) == len(ids) == int(root.find("HEADER/PROPERTY").text) == 4


def test_eafs_come_back_and_are_the_same_bytes_each_time(tmp_path):
    write_eaf(tmp_path / "a.eaf", TIERS, "a.flac", 1.0)
    assert read_eaf(tmp_path / "a.eaf") == TIERS
    before = (tmp_path / "a.eaf").read_bytes()
    write_eaf(tmp_path / "a.eaf", TIERS, "a.flac", 1.0)
    assert (tmp_path / "a.eaf").read_bytes() == before


def test_any_character_gives_valid_xml(tmp_path):
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000), 0x1F600, 0x10FFFF]))
    write_eaf(tmp_path / "a.eaf", [Tier(every, [(0, 1, every)])], "a\x01\r.wav", 1.0)
    (tier,) = read_eaf(tmp_path / "a.eaf")
    allowed = {c for c in every if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"}
    expected = "".join(c if c in allowed else "\ufffd" for c in every)
    assert tier.intervals == [(0.0, 1.0, expected)]
    assert tier.name == expected


def test_annotations_below_a_millisecond_stay_in_order(tmp_path):
    tier = Tier("t", [(0.0, 0.0002, "a"), (0.0002, 0.0004, "b"), (0.0004, 0.01, "c"), (0.01, 0.0101, "d")])
    write_eaf(tmp_path / "a.eaf", [tier], "a.wav", 0.0101)
    (again,) = read_eaf(tmp_path / "a.eaf")
    assert again.intervals == [(0.0, 0.001, "a"), (0.001, 0.002, "b"), (0.002, 0.009, "c"), (0.009, 0.01, "d")]


def test_two_tiers_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="two tiers named 'units'"):
        write_eaf(tmp_path / "a.eaf", [UNITS, UNITS], "a.wav", 1.0)


def eaf(body: str, head: str = '<HEADER TIME_UNITS="milliseconds"/>') -> str:
    return f'<?xml version="1.0"?>\n<ANNOTATION_DOCUMENT>{head}{body}</ANNOTATION_DOCUMENT>'


def annotation(first: str, second: str, label: str) -> str:
    return (
        f'<ANNOTATION><ALIGNABLE_ANNOTATION TIME_SLOT_REF1="{first}" TIME_SLOT_REF2="{second}">'
        f"<ANNOTATION_VALUE>{label}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
    )


SLOTS = (
    '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="ts2"/>'
    '<TIME_SLOT TIME_SLOT_ID="ts3"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="4000"/></TIME_ORDER>'
)


def test_subdivisions_without_times_lie_evenly_and_references_to_nothing_are_counted(tmp_path):
    words = annotation("ts2", "ts3", "b") + annotation("ts1", "ts2", "a") + annotation("ts3", "ts4", "c")
    reference = '<TIER TIER_ID="r"><ANNOTATION><REF_ANNOTATION ANNOTATION_REF="a1"/></ANNOTATION></TIER>'
    path = tmp_path / "a.eaf"
    path.write_text(eaf(f'{SLOTS}<TIER TIER_ID="words">{words}</TIER>{reference}'))
    found, lost = read_eaf(path)
    assert found == Tier("words", [(1.0, 2.0, "a"), (2.0, 3.0, "b"), (3.0, 4.0, "c")])
    assert (lost.intervals, sum(lost.mended.values())) == ([], 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: not XML"),
        ("<a>\n<b></a>", ":2: not XML"),
        ("<html/>", "its root is html"),
        (eaf("", '<HEADER TIME_UNITS="PAL-frames"/>'), "times in PAL-frames"),
        (eaf('<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="x" TIME_VALUE="1.5"/></TIME_ORDER>'), "time slot x at '1.5'"),
        (eaf("", '<HEADER><MEDIA_DESCRIPTOR TIME_ORIGIN="5 s"/></HEADER>'), "TIME_ORIGIN at '5 s'"),
        (eaf('<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="x" TIME_VALUE="%s"/></TIME_ORDER>' % ("9" * 5000)), "no milli"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>\n<a>&b;</a>', "declares a document type"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "not XML"),
    ],
)
def test_broken_eafs_are_named(tmp_path, text, words):
    path = tmp_path / "a.eaf"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_eaf(path)
    assert str(caught.value).startswith(f"{path}:")
    assert "\n" not in str(caught.value)


def test_entities_are_refused_before_they_grow_in_any_encoding(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY e0 "lol">'
    bomb += "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12)) + "]><a>&e11;</a>"
    outside = f'<!DOCTYPE a SYSTEM "{Path(__file__).as_uri()}"><a/>'
    for text in (bomb, outside):
        for encoding in ("utf-8", "utf-16"):
            (tmp_path / "a.eaf").write_bytes(text.encode(encoding))
            with pytest.raises(InputError, match="declares a document type"):
                read_eaf(tmp_path / "a.eaf")
