"""Open sound files: libsndfile decodes most kinds, PyAV (the extra ``m4a``) the kinds of phones and cameras."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protophone.containers import missing
from protophone.decoders import pyav, sndfile
from protophone.decoders.base import Decoder
from protophone.errors import AudioError, InputError
from protophone.files import check_regular

__all__ = ["PYAV_EXTENSIONS", "SNDFILE_EXTENSIONS", "Decoder", "opened"]

SNDFILE_EXTENSIONS = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".w64", ".rf64", ".sph", ".nist", ".voc", ".mp2"),
)
PYAV_EXTENSIONS = (
    *(".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".aac", ".amr", ".awb", ".3gp", ".3gpp", ".3g2", ".wma", ".wmv", ".asf"),
    *(".webm", ".weba", ".mka", ".mkv", ".avi", ".mts", ".m2ts", ".mpg", ".mpeg", ".wv", ".ape", ".spx"),
)

_SLOWEST = 1000  # Hz: telephones take 8000
_UNKNOWN = 2**62  # libsndfile counts this many samples or more if a header does not count them


@contextmanager
def opened(path: Path) -> Iterator[Decoder]:
    """Open a sound file. Raises ``AudioError`` if it is no sound, cut off, empty, or of unknown length."""
    file = _decoder(path)
    try:
        if file.num_samples >= _UNKNOWN:
            raise AudioError(f"{path}: its header does not say how long it is; convert it again, to a file not a pipe")
        if file.num_samples == 0:
            raise AudioError(f"{path}: holds no samples; record it again or leave it out")
        if file.sample_rate < _SLOWEST:
            raise AudioError(
                f"{path}: a sample rate of {file.sample_rate} Hz, which holds no speech; correct its header or leave "
                "it out"
            )
        yield file
    finally:
        file.close()


def _decoder(path: Path) -> Decoder:
    """Open a file with the decoder for its kind, as its first bytes show it."""
    if fault := _fault(path):
        raise AudioError(f"{path}: {fault}")
    demuxer = pyav.demuxer_of(path)
    if demuxer is not None and demuxer not in pyav.SHARED:  # libsndfile may take these for MPEG audio after junk
        return pyav.PyavDecoder(path, demuxer)
    try:
        return sndfile.SndfileDecoder(path)
    except UnicodeEncodeError as error:
        raise AudioError(f"{path}: its name is no UTF-8, which libsndfile needs; rename it") from error
    except sndfile.UNREADABLE as error:
        if demuxer is not None:
            return pyav.PyavDecoder(path, demuxer)
        said = str(error).removeprefix(f"Error opening {str(path)!r}: ").rstrip(". ")
        if not said or "does not exist" in said:  # libsndfile's words for an MP3 without a frame
            said = "no header that makes sense"
        raise AudioError(
            f"{path}: not a sound file that can be decoded ({said}); convert it to WAV or FLAC, or leave it out"
        ) from error


def _fault(path: Path) -> str | None:
    """Return why no decoder can open a file, if its place, size or container shows that."""
    try:
        check_regular(path)
        size = path.stat().st_size
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    except OSError as absent:
        return f"not there ({absent.strerror}); check the name, or the audio key of the manifest"
    if path.is_dir():
        return "a folder, not a recording; name the recordings in it"
    if not os.access(path, os.R_OK):
        return "no permission to read it; change its permissions or copy it"
    if size == 0:
        return "empty, 0 bytes; copy it again or leave it out"
    lack = missing(path)
    return f"cut off: {lack}; copy it again or leave it out" if lack else None
