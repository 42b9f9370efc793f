"""What others' codecs leave of speech at the lowest rates they have, and ours beside them, on the same recordings.

    python benchmarks/codecs.py --manifest ../shared/data/prompts/manifest.jsonl --split dev --asr whisper-base \
        --one-person prompts-en,prompts-es --out results/codecs

Opus at 6 kbit/s (Debian package opus-tools) and Codec2 at 2.4 and 1.2 kbit/s (codec2); with ``--bundle``, as often as
wanted, bundles of ours with an entropy model, each recording in its own speaker's voice. Each is written to a file and
spoken again from it. Into the folder of each codec go ``files/``, ``sounds/``, ``manifest.jsonl`` of the sounds with
their measured bits, and the figures of ``protophone evaluate resynthesis``; into ``--out`` what ``protophone compare``
writes of them all, and what matters of that here as ``table.md``. An interrupted run goes on.

Two bit rates are measured, all bits over all seconds: of the whole files, and without the container, which in clips of
a few seconds costs Opus a good part of its bits (Ogg pages, headers). Codec2's files are bare frames: they hold neither
mode nor length, which the receiver is told here. Codec2 works at 8 kHz, and what it speaks is late; ``CODEC2_LATE`` of
silence is added before encoding and as much cut off after decoding. Opus says in its file how much to cut off. "Delay
left" is measured on the sounds that are scored, and should be near nothing.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from protophone import audio, manifest
from protophone.cli.progress import bar
from protophone.codec import describe, pack, read_entropy, unpack
from protophone.errors import InputError, ProtophoneError
from protophone.evaluate.compare import Comparison, write_comparison
from protophone.evaluate.figure import Figure, Found, counted, estimated
from protophone.evaluate.pairs import RATE
from protophone.evaluate.results import digest, write_results
from protophone.evaluate.resynthesis import Measures, evaluate_resynthesis
from protophone.evaluate.sources import recordings_of
from protophone.files import atomic, inside, read_json, refuse_existing, write_json, write_text
from protophone.metrics.interval import estimate, ratio
from protophone.model import load
from protophone.types import Recording

FILES, PAYLOAD = "bit rate, whole files", "bit rate, without the container"
SHOWN = (
    *(FILES, PAYLOAD, "CER", "CER, untouched", "CER / untouched", "WER", "WER, untouched", "WER / untouched"),
    *("F0 gross pitch error (GPE)", "F0 voicing decision error (VDE)", "F0 frame error (FFE)"),
    *("speaker similarity to the original", "own speaker nearer than any other"),
    *("DNSMOS overall", "DNSMOS overall, untouched", "DNSMOS P.808", "DNSMOS P.808, untouched", "STOI", "delay left"),
)
OPUS = ("--bitrate", "6", "--speech", "--padding", "0", "--discard-comments", "--serial", "1")
CODEC2_RATE = 8000
CODEC2_FRAME = {1200: 320, 2400: 160}  # samples at 8 kHz
CODEC2_LATE = 136  # samples at 8 kHz, 17 ms: the median of ``lateness`` over recordings, alike in both modes
_FARTHEST = 80  # ms to either side in which a delay is looked for


@dataclass(frozen=True)
class Codec:
    """Speech to bytes and back: ``decompress`` gives ``[sample]`` at 16 kHz, ``payload`` counts bytes that are sound.

    ``settings`` are what the bytes hang on, ready for JSON.
    """

    name: str
    suffix: str
    settings: Mapping[str, Any]
    compress: Callable[[Recording], bytes]
    decompress: Callable[[bytes], np.ndarray]
    payload: Callable[[bytes], int] = len


def opus() -> Codec:
    """Opus in Ogg at 6 kbit/s, the lowest it has: frames of 20 ms, variable rate, comments and padding left out."""
    _need("opus-tools", "opusenc", "opusdec")
    raw = ("--raw", "--raw-rate", str(RATE), "--raw-chan", "1")

    def compress(recording: Recording) -> bytes:
        return _piped("opusenc", *raw, *OPUS, "--quiet", "-", "-", data=_pcm(audio.read(recording, RATE)))

    def decompress(data: bytes) -> np.ndarray:
        return _sound(_piped("opusdec", "--quiet", "--rate", str(RATE), "--no-dither", "-", "-", data=data))

    settings = {
        "codec": "opus",
        "options": list(OPUS),
        "version": _piped("opusenc", "--version").decode().partition("\n")[0],
    }
    return Codec("opus-6000", ".opus", settings, compress, decompress, opus_payload)


def codec2(rate: int) -> Codec:
    """Codec2 at 1200 or 2400 bit/s: bare frames, as many as hold the recording and the codec's delay."""
    _need("codec2", "c2enc", "c2dec")
    frame = CODEC2_FRAME[rate]

    def compress(recording: Recording) -> bytes:
        sound = audio.read(recording, CODEC2_RATE)
        late = CODEC2_LATE + -(len(sound) + CODEC2_LATE) % frame  # c2enc drops what does not fill a frame
        return _piped("c2enc", str(rate), "-", "-", data=_pcm(np.pad(sound, (0, late))))

    def decompress(data: bytes) -> np.ndarray:
        sound = _sound(_piped("c2dec", str(rate), "-", "-", data=data))[CODEC2_LATE:]
        return _resampled(sound, CODEC2_RATE)

    settings = {"codec": "codec2", "rate": rate, "late": CODEC2_LATE}
    return Codec(f"codec2-{rate}", ".bit", settings, compress, decompress)


def ours(bundle: Path) -> Codec:
    """A bundle's units in ``.ppn`` files with the speaker's name; it must have an entropy model and such voices."""
    model = load(bundle)
    entropy = read_entropy(model.bundle)

    def compress(recording: Recording) -> bytes:
        return pack(model.encode(recording), entropy)

    def decompress(data: bytes) -> np.ndarray:
        return _resampled(model.decode(unpack(data, entropy))[0], model.sample_rate)

    def payload(data: bytes) -> int:
        parts = describe(unpack(data, entropy), entropy)
        return len(data) - round(sum(parts[name] for name in ("version", "bundle", "checksum")) / 8)

    folder = bundle.resolve()
    name = folder.parent.name if folder.name == "bundle" else folder.name
    settings = {"codec": "protophone", "bundle": digest(model.bundle.folder)}
    return Codec(name, ".ppn", settings, compress, decompress, payload)


def opus_payload(data: bytes) -> int:
    """Bytes of the packets that hold sound in an Ogg Opus file: all but its two headers (RFC 3533, RFC 7845)."""
    packets, begun, at = [], 0, 0
    while at < len(data):
        if data[at : at + 4] != b"OggS":
            raise InputError(f"no Ogg page at byte {at} of {len(data)}; make the file again")
        lacing = data[at + 27 : at + 27 + data[at + 26]]
        for value in lacing:
            begun += value
            if value < 255:  # a packet ends with the first segment that is not full
                packets.append(begun)
                begun = 0
        at += 27 + len(lacing) + sum(lacing)
    return sum(packets[2:])


def speak(codec: Codec, recordings: Iterable[Recording], folder: Path, advance: Callable[..., None]) -> Found:
    """Files and sounds of all recordings, with the manifest of the sounds; the bit rates, and the delay left."""
    recordings = list(recordings)
    wanted = {"codec": dict(codec.settings), "recordings": [recording.id for recording in recordings]}
    if not (folder / "codec.json").is_file():
        refuse_existing(folder)
        write_json(folder / "codec.json", wanted)
    elif read_json(folder / "codec.json") != wanted:
        raise InputError(f"{folder}: holds sounds of other settings or recordings; name another --out")
    sent, late = [], []
    for recording in recordings:
        path = inside(folder / "files", recording.id, codec.suffix)
        sound = inside(folder / "sounds", recording.id, ".wav")
        original = audio.read(recording, RATE)
        if not (path.is_file() and sound.is_file()):
            with atomic(path) as temporary:
                temporary.write_bytes(codec.compress(recording))
            made = codec.decompress(path.read_bytes())[: len(original)]
            if len(made) < len(original) - 2:  # resampling may round by a sample at either end
                raise InputError(f"{path}: {len(made)} samples came back of {len(original)}; {codec.name} lost its end")
            audio.write(sound, np.pad(made, (0, len(original) - len(made))), RATE)
        data = path.read_bytes()
        bits = {"bits": 8 * len(data), "payload_bits": 8 * codec.payload(data), "seconds": len(original) / RATE}
        late.append(lateness(original, audio.read(sound, RATE)))
        own = dict(recording.extra) | bits
        place = {"path": sound, "start": 0, "num_samples": None, "sample_rate": None}
        sent.append((replace(recording, **place, extra=tuple(own.items())), bits))
        advance(1)
    manifest.write(folder / "manifest.jsonl", [recording for recording, _ in sent])
    return Found(figures=_rates([recording.id for recording in recordings], [bits for _, bits in sent], late))


def lateness(original: np.ndarray, made: np.ndarray) -> int:
    """By how many ms a sound lags its original: where their loudness over time, in log, correlates most.

    Waveforms cannot tell, for a codec that codes no phases keeps none of them.
    """
    one, other = (_loudness(samples) for samples in (original, made))
    most = min(_FARTHEST, len(one) - 1, len(other) - 1)

    def alike(lag: int) -> float:
        a, b = one[max(-lag, 0) :], other[max(lag, 0) :]
        a, b = a[: len(b)], b[: len(a)]
        return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-12))  # silence is like nothing, and has no delay

    return max(range(-most, most + 1), key=lambda lag: (alike(lag), -abs(lag)))


def measure(codec: Codec, found: Found, args: argparse.Namespace, measures: Measures) -> None:
    """Writes the figures of a codec's sounds, with its bit rates, into its folder; what was heard is kept for all."""
    folder = args.out / codec.name
    sounds = folder / "sounds"
    results = evaluate_resynthesis(args.manifest, sounds, measures, split=args.split, work=args.out, stage=bar)
    results.figures = found.figures + results.figures
    results.settings |= {"codec": dict(codec.settings)}
    write_results(folder, results)


def table(found: Comparison) -> str:
    """The figures worth a row of each codec, and the differences of those that are paired, in Markdown."""
    lines = ["| | " + " | ".join(found.systems) + " |", "|---" * (len(found.systems) + 1) + "|"]
    rows = {row[0]: row for row in found.table()}
    lines += ["| " + " | ".join(rows[name]) + " |" for name in SHOWN if name in rows]
    lines += ["", "| figure | codecs | difference | |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(each.row()) + " |" for each in found.differences if each.figure.name in SHOWN]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--speakers", action="append", default=[], help="only what they say; give it for each")
    parser.add_argument("--bundle", type=Path, action="append", default=[], help="a bundle of ours, with a codec")
    parser.add_argument("--asr", action="append", help="a faster-whisper model; without it, words are not scored")
    parser.add_argument("--language", help="what is spoken, where the manifest does not say")
    parser.add_argument("--one-person", action="append", default=[], help="speakers who are one person, A,B")
    parser.add_argument("--out", type=Path, default=Path("results/codecs"))
    args = parser.parse_args()
    people = tuple(args.one_person)
    measures = Measures(
        asr=tuple(args.asr or ()), language=args.language, f0=True, speaker=True, one_person=people, quality=True
    )
    try:
        codecs = [opus(), codec2(2400), codec2(1200), *map(ours, args.bundle)]
        if len({codec.name for codec in codecs}) < len(codecs):
            raise InputError("two codecs of one name, which is that of the bundle's folder; rename one of the folders")
        recordings = recordings_of(args.manifest, args.split, args.speakers)
        if args.speakers:
            measures = replace(measures, enrol=args.manifest)  # speakers are known by all they say
            args.manifest = args.out / "recordings.jsonl"
            manifest.write(args.manifest, recordings)
        for codec in codecs:
            with bar(codec.name, len(recordings)) as advance:
                found = speak(codec, recordings, args.out / codec.name, advance)
            measure(codec, found, args, measures)
        compared, _ = write_comparison(args.out, {codec.name: args.out / codec.name for codec in codecs})
        write_text(args.out / "table.md", table(compared))
        print(table(compared))
    except ProtophoneError as error:
        sys.exit(f"error: {error}")


def _rates(names: list[str], bits: list[dict[str, Any]], late: list[int]) -> list[Figure]:
    seconds = np.array([row["seconds"] for row in bits])
    figures = []
    for title, key in ((FILES, "bits"), (PAYLOAD, "payload_bits")):
        rate = estimate(ratio(np.array([row[key] for row in bits]), seconds), names)
        figures.append(estimated(title, rate, "bit/s", better="lower"))
    return [*figures, counted("delay left", float(np.median(late)), "ms", "median over recordings, by their loudness")]


def _loudness(samples: np.ndarray) -> np.ndarray:
    """Log energy ``[ms]`` within some 10 ms, less its mean."""
    energy = np.convolve(samples.astype(np.float64) ** 2, np.hanning(RATE // 100), "same")[:: RATE // 1000]
    log = np.log(energy + 1e-6)
    return log - log.mean()


def _pcm(samples: np.ndarray) -> bytes:
    """Sound ``[sample]`` as 16-bit little-endian integers."""
    return np.clip(np.rint(samples * 2**15), -(2**15), 2**15 - 1).astype("<i2").tobytes()


def _sound(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i2").astype(np.float32) / 2**15


def _resampled(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Sound at ``sample_rate`` as it is at 16 kHz."""
    if sample_rate == RATE:
        return samples
    with tempfile.TemporaryDirectory() as folder:
        audio.write(Path(folder, "sound.wav"), samples, sample_rate)
        return audio.read(Path(folder, "sound.wav"), RATE)


def _need(package: str, *programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise InputError(
                f"{program}: not installed; it is in the Debian package {package}: apt-get install {package}"
            )


def _piped(program: str, *arguments: str, data: bytes = b"") -> bytes:
    """What a program answers on standard output to ``data`` on standard input."""
    done = subprocess.run([program, *arguments], input=data, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InputError(f"{program} {' '.join(arguments)}: failed ({said or f'exit code {done.returncode}'})")
    return done.stdout


if __name__ == "__main__":
    main()
