"""The page: whole, offline, the same again, and what it says and plays."""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from protophone.errors import InputError
from protophone.report import (
    BitRate,
    Corpus,
    Curve,
    Example,
    Failure,
    Listed,
    Pair,
    PhoneMatrix,
    ReportData,
    Speaker,
    render,
    write_report,
)
from protophone.report import sounds as shelf
from protophone.report.listening import MOST_PAIRS
from tests.conftest import babble, corpus

RATE = 16000


SPEAKERS = [Speaker("abi", 7, 20.0, 15.0), Speaker("Максим Ж", 4, 10.0, 6.0), Speaker("cy", 1, 0.5, 0.35)]
CORPUS = Corpus(recordings=12, minutes=30.5, speakers=SPEAKERS, speech_minutes=21.35)
LISTED = [
    Listed(
        id=name,
        speaker=speaker,
        seconds=seconds,
        speech_seconds=0.7 * seconds,
        runs=31,
        units=5,
        links={"TextGrid": f"textgrid/{number}.TextGrid", "ELAN": f"elan/{number}.eaf"},
    )
    for number, (name, speaker, seconds) in enumerate([("tape", "abi", 754.0), ("a b/c", None, 31.0)])
]


VOID = {"meta", "br", "img", "link", "input", "hr"}


EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'</script><!--&amp;"


class Page(HTMLParser):
    """Reads a page as a browser would: tags that must close, links, ids, text of each element."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.links, self.ids, self.tags, self.attributes, self.text = [], [], [], [], [], {}
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        self.links += [value for key, value in attrs if key in {"src", "href", "xlink:href", "action", "data"}]
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.text[tag] = self.text.get(tag, "") + data

    def having(self, key):
        return [attributes for _, attributes in self.attributes if key in attributes]


def sounds_of(html):
    block = re.search(r'<script type="application/json" id="sounds">(.*?)</script>', html, re.DOTALL)
    return [decode(uri) for uri in json.loads(block[1])]


def decode(uri):
    head, data = uri.split(",", 1)
    assert re.fullmatch(r"data:audio/(mpeg|wav);base64", head)
    return soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")


def pixels(uri):
    return imread(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))), format="png")


def pair(seconds=0.9, name="tape", **changes):
    sound = babble(seconds)
    codes = np.repeat([3, 0, 7, 3], [2, 1, 5, 100])[: -(-len(sound) // 640)]
    fields = {
        "id": name,
        "speaker": "abi",
        "original": sound,
        "resynthesis": sound[::-1].copy(),
        "codes": codes,
        "hop": 640,
    }
    return Pair(**(fields | changes))


def full(units=8, **changes):
    rng = np.random.default_rng(0)
    usage = rng.integers(1, 50, units)
    usage[units // 2] = 0
    counts = rng.integers(0, 9, (units, 3)) * (usage > 0)[:, None]
    examples = {
        unit: [Example(babble(0.2, unit), f"rec{i}", i + 0.5) for i in range(2)] for unit in range(min(units, 6))
    }
    fields = {
        "title": "лингала",
        "system": "vqvae",
        "corpus": CORPUS,
        "hop": 640,
        "warnings": ["only 21 minutes of speech"],
        "failures": [Failure("a b.wav", "truncated")],
        "bit_rates": [BitRate("nominal", 75.0, "log2 of the units"), BitRate("ZeroSpeech 2019", 71.23, "entropy")],
        "usage": usage,
        "unit_run_ms": np.where(usage > 0, 80.0, np.nan),
        "run_lengths": {1: 50, 2: 30, 35: 20},
        "mean_run_ms": 83.2,
        "perplexity": 6.4,
        "curves": [
            Curve("spectrum", "train", range(1000), np.linspace(5, 0.1, 1000)),
            Curve("spectrum", "held-out", [0, 500], [5.1, 2.0]),
            Curve("commitment", "train", [0], [0.5]),
        ],
        "abx": {"across": 26.4},
        "phone_matrix": PhoneMatrix(["a", "ŋg", "β"], counts),
        "examples": examples,
        "pairs": [pair()],
        "listed": LISTED,
        "voices": ["abi", "Максим Ж"],
        "folder": "my lang",
    }
    return ReportData(**(fields | changes))


BARE = ReportData(
    title="bare", system="kmeans", corpus=Corpus(recordings=1, minutes=0.4, speakers=SPEAKERS[:1], speech_minutes=0.0)
)


@pytest.mark.parametrize(
    "data",
    [
        full(),
        BARE,
        full(failures=(), phone_matrix=None, warnings=(), unit_run_ms=None, hop=None),
        full(usage=np.zeros(8, int), phone_matrix=PhoneMatrix([], np.zeros((8, 0))), run_lengths={}),
        full(units=512),
        full(pairs=[pair(0.001), pair(codes=[])], curves=[Curve("odd", "train", [0, 1], [np.nan, np.inf])]),
        replace(BARE, corpus=Corpus(recordings=0, minutes=0.0, speakers=[], speech_minutes=0.0), perplexity=3.0),
    ],
    ids=["full", "bare", "no-phones", "unused", "512", "odd", "nothing"],
)
def test_every_page_is_whole_and_stays_offline(data):
    html = render(data)
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        beside = re.match(r"(textgrid|elan)/", link) is not None
        inside = link.startswith("data:image/png;base64,") or (link[0] == "#" and link[1:] in page.ids)
        assert inside or beside, link[:80]
    assert not re.search(r"url\(|@import|https?://", html)
    assert not re.search(r"\b(nan|inf|None)\b", re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL))
    numbers = [int(number) for attributes in page.having("data-sound") for number in attributes["data-sound"].split()]
    assert set(numbers) == set(range(len(sounds_of(html))))
    for attributes in page.having("role"):
        if attributes["role"] in {"img", "group", "region"}:
            assert attributes["aria-label"]
    for tag, attributes in page.attributes:
        if tag == "button" and "data-sound" in attributes:
            assert attributes["aria-label"]
            assert attributes["type"] == "button"


def test_same_contents_make_the_same_page():
    assert render(full()) == render(full())


def test_what_the_page_says():
    page = Page(render(full()))
    words = page.text["main"]
    for said in ("21.4 min of speech", "70\u202f% of the sound", "7/8 units in use", "71.2\u202fbit/s", "75\u202fbit/s",
                 "26.4\u202f%", "only 21 minutes", "a b.wav", "truncated", "83.2 ms", "ŋg", "Максим Ж",
                 "abi, Максим Ж, cy", "Units are not phonemes", "on speech alone", "12:34\u202fmin",
                 "20:00\u202fmin"):  # fmt: skip
        assert said in words, said
    assert page.text["h1"] == "лингала"
    assert {"textgrid/", "elan/", "textgrid/1.TextGrid", "elan/0.eaf"} <= set(page.links)
    assert "protophone decode 'my lang' units/ --voice abi --out sounds/" in page.text["code"]
    assert "3\xd72 0 7\xd75 3\xd715" in words


def test_sounds_come_back_at_their_length():
    short, long = babble(0.05, 1), babble(21.0, 2)
    data = full(examples={0: [Example(short, "r", 1.0)]}, pairs=[pair(original=long)])
    lengths = [(len(sound), rate) for sound, rate in sounds_of(render(data))]
    assert lengths == [(20 * RATE, RATE), (len(pair().resynthesis), RATE), (len(short), RATE)]


@pytest.mark.parametrize("length", [1, 7, 100, 575, 1153, 4000, 16001])
def test_coded_sound_keeps_length_and_shape(length):
    sound = babble(1.1)[:length]
    back, rate = decode(shelf.encode(sound, RATE))
    assert (len(back), rate) == (length, RATE)
    if length > 4000:
        assert ((back - sound) ** 2).sum() < 0.05 * (sound**2).sum()


def test_without_mp3_sounds_are_wav(monkeypatch):
    monkeypatch.setattr(shelf.soundfile, "available_formats", lambda: {"WAV": "WAV"})
    sound = babble(0.1)
    uri = shelf.encode(sound, RATE)
    assert uri.startswith("data:audio/wav;")
    np.testing.assert_allclose(decode(uri)[0], sound, atol=1 / 32768)


def test_shelf_clips_and_fades(monkeypatch):
    monkeypatch.setattr(shelf.soundfile, "available_formats", lambda: {"WAV": "WAV"})
    held = shelf.SoundShelf(RATE)
    assert [held.add(np.full(400, 2.0)), held.add(np.ones(400), fade=True)] == [0, 1]
    loud, faded = (decode(uri)[0] for uri in held.uris)
    assert loud.min() > 0.999
    np.testing.assert_allclose(faded[[32, 367]], [0.5, 0.5], atol=0.03)
    assert faded[0] < 0.01
    assert faded[200] > 0.999
    assert held.size == sum(map(len, held.uris))


def test_names_cannot_become_markup():
    data = ReportData(
        title=EVIL, system="gmm", corpus=CORPUS, warnings=[EVIL], failures=[Failure(EVIL, EVIL)],
        bit_rates=[BitRate(EVIL, 1.0, EVIL)], usage=[3, 4], curves=[Curve(EVIL, "train", [0, 1], [1, 2])],
        abx={EVIL: 1.0}, phone_matrix=PhoneMatrix([EVIL], np.ones((2, 1))),
        examples={0: [Example(babble(0.1), EVIL, 0.0)]},
        pairs=[pair(name=EVIL, speaker=EVIL)], voices=[EVIL], folder=EVIL,
    )  # fmt: skip
    html = render(data)
    page = Page(html)
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert not [key for _, attributes in page.attributes for key in attributes if key.startswith("on")]
    assert page.text["h1"] == EVIL
    assert "<!--" not in html
    assert page.text["code"].count(EVIL.split("'", maxsplit=1)[0]) >= 4


def test_names_no_file_can_hold_are_shown(tmp_path):
    write_report(tmp_path / "r.html", full(failures=[Failure("caf\udce9\x00.wav", "not sound")]))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "caf\\udce9\ufffd.wav" in text
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "file" / "r.html", BARE)


def test_script_is_javascript_and_the_policy_lets_it_alone_run(tmp_path):
    html = render(full())
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    policy = next(
        a["content"] for a in Page(html).having("content") if a.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the script's syntax is not checked")
    (tmp_path / "page.js").write_text(script, encoding="utf-8")
    subprocess.run([node, "--check", tmp_path / "page.js"], check=True)


def test_many_units_stay_within_a_few_megabytes():
    sound = babble(1.0)
    examples = {unit: [Example(sound, "r", 0.0)] * 6 for unit in range(128)}
    html = render(full(units=128, examples=examples, usage=np.arange(1, 129)[::-1]))
    assert len(html) < 4e6
    assert re.search(r"\d+ of 768 examples are here", html)
    # Every unit is heard once before any is heard more often, and used units go first.
    heard = [len(re.findall(rf'aria-label="unit {unit}, example', html)) for unit in (0, 127)]
    assert heard[0] >= heard[1] >= 1


def test_pairs_beyond_the_most_are_said_to_be_left_out():
    html = render(full(pairs=[pair(0.1, name=f"p{i}") for i in range(MOST_PAIRS + 3)]))
    assert html.count('<article class="pair"') == MOST_PAIRS
    assert f"Of {MOST_PAIRS + 3}, the first {MOST_PAIRS} are here." in html


def test_runs_lie_where_their_codes_are():
    html = render(full())
    scale = float(re.search(r'data-scale="([\d.]+)"', html)[1])
    boxes = re.findall(r'href="#unit-(\d+)"[^>]*><rect x="([\d.]+)" y="\d+" width="([\d.]+)"', html)
    assert [int(unit) for unit, _, _ in boxes] == [3, 0, 7, 3]
    at = np.array([(float(left), float(left) + float(width)) for _, left, width in boxes]) / scale
    np.testing.assert_allclose(at, [[0, 0.08], [0.08, 0.12], [0.12, 0.32], [0.32, 0.9]], atol=1e-3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Curve("x", "train", [1, 2], [1.0]), "2 steps for 1 values"),
        (lambda: pair(original=np.array([0.0, np.nan])), "original of tape.*NaN"),
        (lambda: pair(resynthesis=np.zeros((2, 3))), r"float64 \(2, 3\)"),
        (lambda: pair(original=np.zeros(0)), "no samples"),
        (lambda: Example(np.zeros(3, np.int16), "r", 0.0), "int16"),
        (lambda: pair(codes=np.zeros((1, 3), int)), r"\(1, 3\)"),
        (lambda: pair(hop=0), "hop 0"),
        (lambda: PhoneMatrix(["a"], np.ones((3, 2))), "1 phones"),
        (lambda: PhoneMatrix(["a"], -np.ones((3, 1))), "negative"),
        (lambda: full(usage=None), "need usage"),
        (lambda: full(usage=[-1] * 8), "0 or more"),
        (lambda: full(unit_run_ms=[1.0]), "1 mean runs for 8"),
        (lambda: full(phone_matrix=PhoneMatrix(["a"], np.ones((3, 1)))), "3 units, usage of 8"),
        (lambda: full(examples={8: []}), "units 0 to 7"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_real_speech_fits_in_a_page(tmp_path):
    folder = corpus("prompts")
    sounds = [soundfile.read(path, dtype="float32")[0] for path in sorted(folder.glob("dev/ru/*.flac"))[:3]]
    pairs = [pair(name=f"ru {i}", original=sound, resynthesis=sound, codes=np.arange(-(-len(sound) // 640)) % 8)
             for i, sound in enumerate(sounds)]  # fmt: skip
    write_report(tmp_path / "r.html", full(pairs=pairs))
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    Page(html)
    for (back, _), sound in zip(sounds_of(html)[::2], sounds, strict=False):
        cut = sound[: 20 * RATE]
        assert len(back) == len(cut)
        assert ((back - cut) ** 2).sum() < 0.05 * (cut**2).sum()
