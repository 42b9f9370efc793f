"""Pitch units: invariances of the stream, the rule for voices, prices against brute force, and learning a melody."""

import math
from itertools import product

import numpy as np
import pytest
import soundfile
import torch

from protophone.bundle import Part
from protophone.config import dump, parse
from protophone.crops import Crops
from protophone.encoders import pitch as module
from protophone.encoders.contour import Coarser, Finer
from protophone.encoders.pitch import PitchVQVAE, PitchVQVAEConfig, VoicePitch, pitch_part, read_pitch
from protophone.errors import BundleError, ConfigError, InputError, UnitsError
from protophone.features.contour import PitchBatch
from protophone.features.pitch import PitchConfig
from protophone.quantizers.chained import ChainedConfig
from protophone.types import AudioBatch, FrameGrid, UnitBatch
from tests.conftest import babble, corpus

GRID = FrameGrid(16000, 80)
ANA, BO = VoicePitch(math.log(200), 0.2), VoicePitch(math.log(110), 0.3)
SMALL = PitchVQVAEConfig(channels=12, quantizer=ChainedConfig(dim=8))


def track(frames, seed=0, middle=200.0):
    """A melody that wanders, voiced in stretches of 20 to 90 frames: float32 ``[frame]``."""
    rng = np.random.default_rng(seed)
    steps = np.convolve(rng.standard_normal(frames + 40), np.hanning(41) / 21, "valid")[:frames]
    f0 = middle * np.exp(0.9 * steps)
    at = int(rng.integers(30))
    while at < frames:
        at += int(rng.integers(20, 90))
        f0[at : at + (gap := int(rng.integers(10, 60)))] = 0
        at += gap
    return f0.astype(np.float32)


def batch(*tracks):
    lengths = torch.tensor([len(row) for row in tracks])
    f0 = torch.zeros(len(tracks), int(lengths.max()))
    for row, values in zip(f0, tracks, strict=True):
        row[: len(values)] = torch.from_numpy(values)
    return PitchBatch(f0, lengths, GRID)


def started(config=SMALL, seed=1) -> PitchVQVAE:
    """Pitch units whose codebook and prices are those of a first few batches; the networks know nothing."""
    torch.manual_seed(seed)
    model = config.build({"ana": ANA, "bo": BO}, VoicePitch(math.log(150), 0.4)).train()
    with torch.no_grad():
        for index in range(8):
            list(model.losses(crops(model, seed=index)))
    return model.eval()


def crops(model, seed=0, rows=4, units=24):
    frames = np.zeros((rows, 2 * model.context + units * model.reduction, 2), np.float32)
    for row in range(rows):
        frames[row, :, 0] = track(frames.shape[1], seed=10 * seed + row, middle=(200, 110)[row % 2])
    frames[..., 1] = batch(*frames[..., 0]).continued(0.0).f0_hz
    whole = torch.from_numpy(frames)
    inner = whole[:, model.context : whole.shape[1] - model.context]
    return Crops(whole, inner, torch.ones(rows, inner.shape[1]), torch.arange(rows) % 2)


@pytest.fixture(scope="module")
def units_model():
    return started()


def test_the_grid_is_that_of_content_units(units_model):
    assert (units_model.grid.hop, units_model.grid.offset, units_model.tracks.hop) == (1280, 600, 80)
    assert units_model.sizes == (20,)
    for frames in (1, 15, 16, 17, 160):
        units = units_model.encode(batch(track(frames)), [ANA])
        samples = 80 * frames
        assert units[0].shape == (1, units_model.grid.num_frames(samples))
        assert units.codebook == units_model.codebook.hash
        assert len(units_model.decode(units, [ANA])[0]) == 16 * len(units[0][0])


def test_units_differ(units_model):
    assert len(np.unique(units_model.encode(batch(track(4000)), [ANA])[0])) >= 6


def test_a_padded_batch_is_its_rows(units_model):
    rows, voices = [track(700, 1), track(33, 2), track(1201, 3)], [ANA, BO, ANA]
    together = units_model.encode(batch(*rows), voices)
    contours, decoded = units_model.contour(together, voices), units_model.decode(together, voices)
    for row, (values, voice) in enumerate(zip(rows, voices, strict=True)):
        alone = units_model.encode(batch(values), [voice])
        np.testing.assert_array_equal(alone[0], together[row])
        np.testing.assert_allclose(units_model.contour(alone, [voice])[0], contours[row], rtol=1e-5)
        np.testing.assert_allclose(units_model.decode(alone, [voice])[0], decoded[row], rtol=1e-5)
    assert not contours.f0_hz[1, 48:].any()


def test_what_lies_in_the_padding_is_not_looked_at(units_model):
    values = track(500)
    plain = units_model.encode(batch(values), [ANA])
    dirty = PitchBatch(torch.cat([torch.from_numpy(values), torch.full((90,), 300.0)])[None], torch.tensor([500]), GRID)
    np.testing.assert_array_equal(units_model.encode(dirty, [ANA])[0], plain[0])


@pytest.mark.parametrize("held", [16, 80, 1008])
def test_in_parts_it_is_as_in_the_whole(units_model, monkeypatch, held):
    values = batch(track(2345, 4))
    units = units_model.encode(values, [ANA])
    contour = units_model.contour(units, [ANA])
    monkeypatch.setattr(module, "_HELD", held)
    np.testing.assert_array_equal(units_model.encode(values, [ANA])[0], units[0])
    np.testing.assert_allclose(units_model.contour(units, [ANA])[0], contour[0], rtol=1e-5)


def test_real_recordings_batched_are_singles(units_model):
    paths = sorted((corpus("prompts") / "dev").rglob("*.flac"))[::60]
    tracker = PitchConfig().build()
    sounds = [soundfile.read(path, dtype="float32")[0][:80000] for path in paths]
    tracks = tracker.track(AudioBatch.from_arrays(sounds, 16000))
    voices = units_model.statistics(tracks, [None] * len(sounds))
    together = units_model.encode(tracks, voices)
    for row, voice in enumerate(voices):
        np.testing.assert_array_equal(units_model.encode(tracks.row(row), [voice])[0], together[row])


@pytest.mark.parametrize("dilations", [(), (1,), (1, 3)])
@pytest.mark.parametrize("levels", [2, 4])
def test_a_latent_sees_its_context_and_no_more(levels, dilations):
    network = Coarser(2, 6, 4, levels, dilations)
    reduction = 2**levels
    frames = torch.randn(1, 2, 2 * network.context + 3 * reduction, requires_grad=True)
    latents = network(frames)
    assert latents.shape == (1, 3, 4)
    latents[0, 1].square().sum().backward()
    seen = torch.nonzero(frames.grad[0].abs().sum(0))[:, 0]
    assert (int(seen.min()), int(seen.max())) == (reduction, 2 * reduction + 2 * network.context - 1)


@pytest.mark.parametrize("dilations", [(), (1,), (1, 3)])
def test_a_frame_sees_the_codes_in_reach_and_no_more(dilations):
    network = Finer(4, 6, 2, 3, dilations)
    latents = torch.randn(1, 2 * network.context + 5, 4, requires_grad=True)
    frames = network(latents)
    assert frames.shape == (1, 2, 40)
    frames[..., 16:24].square().sum().backward()
    seen = torch.nonzero(latents.grad[0].abs().sum(1))[:, 0]
    assert 2 <= int(seen.min()) <= int(seen.max()) <= 2 + 2 * network.context
    assert int(seen.max()) - int(seen.min()) > 2 * network.context - 2


def test_a_transposed_melody_has_the_same_units(units_model):
    values = track(900, 5)
    higher = VoicePitch(ANA.mean + math.log(1.5), ANA.deviation)
    units = units_model.encode(batch(values), [ANA])
    np.testing.assert_array_equal(units_model.encode(batch(values * np.float32(1.5)), [higher])[0], units[0])
    low, high = units_model.contour(units, [ANA])[0], units_model.contour(units, [higher])[0]
    np.testing.assert_allclose(high, 1.5 * low, rtol=1e-4)


def test_decode_is_the_contour_where_there_is_a_voice(units_model):
    units = units_model.encode(batch(track(900, 6)), [ANA])
    contour, decoded = units_model.contour(units, [ANA])[0], units_model.decode(units, [ANA])[0]
    assert (contour > 0).all()
    np.testing.assert_array_equal(decoded[decoded > 0], contour[decoded > 0])
    model = started(seed=2)
    for bias, voiced in ((-1e3, 0.0), (1e3, 1.0)):
        model.decoder.layers[-1].bias.data[1] = bias
        units = model.encode(batch(track(900, 6)), [ANA])
        assert np.mean(model.decode(units, [ANA])[0] > 0) == voiced


def test_collapsed_units_decode_alike(units_model):
    units = units_model.encode(batch(track(900, 6)), [ANA])
    np.testing.assert_array_equal(units_model.decode(units.collapse(), [ANA])[0], units_model.decode(units, [ANA])[0])


def test_known_voices_have_their_statistics_and_others_their_recordings_own(units_model):
    long, short = track(2000, 7, middle=300), track(150, 8)
    found = units_model.statistics(batch(long, long, short, short), ["ana", "eve", None, "bo"])
    logs = np.log(long[long > 0].astype(np.float64))
    assert (found[0], found[2], found[3]) == (ANA, units_model.pooled, BO)
    np.testing.assert_allclose(found[1], (logs.mean(), logs.std()), rtol=1e-12)
    enough = np.full(200, 220, np.float32)
    np.testing.assert_allclose(units_model.statistics(batch(enough), [None]), [(math.log(220), 0.05)], rtol=1e-12)
    assert units_model.statistics(batch(enough[1:]), [None]) == [units_model.pooled]


def test_losses_are_those_of_their_definition():
    """A decoder that says the same of every frame, against sums over frames."""
    config = PitchVQVAEConfig(
        channels=6, quantizer=ChainedConfig(num_units=8, dim=4), gaps=0.3, voicing=0.25, outlier=0.4
    )
    model = config.build({"ana": ANA, "bo": BO}, ANA)
    last = model.decoder.layers[-1]
    last.weight.data.zero_()
    last.bias.data.copy_(torch.tensor([0.2, -0.7]))
    given = crops(model)
    given.mask[1, 100:] = 0
    given.target[2] = 0  # no voice at all
    ((name, loss),) = model.losses(given)
    melody_sum = melody_weight = voicing = frames = 0.0
    for row, at in product(range(4), range(given.target.shape[1])):
        if not given.mask[row, at]:
            continue
        f0, continued = map(float, given.target[row, at])
        lies = (ANA, BO)[row % 2]
        frames += 1
        voicing += math.log1p(math.exp(0.7 if f0 else -0.7))
        if continued:
            off = abs(0.2 - (math.log(continued) - lies.mean) / lies.deviation)
            weight = 1 if f0 else 0.3
            melody_sum += weight * (0.5 * off * off if off < 0.4 else 0.4 * (off - 0.2))
            melody_weight += weight
    assert name == "pitch"
    assert float(model.figures["melody"]) == pytest.approx(melody_sum / melody_weight, rel=1e-4)
    assert float(model.figures["voicing"]) == pytest.approx(voicing / frames, rel=1e-4)
    total = melody_sum / melody_weight + 0.25 * voicing / frames + float(model.figures["quantizer"])
    assert float(loss.detach()) == pytest.approx(total, rel=1e-4)


def test_nothing_past_the_stated_lookahead_changes_a_unit(units_model, monkeypatch):
    monkeypatch.setattr("protophone.features.pitch._WINDOW", 100)
    monkeypatch.setattr("protophone.features.pitch._MARGIN", 20)
    sound, other = babble(6, 3), np.tile([*babble(0.5, 9, pitch=240.0), *np.zeros(8000, np.float32)], 6)

    def heard(samples):
        return units_model.encode(units_model.config.tracker.build().track_blocks([samples]), [ANA])[0][0]

    changed = 0
    for unit in (0, 3, 8):
        end = unit * units_model.grid.hop + units_model.lookahead
        assert end < 5 * 16000
        found = heard(np.concatenate([sound[:end], other[end:]]))
        np.testing.assert_array_equal(found[: unit + 1], heard(sound)[: unit + 1])
        changed += int((found != heard(sound)).sum())
    assert changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"voices": None}, "says not where its voices lie"),
        ({"pooled": [1.0]}, r"where the voice all lies, \[1.0\], is no mean and deviation"),
        ({"pooled": None}, "where the voice all lies, None, is no mean"),
        ({"pooled": [5.0, 0.0]}, r"where the voice all lies, \[5.0, 0.0\], is no mean and deviation"),
        ({"voices": {"eve": [float("nan"), 0.2]}}, "where the voice eve lies, .*is no mean and deviation"),
        ({"voices": {"eve": [5.0, -1.0]}}, "where the voice eve lies, .*is no mean and deviation"),
        ({"voices": {"ana": ["x", 1]}}, "where the voice ana lies"),
        ({"voices": {"ana": [10**400, 1]}}, "where the voice ana lies"),
        ({"voices": {"ana": [5.0, 0.2, 1]}}, "where the voice ana lies"),
        ({"codebook": "0badc0de"}, "not as written"),
    ],
)
def test_facts_that_are_not_whole_are_refused(units_model, change, said):
    part = pitch_part(units_model)
    with pytest.raises(BundleError, match=said):
        read_pitch(Part(part.config, part.weights, {**part.facts, **change}), "bundle/pitch")


def test_weights_of_another_shape_are_refused(units_model):
    part = pitch_part(units_model)
    other = dump(PitchVQVAEConfig(channels=14, quantizer=ChainedConfig(dim=8)))
    with pytest.raises(BundleError, match="weights do not fit"):
        read_pitch(Part(other, part.weights, part.facts), "bundle/pitch")
    assert parse(PitchVQVAEConfig, part.config) == SMALL


def test_what_does_not_fit_is_refused(units_model):
    units = units_model.encode(batch(track(200)), [ANA])
    with pytest.raises(UnitsError, match="0badc0de"):
        units_model.decode(UnitBatch(units.codes, units.lengths, units.sizes, units.grid, codebook="0badc0de"), [ANA])
    with pytest.raises(InputError, match="statistics of 2 voices for 1 recordings"):
        units_model.contour(units, [ANA, BO])
    with pytest.raises(InputError, match="track it anew"):
        units_model.encode(PitchBatch(torch.ones(1, 50), torch.tensor([50]), FrameGrid(16000, 160)), [ANA])
    with pytest.raises(InputError, match="no samples"):
        units_model.encode(PitchBatch(torch.zeros(1, 0), torch.tensor([0]), GRID), [ANA])
    with pytest.raises(InputError, match="30 frames without any voice"):
        VoicePitch.of(np.zeros(30, np.float32))
    with pytest.raises(ConfigError, match=r"dilations\.0: .*got 0"):
        PitchVQVAEConfig(dilations=(0,))
