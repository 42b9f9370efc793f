"""Folders that are submitted to a ZeroSpeech challenge: written whole and valid or not at all, and checked in full.

* ``zerospeech2019``: ``metadata.yaml``, ``code/`` of an open source system, and for ``english`` and ``surprise`` the
  vectors (``.txt``) and resynthesised sounds (``.wav``) in ``test/``, vectors alone in ``auxiliary_embedding1/``;
* ``zerospeech2020``: the same in ``2019/``, the representations and terms of the 2017 corpora in ``2017/track1/`` and
  ``2017/track2/``, each with a ``metadata.yaml``, and another one above;
* ``abxLS``, of the 2021 challenge's toolkit: ``meta.yaml``, ``params.yaml``, and ``.npy`` in ``dev-clean/`` to
  ``test-other/``.

What is checked is what the challenges' own validators check, and what they let pass and score wrongly: a frame shift
left out, vectors with negative numbers under Kullback-Leibler's divergence. Which recordings a challenge wants is not
known here; give their names to have them checked.
"""

import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from protophone.errors import InputError
from protophone.files import atomic_folder, explained, inside, refuse_existing
from protophone.formats.submission.abxls import check_abxls
from protophone.formats.submission.metadata import write_metadata
from protophone.formats.submission.report import Fault, Inspection, Report
from protophone.formats.submission.zerospeech import check_2019, check_2020
from protophone.formats.zerospeech import write_zerospeech

__all__ = ["Fault", "Kind", "Report", "validate_submission", "write_submission"]

Kind = Literal["zerospeech2019", "zerospeech2020", "abxLS"]

_CHECKS: dict[str, Callable[[Inspection], None]] = {
    "zerospeech2019": check_2019,
    "zerospeech2020": check_2020,
    "abxLS": check_abxls,
}


def write_submission(
    folder: str | Path,
    kind: Kind,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, Mapping[str, Any]],
    *,
    copies: Mapping[str, str | Path] | None = None,
    required: Collection[str] = (),
) -> Report:
    """Writes a submission that ``validate_submission`` finds without fault, or nothing.

    ``arrays`` ``[frame, dim]`` are named by their path in the folder without suffix (``english/test/S002_0006``,
    ``dev-clean/84-121123-0000``), ``metadata`` by that of its file (``metadata.yaml``); ``copies`` are files or folders
    to be copied, such as sounds and code, by the path they get. ``InputError`` where the folder holds something, or
    what would be written has a fault.
    """
    _check_kind(kind)
    refuse_existing(folder)
    with atomic_folder(folder) as temporary:
        for name, array in arrays.items():
            if kind == "abxLS":
                _write_npy(inside(temporary, name, ".npy"), array)
            else:
                write_zerospeech(inside(temporary, name, ".txt"), array)
        for name, source in (copies or {}).items():
            _copy(Path(source), inside(temporary, name, ""))
        for name, entries in metadata.items():
            write_metadata(inside(temporary, name, ""), entries)
        report = validate_submission(temporary, kind, required=required)
        if report.faults:
            raise InputError(f"{folder}: not written, it would have {len(report.faults)} faults: {report.faults[0]}")
    return report


def validate_submission(folder: str | Path, kind: Kind, *, required: Collection[str] = ()) -> Report:
    """Every fault of a submission, by file, with its cause and cure; ``required`` names files that must be there.

    ``InputError`` where there is no such folder, or for a kind that is unknown.
    """
    _check_kind(kind)
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the submission, unpacked")
    look = Inspection(folder)
    _CHECKS[kind](look)
    for name in required:
        if not (folder / name).is_file():
            look.fault(name, "not there", "the challenge wants it: write it")
    unchecked = () if required else ("whether every recording of the challenge is there: their names were not given",)
    return look.report(kind, unchecked)


def _check_kind(kind: str) -> None:
    if kind not in _CHECKS:
        raise InputError(f"{kind!r}: no kind of submission; the kinds are {', '.join(_CHECKS)}")


def _write_npy(path: Path, array: np.ndarray) -> None:
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path.stem}: {array.dtype} values; give real numbers")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.ascontiguousarray(array, np.float64), allow_pickle=False)


def _copy(source: Path, target: Path) -> None:
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.is_file():
            shutil.copyfile(source, target)
        else:
            raise InputError(f"{source}: not there, and it should be copied into the submission; name another file")
