"""Small made-up things to evaluate: units, features, items, alignments and sounds of a few recordings."""

import json
from pathlib import Path

import numpy as np
import soundfile

from tests.conftest import babble

PHONES = ("p", "t", "k")


def write_units(folder: Path, codes: dict, *, size=8, hop=160, sample_rate=16000, speakers=None, **more) -> Path:
    """``units.jsonl`` of codes ``[frame]`` by id."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, row in codes.items():
        line = {"id": name, "codes": list(map(int, row)), "hop": hop, "sample_rate": sample_rate, "size": size}
        line |= {"num_samples": len(row) * hop, "bundle": "0123abcd"} | more
        if speakers:
            line["speaker"] = speakers[name]
        lines.append(json.dumps(line) + "\n")
    (folder / "units.jsonl").write_text("".join(lines))
    return folder


def write_features(folder: Path, features: dict, *, rate: int | None = 100) -> Path:
    """A folder of ``.npy``, with ``grid.json`` where there is a rate."""
    for name, frames in features.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, frames)
    if rate is not None:
        (folder / "grid.json").write_text(json.dumps({"sample_rate": 16000, "hop": 16000 // rate, "offset": 0}))
    return folder


def write_items(path: Path, rows: list) -> Path:
    """An item file of ``(file, onset, offset, phone, previous, following, speaker)``."""
    lines = ["#file onset offset #phone prev-phone next-phone speaker"]
    path.write_text("\n".join([*lines, *(" ".join(map(str, row)) for row in rows)]) + "\n")
    return path


def write_ctm(path: Path, phones: dict) -> Path:
    """A CTM file of ``(start, duration, phone)`` by recording."""
    path.write_text(
        "".join(
            f"{name} 1 {start:.3f} {lasting:.3f} {phone}\n"
            for name, rows in phones.items()
            for start, lasting, phone in rows
        )
    )
    return path


def speech(files=6, tokens=12, seed=0, noise=0.5):
    """Phones of 50 ms one after another: features by file, rows of items, and the phones; three speakers."""
    rng = np.random.default_rng(seed)
    features, rows, phones = {}, [], {}
    for number in range(files):
        name, speaker = f"r{number}", f"s{number % 3}"
        said = rng.integers(0, 3, tokens)
        frames = np.repeat(np.eye(3, 4)[said], 5, axis=0) + noise * rng.standard_normal((5 * tokens, 4))
        features[name] = frames.astype(np.float32)
        times = [(round(0.05 * n, 3), round(0.05 * n + 0.05, 3)) for n in range(tokens)]
        rows += [(name, *time, PHONES[p], "x", "y", speaker) for time, p in zip(times, said, strict=True)]
        phones[name] = [(start, 0.05, PHONES[p]) for (start, _), p in zip(times, said, strict=True)]
    return features, rows, phones


def codes_of(phones: dict, *, wrong=0.2, seed=0, size=8) -> dict:
    """Units at 100 Hz that follow the phones, some frames of them at random."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, rows in phones.items():
        row = np.concatenate([np.full(round(100 * lasting), PHONES.index(phone)) for _, lasting, phone in rows])
        out[name] = np.where(rng.random(len(row)) < wrong, rng.integers(0, size, len(row)), row)
    return out


def write_sounds(folder: Path, *, files=6, seconds=0.6, text=True) -> Path:
    """A manifest of recordings of two speakers, with texts; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(files):
        name, speaker = f"r{number}", ("ana", "bo")[number % 2]
        sound = babble(seconds + 0.05 * number, seed=number, pitch=110 + 90 * (number % 2))
        soundfile.write(folder / f"{name}.wav", sound, 16000, subtype="PCM_16")
        line = {"id": name, "audio": f"{name}.wav", "speaker": speaker, "language": "en"}
        line |= {"split": "train" if number >= files - 2 else "dev"}
        if text:
            line["text"] = f"one two three {number}"
        lines.append(json.dumps(line) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines))
    return folder / "manifest.jsonl"
