"""``compress`` and ``decompress``: a recording to a few hundred bits a second, and back."""

from pathlib import Path
from typing import Literal

__all__ = ["compress", "decompress"]


def compress(
    source: Path,
    out: Path,
    /,
    *,
    bundle: Path | None = None,
    voice: str | None = None,
    embed: bool = False,
    channel: Literal["mix", "left", "right"] = "mix",
    device: str = "cpu",
) -> None:
    """Write a recording as a .ppn file, of a few hundred bits a second.

    Parameters
    ----------
    source
        The recording.
    out
        The file to write, .ppn.
    bundle
        A bundle with an entropy model, or a folder that holds one; without it, the bundle that is shipped.
    voice
        Who speaks: one of the bundle's voices. The file then says who will speak it.
    embed
        Send the voice heard in the recording's first minute instead, in some 200 bytes.
    channel
        Which channel of the source to read.
    device
        cpu, cuda or another torch device.

    """
    from dataclasses import replace

    from protophone import audio
    from protophone.cli.terminal import answer, warn
    from protophone.codec import check_name, pack, read_entropy
    from protophone.errors import InputError
    from protophone.files import atomic, refuse_file, refuse_unwritable
    from protophone.model import load
    from protophone.tape import Tape
    from protophone.types import Recording

    if voice is not None and embed:
        raise InputError(f"--voice {voice} and --embed: a file says one or the other; leave one away")
    if out.suffix != ".ppn":
        raise InputError(f"{out}: packed units are written as .ppn; choose this suffix")
    refuse_unwritable(out)
    refuse_file(out)
    audio.probe(source)
    model = load(bundle, device=device)
    entropy = read_entropy(model.bundle)
    if voice is not None:
        check_name(voice, entropy.voices)
    recording = Recording(id=source.stem, path=source, channel=channel)
    heard = model.heard(recording).embedding if embed else None
    tape = Tape(recording, model.sample_rate)
    units = model.encode(tape, voice)
    data = pack(replace(units, voice=heard) if embed else units, entropy)
    with atomic(out) as temporary:
        temporary.write_bytes(data)
    warn(tape.warnings)
    seconds = units.num_samples / model.sample_rate
    answer(f"{out}: {len(data)} bytes, {8 * len(data) / seconds:.0f} bit/s over {seconds:.1f} s")


def decompress(
    source: Path, out: Path, /, *, bundle: Path | None = None, voice: str | None = None, device: str = "cpu"
) -> None:
    """Speak a .ppn file.

    Parameters
    ----------
    source
        A .ppn file.
    out
        The sound to write, .wav or .flac.
    bundle
        The bundle it was compressed with; without it, the bundle that is shipped.
    voice
        Who speaks; without it, whoever the file says, or the first voice.
    device
        cpu, cuda or another torch device.

    """
    from protophone import audio
    from protophone.cli.terminal import answer
    from protophone.codec import read_entropy, read_packed, unpack
    from protophone.errors import InputError
    from protophone.files import refuse_file
    from protophone.model import load

    audio.check_writable(out)
    refuse_file(out)
    data = read_packed(source)
    model = load(bundle, device=device)
    if voice is not None:
        model.check_voice(voice)  # before any work
    units = unpack(data, read_entropy(model.bundle), str(source))
    if voice is None and isinstance(units.voice, str) and units.voice not in model.voices:
        raise InputError(
            f"{source}: to be spoken by {units.voice}, whom no vocoder of {model.bundle.folder} knows; say who is to: "
            f"--voice and one of {', '.join(model.voices) or 'none'}"
        )
    with audio.writing(out, model.sample_rate) as add:
        for part in model.speak_stream(units, voice):
            add(part)
    answer(f"{out}: {units.num_samples / model.sample_rate:.1f} s")
