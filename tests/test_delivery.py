"""Melody and pace: registers, shifts, and units left out or repeated evenly."""

import math

import pytest
import torch

from protophone.delivery import Delivery, faster
from protophone.errors import InputError
from protophone.features.contour import PitchBatch
from protophone.types import FrameGrid, UnitBatch

LOW, HIGH = (math.log(100), 0.1), (math.log(200), 0.2)


def _melody(*hertz):
    return PitchBatch(torch.tensor([hertz]), torch.tensor([len(hertz)]), FrameGrid(16000, 80))


def test_copy_is_the_recordings_own():
    melody = _melody(90.0, 100.0, 120.0)
    assert torch.allclose(Delivery("copy").melody(melody, LOW, HIGH).f0_hz, melody.f0_hz)


def test_target_moves_mean_and_deviation():
    melody = _melody(*[100 * math.exp(0.1 * z) for z in (-1.0, 0.0, 2.0)])
    moved = Delivery().melody(melody, LOW, HIGH).f0_hz[0]
    assert torch.allclose(moved, torch.tensor([200 * math.exp(0.2 * z) for z in (-1.0, 0.0, 2.0)]))


def test_flat_and_shift():
    melody = _melody(90.0, 110.0)
    assert torch.allclose(Delivery("flat").melody(melody, LOW, HIGH).f0_hz, torch.tensor(200.0))
    for text, semitones in (("shift:+2st", 2), ("shift:-3.5st", -3.5), ("shift:12st", 12)):
        shifted = Delivery(text).melody(melody, LOW, LOW).f0_hz
        assert torch.allclose(shifted, melody.f0_hz * 2 ** (semitones / 12))


def test_what_no_voice_sings_is_sung_at_the_edge():
    melody = _melody(60.0, 200.0, 900.0)
    for text, sung in (("shift:-24st", [40.0, 50.0, 225.0]), ("shift:+24st", [240.0, 800.0, 1000.0])):
        assert torch.allclose(Delivery(text).melody(melody, LOW, LOW).f0_hz, torch.tensor(sung))


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.0, 1.25, 3.0])
def test_rate_keeps_order_and_ends(rate):
    units = UnitBatch(torch.arange(40)[None, None], torch.tensor([40]), (64,), FrameGrid(16000, 640))
    codes = faster(units, rate).codes[0, 0]
    assert len(codes) == math.ceil(40 / rate)
    assert bool((codes.diff() >= 0).all())
    assert int(codes[0]) <= rate
    assert int(codes[-1]) >= 39 - rate
    counts = torch.bincount(codes, minlength=40)
    assert int(counts.max() - counts.min()) <= 1
    melody = Delivery("copy", rate).melody(_melody(*[float(100 + i) for i in range(320)]), LOW, LOW)
    assert melody.f0_hz.shape[1] == int(melody.lengths[0]) == round(320 / rate)


@pytest.mark.parametrize("pitch", ["shift:2", "shift:st", "up", "", "shift:+99st", "shift:٣st", "copy "])
def test_other_melodies_are_refused(pitch):
    with pytest.raises(InputError, match=r"pitch '"):
        Delivery(pitch)


@pytest.mark.parametrize("rate", [0.0, -1.0, 5.0, float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(InputError, match="rate"):
        Delivery(rate=rate)
