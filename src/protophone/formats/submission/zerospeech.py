"""The ZeroSpeech challenges of 2019 (speech without text) and 2020, which took the corpora of 2017 and 2019 again."""

import codecs
import re
import wave
from collections.abc import Iterable

import numpy as np

from protophone.errors import InputError
from protophone.files import read_text
from protophone.formats.classes import read_classes
from protophone.formats.submission.metadata import Entries, read_metadata
from protophone.formats.submission.report import Inspection
from protophone.formats.zerospeech import read_zerospeech

__all__ = ["check_2019", "check_2020"]

_AUTHORS: Entries = {"author": str, "affiliation": str, "open source": bool}
_SYSTEM: Entries = {
    "abx distance": str,
    "system description": str,
    "using parallel train": bool,
    "using external data": bool,
}
_TERMS: Entries = {
    "system description": str,
    "hyperparameters": object,
    "track1 supervised": bool,
    "track2 supervised": bool,
}
_DISTANCES = ("dtw_cosine", "dtw_kl", "levenshtein")
_LANGUAGES = ("english", "surprise")
_LANGUAGES_2017 = ("english", "french", "mandarin", "LANG1", "LANG2")
_DURATIONS = ("1s", "10s", "120s")
_AUXILIARY = ("auxiliary_embedding1", "auxiliary_embedding2")
_SPACES = re.compile(r"(?m)^[ \t]|[ \t]$|\t|  ")  # what the challenge's reader takes for an empty number


def check_2019(look: Inspection) -> None:
    """Notes the faults of a submission of 2019."""
    found = _resynthesis(look, "", {**_AUTHORS, **_SYSTEM}, strict=False)
    if found.get("open source") is True:
        _code(look, "code", is_open=True)


def check_2020(look: Inspection) -> None:
    """Notes the faults of a submission of 2020."""
    look.folders("", ["metadata.yaml"], others=["2017", "2019"])
    is_open = read_metadata(look, "metadata.yaml", _AUTHORS).get("open source")
    parts = [part for part in ("2017", "2019") if (look.folder / part).is_dir()]
    if not parts:
        look.fault("", "neither 2017 nor 2019 in it", "make a folder of that name for the part you submit")
    code = ["code"] if is_open is True else []
    if "2017" in parts:
        look.folders("2017", ["metadata.yaml", *code], others=["code", "track1", "track2"])
        _terms(look)
        _code(look, "2017/code", is_open=is_open)
    if "2019" in parts:
        look.folders("2019", ["metadata.yaml", *_LANGUAGES, *code], others=["code"])
        _resynthesis(look, "2019/", _SYSTEM, strict=True)
        _code(look, "2019/code", is_open=is_open)


def _code(look: Inspection, name: str, *, is_open: object) -> None:
    folder = look.folder / name
    holds = folder.is_dir() and any(folder.iterdir())
    if is_open is True and not holds:
        look.fault(name, "empty or not there, but open source is true", "put the code in it, or where to find it")
    if is_open is False and holds:
        look.fault(name, "holds something, but open source is false", "empty it, or say that the source is open")


def _resynthesis(look: Inspection, at: str, required: Entries, *, strict: bool) -> dict[str, object]:
    """The part of 2019 in the folder ``at``: units and the sounds made of them again."""
    used = []
    for auxiliary in _AUXILIARY:
        having = [language for language in _LANGUAGES if (look.folder / at / language / auxiliary).is_dir()]
        if having:
            used.append(auxiliary)
        if len(having) == 1:
            missing = next(language for language in _LANGUAGES if language not in having)
            look.fault(f"{at}{missing}/{auxiliary}", f"not there, but for {having[0]}", "give both languages or none")
    if used == [_AUXILIARY[1]]:
        look.fault(at.rstrip("/"), f"{_AUXILIARY[1]} without {_AUXILIARY[0]}", f"name it {_AUXILIARY[0]}")
    described: Entries = {f"auxiliary{i} description": str for i in (1, 2)}
    wanted: Entries = {key: described[key] for key, name in zip(described, _AUXILIARY, strict=True) if name in used}
    found = read_metadata(look, f"{at}metadata.yaml", {**required, **wanted}, described, strict=strict)
    distance = found.get("abx distance")
    if isinstance(distance, str) and distance not in _DISTANCES:
        look.fault(f"{at}metadata.yaml", f"the abx distance {distance!r}", f"choose one of {', '.join(_DISTANCES)}")
    for language in _LANGUAGES:
        test = f"{at}{language}/test"
        if look.is_folder(test):
            _vectors(look, look.named(test, ".txt"), divergence=distance == "dtw_kl")
            _sounds(look, look.named(test, ".wav"))
        for auxiliary in used:
            folder = f"{at}{language}/{auxiliary}"
            if (look.folder / folder).is_dir():
                _vectors(look, look.named(folder, ".txt"), divergence=False)
    return found


def _vectors(look: Inspection, names: Iterable[str], *, divergence: bool) -> None:
    """One vector a line, numbers apart by single spaces, all files of a folder as wide as the first."""
    first: tuple[str, int] | None = None
    for name in names:
        path = look.read(name)
        try:
            frames = read_zerospeech(path)
        except InputError as error:
            look.refused(name, error)
            continue
        if path.read_bytes().startswith(codecs.BOM_UTF8):
            look.fault(name, "a byte order mark at its beginning", "write it as UTF-8 without one")
        text = read_text(path).rstrip("\n")
        if spaces := _SPACES.search(text):
            line = text.count("\n", 0, spaces.start()) + 1
            look.fault(name, f"line {line}: spaces that part no numbers", "put one space between numbers, no more")
        first = first or (name, frames.shape[1])
        _as_wide(look, name, frames, first)
        if divergence and frames.min() < 0:
            look.fault(
                name,
                "negative numbers, of which Kullback-Leibler's divergence makes chance",
                "choose another abx distance, or give probabilities",
            )


def _as_wide(look: Inspection, name: str, frames: np.ndarray, first: tuple[str, int]) -> None:
    if frames.shape[1] != first[1]:
        look.fault(
            name,
            f"vectors of {frames.shape[1]} numbers where {first[0]} has {first[1]}",
            "give all the same dimensions",
        )


def _sounds(look: Inspection, names: Iterable[str]) -> None:
    for name in names:
        try:
            with wave.open(str(look.read(name)), "rb") as sound:
                if not sound.getnframes():
                    look.fault(name, "no sound in it", "synthesise it again")
        except (wave.Error, EOFError, OSError) as error:
            look.fault(name, f"not a WAV file of whole numbers ({error})", "write it as 16-bit PCM")


def _terms(look: Inspection) -> None:
    """The part of 2017: representations (track 1) and discovered terms (track 2)."""
    read_metadata(look, "2017/metadata.yaml", _TERMS)
    tracks = [track for track in ("track1", "track2") if (look.folder / "2017" / track).is_dir()]
    if not tracks:
        look.fault("2017", "neither track1 nor track2 in it", "make a folder of that name for the track you submit")
    if "track1" in tracks:
        look.folders("2017/track1", _LANGUAGES_2017)
        for language in _LANGUAGES_2017:
            for duration in _DURATIONS:
                folder = f"2017/track1/{language}/{duration}"
                if (look.folder / "2017/track1" / language).is_dir() and look.is_folder(folder):
                    _timed(look, look.named(folder, ".txt"))
    if "track2" in tracks:
        look.folders("2017/track2", [f"{language}.txt" for language in _LANGUAGES_2017])
        for language in _LANGUAGES_2017:
            name = f"2017/track2/{language}.txt"
            if (look.folder / name).is_file():
                _classes(look, name)


def _timed(look: Inspection, names: Iterable[str]) -> None:
    """A time in seconds, then a vector, a line."""
    first: tuple[str, int] | None = None
    for name in names:
        try:
            frames = read_zerospeech(look.read(name))
        except InputError as error:
            look.refused(name, error)
            continue
        if frames.shape[1] < 2:
            look.fault(name, "one number a line", "give the time of each frame in seconds, then its vector")
        elif (np.diff(frames[:, 0]) <= 0).any():
            look.fault(name, "times that do not grow from line to line", "begin each line with its time in seconds")
        first = first or (name, frames.shape[1])
        _as_wide(look, name, frames, first)


def _classes(look: Inspection, name: str) -> None:
    path = look.read(name)
    try:
        read_classes(path)
    except InputError as error:
        look.refused(name, error)
        return
    if not path.read_bytes().replace(b"\r\n", b"\n").endswith(b"\n\n"):
        look.fault(name, "no empty line at its end", "add one, or the challenge's reader refuses it")
