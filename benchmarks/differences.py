"""How often two equal systems are called different, by the plain percentile interval and by ours.

    python benchmarks/differences.py

Differences of two systems on each of n recordings are drawn from a distribution whose mean is zero: even ones (normal),
rare ones (one recording in fifty, by 1 to either side), and skewed ones (exponential, less its mean). A difference is
called where the paired 95 % interval of the mean excludes zero; an honest interval calls 5 % at most.
"""

import argparse

import numpy as np

from protophone.metrics.interval import Estimate, difference, estimate, ratio

DRAW = {
    "even": lambda rng, n: rng.standard_normal(n),
    "rare": lambda rng, n: rng.choice([-1.0, 0.0, 1.0], n, p=[0.01, 0.98, 0.01]),
    "skewed": lambda rng, n: rng.exponential(size=n) - 1,
}


def excludes_zero(interval: tuple[float, float]) -> bool:
    return interval[0] > 0 or interval[1] < 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    print("called different, % of equal systems:  recordings  plain   ours")
    for kind, draw in DRAW.items():
        for n in (6, 20, 50, 200):
            names, ones = [str(number) for number in range(n)], np.ones(n)
            base = estimate(ratio(np.zeros(n), ones), names)
            plain = ours = 0
            for _ in range(args.trials):
                other = estimate(ratio(draw(rng, n), ones), names)
                found = difference(other, base)
                plain += excludes_zero(Estimate(found.value, found.draws, found.names).interval)
                ours += excludes_zero(found.interval)
            print(f"{kind:38} {n:11} {100 * plain / args.trials:6.1f} {100 * ours / args.trials:6.1f}", flush=True)


if __name__ == "__main__":
    main()
