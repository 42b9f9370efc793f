"""Other tools' files, out and in: Praat TextGrid, ELAN, CTM alignments, ZeroSpeech vectors, fairseq lists."""

from protophone.formats.ctm import read_ctm
from protophone.formats.elan import read_eaf, write_eaf
from protophone.formats.fairseq import write_fairseq
from protophone.formats.textgrid import read_textgrid, write_textgrid
from protophone.formats.tier import Tier
from protophone.formats.zerospeech import read_zerospeech, write_zerospeech

__all__ = [
    "Tier",
    "read_ctm",
    "read_eaf",
    "read_textgrid",
    "read_zerospeech",
    "write_eaf",
    "write_fairseq",
    "write_textgrid",
    "write_zerospeech",
]
