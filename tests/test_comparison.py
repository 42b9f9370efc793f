"""The page of sounds beside each other: everything inside, everything escaped, every sound there once."""

import json
import re

import numpy as np

from protophone.report.comparison import Scene, Take, comparison
from tests.conftest import babble


def _page(name="one"):
    sound = babble(0.6, seed=1)
    scene = Scene(name, [Take("recording", sound), Take("as units", 0.5 * sound, "147 bytes")], [("pitch", "21 bit")])
    return comparison("What became of it", "First line.\nSecond <line>.", [scene, Scene("empty", [])], 16000)


def test_every_sound_has_a_button_and_a_picture():
    page = _page()
    shelf = json.loads(re.search(r'id="sounds">(.*?)</script>', page, re.DOTALL)[1])
    assert len(shelf) == 2
    assert re.findall(r'data-sound="(\d)"', page) == ["0", "1"]
    assert page.count('class="ink"') == 2
    assert "147 bytes" in page
    assert "21 bit" in page


def test_nothing_is_fetched_and_names_are_escaped():
    page = _page('<img src="x">&')
    assert "<img" not in page
    assert "Second &lt;line&gt;." in page
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_long_sounds_are_cut_and_silence_is_drawn():
    page = comparison("t", "", [Scene("long", [Take("a", np.zeros(16000 * 30, np.float32))])], 16000)
    assert 'viewBox="0 0 3600.0 96"' in page


def test_the_length_is_the_recording_s_and_its_units_are_shown():
    takes = [Take("recording", babble(1.0)), Take("slower", babble(1.5))]
    page = comparison("t", "", [Scene("one", takes, codes=[3, 3, 7] + [9] * 30, hop=640)], 16000)
    assert "<small>1\u202fs</small></h3>" in page
    assert re.findall(r"<title>unit (\d+), (\d+) frames?</title>", page) == [("3", "2"), ("7", "1"), ("9", "30")]
    assert page.index(">recording</button>") < page.index("<title>unit 3") < page.index(">slower</button>")
