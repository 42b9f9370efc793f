"""What a vocoder says while it learns: units of a few recordings spoken every so often, to be listened to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from protophone import audio
from protophone.data import Pack
from protophone.encoders.base import Encoder
from protophone.encoders.pitch import PitchVQVAE
from protophone.features.contour import PitchBatch
from protophone.files import id_fault, inside
from protophone.types import NOBODY, FrameGrid, UnitBatch
from protophone.vocoders.base import Vocoder

__all__ = ["Audition"]

_VOICES = 4  # that are heard
_SECONDS = 6.0  # of a recording at most
_LOUD = 32767


@dataclass(frozen=True)
class _Part:
    """What one voice is given to say."""

    voice: str
    folder: str
    content: UnitBatch
    pitch: UnitBatch | PitchBatch | None


class Audition:
    """Speaks the beginnings of recordings, one of each of the first voices, into ``folder/VOICE/STEP.wav``.

    A voice whose name cannot be that of a folder lies in ``voice NUMBER``.

    ``codes`` ``[unit, codebook]`` and ``melody`` are packed as they are for training, ``sounds`` likewise: each voice's
    own recording goes beside as ``recording.wav``.
    """

    def __init__(
        self,
        folder: Path,
        encoder: Encoder,
        pitch: PitchVQVAE | None,
        *,
        codes: Pack,
        melody: Pack | None,
        sounds: Pack,
    ) -> None:
        self.folder, self.sample_rate = folder, encoder.sample_rate
        units = round(_SECONDS * encoder.sample_rate / encoder.grid.hop)
        longest: dict[str, int] = {}
        for index, row in enumerate(codes.rows):
            voice = row.speaker or NOBODY
            if min(units, len(codes[index])) > len(codes[longest[voice]] if voice in longest else ()):
                longest[voice] = index
        self.parts = []
        for number, voice in enumerate(sorted(longest)[:_VOICES], 1):
            place = voice if id_fault(f"{voice}/recording") is None else f"voice {number}"
            at = longest[voice]
            said = np.asarray(codes[at][:units]).T.astype(np.int64)
            content = UnitBatch.from_arrays([said], encoder.sizes, encoder.grid, encoder.codebook.hash)
            sung = None if melody is None else _sung(np.asarray(melody[at][:units]), encoder.grid, pitch)
            self.parts.append(_Part(voice, place, content, sung))
            own = np.asarray(sounds[at][: units * encoder.grid.hop])[:, 0] / _LOUD
            audio.write(inside(folder, f"{place}/recording", ".wav"), own.astype(np.float32), self.sample_rate)

    @torch.inference_mode()
    def hold(self, vocoder: Vocoder, step: int) -> None:
        """Has ``vocoder`` speak as it does after ``step`` steps."""
        vocoder.eval()
        for part in self.parts:
            pitch = None if vocoder.pitch_input == "none" else part.pitch
            sound = torch.cat(list(vocoder.stream(part.content, pitch, part.voice))).float().cpu().numpy()
            audio.write(inside(self.folder, f"{part.folder}/{step:06d}", ".wav"), sound, self.sample_rate)
        vocoder.train()


def _sung(melody: np.ndarray, grid: FrameGrid, pitch: PitchVQVAE | None) -> UnitBatch | PitchBatch:
    """The melody as vocoders take it, of the values ``[unit, k]`` that their training is told of it."""
    if pitch is None or melody.shape[1] > 1:
        flat = torch.from_numpy(melody.reshape(1, -1).astype(np.float32))
        return PitchBatch(flat, torch.tensor([flat.shape[1]]), FrameGrid(grid.sample_rate, grid.hop // melody.shape[1]))
    codes = melody[:: pitch.grid.hop // grid.hop, 0].astype(np.int64)
    return UnitBatch.from_arrays([codes], pitch.sizes, pitch.grid, pitch.codebook.hash)
