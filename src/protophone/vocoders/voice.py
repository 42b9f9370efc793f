"""Whose voice a vocoder speaks in: a table of known voices, and beside it a place for voices heard only once."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from protophone.errors import InputError

__all__ = ["Voices"]


class Voices(nn.Module):
    """Vectors of voices, float32 ``[voice, dim]``, learned with the vocoder they steer.

    With ``embedding_dim``, a linear map brings a pretrained speaker embedding into the same space. In training each
    row takes one or the other, so that the vocoder cannot tell which it is given and speaks from either.
    """

    def __init__(self, names: tuple[str, ...], dim: int, embedding_dim: int | None = None) -> None:
        super().__init__()
        self.names = names
        self.embedding_dim = embedding_dim
        self.table = nn.Embedding(len(names), dim)
        self.projection = None
        if embedding_dim is not None:
            self.projection = nn.Linear(embedding_dim, dim)
            # An embedding has length one, a table's row deviates by one in each dimension: they begin equally large.
            nn.init.normal_(self.projection.weight)

    def forward(self, speakers: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """Vectors ``[batch, dim]`` for a training batch of ``speakers`` int64 ``[batch]``.

        ``embeddings`` float32 ``[batch, embedding_dim]``, one a recording: each row uses its own with probability one
        half, its speaker's row of the table otherwise. ``InputError`` where embeddings are wanted and missing, or
        given and not wanted.
        """
        known = self.table(speakers)
        if self.projection is None and embeddings is None:
            return known
        if self.projection is None or embeddings is None or embeddings.shape != (len(speakers), self.embedding_dim):
            raise InputError(
                f"voices with embeddings of {self.embedding_dim} dimensions were given "
                f"{None if embeddings is None else tuple(embeddings.shape)} for {len(speakers)} rows; "
                "embed the recordings with the embedder that the config names"
            )
        heard = self.projection(F.normalize(embeddings, dim=1))
        chosen = torch.rand(len(speakers), 1, device=known.device) < 0.5
        return torch.where(chosen, heard.to(known.dtype), known)

    def lookup(self, voice: str | Tensor | None) -> Tensor:
        """The vector ``[1, dim]`` of one voice: a name, an embedding float32 ``[embedding_dim]``, or the first known.

        Raises ``InputError`` for a name that is not among the voices, and for an embedding of another length, of no
        finite numbers, or where the vocoder was trained without any.
        """
        device = self.table.weight.device
        if isinstance(voice, Tensor):
            return self._projected(voice)
        if voice is not None and voice not in self.names:
            raise InputError(f"no voice {voice!r} here; the voices are: {', '.join(self.names)}")
        return self.table(torch.tensor([0 if voice is None else self.names.index(voice)], device=device))

    def _projected(self, embedding: Tensor) -> Tensor:
        """The vector ``[1, dim]`` of a pretrained embedding float32 ``[embedding_dim]``."""
        if self.projection is None:
            raise InputError(
                "this vocoder knows voices by name only, and was given an embedding; "
                f"the voices are: {', '.join(self.names)}"
            )
        if embedding.shape != (self.embedding_dim,):
            raise InputError(
                f"a voice's embedding of shape {tuple(embedding.shape)}; this vocoder takes [{self.embedding_dim}], "
                "as made by the embedder named beside it"
            )
        embedding = embedding.to(self.projection.weight)
        if not bool(torch.isfinite(embedding).all()) or not bool(embedding.any()):
            raise InputError(
                "a voice's embedding of zeros, or with a value that is no number; embed another recording of the voice"
            )
        return self.projection(F.normalize(embedding[None], dim=1))
