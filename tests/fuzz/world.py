"""Sound inputs of every kind that commands read, made once: tiny recordings, a bundle, units, annotations, results."""

import json
import shutil
from pathlib import Path

import joblib
import numpy as np
import soundfile
import torch
from safetensors.numpy import save_file
from sklearn.cluster import MiniBatchKMeans

from protophone.bundle import add_part
from protophone.cli.codec import compress
from protophone.cli.progress import Terminal
from protophone.codec import ContextConfig, fit_entropy
from protophone.config import dump
from protophone.corpus import encode_corpus
from protophone.curriculum import TrainingSteps
from protophone.discover import DiscoverConfig, discover
from protophone.evaluate import quality
from protophone.evaluate.everything import evaluate_all
from protophone.evaluate.results import write_results
from protophone.evaluate.units import evaluate_bitrate, evaluate_units
from protophone.formats import Tier, read_arrays, write_eaf, write_textgrid
from protophone.formats.submission import write_submission
from protophone.manifest import read
from protophone.metrics.quality import DNSMOS, Scores
from protophone.model import load
from protophone.recipe import load_recipe, run_recipe
from tests.conftest import babble
from tests.evaluate.judges import SAME_LENGTH
from tests.evaluate.made import codes_of, speech, write_ctm, write_features, write_items, write_units
from tests.fuzz.cases import SOUNDS
from tests.submissions import of_abxls
from tests.tiny import ENCODER, VOICE, small_networks

__all__ = ["build", "quick"]

PITCH = """
bundle = "bundle"
[data]
recordings = "corpus/manifest.jsonl"
[pitch]
channels = 8
[pitch.quantizer]
num_units = 8
dim = 4
[train]
steps = 4
batch = 2
crop = 64
device = "cpu"
"""
ENTROPY = """
bundle = "bundle"
[data]
recordings = "corpus/manifest.jsonl"
[entropy]
lags = 2
hidden = 8
dim = 4
steps = 4
batch = 16
"""
PIPELINE = """
[data]
recordings = "corpus/manifest.jsonl"
[encoder]
kind = "pipeline"
time_reduction = 2
[encoder.quantizer]
kind = "{kind}"
num_units = 4
"""
CONTENT = """
[data]
recordings = "corpus/manifest.jsonl"
[encoder]
kind = "content"
channels = 8
encoder_blocks = 1
decoder_blocks = 1
fine_channels = 8
fine_blocks = 1
[encoder.augment]
warp = 0.03
noise = 0.1
[encoder.quantizer]
num_units = 8
dim = 4
[train]
steps = 2
batch = 2
crop = 32
device = "cpu"
"""
VOCODER = """
bundle = "bundle"
name = "other"
[data]
recordings = "corpus/manifest.jsonl"
[voice]
kind = "{kind}"
channels = 16
[train]
steps = 2
batch = 2
crop = 32
device = "cpu"
"""


def quick(patch) -> None:
    """Makes networks that ``discover`` learns small, and answers for the judge of quality, which takes seconds."""
    small_networks(patch, measured=False)
    patch.setattr(quality, "sound_scores", lambda *_: Scores(dict.fromkeys(DNSMOS, 3.0), {}))
    patch.setattr(quality, "pair_scores", lambda *_: Scores(dict.fromkeys(("mcd_db", *SAME_LENGTH), 1.0), {}))
    patch.setattr(quality, "protocol", lambda measure: {"measure": measure})


def build(place: Path) -> None:
    """Fills ``place``, which is the current folder; all paths in what it writes are relative to it."""
    _recordings(place / "corpus")
    for name in SOUNDS:
        soundfile.write(place / f"sound.{name}", babble(0.8, seed=7), 16000)
    soundfile.write(place / "wide.wav", np.stack([babble(0.6, seed=1, sample_rate=44100)] * 2, 1), 44100, "FLOAT")
    _recipes(place)
    bundle = run_recipe(load_recipe("encoder.toml", []), "learned")
    run_recipe(load_recipe("voice.toml", [f'bundle = "{bundle}"']), "spoken")
    run_recipe(load_recipe("pitch.toml", [f'bundle = "{bundle}"']), "pitched")
    model = load(bundle)
    heard = [model.encode(path, path.parent.name) for path in sorted(Path("corpus").rglob("*.wav"))]
    vectors = {"content0": model.encoder.codebook.vectors[0], "pitch0": model.pitch.codebook.vectors[0]}
    settings = ContextConfig(lags=2, hidden=8, dim=4, steps=4, batch=16)
    add_part(bundle, "entropy", fit_entropy(heard, model.voices, settings, vectors=vectors).part())
    shutil.copytree(bundle, place / "bundle")
    for name, form in (("encoded", "units"), ("sharded", "shards")):
        encode_corpus(load("bundle"), read("corpus/manifest.jsonl"), name, form=form)
    compress(Path("sound.wav"), Path("packed.ppn"), bundle=Path("bundle"), voice="ana")
    _evaluated(place)
    _foreign(place)
    options = DiscoverConfig(units=4, steps=TrainingSteps(units=1, pitch=1, synthesizer=1))
    discover("corpus/manifest.jsonl", "discovered", options, Terminal())
    write_results(place / "everything", evaluate_all("bundle", "corpus/manifest.jsonl", "everything"))


def _recordings(folder: Path) -> None:
    lines = []
    for number, speaker in enumerate(("ana", "bo")):
        (folder / speaker).mkdir(parents=True)
        for index in range(3):
            sound = babble(0.6 + 0.1 * index, seed=10 * number + index, pitch=110 + 90 * number)
            soundfile.write(folder / speaker / f"{index}.wav", sound, 16000, subtype="PCM_16")
            line = {"id": f"{speaker}/{index}", "audio": f"{speaker}/{index}.wav", "speaker": speaker}
            lines.append(line | {"split": "train", "text": "one two", "language": "en"})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _recipes(place: Path) -> None:
    recipes = {
        "encoder": ENCODER.format(recordings="corpus/manifest.jsonl").replace("steps = 40", "steps = 6"),
        "voice": VOICE.format(recordings="corpus/manifest.jsonl", bundle="bundle").replace("steps = 20", "steps = 4"),
        "pitch": PITCH,
        "entropy": ENTROPY,
        "content": CONTENT,
        "vocos": VOCODER.format(kind="vocos"),
        "hifigan": VOCODER.format(kind="hifigan").replace("channels = 16", "channels = 32\npitch_units = 8"),
    }
    recipes["hifigan"] += "[voice.discriminators]\nwidth = 0.02\nkinds = ['resolution']\n"
    recipes |= {kind: PIPELINE.format(kind=kind) for kind in ("kmeans", "gmm", "dpgmm")}
    for name, text in recipes.items():
        (place / f"{name}.toml").write_text(text)
        (place / f"{name}.toml").write_text(dump(load_recipe(f"{name}.toml", [])))  # every key and kind that it has


def _evaluated(place: Path) -> None:
    features, rows, phones = speech(files=3, tokens=8)
    codes = codes_of(phones)
    speakers = {name: f"s{number}" for number, name in enumerate(codes)}
    write_units(place / "units", codes, speakers=speakers)
    write_features(place / "features", features)
    np.savez(place / "features.npz", **features)
    save_file(features, place / "features.safetensors")
    (place / "tensors").mkdir()
    for name, frames in features.items():
        torch.save(torch.from_numpy(frames), place / "tensors" / f"{name}.pt")
    (place / "vectors").mkdir()
    for name, frames in features.items():
        np.savetxt(place / "vectors" / f"{name}.txt", frames)
    write_items(place / "items.item", rows)
    write_ctm(place / "phones.ctm", phones)
    write_ctm(place / "words.ctm", {name: [(0.0, 0.2, "one"), (0.2, 0.2, "two")] for name in phones})
    (place / "classes.txt").write_text("Class 0\nr0 0.0 0.1\nr1 0.1 0.2\n\nClass 1\nr0 0.2 0.3\nr2 0.0 0.1\n\n")
    for name, rows in phones.items():
        tier = Tier("phones", [(start, start + lasting, phone) for start, lasting, phone in rows])
        write_textgrid(place / "grids" / f"{name}.TextGrid", [tier], 1.0)
        write_eaf(place / "elan" / f"{name}.eaf", [tier], f"{name}.wav", 1.0)
    for name in ("one", "two"):
        results, _ = evaluate_units(Path("units"), alignment=Path("phones.ctm"))
        write_results(place / name, results)
    write_results(place / "rates", evaluate_bitrate(Path("units")))
    arrays, metadata, copies = of_abxls(place)
    write_features(place / "handed", arrays, rate=None)
    write_submission(place / "submission", "abxLS", read_arrays(place / "handed"), metadata, copies=copies)
    (place / "rest").mkdir()
    for path in (place / "submission").glob("*.yaml"):
        shutil.copy(path, place / "rest")


def _foreign(place: Path) -> None:
    """Centroids that others fitted, in the files that ``encoder.quantizer.centroids`` takes."""
    fitted = MiniBatchKMeans(4, n_init=1).fit(np.random.default_rng(0).standard_normal((64, 39)))
    joblib.dump(fitted, place / "km.bin")
    np.save(place / "km.npy", fitted.cluster_centers_)
