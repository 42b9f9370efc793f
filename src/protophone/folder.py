"""Recordings found in a folder, and the files beside them that are left out."""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from protophone import audio
from protophone.errors import InputError
from protophone.files import id_fault, is_leftover
from protophone.names import collision, printable
from protophone.speakers import SpeakerFrom, amounts, check_choice, doubts, speaker_of
from protophone.types import Recording

__all__ = ["Listing", "Passed", "identifier", "scan"]

_VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".3gpp", ".3g2", ".wmv", ".asf", ".webm", ".mkv", ".avi", ".mts", ".m2ts"}
    | {".mpg", ".mpeg"}
)
_TEXTS = frozenset(  # files that are not opened to see if they are sound
    {".txt", ".eaf", ".etf", ".pfsx", ".textgrid", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".html", ".md", ".pdf"}
    | {".docx", ".xlsx", ".jpg", ".jpeg", ".png", ".gif", ".tif", ".npy", ".pt", ".safetensors", ".toml", ".zip"}
)
_STARTS = (  # of sound files: the byte they stand at, the bytes, and the suffix such a file should have
    *((8, b"WAVE", ".wav"), (8, b"AIFF", ".aiff"), (8, b"AIFC", ".aiff"), (8, b"AVI ", ".avi")),
    *((0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"), (0, b"ID3", ".mp3"), (0, b".snd", ".au"), (0, b"caff", ".caf")),
    *((0, b"riff\x2e\x91", ".w64"), (0, b"NIST_1A", ".sph"), (0, b"#!AMR", ".amr"), (0, b"wvpk", ".wv")),
    *((0, b"\x30\x26\xb2\x75", ".wma"), (0, b"\x1a\x45\xdf\xa3", ".webm"), (4, b"ftypM4A", ".m4a")),
    *((4, b"ftypmp4", ".mp4"), (4, b"ftypiso", ".mp4"), (4, b"ftypqt", ".mov"), (4, b"ftyp3g", ".3gp")),
)
_KINDS = 8  # suffixes at most in a line
_EXAMPLES = 3  # files at most in a line


@dataclass(frozen=True)
class Passed:
    """Files that are not recordings, or not used as such: how many, the reason, and a few of them."""

    count: int
    reason: str
    examples: tuple[str, ...]

    def __str__(self) -> str:
        """Say so in a line."""
        return f"{self.count} file{'s' if self.count > 1 else ''}, {self.reason}: {', '.join(self.examples)}"


@dataclass(frozen=True)
class Listing:
    """The recordings of a folder or manifest, and the rest of its files.

    ``failures`` are the sound files that cannot be used: a name and the reason with the cure. ``passed`` are other
    files. ``warnings`` concern the speakers.
    """

    recordings: list[Recording]
    failures: list[tuple[str, str]] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def lines(self, seconds: Mapping[str, float]) -> list[str]:
        """Return lines on the other files, the speakers and the warnings.

        ``seconds`` are those of each recording by its id; without any, speakers are not listed.
        """
        named = amounts(self.recordings, seconds) if seconds else ""
        told = [*(f"left out: {each}" for each in self.passed), named, *(f"warning: {each}" for each in self.warnings)]
        return [line for line in told if line]


def scan(folder: str | Path, speaker_from: SpeakerFrom = "none") -> Listing:
    """List every recording in ``folder`` and the folders in it, in the order of their ids; count hidden files.

    The id is the path from ``folder`` without the suffix, with "_" for a backslash. Files that differ only in the
    suffix keep it. Other ids that could not lie in one output get "_" at the end. A video beside a sound of the same
    name is left out, and so is a recording without a speaker where ``speaker_from`` says. Raises ``InputError`` if no
    recording is left.
    """
    folder = Path(folder)
    check_choice(speaker_from)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; name the folder that holds the recordings")
    failures: list[tuple[str, str]] = []
    other: Counter[str] = Counter()
    paths: list[Path] = []
    hidden: list[Path] = []
    for path in _files(folder, failures, hidden):
        if fault := _fault(path):
            _leave_out(failures, path, fault)
        elif path.suffix.lower() in audio.EXTENSIONS:
            paths.append(path)
        else:
            other[printable(path.suffix.lower()) or "without suffix"] += 1
    sounds = {path.with_suffix("") for path in paths if path.suffix.lower() not in _VIDEOS}
    videos = [path for path in paths if path.suffix.lower() in _VIDEOS and path.with_suffix("") in sounds]
    recordings, beside = [], set(videos)
    for name, path in _identified(folder, [path for path in paths if path not in beside]):
        if fault := id_fault(name):
            _leave_out(failures, path, f"its name {fault}")
            continue
        try:
            speaker = speaker_of(path, speaker_from, folder)
        except InputError as error:
            failures.append((printable(str(path)), printable(str(error))))
        else:
            recordings.append(Recording(id=name, path=path, speaker=speaker))
    if not recordings and not failures:
        ends, instead = ", ".join(audio.EXTENSIONS), _instead(other + Counter(hidden=len(hidden)))
        raise InputError(f"{folder}: no recordings in it{instead}; sound files end in {ends}")
    if not recordings:
        raise InputError(f"{folder}: none of its {len(failures)} recordings can be used, the first: {failures[0][1]}")
    passed = []
    for some, reason in (
        (videos, "video beside a sound of the same name, which is read instead"),
        (sorted(hidden), "hidden by a name that begins with a dot"),
    ):
        if some:
            examples = tuple(printable(path.relative_to(folder).as_posix()) for path in some[:_EXAMPLES])
            passed.append(Passed(len(some), reason, examples))
    if other:
        passed.append(Passed(other.total(), "no sound", _counts(other)))
    return Listing(recordings, failures, passed, doubts(recordings, speaker_from, folder))


def identifier(path: Path) -> str:
    """Return a relative path as an id: "/" between parts, "_" for a backslash, composed letters (NFC)."""
    return unicodedata.normalize("NFC", path.as_posix()).replace("\\", "_")


def _files(folder: Path, failures: list[tuple[str, str]], hidden: list[Path]) -> Iterator[Path]:
    """Files below ``folder`` in the order of their names; links to folders are followed, each folder once.

    Hidden files, and those in hidden folders, go to ``hidden`` instead; links in hidden folders are not followed.
    """

    def unreadable(error: OSError) -> None:
        place = Path(os.fsdecode(error.filename))
        _leave_out(failures, place, f"a folder that cannot be read ({error.strerror}); change its permissions")

    found: list[Path] = []
    visited = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        real = os.path.realpath(place)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        kept = [Path(place, name) for name in files if not is_leftover(Path(name))]
        for dotted in (name for name in folders if name.startswith(".") and not is_leftover(Path(name))):
            hidden += [Path(inner, name) for inner, _, names in os.walk(Path(place, dotted)) for name in names]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        hidden += [path for path in kept if path.name.startswith(".")]
        found += [path for path in kept if not path.name.startswith(".")]
    yield from sorted(found)


def _fault(path: Path) -> str | None:
    """The reason why a file that may be sound cannot be used, with the cure; None if it can, or is no sound."""
    known = path.suffix.lower() in audio.EXTENSIONS
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"leads to no file ({error.strerror}); mend the link, or copy the file here" if known else None
    if not stat.S_ISREG(mode):
        return "a pipe, socket or device, not a file; write its sound to a file" if known else None
    suffix = None if known or path.suffix.lower() in _TEXTS else _suffix_of(path)
    if not known and suffix is None:
        return None
    if not _is_utf8(path):
        return "its name is not UTF-8; rename it"
    return f"holds sound, but its name does not say so; let it end in {suffix}" if suffix else None


def _suffix_of(path: Path) -> str | None:
    """The suffix that a sound file of another name should have, by its first bytes; None if they are no sound's."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return None
    return next((suffix for at, magic, suffix in _STARTS if start.startswith(magic, at)), None)


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _identified(folder: Path, paths: Collection[Path]) -> list[tuple[str, Path]]:
    """Ids for the recordings in ``paths``, all different and fit to lie in one output, in their order."""
    named: dict[str, Path] = {}
    plain = {path: path.relative_to(folder).as_posix() for path in paths}
    for path in sorted(paths, key=lambda path: (identifier(path.relative_to(folder)) != plain[path], plain[path])):
        full, suffix = identifier(path.relative_to(folder)), path.suffix
        stem = full[: -len(suffix)]
        while full in named:
            stem += "_"
            full = stem + suffix
        named[full] = path
    names = {full: full[: -len(path.suffix)] for full, path in named.items()}
    while repeated := {name for name, count in Counter(names.values()).items() if count > 1}:
        names = {full: full if name in repeated else name for full, name in names.items()}
    ids = {name: named[full] for full, name in names.items()}
    while clash := collision(sorted(ids)):
        file, _ = clash
        free = file
        while free in ids or free == file:
            free += "_"
        ids[free] = ids.pop(file)
    return sorted(ids.items())


def _leave_out(failures: list[tuple[str, str]], path: Path, fault: str) -> None:
    failures.append((printable(str(path)), printable(f"{path}: {fault}")))


def _counts(other: Counter[str]) -> tuple[str, ...]:
    """Numbers of files by suffix, the most frequent first."""
    order = sorted(other.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(count for _, count in order[_KINDS:])
    return tuple(f"{count} {name}" for name, count in order[:_KINDS]) + ((f"{rest} others",) if rest else ())


def _instead(other: Counter[str]) -> str:
    return f", but {', '.join(_counts(other))}" if other else ""
