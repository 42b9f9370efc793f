"""Spectra of sound and back: STFT, mel bands, MFCC, deltas, Griffin-Lim. Features, losses and vocoders all use these.

Conventions: ``samples`` float32 ``[batch, sample]``; spectra ``[batch, frame, bin]``, time before frequency. Frame *t*
is centred on sample ``t * hop`` and there are ``ceil(samples / hop)`` of them; before the first and after the last
sample the sound is zero. The window is a periodic Hann window of ``window_length`` samples in the middle of ``n_fft``.
These are librosa's centred frames; where the hop divides the number of samples, librosa has one more at the end.
Everything but ``griffin_lim`` can be differentiated.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from protophone.errors import InputError

__all__ = [
    "dct_ortho",
    "delta",
    "griffin_lim",
    "istft",
    "magnitude_to_mel",
    "mel_filters",
    "mel_power",
    "mel_to_magnitude",
    "mfcc",
    "power_to_db",
    "spectral_convergence",
    "stft",
]

_BLOCK = 2**18  # values of a block of frames worked on at once: a megabyte stays in a core's cache
_WEIGHT_FLOOR = 0.05  # where overlapping windows weigh less than this part of their most, sound fades instead
_RANGE = 1e-5  # magnitudes below this part of the loudest tell nothing about phase


def stft(samples: Tensor, n_fft: int, hop: int, window_length: int) -> Tensor:
    """Short-time Fourier transform, complex ``[batch, ceil(sample / hop), n_fft // 2 + 1]``.

    Equal to ``librosa.stft`` with ``center=True`` and its zero padding.
    """
    window = _window(window_length, n_fft, samples.device)
    return torch.fft.rfft(_frames(samples, n_fft, hop) * window)


def istft(spectrum: Tensor, n_fft: int, hop: int, window_length: int, length: int) -> Tensor:
    """Sound float32 ``[batch, length]`` whose STFT is nearest to ``spectrum`` in the least-squares sense.

    Samples no window reaches are zero. Inverse of ``stft`` where windows overlap (``2 * hop <= window_length``).
    """
    if spectrum.shape[-1] != n_fft // 2 + 1:
        raise InputError(f"{spectrum.shape[-1]} bins are not those of n_fft {n_fft}: give n_fft // 2 + 1")
    window = _window(window_length, n_fft, spectrum.device)
    frames = torch.fft.irfft(spectrum, n_fft) * window
    sound = _overlap_add(frames, hop)
    weight = _overlap_add(window.square().expand(1, frames.shape[1], -1), hop)
    scale = torch.where(weight > torch.finfo(torch.float32).tiny, 1 / weight, 0.0)
    sound = (sound * scale)[:, n_fft // 2 :][:, :length]
    return F.pad(sound, (0, length - sound.shape[1]))


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int, device: torch.device | str = "cpu") -> Tensor:
    """Triangular filters of area one on Slaney's mel scale, 0 Hz to Nyquist: float32 ``[n_mels, n_fft // 2 + 1]``.

    Equal to ``librosa.filters.mel``. The tensor is shared between callers: not to be changed in place.
    """
    if n_mels < 1 or n_fft < 2:
        raise InputError(f"{n_mels} mel bands of a {n_fft}-point FFT: both must be larger")
    top = torch.tensor(sample_rate / 2, dtype=torch.float64)
    edges = _mel_to_hz(torch.linspace(0, float(_hz_to_mel(top)), n_mels + 2, dtype=torch.float64))
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    if n_fft % 2:  # an odd transform has no bin at Nyquist
        bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0) * (2 / (edges[2:] - edges[:-2]))[:, None]
    empty = int((filters.amax(1) == 0).sum())
    if empty:
        raise InputError(
            f"{empty} of {n_mels} mel bands fall between the bins of a {n_fft}-point FFT at {sample_rate} Hz; "
            "use fewer bands or a longer FFT"
        )
    return filters.float().to(device)


def mel_power(samples: Tensor, sample_rate: int, n_fft: int, hop: int, window_length: int, n_mels: int) -> Tensor:
    """Power in mel bands, float32 ``[batch, ceil(sample / hop), n_mels]``, in memory that does not hold the STFT."""
    window = _window(window_length, n_fft, samples.device)
    filters = mel_filters(sample_rate, n_fft, n_mels, samples.device)
    frames = _frames(samples, n_fft, hop)
    step = max(1, _BLOCK // (n_fft * max(1, len(samples))))
    blocks = [_power(torch.fft.rfft(block * window)) @ filters.T for block in frames.split(step, dim=1)]
    return torch.cat(blocks, dim=1)


def power_to_db(power: Tensor) -> Tensor:
    """Decibels of power, never below -100 dB: ``librosa.power_to_db`` with ``top_db=None``."""
    return 10 * power.clamp_min(1e-10).log10()


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def dct_ortho(size: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The first ``count`` rows of the orthonormal DCT-II of ``size`` points: float32 ``[count, size]``, shared."""
    k = torch.arange(count, dtype=torch.float64)[:, None]
    n = torch.arange(size, dtype=torch.float64)
    matrix = math.sqrt(2 / size) * torch.cos(math.pi / size * (n + 0.5) * k)
    matrix[0] /= math.sqrt(2)
    return matrix.float().to(device)


def mfcc(
    samples: Tensor,
    sample_rate: int = 16000,
    *,
    n_fft: int = 400,
    hop: int = 160,
    window_length: int = 400,
    n_mels: int = 40,
    n_mfcc: int = 13,
) -> Tensor:
    """Mel-frequency cepstral coefficients of the decibels, float32 ``[batch, ceil(sample / hop), n_mfcc]``."""
    decibels = power_to_db(mel_power(samples, sample_rate, n_fft, hop, window_length, n_mels))
    return decibels @ dct_ortho(n_mels, n_mfcc, samples.device).T


def delta(frames: Tensor, width: int = 9, order: int = 1, lengths: Tensor | None = None) -> Tensor:
    """Slope (``order`` 1) or curvature (2) of each dimension over ``width`` frames, ``[batch, frame, dim]``.

    A Savitzky-Golay filter: a polynomial of degree ``order`` is fitted to the frames around each frame and its
    derivative taken. At the edges the polynomial of the first and last ``width`` frames goes on, as in
    ``librosa.feature.delta`` (mode "interp"). A recording shorter than ``width`` has one polynomial fitted to all its
    frames, and zero where those are no more than ``order``. ``lengths`` int64 ``[batch]`` say where each row ends;
    what comes after is zero.
    """
    if width % 2 == 0 or width <= order or order < 1:
        raise InputError(f"delta width {width} must be odd and above the order {order}, which must be at least 1")
    count = frames.shape[1]
    ends = torch.full((len(frames),), count) if lengths is None else lengths
    out = torch.zeros_like(frames)
    half = width // 2
    if count >= width:
        taps = _derivative_taps(width, order, frames.device)
        inner = torch.einsum("bfdw,w->bfd", frames.unfold(1, width, 1), taps)
        # The derivative of degree ``order`` is the same all along each polynomial: edges repeat their neighbour's.
        last = (ends.to(frames.device)[:, None] - width).clamp_min(0)
        near = torch.minimum((torch.arange(count, device=frames.device) - half).clamp_min(0), last)
        alive = torch.arange(count, device=frames.device) < ends.to(frames.device)[:, None]
        out = inner.gather(1, near[:, :, None].expand_as(frames)) * alive[:, :, None]
    short = [
        F.pad((_derivative_taps(size, order, frames.device) @ frame[:size]).expand(size, -1), (0, 0, 0, count - size))
        if size < width
        else row
        for row, frame, size in zip(out, frames, ends.tolist(), strict=True)
    ]
    return torch.stack(short) if bool((ends < width).any()) else out


def magnitude_to_mel(magnitude: Tensor, sample_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Power in mel bands ``[batch, frame, n_mels]`` of linear magnitudes ``[batch, frame, bin]``."""
    return magnitude.square() @ mel_filters(sample_rate, n_fft, n_mels, magnitude.device).T


def mel_to_magnitude(mel: Tensor, sample_rate: int, n_fft: int, iterations: int = 16) -> Tensor:
    """Linear magnitudes ``[batch, frame, n_fft // 2 + 1]`` whose mel bands have the power ``mel`` ``[..., n_mels]``.

    The power of least Kullback-Leibler divergence from the bands: from the transposed filters' smooth answer,
    multiplicative updates (Lee and Seung 2001, equation 5) that never turn negative. Quiet bands are met as well as
    loud ones, which least squares leaves behind. Bins no filter covers (0 Hz and Nyquist) are zero.
    """
    filters = mel_filters(sample_rate, n_fft, mel.shape[-1], mel.device)
    # Divided by their area filters pull alike, so wide high bands are met in as few updates as narrow low ones.
    area = filters.sum(1)
    even, target = filters / area[:, None], mel / area
    cover = even.sum(0).clamp_min(1e-6)
    power = target @ even / cover
    for _ in range(iterations):
        ratio = target / (power @ even.T).clamp_min(torch.finfo(torch.float32).tiny)
        power = power * (ratio @ even / cover)
    return power.sqrt()


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
        window = _window(window_length, window_length, magnitude.device)
        centre = n_fft // 2 - (n_fft - window_length) // 2  # of the window, where it lies in n_fft
        weight = _overlap_add(window.square() * alive[:, :, None], hop)
        inside = torch.arange(weight.shape[1], device=magnitude.device) - centre
        inside = (inside >= 0) & (inside < hop * ends.to(magnitude.device)[:, None])
        floor = _WEIGHT_FLOOR * weight.amax(1, keepdim=True).clamp_min(1e-3)
        scale = inside / torch.maximum(weight, floor)
        step = max(1, _BLOCK // (n_fft * max(1, rows)))
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
                    spectrum.mul_(_power(spectrum).clamp_min_(1e-30).rsqrt_().mul_(part))
                wave = torch.fft.irfft(spectrum, n_fft)[:, :, :window_length].mul_(window)
                _add_frames(total, wave, start)
            before, sound = sound, total.view(rows, -1)[:, : weight.shape[1]] * scale
        return F.pad(sound[:, centre:], (0, hop))[:, : count * hop].contiguous()


def spectral_convergence(magnitude: Tensor, samples: Tensor, n_fft: int, hop: int, window_length: int) -> Tensor:
    """Distance of the STFT magnitudes of ``samples`` from ``magnitude``, over the norm of the latter: ``[batch]``.

    0 is equality. ``samples`` must have as many frames as ``magnitude``.
    """
    made = stft(samples, n_fft, hop, window_length).abs()
    if made.shape != magnitude.shape:
        raise InputError(f"the sound has magnitudes {tuple(made.shape)}, to compare with {tuple(magnitude.shape)}")
    return (made - magnitude).flatten(1).norm(dim=1) / magnitude.flatten(1).norm(dim=1)


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


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def _window(window_length: int, n_fft: int, device: torch.device) -> Tensor:
    """The periodic Hann window in the middle of ``n_fft`` samples, float32 ``[n_fft]``, shared."""
    if not 0 < window_length <= n_fft:
        raise InputError(f"window_length {window_length} must be at least 1 and at most n_fft {n_fft}")
    window = torch.hann_window(window_length, dtype=torch.float64).float()
    left = (n_fft - window_length) // 2
    return F.pad(window, (left, n_fft - window_length - left)).to(device)


def _frames(samples: Tensor, n_fft: int, hop: int) -> Tensor:
    """Overlapping frames as a view, ``[batch, ceil(sample / hop), n_fft]``, zeros around the sound."""
    if samples.ndim != 2 or samples.shape[1] == 0 or hop < 1:
        raise InputError(f"samples {tuple(samples.shape)} at hop {hop}: give [batch, sample], not empty, and hop >= 1")
    left = n_fft // 2
    return F.pad(samples, (left, n_fft - left + hop)).unfold(1, n_fft, hop)[:, : -(-samples.shape[1] // hop)]


def _power(spectrum: Tensor) -> Tensor:
    """Squared magnitude; several times faster than ``abs`` of complex numbers."""
    squares = torch.view_as_real(spectrum).square()
    return squares[..., 0] + squares[..., 1]


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Sum of frames ``[batch, frame, n]`` laid ``hop`` apart: ``[batch, (frame - 1) * hop + n]``."""
    rows, count, size = frames.shape
    total = frames.new_zeros(rows, count - 1 - (-size // hop), hop)
    _add_frames(total, frames, 0)
    return total.view(rows, -1)[:, : (count - 1) * hop + size]


def _add_frames(total: Tensor, frames: Tensor, start: int) -> None:
    """Adds frames ``[batch, frame, n]``, the first at ``start * hop``, to sound held as ``[batch, piece, hop]``."""
    hop = total.shape[2]
    for shift, piece in enumerate(frames.split(hop, dim=2)):
        total[:, start + shift : start + shift + frames.shape[1], : piece.shape[2]] += piece


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)
def _derivative_taps(count: int, order: int, device: torch.device) -> Tensor:
    """Weights ``[count]`` of frames in the ``order``-th derivative of the polynomial of that degree fitted to them."""
    if count <= order:
        return torch.zeros(count, device=device)
    time = torch.arange(count, dtype=torch.float64) - (count - 1) / 2
    fit = torch.linalg.pinv(time[:, None] ** torch.arange(order + 1))
    return (math.factorial(order) * fit[order]).float().to(device)


_BREAK_HZ, _BREAK_MEL, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27  # Slaney's scale: linear, then logarithmic


def _hz_to_mel(hz: Tensor) -> Tensor:
    high = _BREAK_MEL + (hz / _BREAK_HZ).clamp_min(1).log() / _LOG_STEP
    return torch.where(hz < _BREAK_HZ, hz * _BREAK_MEL / _BREAK_HZ, high)


def _mel_to_hz(mel: Tensor) -> Tensor:
    high = _BREAK_HZ * ((mel - _BREAK_MEL) * _LOG_STEP).exp()
    return torch.where(mel < _BREAK_MEL, mel * _BREAK_HZ / _BREAK_MEL, high)
