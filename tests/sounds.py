"""Small sound files for tests of folders."""

import numpy as np

from protophone import audio


def put(folder, *names, samples=1000):
    """Write small sound files with these names."""
    folder.mkdir(parents=True, exist_ok=True)
    audio.write(folder / "made.wav", 0.1 * np.sin(np.arange(samples)), 16000)
    content = (folder / "made.wav").read_bytes()
    (folder / "made.wav").unlink()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
