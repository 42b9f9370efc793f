"""How fast vocoders speak: the published HiFi-GAN generator beside the others, same units, same threads, all warm.

Networks are untrained: what they say is noise, and takes as long. HiFi-GAN's weights are normalised once beforehand, as
its authors do. The rounds take turns, and the best time of each vocoder counts.
"""

import argparse
import time

import numpy as np
import torch
from torch.nn.utils import parametrize

from protophone.features.contour import PitchBatch
from protophone.types import Codebook, FrameGrid, UnitBatch
from protophone.vocoders.adversarial import DiscriminatorsConfig
from protophone.vocoders.base import Vocoder
from protophone.vocoders.code2spec import Code2SpecConfig
from protophone.vocoders.hifigan import HiFiGANConfig
from protophone.vocoders.vocos import VocosConfig

ALONE = DiscriminatorsConfig(kinds=())
CONFIGS = {
    "HiFi-GAN, published shape": HiFiGANConfig(discriminators=ALONE),
    "HiFi-GAN, small": HiFiGANConfig(channels=128, dim=64, discriminators=ALONE),
    "Vocos, inverse STFT": VocosConfig(),
    "Code2Spec, Griffin-Lim": Code2SpecConfig(),
}


def bare(vocoder: Vocoder) -> Vocoder:
    """``vocoder`` with its weights normalised for good."""
    for module in vocoder.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return vocoder.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of sound spoken at a time")
    parser.add_argument("--hop", type=int, default=320, help="samples of a unit at 16 kHz: 160, 320, 640 or 1280")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="the best time of these counts")
    parser.add_argument("--only", nargs="*", default=list(CONFIGS), choices=list(CONFIGS), metavar="NAME")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    grid = FrameGrid(16000, args.hop)
    book = Codebook(torch.randn(1, 100, 64))
    units = round(args.seconds * 16000 / args.hop)
    seconds = units * args.hop / 16000
    steps = units * args.hop // 80
    content = UnitBatch.from_arrays([random.integers(0, 100, units)], (100,), grid, book.hash)
    told = {
        "none": None,
        "units": UnitBatch.from_arrays(
            [random.integers(0, 20, -(-units * args.hop // 1280))], (20,), FrameGrid(16000, 1280)
        ),
        "contour": PitchBatch(torch.full((1, steps), 120.0), torch.tensor([steps]), FrameGrid(16000, 80)),
    }
    vocoders = {name: bare(CONFIGS[name].build(book, grid, ("a", "b"))) for name in args.only}
    times: dict[str, list[float]] = {name: [] for name in vocoders}
    for turn in range(args.repeats + 1):
        for name, vocoder in vocoders.items():
            start = time.perf_counter()
            vocoder.synthesize(content, told[vocoder.pitch_input], "a")
            if turn:  # the first is to get warm
                times[name].append(time.perf_counter() - start)
    print(f"{seconds:.2f} s of sound, units of {args.hop} samples, {args.threads} threads, best of {args.repeats}")
    slowest = min(times[args.only[0]])
    for name, vocoder in vocoders.items():
        took, size = min(times[name]), sum(parameter.numel() for parameter in vocoder.parameters()) / 1e6
        print(
            f"{name:<28}{size:6.2f} M parameters {took:8.3f} s {seconds / took:8.1f} x real time "
            f"{slowest / took:7.1f} x as fast as {args.only[0]}"
        )


if __name__ == "__main__":
    main()
