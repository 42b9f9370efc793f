"""PocketSphinx with the English model in its package: small and quick to install, but a weak judge."""

import hashlib
import json
from pathlib import Path

import numpy as np

from protophone.errors import InputError
from protophone.recognizers.base import RATE, TextRecognizer

__all__ = ["NAME", "PocketsphinxRecognizer"]

NAME = "pocketsphinx"

# the options of its search and front end that a figure hangs on; the version says the rest
_STATED = (
    *("beam", "wbeam", "pbeam", "lw", "wip", "silprob", "ascale", "maxhmmpf", "maxwpf", "topn"),
    *("fwdtree", "fwdflat", "fwdflatbeam", "fwdflatwbeam", "fwdflatlw", "bestpath", "bestpathlw"),
    *("remove_noise", "cmn", "agc", "dither"),
)


class PocketsphinxRecognizer(TextRecognizer):
    """American English by the package's own model, trigrams and dictionary, each recording as if it were the first.

    The decoder carries its estimate of noise from one recording to the next, so that answers would hang on their
    order: it is made new for each. Raises ``InputError`` where pocketsphinx or its model is missing.
    """

    languages = frozenset({"en"})

    def __init__(self) -> None:
        try:
            import pocketsphinx
        except ImportError as error:
            raise InputError("pocketsphinx is not installed; pip install 'protophone[pocketsphinx]'") from error
        from importlib.metadata import version

        try:
            self._decoder = pocketsphinx.Decoder(samprate=RATE, cmn="batch", dither=False, loglevel="FATAL")
        except (RuntimeError, ValueError) as error:
            raise InputError(f"pocketsphinx cannot load its English model ({error}); install it again") from error
        options = json.loads(self._decoder.config.dumps())
        self.settings = {
            "recognizer": f"pocketsphinx {version('pocketsphinx')}",
            "model": _digest(Path(options["hmm"]), Path(options["lm"]), Path(options["dict"])),
            **{key: options[key] for key in _STATED},
        }

    def transcribe(self, samples: np.ndarray, language: str) -> str:
        """What is said in ``samples`` (float32 ``[sample]``, 16 kHz), known to be English (``en``)."""
        self.check(samples, language)
        if not len(samples):
            return ""
        levels = np.clip(np.rint(samples.astype(np.float64) * 2**15), -(2**15), 2**15 - 1).astype("<i2")
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(levels.tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return "" if found is None else found.hypstr


def _digest(acoustic: Path, *files: Path) -> str:
    """Sixteen hex digits of the SHA-256 over names and contents of the model's files."""
    found = hashlib.sha256()
    for path in (*sorted(acoustic.iterdir()), *files):
        with path.open("rb") as file:
            found.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return found.hexdigest()[:16]
