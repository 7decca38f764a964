"""Certainty of a pool beside a bare loop of forwards over the same number of images.

    python tests/benchmarks/bench_certainty.py PHOTOS [--backbone resnet18] [--items 24]

The bare loop has all images in memory; certainty decodes photographs, makes the ranked sets and
scores them: in this process, and through Ray Data with one and with two workers, start of the
actors included and left out (by the difference of two pools of different size).
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import numpy as np
import torch

from rankloop.active.certainty import certainty_sets
from rankloop.active.items import Item, items_of
from rankloop.active.pool_scores import score_items
from rankloop.cluster import connected
from rankloop.datasets.loaders import file_loader
from rankloop.datasets.opening import open_dataset
from rankloop.methods.method import TrainingData
from rankloop.methods.rankiqa import RANKIQA
from rankloop.methods.rankiqa_config import RankIQAConfig
from rankloop.scoring.scorer import make_scorer
from rankloop.training.checkpoints import Checkpoint

GOAL = 0.9


def bare_loop(checkpoint: Checkpoint, images: np.ndarray) -> float:
    """Seconds of forwards alone."""
    scorer = make_scorer(checkpoint)
    begun = time.perf_counter()
    scorer.score_views(images[:, np.newaxis])
    return time.perf_counter() - begun


def certainty_seconds(
    checkpoint: Checkpoint, items: list[Item], data: TrainingData, workers: int
) -> tuple[float, int]:
    """Seconds of a pool's certainty, and images that went through the network."""
    begun = time.perf_counter()
    found = [
        score
        for some in score_items(checkpoint, items, data, seed=0, workers=workers)
        for score in some
    ]
    return time.perf_counter() - begun, sum(score.forwards for score in found)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = RankIQAConfig(
        backbone=options.backbone,
        weights="none",
        input_size=options.input_size,
        distortions=("gaussian_noise", "gaussian_blur", "jpeg", "contrast_decrease"),
    )
    dataset = open_dataset([f"folder:{options.photos}"], seed=0, learns_from="scores")
    data = TrainingData(dataset, file_loader(dataset, None))
    items = items_of(dataset)[: 3 * options.items]
    model = RANKIQA.build(config, 0).state_dict()
    identity = {"method": "rankiqa", "config": config.model_dump(mode="json"), "seed": 0}
    checkpoint = Checkpoint(1, model, {}, identity, {})
    sets = certainty_sets(items[0], data.load, RANKIQA, config, seed=0)
    one = np.concatenate([made.images for made in sets])
    images = np.concatenate([one] * options.items)
    times: dict[str, list[float]] = {}
    with connected():
        for _ in range(options.repeats):
            bare = len(images) / bare_loop(checkpoint, images)
            times.setdefault("bare loop of forwards", []).append(bare)
            for workers in (0, 1, 2):
                small, few = certainty_seconds(checkpoint, items[: options.items], data, workers)
                name = f"{workers} workers" if workers else "in this process"
                times.setdefault(f"certainty, {name}", []).append(few / small)
                if workers:
                    large, many = certainty_seconds(checkpoint, items, data, workers)
                    rate = (many - few) / (large - small)
                    times.setdefault(f"certainty, {name}, without the start", []).append(rate)
    base = statistics.median(times["bare loop of forwards"])
    print(f"{options.backbone} at {options.input_size} pixels, {len(one)} images per item")
    print(f"{'':44}{'images/s':>10}{'ratio':>8}   (goal {GOAL})")
    for name, rates in times.items():
        rate = statistics.median(rates)
        print(f"{name:44}{rate:10.1f}{rate / base:8.2f}")


if __name__ == "__main__":
    main()
