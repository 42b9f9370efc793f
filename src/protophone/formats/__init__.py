"""Other tools' files, out and in: Praat TextGrid, ELAN, CTM alignments, ZeroSpeech vectors and terms, fairseq lists.

``formats.submission`` makes whole folders of them for ZeroSpeech's challenges.
"""

from protophone.formats.alignment import Alignment, read_alignment
from protophone.formats.arrays import Arrays, frame_rate_of, read_arrays
from protophone.formats.classes import read_classes, write_classes
from protophone.formats.ctm import read_ctm
from protophone.formats.eaf import read_eaf
from protophone.formats.elan import write_eaf
from protophone.formats.fairseq import write_fairseq
from protophone.formats.textgrid import read_textgrid, write_textgrid
from protophone.formats.tier import Tier
from protophone.formats.zerospeech import read_zerospeech, write_zerospeech

__all__ = [
    "Alignment",
    "Arrays",
    "Tier",
    "frame_rate_of",
    "read_alignment",
    "read_arrays",
    "read_classes",
    "read_ctm",
    "read_eaf",
    "read_textgrid",
    "read_zerospeech",
    "write_classes",
    "write_eaf",
    "write_fairseq",
    "write_textgrid",
    "write_zerospeech",
]
