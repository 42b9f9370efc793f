"""One recording through everything: manifest, samples, features, units, disk, sound again, scores; shapes on the way.

    python examples/utterance.py RECORDING [BUNDLE]

Without a bundle, the one that is shipped. Writes nothing that stays.
"""

import sys
import tempfile
from pathlib import Path

import torch

from protophone import audio, load, manifest
from protophone.codec import pack, read_entropy, unpack
from protophone.encoders import Moments
from protophone.metrics.bitrate import bit_rates
from protophone.store import UnitRecord, UnitsWriter, read_units
from protophone.types import AudioBatch


def follow(path: Path, bundle: Path | None) -> None:
    """Prints what becomes of the recording at ``path``."""
    model = load(bundle)
    encoder = model.encoder

    (recording,) = manifest.build(path, probe=True).recordings
    print(f"manifest    id {recording.id}, {recording.num_samples} samples at {recording.sample_rate} Hz")

    samples = audio.read(recording, model.sample_rate)
    batch = AudioBatch.from_arrays([samples], model.sample_rate)
    print(f"read        {batch.samples.dtype} {list(batch.samples.shape)}, {len(samples) / model.sample_rate:.2f} s")

    features = encoder.features(batch)
    print(
        f"features    {encoder.features.config.kind} {list(features.frames.shape)}, every {features.grid.hop} samples"
    )

    frames = encoder.normalize(features, Moments.of(features)).frames
    print(f"normalised  mean {abs(float(frames.mean())):.2f}, deviation {float(frames.std()):.2f}")

    utterance = model.encode(recording)
    units = utterance.content
    print(f"encoded     codes {list(units.codes.shape)} below {units.sizes[0]}, every {units.grid.hop} samples")
    print(f"            {' '.join(map(str, units[0][0][:12]))} ...")
    if utterance.pitch is not None:
        pitch = utterance.pitch
        print(f"pitch       codes {list(pitch.codes.shape)} below {pitch.sizes[0]}, every {pitch.grid.hop} samples")
        print(f"            {' '.join(map(str, pitch[0][0][:12]))} ...")
    runs = units.collapse()
    equal = torch.equal(runs.expand().codes, units.codes)
    print(f"collapsed   {runs.codes.shape[2]} runs; expanded again, equal: {equal}")

    with tempfile.TemporaryDirectory() as folder:
        with UnitsWriter(folder, settings={"bundle": encoder.codebook.hash}) as writer:
            writer.append(UnitRecord.from_utterance(utterance, recording.id))
        size = (Path(folder) / "units.jsonl").stat().st_size
        (record,) = read_units(folder)
    print(f"on disk     one line of {size} bytes, codebook {record.bundle}, offset {record.offset}")

    if "entropy" in model.bundle.parts:
        entropy = read_entropy(model.bundle)
        packed = pack(utterance, entropy)
        same = torch.equal(unpack(packed, entropy).content.codes, units.codes)
        rate = 8 * len(packed) * model.sample_rate / len(samples)
        print(f"packed      {len(packed)} bytes, {rate:.0f} bit/s; the same units come out: {same}")

    if model.voices:
        sound = model.decode(record.to_utterance(), model.voices[0])
        again = model.encode(sound[0]).content
        same = float((again.codes == units.codes).float().mean())
        print(f"decoded     {list(sound.samples.shape)} in the voice {model.voices[0]}")
        print(f"            encoded again, {100 * same:.0f} % of the units come back")

    vectors = encoder.vectors(units)
    print(f"scored      vectors {list(vectors.frames.shape)} for ABX, {float(vectors.grid.frame_rate):g} a second")
    seconds = len(samples) / model.sample_rate
    rates = bit_rates([units[0].T], seconds, frame_rate=units.grid.frame_rate, sizes=units.sizes)
    print(f"            {', '.join(f'{name} {value:.0f}' for name, value in rates.as_dict().items())} bit/s")


if __name__ == "__main__":
    follow(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
