"""Drawings of the page: spectrograms, heat maps, curves, and numbers in words."""

import re

import numpy as np
import pytest

from protophone.report import (
    Curve,
    PhoneMatrix,
    render,
)
from protophone.report.charts import line_chart
from protophone.report.markup import amount, plain, share
from protophone.report.pictures import heat_map, spectrogram
from tests.test_report import RATE, full, pixels


def test_spectrogram_of_a_tone_is_dark_at_its_frequency():
    tone = 0.5 * np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE)
    ink = pixels(spectrogram(tone, RATE))[..., 3]
    assert ink.shape == (129, 200)
    assert (ink[:, 20:-20].argmax(0) == 128 - 3000 * 128 // 8000).all()
    assert ink[5, 100] == 0
    assert not pixels(spectrogram(np.zeros(800), RATE)).any()


def test_heat_map_pixels_are_the_matrix():
    image = pixels(heat_map(np.array([[0.0, 1.0, 0.25]]), (255, 0, 0)))
    np.testing.assert_allclose(image[0, :, 3], [0, 1, 0.5], atol=0.03)
    np.testing.assert_allclose(image[0, 1, :3], [1, 0, 0])


def test_heat_map_sorts_units_by_phone():
    counts = np.array([[0, 9], [8, 0], [0, 0], [1, 3]])
    html = render(full(units=4, phone_matrix=PhoneMatrix(["a", "b"], counts), usage=[9, 8, 1, 4], examples={}))
    section = html[html.index('<section id="phones"') :]
    assert re.findall(r'class="below"[^>]*>(\d+)<', section)[:3] == ["1", "0", "3"]
    assert "95\u202f% of frames would be named rightly" in section  # (9 + 8 + 3) / 21


def test_curve_points_lie_on_the_axis():
    svg = line_chart([Curve("x", "train", [0, 10, 20], [1.0, 2.0, 3.0])], across="steps")
    points = np.array([p.split(",") for p in re.search(r'points="([^"]+)"', svg)[1].split()], float)
    assert np.diff(points[:, 0]).tolist() == pytest.approx([180, 180])
    assert np.diff(points[:, 1], n=2) == pytest.approx(0, abs=0.11)
    assert points[0, 1] > points[2, 1]
    # the number beside a rule is the value a point at that height has
    ticks = [(float(value), float(y) - 4) for y, value in re.findall(r'class="left"[^>]* y="([\d.]+)">([\d.]+)<', svg)]
    slope = (points[2, 1] - points[0, 1]) / 2
    assert [points[0, 1] + slope * (value - 1) for value, _ in ticks] == pytest.approx([y for _, y in ticks], abs=0.2)
    assert len(ticks) >= 3
    falling = line_chart([Curve("x", "train", [0, 1, 2], [100.0, 10.0, 1.0])], across="steps")
    points = np.array([p.split(",") for p in re.search(r'points="([^"]+)"', falling)[1].split()], float)
    assert np.diff(points[:, 1], n=2) == pytest.approx(0, abs=0.11)
    assert "logarithmic" in falling


@pytest.mark.parametrize(
    ("steps", "values"),
    [
        ([0, 1, 2, 3], [1.1701, 1.1702, 1.1703, 1.1704]),
        ([0, 1], [1.165, 1.175]),
        ([0], [1.17]),
        ([20, 12340], [1000.2, 1001.4]),
        ([1, 2], [-1e-7, 2e-7]),
        ([0, 7], [123456.0, 123457.0]),
        ([0, 5], [0.0, 0.0]),
    ],
)
def test_numbers_of_an_axis_are_told_apart_and_steps_are_whole(steps, values):
    svg = line_chart([Curve("x", "train", steps, values)], across="steps")
    for side in ("left", "below"):
        words = [word.replace("\u202f", "") for word in re.findall(rf'<text class="{side}" [^>]*>([^<]+)</text>', svg)]
        numbers = np.array(words, float)
        assert len(numbers) >= 2
        spaces = np.diff(numbers)
        assert spaces.min() > 0
        assert np.ptp(spaces) < 0.05 * spaces.max()
        if side == "below":
            assert all(word.isdigit() for word in words)


def test_long_curves_are_averaged():
    svg = line_chart([Curve("x", "train", np.arange(6000), np.tile([0.0, 2.0], 3000))], across="steps")
    points = np.array([p.split(",") for p in re.search(r'points="([^"]+)"', svg)[1].split()], float)
    assert len(points) == 300
    assert np.ptp(points[:, 1]) == 0


def test_numbers_in_words():
    shown = [amount(x) for x in (0, 7, 71.23, 187.4, 1240, 0.5, 0.01234, 0.0000123, float("nan"), -3.14159)]
    assert shown == ["0", "7", "71.2", "187", "1\u202f240", "0.5", "0.0123", "1.23e-05", "\u2013", "-3.14"]
    assert [share(1, 3), share(1, 30), share(0, 3), share(3, 3), share(1, 0), share(1, 10**6)] == [
        "33\u202f%", "3.3\u202f%", "0.0\u202f%", "100\u202f%", "\u2013", "under 0.1\u202f%",
    ]  # fmt: skip
    assert plain("a<b>&\"'\x07") == "a&lt;b&gt;&amp;&quot;&#x27;\ufffd"
