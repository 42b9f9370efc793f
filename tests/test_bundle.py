"""Bundles: what goes in comes out; missing, altered, foreign and newer ones are refused by name."""

import json
import re
import shutil

import pytest
import torch

from protophone.bundle import FORMAT, Bundle, Part, add_voice, set_card, write_bundle
from protophone.cli.info import info
from protophone.encoders import PipelineConfig
from protophone.errors import BundleError
from protophone.model import load
from protophone.parts import encoder_part
from protophone.quantizers import DPGMMConfig, GMMConfig, KMeansConfig
from tests.tiny import contents

ENCODER = {
    "kind": "x",
    "sample_rate": 16000,
    "hop": 640,
    "normalization": "recording",
    "sizes": [256],
    "codebook": "c0ffee00",
    "speakers": ["ŋa"],
}
PART = Part('kind = "x"\n', {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}, ENCODER)


@pytest.fixture
def bundle(tmp_path):
    write_bundle(tmp_path / "b", PART, {"licence": "CC0"}, "# Card ŋ\n")
    return tmp_path / "b"


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_was_written_is_read(bundle):
    opened = Bundle(bundle)
    part = opened.encoder()
    assert (part.config, part.facts) == (PART.config, PART.facts)
    assert all(part.weights[name].equal(value) for name, value in PART.weights.items())
    assert part.weights.keys() == PART.weights.keys()
    assert opened.facts["licence"] == "CC0"
    assert opened.voices == {}
    assert sorted(contents(bundle)) == ["bundle.json", "card.md", "encoder.safetensors", "encoder.toml"]
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["b"]


def test_a_bundle_lies_in_the_folder_that_discover_wrote(bundle):
    bundle.rename(bundle.parent / "bundle")
    assert Bundle(bundle.parent).folder == bundle.parent / "bundle"


def test_voices_are_added_and_replaced_and_the_rest_stays(bundle):
    before = contents(bundle)
    x, y, z = ({"speakers": [name], "codebook": "c0ffee00"} for name in "xyz")
    add_voice(bundle, "v", Part("a = 1\n", {"w": torch.zeros(2)}, x))
    add_voice(bundle, "w", Part("b = 1\n", {"w": torch.ones(2)}, y))
    add_voice(bundle, "v", Part("a = 2\n", {"w": torch.ones(2)}, z))
    opened = Bundle(bundle)
    assert opened.voices == {"v": z, "w": y}
    assert opened.voice("v").config == "a = 2\n"
    assert opened.voice("v").weights["w"].tolist() == [1, 1]
    after = contents(bundle)
    assert {name: after[name] for name in before if name != "bundle.json"} == {
        name: data for name, data in before.items() if name != "bundle.json"
    }


def test_card_and_figures_are_replaced(bundle):
    set_card(bundle, "new", {"abx": 1.5})
    assert (bundle / "card.md").read_text() == "new"
    assert Bundle(bundle).facts["figures"] == {"abx": 1.5}
    assert Bundle(bundle).facts["licence"] == "CC0"


def test_the_bytes_do_not_depend_on_the_run(bundle):
    write_bundle(bundle.parent / "again", PART, {"licence": "CC0"}, "# Card ŋ\n")
    assert contents(bundle) == contents(bundle.parent / "again")


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.toml", "card.md", "voices/v/vocoder.safetensors"])
def test_a_missing_or_altered_file_is_named(bundle, name):
    add_voice(bundle, "v", PART)
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError, match=f"{name}: altered since the bundle was written; copy the whole folder again"):
        Bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: missing from the bundle; copy the whole folder again"):
        Bundle(bundle)


def test_a_newer_format_asks_for_an_upgrade(bundle):
    edit(bundle / "bundle.json", format=FORMAT + 1)
    with pytest.raises(
        BundleError, match=rf"bundle format {FORMAT + 1}, this protophone reads up to {FORMAT}; upgrade"
    ):
        Bundle(bundle)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 1}', '{"format": "1", "files": {}, "encoder": {}}'])
def test_an_index_that_is_none_is_named(bundle, text):
    (bundle / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.json.*copy"):
        Bundle(bundle)


ODD = [None, True, 0, 1.5, [1.5], [None], {"a": 1}]


@pytest.mark.parametrize("key", ENCODER)
def test_an_altered_index_is_named_with_its_key(bundle, key):
    path = bundle / "bundle.json"
    rest = {name: value for name, value in ENCODER.items() if name != key}
    edit(path, encoder=rest)
    one_line(bundle, f"{path}: lacks encoder.{key}; copy the whole folder again")
    for value in ODD:
        edit(path, encoder=rest | {key: value})
        one_line(bundle, f"{path}: encoder.{key} is {value!r}, not a ")


@pytest.mark.parametrize("key", ["files", "encoder", "training", "figures"])
def test_tables_of_an_index_are_tables(bundle, key):
    edit(bundle / "bundle.json", **{key: ["x"]})
    one_line(bundle, f"bundle.json: {key} is ['x'], not a table; copy the whole folder again")


@pytest.mark.parametrize(
    ("voice", "said"),
    [
        ([], "holds [], not a table"),
        ({"codebook": "c"}, "lacks speakers"),
        ({"speakers": ["x"]}, "lacks codebook"),
        ({"speakers": "x", "codebook": "c"}, "speakers is 'x', not a list of texts"),
        ({"speakers": ["x"], "codebook": 7}, "codebook is 7, not a text"),
        (
            {"speakers": ["x"], "codebook": "c", "embedder": "r"},
            "embedder is 'r', not null or a table of embedder, package and weights",
        ),
        (
            {"speakers": ["x"], "codebook": "c", "embedder": {"embedder": "r"}},
            "embedder is {'embedder': 'r'}, not null or a table of embedder, package and weights",
        ),
    ],
)
def test_altered_facts_of_a_voice_are_named_with_their_key(bundle, voice, said):
    path = bundle / "voices" / "v" / "voice.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(voice))
    one_line(bundle, f"{path}: {said}; copy the whole folder again")


CONTENT = {"sizes": [4], "grid": {"sample_rate": 16000, "hop": 640}, "codebook": "c"}
WHOLE = {"id": "a", "measured": {}, "pitch": None, "content": CONTENT, "voices": []}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "lacks id"),
        ({"id": 7}, "id is 7, not a text"),
        ({"id": "a"}, "lacks measured"),
        ({"id": "a", "measured": [1]}, "measured is [1], not a table of numbers"),
        ({"id": "a", "measured": {"content0": "x"}}, "not a table of numbers"),
        ({"id": "a", "measured": {"content0": float("nan")}}, "not a table of numbers"),
        ({"id": "a", "measured": {}, "pitch": {"grid": {"hop": 0}}}, "not null or a table of sizes, grid and codebook"),
        ({"id": "a", "measured": {}, "pitch": None}, "lacks content"),
        (WHOLE | {"content": CONTENT | {"sizes": [10**30]}}, "not a table of sizes, grid and codebook"),
        (WHOLE | {"voices": [7]}, "voices is [7], not a list of texts"),
        (WHOLE | {"lookahead": "x"}, "lookahead is 'x', not null or a whole number"),
        (WHOLE | {"lookahead": 10**18}, "not null or a whole number up to 1,000,000,000"),
    ],
)
def test_altered_facts_of_an_entropy_model_are_named_with_their_key(bundle, facts, said):
    path = bundle / "entropy" / "entropy.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"kind": "context"} | facts))
    with pytest.raises(BundleError) as caught:
        Bundle(bundle)
    assert f"{path}: " in str(caught.value)
    assert said in str(caught.value)


def one_line(bundle, said):
    with pytest.raises(BundleError) as caught:
        Bundle(bundle)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("quantizer", [KMeansConfig, GMMConfig, DPGMMConfig])
def test_info_names_the_quantizer_of_classical_units(tmp_path, capsys, quantizer):
    config = PipelineConfig(quantizer=quantizer(num_units=4))
    write_bundle(tmp_path / "b", encoder_part(config.build(), ()), {}, "")
    info(tmp_path / "b")
    assert f" {config.quantizer.kind} (pipeline of mfcc) " in capsys.readouterr().out


def test_info_names_the_vqvae(tiny_bundle, capsys):
    info(tiny_bundle)
    assert re.search(r"system +\S vqvae ", capsys.readouterr().out)


def test_a_folder_without_a_bundle_and_one_without_its_index_are_told_apart(bundle):
    with pytest.raises(BundleError, match="no bundle here"):
        Bundle(bundle.parent / "nowhere")
    (bundle / "bundle.json").unlink()
    with pytest.raises(BundleError, match=r"bundle\.json: missing from the bundle"):
        Bundle(bundle)


def test_weights_that_are_not_those_of_the_config_are_refused(tmp_path, tiny_bundle):
    copy = shutil.copytree(tiny_bundle, tmp_path / "b")
    part = Bundle(copy).encoder()
    weights = {name: value for name, value in part.weights.items() if name != "voices.weight"}
    write_bundle(copy, Part(part.config, weights, part.facts), {}, "")
    with pytest.raises(BundleError, match="weights do not fit the config"):
        load(copy)
    weights = {**part.weights, "quantizer.vectors": part.weights["quantizer.vectors"] + 1}
    write_bundle(copy, Part(part.config, weights, part.facts), {}, "")
    with pytest.raises(BundleError, match="codebook's hash is"):
        load(copy)
