"""ELAN annotation files, read: aligned tiers, and tiers that take their times from the annotations they refer to.

An annotation is aligned (``ALIGNABLE_ANNOTATION``: two time slots) or symbolic (``REF_ANNOTATION``: a parent). One
symbolic annotation of a parent lasts as long as the parent (Symbolic_Association); several of one tier divide the
parent evenly, in their order (Symbolic_Subdivision), as ELAN shows them.

``TIME_ORIGIN`` of a medium is the time in that medium, in milliseconds, at which ELAN's time line begins.
"""

import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn
from urllib.parse import unquote

from protophone.errors import InputError
from protophone.files import read_bytes
from protophone.formats.tier import Tier, in_order

__all__ = ["read_eaf"]

_CURE = "open it in ELAN and save it again"
_MILLISECONDS = re.compile(r"-?[0-9]{1,15}")
_UNTIMED = "annotations: no time is given for them"
_COVERED = "annotations: they refer to others, where their tier has annotations with times of their own"
_ORPHANS = "annotations: what they refer to is not there or has no time, or their order is not clear"

Span = tuple[float, float]


@dataclass(eq=False)
class _Annotation:
    """An annotation as its tier has it; ``span`` in seconds, None until it is known."""

    name: str | None
    label: str
    parent: str | None = None
    previous: str | None = None
    span: Span | None = None


def read_eaf(path: str | Path, media: str | None = None) -> list[Tier]:
    """Return the tiers of an ELAN file, with empty annotations, in seconds of the recording.

    Boundaries that ELAN was not given a time for lie evenly between the nearest that have one, as ELAN shows them.
    Annotations that overlap, have no length or no time are trimmed or skipped, and counted in ``Tier.mended``. In a
    tier of both kinds, aligned annotations are kept and symbolic ones that overlap them are skipped.

    Parameters
    ----------
    path
        An ``.eaf`` file.
    media
        Name of the recording, without folder and suffix, whose time is wanted. Only needed where several media begin
        at different times (``TIME_ORIGIN``).

    Raises
    ------
    InputError
        If the file is not ELAN's, declares a document type (ELAN's have none, and entities lie there), or has several
        media that begin at different times, of which ``media`` is none.

    """
    path = Path(path)
    root = _parsed(path)
    header = root.find("HEADER")
    if root.tag != "ANNOTATION_DOCUMENT" or header is None:
        raise InputError(f"{path}: no ELAN file (its root is {root.tag}); give an .eaf file")
    units = header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise InputError(f"{path}: times in {units}, not milliseconds; {_CURE}")
    origin = _origin(header, media, path)
    slots: dict[str, float | None] = {}
    for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
        value, name = slot.get("TIME_VALUE"), slot.get("TIME_SLOT_ID", "")
        slots[name] = None if value is None else (_milliseconds(value, f"time slot {name}", path) + origin) / 1000
    elements = root.findall("TIER")
    aligned = [_alignable(element, slots) for element in elements]
    symbolic = [_symbolic(element) for element in elements]
    _inherit([each for tier in aligned for each in tier], symbolic)
    tiers = []
    for element, timed, referring in zip(elements, aligned, symbolic, strict=True):
        spans = [each.span for each in timed if each.span is not None]
        beside = [each for each in referring if each.span is None or not _overlaps(each.span, spans)]
        both = [*timed, *beside]
        kept, mended = in_order((*each.span, each.label) for each in both if each.span is not None)
        mended += Counter(_UNTIMED if each.parent is None else _ORPHANS for each in both if each.span is None)
        mended += Counter({_COVERED: len(referring) - len(beside)})
        try:
            tiers.append(Tier(element.get("TIER_ID", ""), kept, mended))
        except InputError as error:
            raise InputError(f"{path}: {error}; {_CURE}") from None
    return tiers


def _origin(header: ET.Element, media: str | None, path: Path) -> int:
    """Milliseconds of the recording at which the time line begins."""
    media_here = _media(header, path)
    origins = dict(media_here)
    if media in origins:
        return origins[media]
    if len(set(origins.values())) > 1:
        listed = ", ".join(f"{name} ({origin} ms)" for name, origin in media_here)
        raise InputError(
            f"{path}: its media begin at different times (TIME_ORIGIN): {listed}; name this file like one of them"
        )
    return next(iter(origins.values()), 0)


def _media(header: ET.Element, path: Path) -> list[tuple[str, int]]:
    """Name, without folder and suffix, and ``TIME_ORIGIN`` of each medium; of sounds alone where there are any."""
    found = header.findall("MEDIA_DESCRIPTOR")
    sounds = [each for each in found if each.get("MIME_TYPE", "").startswith("audio/")]
    out = []
    for each in sounds or found:
        url = unquote(each.get("RELATIVE_MEDIA_URL") or each.get("MEDIA_URL") or "").replace("\\", "/")
        origin = _milliseconds(each.get("TIME_ORIGIN") or "0", "TIME_ORIGIN", path)
        out.append((PurePosixPath(url).stem, origin))
    return out


def _milliseconds(value: str, what: str, path: Path) -> int:
    if not _MILLISECONDS.fullmatch(value):
        raise InputError(f"{path}: {what} at {value[:20]!r}, no milliseconds; {_CURE}")
    return int(value)


def _alignable(tier: ET.Element, slots: Mapping[str, float | None]) -> list[_Annotation]:
    """The aligned annotations of a tier; slots without a time split the stretch their chain of annotations covers."""
    found = tier.findall("ANNOTATION/ALIGNABLE_ANNOTATION")
    pairs = [(each.get("TIME_SLOT_REF1", ""), each.get("TIME_SLOT_REF2", "")) for each in found]
    follows = dict(pairs)
    times = {slot: time for slot, time in slots.items() if time is not None}
    passed = set(times)
    for first in [start for start, _ in pairs if start in times]:
        chain = [follows[first]]
        while chain[-1] not in passed and chain[-1] in follows:
            passed.add(chain[-1])
            chain.append(follows[chain[-1]])
        if chain[-1] in times:
            start, end = times[first], times[chain[-1]]
            times |= {slot: start + (end - start) * step / len(chain) for step, slot in enumerate(chain[:-1], start=1)}
    return [
        _Annotation(
            each.get("ANNOTATION_ID"),
            each.findtext("ANNOTATION_VALUE") or "",
            span=(times[start], times[end]) if start in times and end in times else None,
        )
        for each, (start, end) in zip(found, pairs, strict=True)
    ]


def _symbolic(tier: ET.Element) -> list[_Annotation]:
    return [
        _Annotation(
            each.get("ANNOTATION_ID"),
            each.findtext("ANNOTATION_VALUE") or "",
            parent=each.get("ANNOTATION_REF", ""),
            previous=each.get("PREVIOUS_ANNOTATION"),
        )
        for each in tier.findall("ANNOTATION/REF_ANNOTATION")
    ]


def _inherit(aligned: Sequence[_Annotation], tiers: Sequence[Sequence[_Annotation]]) -> None:
    """Give the symbolic annotations of ``tiers`` the time of their parents, divided among those of one tier."""
    waiting: defaultdict[str | None, list[list[_Annotation]]] = defaultdict(list)
    for tier in tiers:
        children: defaultdict[str | None, list[_Annotation]] = defaultdict(list)
        for each in tier:
            children[each.parent].append(each)
        for parent, some in children.items():
            waiting[parent].append(some)
    known = [each for each in aligned if each.span is not None and each.name is not None]
    while known:  # each family is taken out once: references in a circle are never reached
        above = known.pop()
        start, end = above.span or (0.0, 0.0)
        for some in waiting.pop(above.name, []):
            for number, each in enumerate(family := _ordered(some)):
                each.span = (
                    start + (end - start) * number / len(family),
                    start + (end - start) * (number + 1) / len(family),
                )
            known += [each for each in family if each.name is not None]


def _overlaps(span: Span, others: Sequence[Span]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in others)


def _ordered(family: list[_Annotation]) -> list[_Annotation]:
    """The annotations that divide one parent in their order, none where that is not clear."""
    if not any(each.previous for each in family):
        return family
    follows = {each.previous or None: each for each in family}
    chain: list[_Annotation] = []
    while (each := follows.pop(chain[-1].name if chain else None, None)) is not None:
        chain.append(each)
    return chain if len(chain) == len(family) else []


class _NoDoctype(ET.TreeBuilder):
    def doctype(self, name: str, *_: str | None) -> NoReturn:
        raise InputError(f"declares a document type ({name}), which ELAN's files do not; {_CURE}")


def _parsed(path: Path) -> ET.Element:
    try:
        # Entities can only be declared in a document type, and the first sight of one ends the parsing.
        return ET.fromstring(read_bytes(path), ET.XMLParser(target=_NoDoctype()))  # noqa: S314
    except ET.ParseError as error:
        raise InputError(f"{path}:{error.position[0]}: not XML ({error}); {_CURE}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give an .eaf file") from error
    except (LookupError, ValueError) as error:  # an encoding that Python does not have
        raise InputError(f"{path}: not XML that can be read ({error}); {_CURE}") from None
