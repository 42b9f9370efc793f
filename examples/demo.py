"""The main jobs on a fresh machine, without a network: a codec of a few hundred bits a second, and units discovered.

    python examples/demo.py

Four recordings that nothing was trained on become .ppn files and speech again, in their own voices and in others, along
other melodies: ``demo/codec.html`` has the sounds and sizes. Then two voices of the shipped bundle speak its unit
strings, and ``discover`` learns new units from what they said: ``demo/found/report.html``. Takes three minutes on two
cores.
"""

import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from protophone import audio, load
from protophone.cli.progress import Terminal
from protophone.codec import describe, pack, read_entropy, unpack
from protophone.delivery import Delivery
from protophone.discover import DiscoverConfig, discover
from protophone.errors import ProtophoneError
from protophone.files import read_json, refuse_existing, write_text
from protophone.manifest import read
from protophone.model import DEFAULT_BUNDLE, Model
from protophone.report.comparison import Scene, Take, comparison
from protophone.store import read_units
from protophone.types import Recording

HERE = Path("demo")
MARK = ".demo"  # a folder with it was made here, and is made anew
RECORDINGS = Path(__file__).parent / "recordings" / "manifest.jsonl"
OTHERS = {"prompts-en": "prompts-it", "prompts-fr": "prompts-ru", "prompts-it": "prompts-en"} | {
    "prompts-ru": "prompts-fr"
}
VOICES = ("prompts-en", "prompts-it")


def compressed(model: Model, recording: Recording, table: Table) -> Scene:
    """A recording as a .ppn file, and what is spoken from that file."""
    entropy = read_entropy(model.bundle)
    packed = HERE / "codec" / f"{recording.id}.ppn"
    packed.parent.mkdir(parents=True, exist_ok=True)
    packed.write_bytes(pack(model.encode(recording), entropy))
    data = packed.read_bytes()
    units = unpack(data, entropy, str(packed))
    seconds = units.num_samples / model.sample_rate
    sound = audio.read(recording, model.sample_rate)
    streams = describe(units, entropy)
    table.add_row(
        recording.id,
        f"{seconds:.1f}",
        f"{2 * len(sound):,}",
        f"{len(data):,}",
        f"{8 * len(data) / seconds:.0f}",
        f"{(streams['units'] + streams['repeats']) / seconds:.0f}",
        f"{streams['pitch'] / seconds:.0f}",
    )
    other = OTHERS[recording.speaker or ""]
    ways = {
        "own voice": (None, Delivery()),
        other: (other, Delivery()),
        "flat": (None, Delivery("flat")),
        "four semitones up": (None, Delivery("shift:+4st")),
        "a third slower": (None, Delivery(rate=0.75)),
    }
    takes = [Take("recording", sound, f"{2 * len(sound):,} bytes as PCM")]
    for name, (voice, delivery) in ways.items():
        spoken = model.decode(units, voice, delivery)[0]
        audio.write(HERE / "codec" / f"{recording.id} {name}.wav", spoken, model.sample_rate)
        takes.append(Take(name, spoken, f"{len(data)} bytes" if name == "own voice" else ""))
    parts = {"content units": streams["units"] + streams["repeats"], "pitch units": streams["pitch"]}
    parts |= {"name of the voice": streams["voice"], "length of the recording": streams["samples"]}
    parts["header, checksum, rounding to whole bytes"] = 8 * len(data) - sum(parts.values())
    facts = [(f"{part}, bits", f"{bits:.0f}") for part, bits in parts.items()]
    content = units.content
    return Scene(f"{recording.id} · {recording.text}", takes, facts, codes=content[0][0], hop=content.grid.hop)


def main() -> None:
    begun = time.monotonic()
    if (HERE / MARK).is_file():
        shutil.rmtree(HERE)
    refuse_existing(HERE)
    write_text(HERE / MARK, "")
    model = load()
    table = Table("recording", "seconds", "PCM bytes", ".ppn bytes", "bit/s", "of it content", "of it pitch")
    scenes = [compressed(model, recording, table) for recording in read(RECORDINGS)]
    Console(width=120).print(table)
    intro = (
        "Each recording was written as content units, pitch units and the name of a voice, packed into one .ppn file, "
        "and spoken from that file alone."
    )
    write_text(HERE / "codec.html", comparison("A few hundred bits a second", intro, scenes, model.sample_rate))
    for record in read_units(DEFAULT_BUNDLE.parent / "sayings.jsonl"):
        voice = record.extra["speaker"]
        sound = model.decode(record.to_utterance(), voice)
        audio.write(HERE / "recordings" / voice / f"{record.id}.wav", sound[0], sound.sample_rate)
    options = DiscoverConfig(speaker_from="parent", minutes=3, units=64)
    page = discover(HERE / "recordings", HERE / "found", options, Terminal())
    for record in list(read_units(HERE / "found"))[:3]:
        print(record.id, " ".join(map(str, record.codes[0][:24])), "...")
    for name, value in read_json(HERE / "found" / "report.json")["on_speech"]["bit_rates"].items():
        print(f"bit rate, {name}: {value:.0f} bit/s")
    print(f"the codec: {(HERE / 'codec.html').resolve()}")
    print(f"units discovered: {page.resolve()}")
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except ProtophoneError as error:
        sys.exit(f"error: {error}")
