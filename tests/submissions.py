"""A submission to each challenge as its arrays, metadata and files that are copied, and the faults of a written one."""

import wave

import numpy as np

from protophone.formats.submission import validate_submission

ONE_HOT = np.eye(4, dtype=np.float32)[[0, 0, 2, 3, 3]]
AUTHORS = {"author": "A. Speaker: one", "affiliation": "Université", "open source": True}
SYSTEM = {
    "abx distance": "dtw_cosine",
    "system description": "k-means, 4 units\non MFCC",
    "using parallel train": False,
    "using external data": False,
}
META = {
    "benchmark_name": "abxLS",
    "model_info": {"system_description": "MFCC", "train_set": "none", "gpu_budget": 0},
    "publication": {"authors": "A. Speaker", "institution": "none", "publication_year": 2024},
    "open_source": True,
}


def sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(b"\1\0" * 160)
    return path


def of_2019(tmp_path):
    code = tmp_path / "source"
    code.mkdir()
    (code / "where.txt").write_text("https://example.org")
    copies = {f"{language}/test/V001_1.wav": sound(tmp_path / "s.wav") for language in ("english", "surprise")}
    arrays = {
        f"{language}/{part}/S{i}": ONE_HOT
        for language in ("english", "surprise")
        for part in ("test", "auxiliary_embedding1")
        for i in (1, 2)
    }
    metadata = {"metadata.yaml": AUTHORS | SYSTEM | {"auxiliary1 description": "before"}}
    return arrays, metadata, copies | {"code": code}


def of_2020(tmp_path):
    arrays, metadata, copies = of_2019(tmp_path)
    terms = tmp_path / "classes"
    terms.write_text("Class 1\na 0 1\n\n")
    timed = np.column_stack([np.arange(5) / 100, ONE_HOT])
    languages = ("english", "french", "mandarin", "LANG1", "LANG2")
    arrays = {f"2019/{name}": array for name, array in arrays.items()} | {
        f"2017/track1/{language}/{length}/a": timed for language in languages for length in ("1s", "10s", "120s")
    }
    system = metadata["metadata.yaml"]
    metadata = {
        "metadata.yaml": AUTHORS,
        "2019/metadata.yaml": {key: value for key, value in system.items() if key not in AUTHORS},
        "2017/metadata.yaml": {
            "system description": "x",
            "hyperparameters": {"k": [1, 2]},
            "track1 supervised": False,
            "track2 supervised": True,
        },
    }
    copies = {f"2019/{name}": path for name, path in copies.items()}
    copies |= {f"2017/track2/{language}.txt": terms for language in languages} | {"2017/code": copies["2019/code"]}
    return arrays, metadata, copies


def of_abxls(tmp_path):
    subsets = ("dev-clean", "dev-other", "test-clean", "test-other")
    arrays = {f"{subset}/84-{i}": ONE_HOT for subset in subsets for i in (1, 2)}
    return arrays, {"meta.yaml": META, "params.yaml": {"feature_size": 0.02, "distance_mode": "cosine"}}, {}


MAKE = {"zerospeech2019": of_2019, "zerospeech2020": of_2020, "abxLS": of_abxls}


def faults_of(folder, kind, **more):
    return [str(fault) for fault in validate_submission(folder, kind, **more).faults]
