"""What every text recogniser promises, and hearing many recordings with it.

Text recognisers answer what was said, as text without times; they judge whether resynthesised words are still there.
Those that learn phones and say when each was spoken answer a ``Transcript`` instead, and are another family.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from protophone import audio
from protophone.errors import InputError
from protophone.progress import Advance
from protophone.types import Recording

__all__ = ["RATE", "TextRecognizer", "transcribe_all"]

RATE = 16000  # hertz, of the sound that text recognisers take


class TextRecognizer(ABC):
    """Writes down what is said.

    What it answers follows from the samples, the language and ``settings`` alone: neither from what it heard before nor
    from ``workers``, how many recordings it can hear at once.
    """

    languages: frozenset[str]
    """Those it knows, by the codes that manifests use: ISO 639-1 where there is one."""

    settings: dict[str, Any]
    """Everything that its answers hang on, ready for JSON: program, version, hash of the model, decoding options."""

    workers: int = 1

    @abstractmethod
    def transcribe(self, samples: np.ndarray, language: str) -> str:
        """What is said in ``samples``, float32 ``[sample]`` at 16 kHz, known to be in ``language``; maybe nothing.

        Raises ``InputError`` for a language not in ``languages``, and for sound of another kind.
        """

    def check(self, samples: np.ndarray, language: str) -> None:
        """``InputError`` where ``transcribe`` could not take these."""
        if language not in self.languages:
            known = ", ".join(sorted(self.languages)[:5]) + (", ..." if len(self.languages) > 5 else "")
            raise InputError(
                f"{language!r}: not a language of {self.settings['recognizer']}, which knows {len(self.languages)} "
                f"({known}); name another language or recogniser"
            )
        if samples.ndim != 1 or samples.dtype != np.float32:
            raise InputError(
                f"sound of {samples.dtype} {samples.shape}; the recogniser takes float32 [sample] at 16 kHz"
            )
        if not np.isfinite(samples).all():  # a recogniser would answer something all the same
            raise InputError("sound with samples that are not finite numbers; make it again")


def transcribe_all(
    recognizer: TextRecognizer,
    clips: Sequence[tuple[str | Path | Recording, str]],
    advance: Advance | None = None,
) -> list[str]:
    """What is said in each clip, a recording with its language, as many heard at once as the recogniser can.

    ``advance(1)`` is called after each, in no order. Raises what reading and hearing raise; clips not begun are then
    let be.
    """

    def hear(sound: str | Path | Recording, language: str) -> str:
        return recognizer.transcribe(audio.read(sound, RATE), language)

    pool = ThreadPoolExecutor(recognizer.workers)
    try:
        answers = [pool.submit(hear, *clip) for clip in clips]
        for answer in as_completed(answers):
            answer.result()  # a clip that failed ends the work at once, not when the last is heard
            if advance is not None:
                advance(1)
        return [answer.result() for answer in answers]
    finally:
        pool.shutdown(cancel_futures=True)
