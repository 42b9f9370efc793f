"""Configs: read, overridden, checked at one door, written back; and every config that ships builds."""

from pathlib import Path
from typing import Annotated, Literal

import pytest

from protophone.config import KIND, Count, Positive, Share, build, config, dump, load, parse, tables
from protophone.errors import ConfigError
from protophone.recipe import EncoderRecipe, VoiceRecipe, load_recipe

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))


@config
class Small:
    kind: Literal["small"] = "small"
    width: Count = 3


@config
class Large:
    kind: Literal["large"] = "large"
    depth: Count = 4
    share: Share = 0.5


@config
class Outer:
    inner: Annotated[Small | Large, KIND] = Small()
    small: Small = Small()
    rate: Positive = 1e-3
    names: tuple[str, ...] | None = None


def test_overrides_lie_over_the_file_and_defaults_fill_the_rest():
    got = parse(Outer, 'rate = 2\n[inner]\nkind = "large"\ndepth = 9', ["inner.share = 0.25", 'names = ["ŋ", "b"]'])
    assert got == Outer(inner=Large(depth=9, share=0.25), rate=2.0, names=("ŋ", "b"))


def test_what_is_dumped_is_read_back_equal():
    for value in (Outer(), Outer(inner=Large(share=0.1), rate=1e-7, names=('a "quoted"\nŋ\\', ""))):
        assert parse(Outer, dump(value)) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rat = 1", "unknown key rat; did you mean rate? known keys here: inner, names, rate, small"),
        ("[small]\nwidht = 1", "unknown key small.widht; did you mean width? known keys here: kind, width"),
        ('[inner]\nkind = "large"\nwidth = 1', "known keys here: depth, kind, share"),
        ('[inner]\nkind = "large"\nhue = 1', "unknown key inner.hue; known"),
        ('[inner]\nkind = "large"\ndepth = 0', "inner.depth: Input should be greater than or equal to 1 (got 0)"),
        ('[inner]\nkind = "huge"\nheight = 1', "x.toml: inner.kind: no kind 'huge'; the kinds are: large, small"),
        ('[inner]\nkind = "larger"', "inner.kind: no kind 'larger'; did you mean large? the kinds are: large, small"),
        ("[inner]\nkind = 3", "inner.kind: no kind '3'; the kinds are: large, small"),
        ("[inner]\ndepth = 1", "inner.kind is missing; the kinds are: large, small"),
        ("inner = 3", "inner: "),
        ("names = [1, 2]", "names.0: "),
        ("rate = 0", "rate: Input should be greater than 0 (got 0)"),
        ("rate = nan", "rate: Input should be a finite number"),
        ("small.width = 0", "small.width: Input should be greater than or equal to 1 (got 0)"),
        ("small.width = 1.5", "small.width"),
        ('small.width = "3"', "small.width"),
        ("small.width = 2020-01-01", "small.width"),
        ("rate = ", "not TOML"),
        ("small = 1", "small"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, says):
    for check in (lambda: parse(Outer, text, source="x.toml"), lambda: parse(Outer, "", [text], source="x.toml")):
        with pytest.raises(ConfigError) as caught:
            check()
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('kind = "huge"\ndepth = 4', "x.toml: kind: no kind 'huge'; the kinds are: large, small"),
        ("depth = 4", "x.toml: kind is missing; the kinds are: large, small"),
        ('kind = "large"\nhue = 4', "x.toml: unknown key hue; known keys here: depth, kind, share"),
    ],
)
def test_a_union_may_be_the_whole_config(text, says):
    with pytest.raises(ConfigError) as caught:
        parse(Annotated[Small | Large, KIND], text, source="x.toml")
    assert str(caught.value) == says


def test_several_faults_are_all_said():
    with pytest.raises(ConfigError, match=r"x\.toml: small.width: .*; unknown key rat; "):
        parse(Outer, "rat = 1\nsmall.width = -1", source="x.toml")


def test_values_that_are_no_file_are_checked_the_same():
    assert build(Small, {"width": 5}) == Small(width=5)
    with pytest.raises(ConfigError, match="options: width: Input should be"):
        build(Small, {"width": -5}, source="options")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load(Outer, tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"a\.toml: cannot be read"):
        tables(tmp_path / "a.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(tmp_path, [])


def test_a_recipe_is_a_voices_where_it_has_that_table_and_not_where_it_only_speaks_of_it(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('# not a [voice]\n[data]\nrecordings = "a"\n[encoder]\nkind = "pipeline"')
    assert isinstance(load_recipe(path, []), EncoderRecipe)
    path.write_text('bundle = "b"\nname = "n"\nvoice = {kind = "code2spec", channels = 8}\n[data]\nrecordings = "a"')
    assert load_recipe(path, []).voice.channels == 8


def test_what_nests_without_end_is_one_line(tmp_path):
    (tmp_path / "deep.toml").write_text("x = " + "[" * 5000)
    with pytest.raises(ConfigError, match=r"deep.toml: "):
        load_recipe(tmp_path / "deep.toml", [])


def test_values_that_do_not_go_together_are_said_with_the_file():
    text = 'bundle = "b"\nname = "v"\n[data]\nrecordings = "r"\n[voice]\nkind = "code2spec"\nchannels = 18\n'
    with pytest.raises(ConfigError, match=r"^v.toml: channels 18: 4 kernels share them"):
        parse(VoiceRecipe, text, source="v.toml")


@pytest.mark.parametrize(
    "line",
    [
        "train.seed = -1",
        "train.weight_decay = -1.0",
        "train.weight_decay = nan",
        "voice.layers = 0",
        "voice.hop = 0",
        "voice.channels = -4",
        "voice.mse_weight = -1.0",
        "voice.iterations = -1",
        "voice.sharpness = nan",
        "voice.window_length = 5000",
    ],
)
def test_values_that_nothing_can_be_made_of_are_refused(line):
    text = 'bundle = "b"\nname = "v"\n[data]\nrecordings = "r"\n[voice]\nkind = "code2spec"\n'
    key = line.split(" ")[0].split(".")[1]
    with pytest.raises(ConfigError, match=key):
        parse(VoiceRecipe, text, [line])


@pytest.mark.parametrize("values", [7, None, [], "a", {"kind": "\udcff"}])
def test_what_is_no_table_of_texts_is_refused(values):
    with pytest.raises(ConfigError, match=r"^here: "):
        build(Small, values, source="here")


def test_a_key_without_end_and_a_setting_of_nothing_are_refused():
    with pytest.raises(ConfigError, match="a key of more than 100 parts"):
        parse(Small, "a" + ".a" * 50_000 + " = 1")
    with pytest.raises(ConfigError, match="--set '': sets nothing"):
        parse(Small, "", [""])
