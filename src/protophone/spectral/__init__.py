"""Spectra of sound and back: STFT, mel bands, MFCC, deltas, Griffin-Lim. Features, losses and vocoders all use these.

Conventions: ``samples`` float32 ``[batch, sample]``; spectra ``[batch, frame, bin]``, time before frequency. Frame *t*
is centred on sample ``t * hop`` and there are ``ceil(samples / hop)`` of them; before the first and after the last
sample the sound is zero. The window is a periodic Hann window of ``window_length`` samples in the middle of ``n_fft``.
These are librosa's centred frames; where the hop divides the number of samples, librosa has one more at the end.
Everything but ``griffin_lim`` can be differentiated.
"""

from protophone.spectral.cepstra import dct_ortho, delta, mfcc, power_to_db
from protophone.spectral.fourier import istft, spectral_convergence, stft
from protophone.spectral.mel import magnitude_to_mel, mel_filters, mel_power, mel_to_magnitude
from protophone.spectral.phases import griffin_lim

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
