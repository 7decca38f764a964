"""Ladders per distortion beside the same levels made one by one with the best of other libraries.

    pip install albumentations albucore==0.0.24 kornia bm3d   # peers that rankloop does not need
    python tests/benchmarks/bench_ladders.py [--repeats 5] [--only gaussian_blur …]

One process, one core, one photograph of 384 x 512 pixels. Every peer makes the same four levels
(the nearest parameters that it takes) from the original, one after the other, into one array. The
floor is the best that was ever measured for such levels one by one, on a faster machine of this
kind. The authors' way is each level from scratch with NumPy, scikit-image, SciPy, Pillow and BM3D,
in float64 as in their MATLAB code; for Otsu's method, which no library has for so many classes, it
is ours with one level at a time.
"""

import argparse
import math
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import cv2
import numpy as np
import torch
from authors_way import WAYS
from ladder_peers import PEERS, Peer, add_albumentations, add_kornia

from rankloop import images
from rankloop.distortions import DISTORTIONS, RANKIQA_TID2013
from rankloop.randomness import rng

cv2.setNumThreads(1)
torch.set_num_threads(1)

LEVELS = (1, 2, 3, 4)
# Images per second.
FLOOR = {
    "gaussian_noise": 251,
    "impulse_noise": 282,
    "high_frequency_noise": 27,
    # Levels of 1888, 735, 365 and 100.
    "gaussian_blur": 273,
    "denoising": 2.2,
    "jpeg": 976,
    "jpeg2000": 9.2,
    "mean_shift_brighter": 24_000,
    "mean_shift_darker": 24_000,
    "contrast_decrease": 3_500,
    "contrast_increase": 3_500,
    "saturation": 217,
    "color_quantization_dither": 4.2,
}


def _seconds(run: Callable[[], object], repeats: int) -> list[float]:
    run()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return found


def _levels(name: str, image: np.ndarray, peer: Peer) -> Callable[[], object]:
    parameters = DISTORTIONS[name].parameters[:4]
    # One array, as a ladder is.
    return lambda: np.stack([np.asarray(peer(image, parameter)) for parameter in parameters])


def measure(name: str, image: np.ndarray, repeats: int) -> tuple[float, Mapping[str, float]]:
    """Median seconds of our ladder of four levels, and of each peer, taking turns."""
    ours: list[float] = []
    theirs: dict[str, list[float]] = {peer: [] for peer in PEERS.get(name, {})}
    ladder = DISTORTIONS[name].ladder
    for number in range(repeats):
        ours += _seconds(lambda number=number: ladder(image, rng(number), LEVELS), 1)
        for label, peer in PEERS.get(name, {}).items():
            theirs[label] += _seconds(_levels(name, image, peer), 1)
    return statistics.median(ours), {k: statistics.median(v) for k, v in theirs.items()}


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    add_albumentations()
    add_kornia()
    photograph = images.decode(images.read_bytes("package:skimage/data/coffee.png"))
    image = np.ascontiguousarray(photograph[:384, :512])
    skipped = {"denoising_bm3d", "denoising_authors"}
    names = options.only or [name for name in DISTORTIONS if name not in skipped]
    print(
        f"{'distortion':32}{'ours img/s':>12}{'best peer':>24}{'img/s':>10}{'ratio':>8}{'floor':>8}"
    )
    ratios = []
    for name in names:
        ours, theirs = measure(name, image, options.repeats)
        speed = len(LEVELS) / ours
        if not theirs:
            print(f"{name:32}{speed:12.0f}{'none':>24}{'':18}{FLOOR.get(name, ''):>8}")
            continue
        best = min(theirs, key=lambda peer: theirs[peer])
        ratios.append(theirs[best] / ours)
        print(
            f"{name:32}{speed:12.1f}{best:>24}{len(LEVELS) / theirs[best]:10.1f}{ratios[-1]:8.2f}"
            f"{FLOOR.get(name, ''):>8}"
        )
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f"geometric mean over {len(ratios)}: {mean:.2f} (goal 2), least {min(ratios):.2f}")
    if options.only:
        return
    ours_all = theirs_all = 0.0
    for name in RANKIQA_TID2013:
        ladder, way = DISTORTIONS[name].ladder, WAYS[name]
        ours_all += statistics.median(
            _seconds(lambda ladder=ladder: ladder(image, rng(0), (0, *LEVELS)), 3)
        )
        theirs_all += statistics.median(_seconds(_levels(name, image, way), 3))
    print(
        f"the authors' 17 types, levels 0 to 4: {ours_all:.2f} s against {theirs_all:.2f} s one by "
        f"one: {theirs_all / ours_all:.1f} (goal 5)"
    )


if __name__ == "__main__":
    main()
