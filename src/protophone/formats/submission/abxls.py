"""The ABX task on LibriSpeech of the 2021 challenge, as its toolkit (``zrc``) reads it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from protophone.errors import InputError
from protophone.formats.arrays import read_npy
from protophone.formats.submission.metadata import Entries, check_entries, read_metadata
from protophone.formats.submission.report import Inspection
from protophone.formats.zerospeech import read_zerospeech

__all__ = ["check_abxls"]

_SUBSETS = ("dev-clean", "dev-other", "test-clean", "test-other")
_NUMBER = (float, int)
_META: Entries = {"benchmark_name": str, "model_info": dict, "publication": dict, "open_source": bool}
_META_OPTIONAL: Entries = {"username": str, "submission_id": str, "code_url": str}
_MODEL: Entries = {"system_description": str, "train_set": str}
_MODEL_OPTIONAL: Entries = {"model_id": str, "gpu_budget": (str, float, int)}
_PUBLICATION: Entries = {"authors": str, "institution": str, "publication_year": int}
_PUBLICATION_OPTIONAL: Entries = dict.fromkeys(
    ("author_label", "paper_title", "paper_url", "bib_reference", "DOI", "team"), str
)
_PARAMS: Entries = {"feature_size": _NUMBER}
_PARAMS_OPTIONAL: Entries = {
    "quiet": bool,
    "path_checkpoint": str,
    "cuda": bool,
    "speaker_mode": str,
    "context": str,
    "distance_mode": str,
    "max_size_group": int,
    "max_x_across": int,
    "seed": int,
    "out": str,
    "score_file_type": str,
    "result_filename": str,
}
_CHOICES = {
    "speaker_mode": ("all", "within", "across"),
    "context": ("all", "phoneme-any", "phoneme-within", "triphone-within"),
    "distance_mode": ("euclidian", "cosine", "kl", "kl_symmetric"),  # spelt as the toolkit does
    "score_file_type": (".npy", ".txt"),
}


def check_abxls(look: Inspection) -> None:
    """Notes the faults of a submission to the ABX task of 2021."""
    look.folders("", ["meta.yaml", "params.yaml", *_SUBSETS], others=["scores", "help.md"])
    _meta(look)
    suffix = _params(look)
    first: tuple[str, int] | None = None
    for subset in _SUBSETS:
        if (look.folder / subset).is_dir():
            for name in look.named(subset, suffix):
                frames = _frames(look, name, suffix)
                if frames is None:
                    continue
                first = first or (name, frames.shape[1])
                if frames.shape[1] != first[1]:
                    look.fault(
                        name,
                        f"frames of {frames.shape[1]} numbers where {first[0]} has {first[1]}",
                        "give all the same dimensions",
                    )


def _meta(look: Inspection) -> None:
    name = "meta.yaml"
    found = read_metadata(look, name, _META, _META_OPTIONAL)
    if isinstance(benchmark := found.get("benchmark_name"), str) and benchmark != "abxLS":
        look.fault(name, f"the benchmark_name {benchmark!r}", "make it abxLS")
    for key, required, optional in (
        ("model_info", _MODEL, _MODEL_OPTIONAL),
        ("publication", _PUBLICATION, _PUBLICATION_OPTIONAL),
    ):
        if isinstance(part := found.get(key), dict):
            check_entries(look, name, part, required, optional)
            _no_template(look, name, part)
    _no_template(look, name, found)


def _no_template(look: Inspection, name: str, entries: Mapping[Any, Any]) -> None:
    for key, value in entries.items():
        if isinstance(value, str) and value.startswith("<") and value.endswith(">"):
            look.fault(name, f"the entry {key!r} is still that of the template", "fill it in or take it out")


def _params(look: Inspection) -> str:
    """The kind of file that is scored."""
    name = "params.yaml"
    # the toolkit would take 10 ms for a frame shift that is not given, and score frames of 20 ms as if they were
    found = read_metadata(look, name, _PARAMS, _PARAMS_OPTIONAL)
    shift = found.get("feature_size")
    if isinstance(shift, _NUMBER) and not isinstance(shift, bool) and not 0 < shift < 1:
        look.fault(name, f"the feature_size {shift}", "give the frame shift in seconds, such as 0.02")
    for key, choices in _CHOICES.items():
        if isinstance(value := found.get(key), str) and value not in choices:
            look.fault(name, f"the {key} {value!r}", f"choose one of {', '.join(choices)}")
    suffix = found.get("score_file_type")
    return suffix if suffix in _CHOICES["score_file_type"] else ".npy"


def _frames(look: Inspection, name: str, suffix: str) -> np.ndarray | None:
    """The frames of a file, its faults noted; None where they are none ``[frame, dim]``."""
    path = look.read(name)
    try:
        frames = read_npy(path) if suffix == ".npy" else read_zerospeech(path)
    except InputError as error:
        look.refused(name, error)
        return None
    if frames.ndim != 2 or frames.dtype.kind not in "fiu":
        look.fault(name, f"{frames.dtype} of {frames.ndim} axes", "give numbers of two, frames and dimensions")
        return None
    if suffix == ".npy" and frames.dtype != np.float64:
        look.fault(name, f"{frames.dtype} numbers, which the toolkit refuses", "write them as float64")
    if len(frames) < 2:
        look.fault(name, f"{len(frames)} frames", "give two at least")
    if not np.isfinite(frames).all():
        look.fault(name, "numbers that are not finite", "look for silence or faults in the recording")
    return frames
