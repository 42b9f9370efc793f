"""Voices: a table and a projection that meet in one space."""

import pytest
import torch
from torch.nn import functional as F

from protophone.errors import InputError
from protophone.vocoders.voice import Voices


def embedding(dim=6, seed=0):
    return F.normalize(torch.randn(dim, generator=torch.Generator().manual_seed(seed)), dim=0)


def test_names_are_rows_of_the_table():
    voices = Voices(("ana", "bo"), 4)
    assert voices(torch.tensor([1, 0, 1])).equal(voices.table.weight[[1, 0, 1]])
    assert voices.lookup("bo").equal(voices.table.weight[1:])
    assert voices.lookup(None).equal(voices.table.weight[:1])


def test_each_row_of_a_batch_takes_its_row_or_its_embedding_half_of_the_time():
    voices = Voices(("ana", "bo"), 4, 6)
    speakers = torch.tensor([0, 1]).repeat(500)
    embeddings = torch.stack([embedding(seed=row) for row in range(1000)])
    got = voices(speakers, embeddings)
    table = voices.table.weight[speakers]
    heard = embeddings @ voices.projection.weight.T + voices.projection.bias
    from_table, from_embedding = (got == table).all(1), (got - heard).abs().amax(1) < 1e-5
    assert (from_table ^ from_embedding).all()
    assert 430 < int(from_table.sum()) < 570  # of 1000 fair draws, past 4 deviations on either side
    got.sum().backward()
    assert voices.table.weight.grad.any()
    assert voices.projection.weight.grad.any()


def test_both_begin_equally_large():
    voices = Voices(tuple(map(str, range(400))), 64, 192)
    embeddings = torch.stack([embedding(192, seed) for seed in range(50)])
    projected = torch.stack([voices.lookup(each)[0] for each in embeddings])
    assert float(projected.detach().std() / voices.table.weight.detach().std()) == pytest.approx(1, abs=0.1)


def test_an_embedding_s_length_says_nothing():
    voices = Voices(("ana",), 4, 6)
    torch.testing.assert_close(voices.lookup(embedding()), voices.lookup(3 * embedding()))
    assert voices.lookup(embedding()).shape == (1, 4)
    assert not voices.lookup(embedding()).equal(voices.lookup(embedding(seed=1)))


def test_what_is_no_voice_is_refused():
    with pytest.raises(InputError, match="no voice 'cy' here; the voices are: ana, bo"):
        Voices(("ana", "bo"), 4).lookup("cy")
    with pytest.raises(InputError, match="by name only.*ana, bo"):
        Voices(("ana", "bo"), 4).lookup(embedding())
    voices = Voices(("ana",), 4, 6)
    with pytest.raises(InputError, match=r"shape \(5,\).*\[6\]"):
        voices.lookup(embedding(5))
    for broken in (torch.zeros(6), torch.full((6,), float("nan"))):
        with pytest.raises(InputError, match="zeros, or with a value that is no number"):
            voices.lookup(broken)
    with pytest.raises(InputError, match="embeddings of 6 dimensions were given None for 2 rows"):
        voices(torch.tensor([0, 0]))
    with pytest.raises(InputError, match="embeddings of None dimensions were given"):
        Voices(("ana",), 4)(torch.tensor([0]), embedding()[None])
