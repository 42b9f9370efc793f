import json
import tracemalloc
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
import soxr

from protophone import audio
from protophone.config import dump, parse
from protophone.errors import ConfigError, InputError
from protophone.vad import Segment, VadConfig, speech_segments
from tests.conftest import babble, corpus

RATE = 16000
TICK = 160  # 10 ms


def spread(segments, samples):
    """True for the ticks of 10 ms that segments cover."""
    covered = np.zeros(-(-samples // TICK), bool)
    for segment in segments:
        covered[segment.start // TICK : -(-segment.end // TICK)] = True
    return covered


def near(flags, ticks=20):
    """Flags widened by 0.2 s."""
    return np.convolve(flags, np.ones(2 * ticks + 1), "same") > 0.5


def clips(split, count):
    folder = corpus("prompts")
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["split"] == split]
    chosen = np.random.default_rng(0).permutation(len(rows))[:count]
    return [audio.read(folder / rows[index]["audio"]) for index in chosen]


def sounding(samples):
    """Ticks of a clean studio clip within 35 dB of its loudest, pauses below a quarter of a second included."""
    level = 10 * np.log10(np.square(samples[: len(samples) // TICK * TICK].reshape(-1, TICK)).mean(1) + 1e-12)
    level = np.convolve(level, np.ones(3) / 3, "same")
    flags = level > np.sort(level)[-max(3, len(level) // 20)] - 35
    places = np.flatnonzero(flags)
    for first, second in pairwise(places):
        flags[first:second] |= second - first < 25
    return flags


@lru_cache
def tape(pauses=(0.6, 8.0), count=10):
    """Real clips, equally loud, with digital silence of known length before each: sound and where there is speech."""
    rng = np.random.default_rng(1)
    sounds, flags = [], []
    for whole in clips("dev", count):
        first, last = np.flatnonzero(sounding(whole))[[0, -1]]
        clip, spoken = whole[first * TICK : (last + 1) * TICK], sounding(whole)[first : last + 1]
        pause = round(rng.uniform(*pauses) * 100)
        power = np.square(clip[np.repeat(spoken, TICK)]).mean()
        sounds += [np.zeros(pause * TICK, np.float32), clip * np.float32(0.05 / np.sqrt(power))]
        flags += [np.zeros(pause, bool), spoken]
    return np.concatenate(sounds), np.concatenate(flags)


@lru_cache
def noise(kind, samples):
    """Noise of unit power: white, pink, or forty people talking at once."""
    rng = np.random.default_rng(2)
    if kind == "babble":
        talk = np.concatenate([clip / clip.std() for clip in clips("train", 40)])
        out = sum(rng.uniform(0.5, 1) * np.resize(np.roll(talk, rng.integers(len(talk))), samples) for _ in range(40))
    else:
        out = rng.standard_normal(samples)
        if kind == "pink":
            spectrum = np.fft.rfft(out)
            out = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), samples)
    return (out / out.std()).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "snr", "recall", "precision"),
    [
        ("white", 40, 0.99, 0.99),
        ("white", 10, 0.97, 0.99),
        ("white", 5, 0.96, 0.99),
        ("pink", 10, 0.97, 0.99),
        ("pink", 5, 0.95, 0.99),
        ("babble", 10, 0.95, 0.93),
        ("babble", 5, 0.90, 0.85),
    ],
)
def test_speech_is_found_in_noise(kind, snr, recall, precision):
    """Shares of speech found, and of what was found that lies within 0.2 s of speech."""
    clean, flags = tape()
    noisy = clean + np.float32(0.05 * 10 ** (-snr / 20)) * noise(kind, len(clean))
    found = spread(speech_segments(noisy, RATE), len(noisy))
    measured = (found & flags).sum() / flags.sum(), (found & near(flags)).sum() / found.sum()
    print(f"{kind} {snr} dB: recall {measured[0]:.3f}, precision {measured[1]:.3f}")
    assert measured[0] >= recall
    assert measured[1] >= precision


def test_unbroken_speech_is_covered():
    clean, flags = tape(pauses=(0.0, 0.05), count=20)
    segments = speech_segments(clean + np.float32(1e-4) * noise("white", len(clean)), RATE)
    assert len(clean) > 40 * RATE
    assert (spread(segments, len(clean)) & flags).sum() / flags.sum() >= 0.98
    assert max(segment.end - segment.start for segment in segments) <= 20 * RATE


def test_field_recordings_keep_their_speech():
    """At least 97 % of what the alignment does not call silence, and half of the silence is dropped."""
    folder = corpus("mboshi") / "dev"
    phones = {}
    for line in (folder / "phones.ctm").read_text(encoding="utf-8").splitlines():
        name, _, start, duration, phone = line.split()
        phones.setdefault(name, []).append((float(start), float(start) + float(duration), phone))
    kept = total = kept_silence = silence = 0
    for path in sorted(folder.glob("*/*.flac"))[::3]:
        samples = audio.read(path)
        speech = np.zeros(len(samples), bool)
        for start, end, phone in phones[path.stem]:
            speech[round(start * RATE) : round(end * RATE)] = phone != "SIL"
        found = np.zeros(len(samples), bool)
        for segment in speech_segments(samples, RATE):
            found[segment.start : segment.end] = True
        kept, total = kept + (found & speech).sum(), total + speech.sum()
        kept_silence, silence = kept_silence + (found & ~speech).sum(), silence + (~speech).sum()
    print(f"kept {kept / total:.4f} of speech, {kept_silence / silence:.3f} of silence")
    assert kept / total >= 0.97
    assert kept_silence / silence < 0.5


def talk(seconds):
    """Vowels in words of 0.7 s with 0.2 s between, and one at the end."""
    out = babble(seconds, seed=4)
    at = np.arange(len(out)) / RATE
    out[(at % 0.9 > 0.7) & (at < seconds - 0.3)] = 0
    return out


@lru_cache
def spoken_tape():
    """A minute with talk from 5.5 to 9 s and from 30 to 52 s, over faint noise."""
    out = 1e-3 * np.random.default_rng(3).standard_normal(60 * RATE).astype(np.float32)
    for start, seconds in [(5.5, 3.5), (30, 22)]:
        out[round(start * RATE) :][: round(seconds * RATE)] += talk(seconds)
    return out


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
def test_times_are_those_of_the_recording(rate):
    """The same minute at any rate: bounds within 0.1 s of where padding puts them."""
    samples = spoken_tape()
    if rate != RATE:
        samples = soxr.resample(samples, RATE, rate)
    segments = speech_segments(samples, rate)
    times = np.array([(segment.start, segment.end) for segment in segments]) / rate
    assert len(times) == 3
    np.testing.assert_allclose(times[0], [5.4, 9.1], atol=0.1)
    np.testing.assert_allclose([times[1, 0], times[2, 1]], [29.9, 52.1], atol=0.1)
    assert times[1, 1] == times[2, 0]
    assert all(isinstance(bound, int) for segment in segments for bound in (segment.start, segment.end))


@pytest.mark.parametrize("block", [100, 1601, 16000, 500000])
def test_blocks_do_not_matter(block):
    samples = spoken_tape()
    whole = speech_segments(samples, RATE)
    assert speech_segments((samples[at : at + block] for at in range(0, len(samples), block)), RATE) == whole
    assert speech_segments([samples[:0], samples, samples[:0]], RATE) == whole


def test_loudness_does_not_matter_and_steady_hum_neither():
    samples = spoken_tape()
    hum = (0.05 * np.sin(2 * np.pi * 50 * np.arange(len(samples)) / RATE)).astype(np.float32)
    whole = speech_segments(samples, RATE)
    assert speech_segments(0.125 * samples, RATE) == whole
    assert [segment.start for segment in speech_segments(samples + hum, RATE)][:2] == pytest.approx(
        [segment.start for segment in whole][:2], abs=0.05 * RATE
    )


def test_the_floor_follows_the_noise():
    """A machine is switched on, 20 dB above the room and there to stay: ten seconds at most are taken for speech."""
    samples = spoken_tape()
    quiet = samples[10 * RATE : 29 * RATE]
    rng = np.random.default_rng(5)
    machine = (0.01 * rng.standard_normal(40 * RATE)).astype(np.float32)
    found = speech_segments(np.concatenate([quiet, machine]), RATE)
    assert all(segment.end < 29 * RATE for segment in found)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(10, np.float32),
        np.zeros(30 * RATE, np.float32),
        np.full(30 * RATE, 0.5, np.float32),
        (0.1 * np.random.default_rng(6).standard_normal(30 * RATE)).astype(np.float32),
    ],
    ids=["nothing", "ten samples", "digital silence", "a constant", "loud noise"],
)
def test_silent_tapes_have_no_speech(samples):
    assert speech_segments(samples, RATE) == []


def test_segments_lie_within_the_recording_in_order():
    samples = spoken_tape()[6 * RATE : 40 * RATE + 77]
    segments = speech_segments(samples, RATE)
    assert segments[0].start == 0
    assert segments[-1].end == len(samples)
    assert all(first.end <= second.start for first, second in pairwise(segments))


def test_long_segments_are_cut_where_it_is_quietest():
    rng = np.random.default_rng(7)
    samples = (1e-4 * rng.standard_normal(40 * RATE)).astype(np.float32)
    samples[5 * RATE : 35 * RATE] += talk(30)
    samples[int(19.2 * RATE) : int(19.4 * RATE)] = 0  # between two words, and quieter than the room
    first, second = speech_segments(samples, RATE)
    assert first.end == second.start
    assert 19.2 * RATE < first.end < 19.4 * RATE
    pieces = speech_segments(samples, RATE, VadConfig(max_speech=4))
    assert [pieces[0].start, pieces[-1].end] == [first.start, second.end]
    assert all(RATE <= piece.end - piece.start <= 4 * RATE for piece in pieces)
    assert all(one.end == other.start for one, other in pairwise(pieces))


def test_durations_are_kept_to():
    def found(**settings):
        return speech_segments(samples, RATE, VadConfig(**settings))

    samples = (1e-4 * np.random.default_rng(8).standard_normal(20 * RATE)).astype(np.float32)
    for start, seconds in [(4.0, 1.0), (5.5, 1.0), (12.0, 0.2)]:
        samples[round(start * RATE) :][: round(seconds * RATE)] += babble(seconds)
    assert len(found()) == 3
    assert len(found(min_silence=0.7)) == 2
    assert len(found(min_speech=0.5)) == 2
    bare, padded = found(padding=0), found(padding=0.15)
    assert [Segment(one.start - 2400, one.end + 2400) for one in bare] == padded


def test_memory_is_that_of_the_energies():
    def blocks(minutes):
        for _ in range(minutes * 6):
            yield block

    block = 0.01 * np.random.default_rng(9).standard_normal(10 * RATE).astype(np.float32)
    peaks = []
    for minutes in (1, 5):
        tracemalloc.start()
        speech_segments(blocks(minutes), RATE)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # the sound itself would be 15 MB more
    assert peaks[1] - peaks[0] < 4 * 50e6 / 60


@pytest.mark.parametrize(
    "settings",
    [
        {"leave_db": 9.0},
        {"leave_db": 0.0},
        {"leave_share": 0.5},
        {"floor_percentile": 95.0},
        {"floor_window": 0.5},
        {"padding": -0.1},
        {"max_speech": 0.5},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        VadConfig(**settings)


def test_config_round_trip_and_rate():
    assert parse(VadConfig, dump(VadConfig(padding=0.2))) == VadConfig(padding=0.2)
    with pytest.raises(InputError, match="2000 Hz is too low"):
        speech_segments(np.zeros(10, np.float32), 2000)
