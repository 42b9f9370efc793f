"""ELAN annotation files (EAF 3.0), written: independent, time-aligned tiers in milliseconds."""

import math
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from protophone.errors import InputError
from protophone.files import atomic
from protophone.formats.tier import Tier, check_tiers

__all__ = ["write_eaf"]

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_TYPE = "default-lt"
# A date is required; a fixed one keeps the bytes the same from run to run.
_DATE = "1970-01-01T00:00:00+00:00"
_ALIKE = 1e-6  # of a millisecond: rounding
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_eaf(path: str | Path, tiers: Sequence[Tier], media_path: str | Path, duration: float) -> None:
    """Writes ``tiers`` of the recording ``media_path``, ``duration`` seconds long, as an ELAN file.

    Times are rounded to milliseconds and every annotation lasts one at least, as ELAN needs; characters that XML
    cannot hold become U+FFFD. ``InputError`` for a tier that lasts longer than the recording, or two of one name.
    """
    path = Path(path)
    check_tiers(tiers, duration, path)
    names = [_text(tier.name) for tier in tiers]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: two tiers named {name!r}; ELAN needs a different name for each")
    spans = [_milliseconds(tier, math.floor(duration * 1000 + _ALIKE)) for tier in tiers]
    root = ET.Element("ANNOTATION_DOCUMENT", AUTHOR="", DATE=_DATE, FORMAT="3.0", VERSION="3.0")
    root.set("xmlns:xsi", _XSI)
    root.set("xsi:noNamespaceSchemaLocation", _SCHEMA)
    header = ET.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    ET.SubElement(header, "MEDIA_DESCRIPTOR", _media(Path(media_path), path))
    total = sum(map(len, spans))
    ET.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(total)
    # Slots stand in the order of time; where one annotation ends and the next begins, the end comes first.
    ends = [
        (time, t, 2 * i + side)
        for t, span in enumerate(spans)
        for i, pair in enumerate(span)
        for side, time in enumerate(pair)
    ]
    order = ET.SubElement(root, "TIME_ORDER")
    slots = {}
    for number, (time, t, which) in enumerate(sorted(ends), start=1):
        slots[t, which] = f"ts{number}"
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(time))
    number = 0
    for t, (tier, name) in enumerate(zip(tiers, names, strict=True)):
        element = ET.SubElement(root, "TIER", LINGUISTIC_TYPE_REF=_TYPE, TIER_ID=name)
        for i, (_, _, label) in enumerate(tier.intervals):
            number += 1
            ET.SubElement(
                ET.SubElement(
                    ET.SubElement(element, "ANNOTATION"),
                    "ALIGNABLE_ANNOTATION",
                    ANNOTATION_ID=f"a{number}",
                    TIME_SLOT_REF1=slots[t, 2 * i],
                    TIME_SLOT_REF2=slots[t, 2 * i + 1],
                ),
                "ANNOTATION_VALUE",
            ).text = _text(label)
    ET.SubElement(root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID=_TYPE, TIME_ALIGNABLE="true")
    ET.indent(root)
    # A bare carriage return would be read back as a newline; attributes are escaped already.
    content = ET.tostring(root, encoding="UTF-8", xml_declaration=True).replace(b"\r", b"&#13;")
    with atomic(path) as temporary:
        temporary.write_bytes(content + b"\n")


def _milliseconds(tier: Tier, most: int) -> list[tuple[int, int]]:
    """Whole milliseconds, up to ``most``, of the intervals; each lasts one at least where there are as many."""
    out, last = [], 0
    for start, end, _ in tier.intervals:
        first = max(round(start * 1000), last)
        last = max(round(end * 1000), first + 1)
        out.append((first, last))
    for place in reversed(range(len(out))):
        if out[place][1] <= most:
            break
        out[place] = (min(out[place][0], max(most - 1, 0)), max(most, 1))
        most = out[place][0]
    return out


def _media(media: Path, path: Path) -> dict[str, str]:
    """Where the recording lies: absolutely, and from the folder of the ELAN file. ELAN escapes neither."""
    there, here = media.resolve(), path.resolve().parent
    out = {"MEDIA_URL": f"file:///{_text(there.as_posix().lstrip('/'))}"}
    out["MIME_TYPE"] = "audio/x-wav" if media.suffix.lower() == ".wav" else "audio/*"
    if there.drive == here.drive:  # on Windows no relative path leads to another drive
        relative = Path(os.path.relpath(there, here)).as_posix()
        out["RELATIVE_MEDIA_URL"] = _text(relative if relative.startswith("..") else f"./{relative}")
    return out


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
