"""Parts of recordings, whatever the rates: none reaches past the end of its file, none lacks a sample it touches."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from protophone import audio
from protophone.errors import AudioError
from protophone.findings import annotate
from protophone.store import UnitRecord
from protophone.types import Recording
from protophone.vad import Segment
from tests.conftest import babble

RATES = st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000]) | st.integers(8000, 96000)


def recording_of(folder, rate, length, start, cut):
    """A file of ``length`` samples, or the part of it from ``start`` to ``cut`` samples before its end."""
    path = folder / "a.wav"
    soundfile.write(path, babble(0.2, sample_rate=rate)[:1].repeat(length), rate)
    if not start and not cut:
        return Recording(id="a", path=path)
    return Recording(id="a", path=path, start=start, num_samples=length - start - cut, sample_rate=rate)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data(), RATES, st.sampled_from([16000, 16000, 22050, 24000]), st.integers(600, 9000))
def test_a_part_lies_within_its_recording_and_has_every_sample_asked_for(tmp_path_factory, data, rate, other, length):
    start = data.draw(st.integers(0, length // 2))
    whole = recording_of(
        tmp_path_factory.mktemp("part"), rate, length, start, data.draw(st.sampled_from([0, 1, length // 4]))
    )
    first, count = audio.extent(whole, audio.probe(whole.path))
    resampled = len(audio.read(whole, other))
    begin = data.draw(st.integers(0, resampled - 1))
    end = data.draw(st.sampled_from([resampled, resampled + 1, resampled + 320]) | st.integers(begin + 1, resampled))
    part = audio.part(whole, begin, max(end, begin + 1), other)
    assert first <= part.start < part.start + part.num_samples <= first + count
    assert part == replace(whole, start=part.start, num_samples=part.num_samples, sample_rate=rate)
    assert len(audio.read(part, other)) >= min(end, resampled) - begin
    assert part.start - first == begin * rate // other


def test_a_part_is_the_sound_of_its_place(tmp_path):
    """At the file's own rate a part is exactly its samples; at another it begins where it should, to a sample."""
    sound = babble(1, sample_rate=48000)
    soundfile.write(tmp_path / "a.wav", sound, 48000, subtype="FLOAT")
    segment = Recording(id="s", path=tmp_path / "a.wav", start=4800, num_samples=24000)
    np.testing.assert_array_equal(audio.read(audio.part(segment, 10, 20, 48000), 48000), sound[4810:4820])
    part = audio.part(segment, 1600, 4801, 16000)
    assert (part.start, part.num_samples, part.sample_rate) == (4800 + 4800, 3 * 3201, 48000)


def test_a_part_that_begins_behind_the_end_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", babble(1), 16000)
    whole = Recording(id="a", path=tmp_path / "a.wav")
    for each, first in ((whole, 16000), (replace(whole, num_samples=8000), 8000), (replace(whole, start=1), 17000)):
        with pytest.raises(AudioError, match=r"a\.wav: recording a is samples .* but the file has"):
            audio.part(each, first, first + 1, 16000)
    with pytest.raises(ValueError, match="first 5 and end 5"):
        audio.part(whole, 5, 5, 16000)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(RATES, st.integers(600, 9000), st.booleans())
def test_annotations_end_with_the_file_at_the_latest(tmp_path_factory, rate, length, cut):
    folder = tmp_path_factory.mktemp("annotated")
    whole = recording_of(folder, rate, length, length // 3 if cut else 0, 0)
    samples = len(audio.read(whole))
    codes = np.arange(-(-samples // 160), dtype=np.int64)[None] % 7
    extra = {"start": round(whole.start * 16000 / rate)}
    record = UnitRecord(
        id="a",
        codes=codes,
        hop=160,
        sample_rate=16000,
        sizes=(7,),
        num_samples=samples,
        bundle="0" * 8,
        extra=extra,
    )
    annotate([record], {"a": whole}, {"a": [Segment(0, samples)]}, folder)
    duration = length / rate
    grid = (folder / "textgrid" / "a.TextGrid").read_text(encoding="utf-8").split()
    times = [float(grid[at + 2]) for at, word in enumerate(grid) if word == "xmax"]
    assert duration - 2 / 16000 < max(times) <= duration
    slots = [int(slot.get("TIME_VALUE")) for slot in ET.parse(folder / "elan" / "a.eaf").iter("TIME_SLOT")]
    assert 1000 * duration - 2 < max(slots) <= 1000 * duration
    assert min(slots) >= 0
