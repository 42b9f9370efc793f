"""Cases: each option of each command with each kind of nonsense, each file that is read with each kind of damage."""

import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

from protophone.names import printable
from protophone.recipe import _flat, load_recipe
from tests.fuzz.commands import Argument, Command, commands
from tests.fuzz.damage import DAMAGES, Damage, reseal
from tests.fuzz.nonsense import INPUTS, OUTPUTS, VALUES, Nonsense, Place, examples

__all__ = ["Case", "cases", "sound_calls", "unknown_arguments"]

# A sound value for each argument that must be given: by its name, or by its command and name.
SOUND = {
    "bundle": "bundle",
    "recordings": "corpus/manifest.jsonl",
    "units": "units",
    "source": "sound.wav",
    "out": "out",
    "recipe": "encoder.toml",
    "items": "items.item",
    "alignment": "phones.ctm",
    "words": "words.ctm",
    "classes": "classes.txt",
    "files": "packed.ppn",
    "like": "sound.wav",
    "enrol": "corpus/manifest.jsonl",
    "original": "corpus/manifest.jsonl",
    "sounds": "corpus",
    "folder": "submission",
    "results": "one",
    "features": "handed",
    "rest": "rest",
    "work": "work",
}
SOUND_OF = {
    ("decode", "units"): "encoded",
    ("convert", "out"): "out.wav",
    ("compress", "out"): "out.ppn",
    ("decompress", "source"): "packed.ppn",
    ("decompress", "out"): "out.wav",
    ("manifest", "recordings"): "corpus",
    ("manifest", "out"): "out.jsonl",
    ("evaluate abx", "source"): "features",
    ("evaluate abx", "speaker"): "within",
    ("evaluate units", "source"): "units",
    ("evaluate submission", "as"): "abxLS",
    ("info", "source"): "bundle",
}
# What else a command is given, so that it is quick and its options have an effect.
BESIDE = {
    "discover": "--units 4 --steps 1,1,1",
    "evaluate resynthesis": "--f0 --tracker protophone",
    "evaluate units": "--alignment phones.ctm",
    "compress": "--bundle bundle",
    "decompress": "--bundle bundle",
}
NEEDS = {  # options that have an effect beside others alone
    ("evaluate abx", "split"): "bundle --recordings corpus/manifest.jsonl",
    ("evaluate abx", "recordings"): "bundle",
    ("evaluate submission", "features"): "out --rest rest",
    ("evaluate submission", "rest"): "out --features handed",
    ("info", "bundle"): "packed.ppn",
}
OTHERWISE = {"like": ("know voices by name only",), "rest": ("it would have",)}  # what may be said first
READ = {".toml": ("manifest", "bundle")}  # files that a file names, whose names a damage may change
# Any text is a value of these, or says nothing without another option.
FREE = {
    ("evaluate units", "ignore"),
    ("evaluate bitrate", "files"),
    ("evaluate all", "language"),
    ("evaluate resynthesis", "language"),
    ("evaluate resynthesis", "embedder"),
    ("evaluate resynthesis", "enrol"),
    ("evaluate resynthesis", "voice"),
}


@dataclass(frozen=True)
class Case:
    """A command line and what is right: ``prepare`` makes its files in the current folder and returns the arguments.

    ``refused``: it must not exit with 0. ``tokens``: a message names one of them, at least.
    """

    name: str
    prepare: Callable[[], list[str]]
    refused: bool
    tokens: tuple[str, ...]


def cases(count: int, seed: int) -> list[Case]:
    """``count`` cases drawn by ``seed``: one of each argument, recipe and file, then another of each, and so on."""
    draw = Random(seed)  # noqa: S311 - no secret
    found: list[Case] = []
    while len(found) < count:
        groups = [*_of_options(draw), *_of_settings(draw), *_of_files(draw)]
        for group in groups:
            draw.shuffle(group)
        for row in range(max(map(len, groups))):
            column = [group[row] for group in groups if row < len(group)]
            found += draw.sample(column, len(column))
    return found[:count]


def sound_calls(*, every: bool) -> dict[str, Callable[[], list[str]]]:
    """The command lines that cases change one thing of, each right as it is: one a command, or ``every`` one."""
    lines = {str(command): _given(command) for command in commands()}
    if every:
        lines |= {reader.line: shlex.split(reader.line) for reader in _readers()}
        lines |= {name: ["train", f"{name}.toml", "--out", "run"] for name in RECIPES}
    return {name: partial(_own, arguments) for name, arguments in lines.items()}


def unknown_arguments() -> list[str]:
    """Arguments that must be given and for which this file has no sound value."""
    return [
        f"{command} {argument.name}"
        for command in commands()
        for argument in command.arguments
        if argument.required and _sound(command, argument) is None
    ]


def _sound(command: Command, argument: Argument) -> str | None:
    return SOUND_OF.get((str(command), argument.name), SOUND.get(argument.name))


def _given(command: Command, wrong: Argument | None = None, value: str = "") -> list[str]:
    """A call of ``command`` that is right but for one argument."""
    words, options = list(command.words), []
    for argument in command.arguments:
        given = value if argument is wrong else _sound(command, argument)
        if argument is not wrong and not (argument.required or argument.name == "results"):
            continue
        if argument.kind == "flag" and not argument.positional:
            options.append(f"--{argument.name}={given}")
        elif argument.positional:
            words.append(str(given))
        else:
            options += (
                [f"--{argument.name}", str(given)] if not str(given).startswith("-") else [f"--{argument.name}={given}"]
            )
    beside = shlex.split(BESIDE.get(str(command), ""))
    if wrong is not None:
        pairs = [
            (beside[at], beside[at + 1])
            if at + 1 < len(beside) and not beside[at + 1].startswith("--")
            else (beside[at],)
            for at in range(len(beside))
            if beside[at].startswith("--")
        ]
        beside = [word for pair in pairs if pair[0] != f"--{wrong.name}" for word in pair]
        needs = shlex.split(NEEDS.get((str(command), wrong.name), ""))
        if needs and not needs[0].startswith("--"):
            words, needs = [*command.words, needs[0]], needs[1:]
        beside += needs
    return [*words, *options, *beside]


def _of_options(draw: Random) -> Iterator[list[Case]]:
    values = {each: examples(each.texts, 60, draw.randrange(2**32)) for kind in VALUES.values() for each in kind}
    for command in commands():
        for argument in command.arguments:
            if argument.kind == "path":
                places = OUTPUTS if argument.name in {"out", "work"} else INPUTS
                yield [_of_place(command, argument, place) for place in places]
            else:
                kinds = VALUES[argument.kind]
                yield [_of_value(command, argument, kind, draw.choice(values[kind])) for kind in kinds]


def _of_value(command: Command, argument: Argument, nonsense: Nonsense, text: str) -> Case:
    return Case(
        f"{command} --{argument.name}: {nonsense.name}",
        lambda: _own(_given(command, argument, text)),
        nonsense.refused and (str(command), argument.name) not in FREE,
        (
            argument.name.replace("-", "_"),
            argument.name,
            *(shown[:12] for shown in (printable(text), repr(text))),
            *(() if nonsense.refused else ("protophone: ",)),
        ),
    )


def _of_place(command: Command, argument: Argument, place: Place) -> Case:
    name = Path(_sound(command, argument) or "x").name
    results = command.words[0] in {"evaluate", "compare"}  # which may lie beside other things
    return Case(
        f"{command} {argument.name}: {place.name}",
        lambda: _own(_given(command, argument, place.make(name))),
        place.refused
        and (str(command), argument.name) not in FREE
        and not (place.name == "a folder of something else" and argument.name in {"out", "work"} and results),
        (
            name,
            argument.name,
            "a/a/a",
            "xxxxxxxxxx",
            "thesis.txt",
            *OTHERWISE.get(argument.name, ()),
            *(("protophone: ",) if place.name == "no text" else ()),
        ),
    )


def _own(arguments: list[str]) -> list[str]:
    """The same call, with copies of what the command changes."""
    for name in {"train": ("bundle", "learned"), "discover": ("discovered",), "encode": ("encoded", "sharded")}.get(
        arguments[0], ("everything", "one")
    ):
        _copied(name)
    return arguments


def _copied(name: str) -> None:
    """A copy in the place of the link to a sound file or folder."""
    if not Path(name).is_symlink():
        return
    source = Path(name).resolve()
    Path(name).unlink()
    shutil.copytree(source, name) if source.is_dir() else shutil.copy(source, name)


SOUNDS = ("wav", "flac", "ogg", "mp3", "aiff", "au", "caf", "w64")
# The keys of recipes, found in what the recipes resolve to.
RECIPES = ("encoder", "content", "kmeans", "gmm", "dpgmm", "pitch", "voice", "vocos", "hifigan", "entropy")
SETTINGS = (
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e30",
    str(2**70),
    "2.5",
    "true",
    "'zz'",
    "[]",
    "{}",
    "[[1]]",
    "100000000000",
)
_NEVER = {"nan", "inf", "-inf", "1e30", str(2**70), "{}", "[[1]]", "100000000000"}


def _of_settings(draw: Random) -> Iterator[list[Case]]:
    for recipe in RECIPES:
        keys = _flat(asdict(load_recipe(f"{recipe}.toml", []))).items()
        found = [_of_setting(recipe, key, before, value) for key, before in keys for value in SETTINGS]
        for tables in range(0, len(keys), 4):  # a group for every few keys: recipes with many are drawn from more often
            yield found[tables * len(SETTINGS) : (tables + 4) * len(SETTINGS)]


def _of_setting(recipe: str, key: str, before: object, value: str) -> Case:
    def prepare() -> list[str]:
        return _own(["train", f"{recipe}.toml", "--set", f"{key} = {value}", "--out", "run"])

    number = isinstance(before, int | float) and not isinstance(before, bool)
    refused = value in _NEVER or (number and value in {"'zz'", "[]", "true"})
    if key in {"train.minutes", "train.save_every"} or "seed" in key:
        refused = refused and value not in {"100000000000", "1e30"}
    tokens = (key, key.rpartition(".")[2]) if refused else ("protophone: ",)  # what else may fail with it
    return Case(f"train {recipe}.toml --set {key}: {value}", prepare, refused, tokens)


@dataclass(frozen=True)
class Reader:
    """A command line that reads ``file``, a path below one of the sound inputs; ``resealed`` after a change."""

    line: str
    file: str
    resealed: bool = False
    lenient: tuple[str, ...] = ()


def _readers() -> Iterator[Reader]:
    for sound in SOUNDS:
        yield Reader(f"convert bundle sound.{sound} out.wav", f"sound.{sound}")
        yield Reader(f"compress sound.{sound} out.ppn --bundle bundle", f"sound.{sound}")
    yield Reader("convert bundle wide.wav out.wav", "wide.wav")
    yield Reader("encode bundle corpus/manifest.jsonl --out out", "corpus/manifest.jsonl")
    yield Reader("encode bundle corpus --out out --max-bad 1", "corpus/ana/0.wav", lenient=("*",))
    yield Reader("encode bundle corpus --out out", "corpus/ana/0.wav", lenient=("a FIFO", "a folder"))
    yield Reader("manifest corpus out.jsonl", "corpus/bo/1.wav", lenient=("*",))
    for units in ("encoded", "sharded"):
        files = {"encoded": ("units.jsonl", "index.json"), "sharded": ("units-00000.safetensors", "index.json")}
        for file in files[units]:
            yield Reader(f"decode bundle {units} --out out", f"{units}/{file}")
            yield Reader(f"evaluate bitrate {units}", f"{units}/{file}")
            yield Reader(
                f"encode bundle corpus/manifest.jsonl --out {units}{' --as shards' * (units == 'sharded')}",
                f"{units}/{file}",
                lenient=("*",),
            )
    yield Reader("evaluate units units --alignment phones.ctm", "units/units.jsonl")
    yield Reader("evaluate units units --alignment phones.ctm", "phones.ctm")
    for folder, file in (("grids", "r0.TextGrid"), ("elan", "r0.eaf")):
        yield Reader(
            f"evaluate units units --alignment {folder} --tier phones", f"{folder}/{file}", lenient=("a folder",)
        )
    yield Reader("evaluate terms classes.txt --alignment phones.ctm --words words.ctm", "classes.txt")
    yield Reader("evaluate terms classes.txt --alignment phones.ctm --words words.ctm", "words.ctm")
    abx = "--items items.item --speaker within --frame-rate 100"
    yield Reader(f"evaluate abx features {abx}", "items.item")
    yield Reader(f"evaluate abx features {abx}", "features/r0.npy")
    yield Reader("evaluate abx features --items items.item --speaker within", "features/grid.json")
    yield Reader(f"evaluate abx features.npz {abx}", "features.npz")
    yield Reader(f"evaluate abx features.safetensors {abx}", "features.safetensors")
    yield Reader(f"evaluate abx tensors {abx}", "tensors/r1.pt")
    yield Reader(f"evaluate abx vectors {abx}", "vectors/r1.txt")
    yield Reader("compare one two", "one/results.json")
    yield Reader("compare one two", "one/draws.safetensors")
    yield Reader("evaluate units units --alignment phones.ctm --out one", "one/results.json")
    discover = "discover corpus/manifest.jsonl --out discovered --units 4 --steps 1,1,1"
    for file in ("discover.json", "manifest.jsonl", "work/survey.json", "units.jsonl", "index.json"):
        yield Reader(discover, f"discovered/{file}", lenient=("*",))
    yield Reader(discover, "discovered/bundle/bundle.json", lenient=("*",))
    for file in ("results.json", "units/units.jsonl", "sounds/sounds.json", "sounds/ana/0.wav"):
        yield Reader("evaluate all bundle corpus/manifest.jsonl --out everything", f"everything/{file}", lenient=("*",))
    yield Reader("decompress packed.ppn out.wav --bundle bundle", "packed.ppn")
    yield Reader("info packed.ppn --bundle bundle", "packed.ppn")
    for part in ("encoder", "pitch/pitch", "entropy/entropy", "voices/tiny/vocoder"):
        for suffix in ("toml", "safetensors"):
            yield Reader(
                "compress sound.wav out.ppn --bundle bundle",
                f"bundle/{part}.{suffix}",
                resealed=True,
                lenient=("*",) * part.startswith("voices"),
            )
            yield Reader(
                "convert bundle sound.wav out.wav",
                f"bundle/{part}.{suffix}",
                resealed=True,
                lenient=("*",) * part.startswith("entropy"),
            )
    for file in ("bundle.json", "voices/tiny/voice.json", "pitch/pitch.json", "entropy/entropy.json"):
        yield Reader("decompress packed.ppn out.wav --bundle bundle", f"bundle/{file}", resealed=file != "bundle.json")
    yield Reader("info bundle", "bundle/bundle.json")
    yield Reader("info bundle", "bundle/encoder.safetensors")
    for recipe in ("encoder", "voice", "pitch", "entropy"):
        yield Reader(f"train {recipe}.toml --out run", f"{recipe}.toml")
    centroids = "train kmeans.toml --out run --set 'encoder.quantizer.centroids = \"km.{}\"'"
    yield Reader(centroids.format("bin"), "km.bin")
    yield Reader(centroids.format("npy"), "km.npy")
    for file in ("state.safetensors", "recipe.toml"):
        yield Reader("train encoder.toml --out learned", f"learned/{file}", lenient=("a link to itself",))
    for file in ("dev-clean/84-1.npy", "meta.yaml", "params.yaml"):
        yield Reader("evaluate submission submission --as abxLS", f"submission/{file}")


def _of_files(draw: Random) -> Iterator[list[Case]]:
    for reader in _readers():
        fitting = [damage for damage in DAMAGES if _fits(damage, reader.file)]
        yield [_of_file(reader, damage, draw.randrange(2**32)) for damage in fitting]


def _fits(damage: Damage, file: str) -> bool:
    if damage.name.startswith("nonsense for a value"):
        return file.endswith((".json", ".jsonl", ".toml", ".ctm", ".item", ".txt", ".yaml", ".eaf", ".TextGrid"))
    if damage.name in {"nonsense in the head", "other tensors"}:
        return file.endswith(".safetensors")
    return True


def _of_file(reader: Reader, damage: Damage, seed: int) -> Case:
    top = reader.file.split("/")[0]

    def prepare() -> list[str]:
        arguments = _own(shlex.split(reader.line))
        _copied(top)
        damage.make(Path(reader.file), Random(seed))  # noqa: S311
        if reader.resealed:
            reseal(Path("bundle"))
        return arguments

    lenient = "*" in reader.lenient or damage.name in reader.lenient
    name = Path(reader.file).name
    return Case(
        f"{reader.line} | {reader.file}: {damage.name}",
        prepare,
        damage.refused and not lenient,
        (name, Path(name).stem, top, *READ.get(Path(name).suffix, ())),
    )
