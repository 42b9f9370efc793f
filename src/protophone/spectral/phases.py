"""Griffin-Lim: sound for magnitudes, by finding phases that agree from frame to frame."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from protophone.errors import InputError
from protophone.spectral.fourier import BLOCK, add_frames, hann, overlap_add, power_of

__all__ = ["griffin_lim"]

_WEIGHT_FLOOR = 0.05  # where overlapping windows weigh less than this part of their most, sound fades instead
_RANGE = 1e-5  # magnitudes below this part of the loudest tell nothing about phase


def griffin_lim(
    magnitude: Tensor,
    n_fft: int,
    hop: int,
    window_length: int,
    *,
    iterations: int = 32,
    momentum: float = 0.99,
    lengths: Tensor | None = None,
) -> Tensor:
    """Sound float32 ``[batch, frame * hop]`` whose STFT has the magnitudes ``[batch, frame, n_fft // 2 + 1]``.

    The fast Griffin-Lim algorithm (Perraudin et al. 2013); as the STFT is linear its momentum is applied to the sound,
    not the spectrum. Phases start from those a steady tone would have (``_first_phases``), so there is no randomness.
    ``lengths`` int64 ``[batch]``, in frames, say where each row ends; sound after that is zero. On the CPU one thread
    is used; recordings are better shared among processes than one recording among threads.
    """
    rows, count, bins = magnitude.shape
    if bins != n_fft // 2 + 1 or not 0 < 2 * hop <= window_length <= n_fft:
        raise InputError(
            f"Griffin-Lim needs n_fft // 2 + 1 bins (got {bins} for n_fft {n_fft}) and "
            f"2 * hop <= window_length <= n_fft (got hop {hop}, window_length {window_length})"
        )
    with torch.no_grad(), _one_thread():
        ends = torch.full((rows,), count) if lengths is None else lengths
        alive = torch.arange(count, device=magnitude.device) < ends.to(magnitude.device)[:, None]
        magnitude = magnitude.float() * alive[:, :, None]
        window = hann(window_length, window_length, magnitude.device)
        centre = n_fft // 2 - (n_fft - window_length) // 2  # of the window, where it lies in n_fft
        weight = overlap_add(window.square() * alive[:, :, None], hop)
        inside = torch.arange(weight.shape[1], device=magnitude.device) - centre
        inside = (inside >= 0) & (inside < hop * ends.to(magnitude.device)[:, None])
        floor = _WEIGHT_FLOOR * weight.amax(1, keepdim=True).clamp_min(1e-3)
        scale = inside / torch.maximum(weight, floor)
        step = max(1, BLOCK // (n_fft * max(1, rows)))
        padded = magnitude.new_zeros(rows, step, n_fft)
        sound = before = torch.zeros_like(weight)
        for iteration in range(iterations + 1):
            ahead = torch.sub(sound, before, alpha=momentum / (1 + momentum)) if iteration > 1 else sound
            frames = ahead.unfold(1, window_length, hop)
            total = magnitude.new_zeros(rows, count - 1 - (-window_length // hop), hop)
            phase = magnitude.new_zeros(rows, 1, bins, dtype=torch.float64)
            for start in range(0, count, step):
                part = magnitude[:, start : start + step]
                if iteration == 0:
                    spectrum, phase = _first_phases(part, phase, n_fft, hop, window_length, centre)
                else:
                    block = padded[:, : part.shape[1]]
                    torch.mul(frames[:, start : start + step], window, out=block[:, :, :window_length])
                    spectrum = torch.fft.rfft(block)
                    spectrum.mul_(power_of(spectrum).clamp_min_(1e-30).rsqrt_().mul_(part))
                wave = torch.fft.irfft(spectrum, n_fft)[:, :, :window_length].mul_(window)
                add_frames(total, wave, start)
            before, sound = sound, total.view(rows, -1)[:, : weight.shape[1]] * scale
        return F.pad(sound[:, centre:], (0, hop))[:, : count * hop].contiguous()


def _first_phases(
    magnitude: Tensor, phase: Tensor, n_fft: int, hop: int, window_length: int, centre: int
) -> tuple[Tensor, Tensor]:
    """Spectrum of a block of frames with a first guess at its phases, and the phases the next block starts from.

    From frame to frame a bin's phase advances by the frequency that sounds in it. For a Gaussian window that is the
    bin's own plus a term in the slope of the log magnitude over bins (Prusa, Balazs and Sondergaard 2017);
    0.25645 times the window length squared is the width of the Gaussian nearest to a Hann window.
    """
    quiet = _RANGE * magnitude.amax(2, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny / _RANGE)
    log = torch.maximum(magnitude, quiet).log()
    slope = F.pad((log[:, :, 2:] - log[:, :, :-2]) / 2, (1, 1))
    bins = torch.arange(magnitude.shape[2], device=magnitude.device)
    advance = 2 * math.pi * hop / n_fft * bins + hop * n_fft / (0.25645 * window_length**2) * slope
    total = phase + advance.double().cumsum(1)
    # Half a step back: between two frames a bin moves by the mean of both advances.
    phases = total - advance / 2
    # Frames here begin at the window's first sample, not at its middle, where the phases count from.
    angle = (phases - 2 * math.pi * centre / n_fft * bins).remainder(2 * math.pi).float()
    return torch.polar(magnitude, angle), total[:, -1:]


_single = threading.Lock()
_single_state = {"users": 0, "threads": 1}


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread inside the block, then as many as before, also where several Python threads are in it.

    Operations on blocks that fit in cache are too short to share: threads would wait for each other longer than work.
    """
    with _single:
        if _single_state["users"] == 0:
            _single_state["threads"] = torch.get_num_threads()
        _single_state["users"] += 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        with _single:
            _single_state["users"] -= 1
            torch.set_num_threads(_single_state["threads"])
