"""The main job on a fresh machine, without a network: speak shipped units, discover units in what was said, convert.

    python examples/demo.py

Two voices of the shipped bundle speak its unit strings into ``demo/recordings/``; ``discover`` learns new units from
that folder; one recording is spoken again in the other voice. Takes about three minutes on two cores.
"""

import shutil
import time
from pathlib import Path

import numpy as np

from protophone import audio, load
from protophone.cli.progress import Terminal
from protophone.discover import DiscoverConfig, discover
from protophone.files import read_json
from protophone.model import DEFAULT_BUNDLE
from protophone.store import read_units

HERE = Path("demo")
VOICES = ("prompts-en", "prompts-it")


def main() -> None:
    begun = time.monotonic()
    shutil.rmtree(HERE, ignore_errors=True)
    model = load()
    same = total = 0
    for record in read_units(DEFAULT_BUNDLE.parent / "sayings.jsonl"):
        voice = record.extra["speaker"]
        sound = model.decode(record.to_utterance(), voice)
        path = HERE / "recordings" / voice / f"{record.id}.wav"
        audio.write(path, sound[0], sound.sample_rate)
        again = model.encode(path).content[0]
        same += int(np.sum(again == record.codes))
        total += record.codes.shape[1]
    print(f"units that come back when the sound is encoded again: {100 * same / total:.1f} %")
    options = DiscoverConfig(speaker_from="parent", minutes=1.2, units=64)
    page = discover(HERE / "recordings", HERE / "found", options, Terminal())
    found = load(HERE / "found")
    first, second = (min((HERE / "recordings" / voice).glob("*.wav")) for voice in VOICES)
    audio.write(HERE / "converted.wav", found.convert(first, VOICES[1])[0], found.sample_rate)
    for record in list(read_units(HERE / "found"))[:3]:
        print(record.id, " ".join(map(str, record.codes[0][:24])), "...")
    for name, value in read_json(HERE / "found" / "report.json")["bit_rates"].items():
        print(f"bit rate, {name}: {value:.0f} bit/s")
    print(f"{first} in the voice of {second.parent.name}: {HERE / 'converted.wav'}")
    print(f"the page: {page.resolve()}")
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
