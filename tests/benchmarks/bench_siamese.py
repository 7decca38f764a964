"""A training step over all pairs of a ladder: each image once, or once for each pair that it is in.

    python tests/benchmarks/bench_siamese.py [--backbone resnet18] [--size 224] [--repeats 5]

Forward, loss and backward of one ladder of n images on one core, the two taking turns. In theory
the naive Siamese network needs n - 1 times as long (TPAMI paper, section 3.3).
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import torch

from rankloop.losses.ranked_sets import ranked_sets_loss
from rankloop.losses.rankiqa import rankiqa_loss
from rankloop.models.scorer import build_scorer

MARGIN = 0.1


def efficient(model: torch.nn.Module, images: torch.Tensor) -> None:
    """One step with every image through the network once."""
    levels = torch.arange(len(images)).view(1, -1, 1)
    scores = model(images).view(1, -1)
    ranked_sets_loss(scores, levels, MARGIN, higher_is_better=True).backward()


def naive(model: torch.nn.Module, images: torch.Tensor) -> None:
    """One step with both images of every pair through the network."""
    better, worse = zip(*itertools.combinations(range(len(images)), 2), strict=True)
    scores = model(images[list(better + worse)])
    rankiqa_loss(scores[: len(better)], scores[len(better) :], MARGIN).backward()


def seconds(run: Callable[[], None]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="shallow")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = build_scorer(options.backbone, output="scale", input_size=options.size, seed=0)
    print(f"{'n':>4}{'naive s':>12}{'efficient s':>14}{'ratio':>8}{'n - 1':>8}")
    for n in range(4, 17, 2):
        images = torch.randint(0, 256, (n, 3, options.size, options.size), dtype=torch.uint8)
        times: dict[Callable[..., None], list[float]] = {naive: [], efficient: []}
        for way in (naive, efficient):
            way(model, images)
        for _ in range(options.repeats):
            for way, found in times.items():
                found.append(seconds(lambda way=way, images=images: way(model, images)))
        one, other = (statistics.median(times[way]) for way in (naive, efficient))
        print(f"{n:4}{one:12.4f}{other:14.4f}{one / other:8.1f}{n - 1:8}")


if __name__ == "__main__":
    main()
