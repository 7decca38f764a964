"""How often each next level is worse: for each distortion the share of adjacent pairs of levels.

    pip install piq                         # the perceptual metric, HaarPSI, which needs no weights
    python tests/benchmarks/monotonicity.py PHOTOS [PHOTOS …] [--limit 20] [--only jpeg]

PSNR and SSIM (scikit-image) and HaarPSI (Reisenhofer et al. 2018). A pair of levels from 1 on
counts when the metric says that the higher one is farther from the photograph; the pair of the
photograph and level 1 counts when they differ, and has a column of its own.
Ctrl-C ends with the table of the photographs done so far. `jobs/preview.py PHOTOS --ranked-set all`
draws the ladders.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import itertools

import numpy as np
import piq
import torch
from skimage.metrics import structural_similarity

from rankloop import images
from rankloop.datasets.folder import is_image_name
from rankloop.distortions import DISTORTIONS
from rankloop.errors import ConfigError
from rankloop.progress import counter
from rankloop.randomness import rng

Metric = Callable[[np.ndarray, np.ndarray], float]


def psnr(reference: np.ndarray, version: np.ndarray) -> float:
    """Return PSNR in dB; infinite for equals."""
    error = float(np.mean((reference.astype(np.float64) - version) ** 2))
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)


def ssim(reference: np.ndarray, version: np.ndarray) -> float:
    """Return the mean structural similarity of the luminance."""
    weights = np.array([0.299, 0.587, 0.114])
    return float(structural_similarity(reference @ weights, version @ weights, data_range=255))


def haarpsi(reference: np.ndarray, version: np.ndarray) -> float:
    """Return the Haar wavelet perceptual similarity index, in colour."""
    pair = np.stack([reference, version]).astype(np.float32)
    first, second = torch.from_numpy(pair).permute(0, 3, 1, 2).split(1)
    return float(piq.haarpsi(first, second, data_range=255))


def shares(path: str, names: Sequence[str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Return for each distortion and metric how many adjacent pairs fall, and of how many."""
    torch.set_num_threads(1)
    photograph = images.decode(images.read_bytes(path))
    metrics: dict[str, Metric] = {"PSNR": psnr, "SSIM": ssim, "HaarPSI": haarpsi}
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for name in names:
        try:
            made = DISTORTIONS[name].ladder(
                photograph, rng(0, "monotonicity", Path(path).name, name)
            )
        except ConfigError:
            continue
        found[name] = {}
        for label, metric in metrics.items():
            quality = [metric(made[0], version) for version in made[1:]]
            fell = sum(b < a for a, b in itertools.pairwise(quality))
            found[name][label] = (fell, len(quality) - 1)
        found[name]["0 to 1"] = (int((made[1] != made[0]).any()), 1)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--only", nargs="*", default=list(DISTORTIONS), choices=list(DISTORTIONS))
    options = parser.parse_args()
    paths = sorted(
        str(path) for folder in options.photos for path in folder.rglob("*")
        if is_image_name(path.name)
    )[: options.limit]  # fmt: skip
    work = partial(shares, names=options.only)
    total: dict[str, dict[str, np.ndarray]] = {}
    done = 0
    order = rng(0, "photographs").permutation(len(paths))
    with ProcessPoolExecutor(options.processes) as pool, counter("photographs") as progress:
        try:
            for done, found in enumerate(pool.map(work, [paths[i] for i in order]), 1):
                for name, metrics in found.items():
                    for label, pair in metrics.items():
                        sums = total.setdefault(name, {}).setdefault(label, np.zeros(2))
                        sums += pair
                progress(done, len(paths))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
    labels = list(next(iter(total.values())))
    print(f"{'distortion':34}{'says it is monotone':>20}" + "".join(f"{x:>9}" for x in labels))
    for name, metrics in total.items():
        says = "yes" if DISTORTIONS[name].is_monotone else "no"
        row = "".join(f"{fell / of:9.4f}" for fell, of in metrics.values())
        print(f"{name:34}{says:>20}{row}")
    print(f"{done} of {len(paths)} photographs, in random order")


if __name__ == "__main__":
    main()
