"""Images per second of score.py's pipeline beside a bare loop of decoding and model, side by side.

    python tests/benchmarks/bench_scoring.py [--images 512] [--size 768] [--repeats 5]

Both score the same JPEG photographs on the same cores; they take turns, and medians are compared.
The bare loop is what one would write in a notebook: decode, stack 32, call the model.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import numpy as np
import torch

from rankloop import images
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.scoring.bulk import score_paths
from rankloop.scoring.pipeline import BATCH
from rankloop.storage import open_folder
from rankloop.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint

GOAL = 0.9


def photographs(folder: Path, count: int, size: int) -> list[str]:
    """Write JPEG photographs of size x size pixels, cut from one that a package ships."""
    source = images.decode(images.read_bytes("package:skimage/data/coffee.png"))
    large = images.resize(images.center_square(source), 2 * size)
    generator = np.random.default_rng(0)
    paths = []
    for i in range(count):
        x, y = generator.integers(0, size, 2)
        path = folder / f"{i:05d}.jpg"
        path.write_bytes(images.encode(images.crop(large, int(x), int(y), size, size), "jpeg"))
        paths.append(str(path))
    return paths


def bare_loop(folder: str, paths: list[str], config: SSRankingConfig) -> np.ndarray:
    """Decode a batch, score it, and so on."""
    model = SSRANKING.build(config, 0)
    model.load_state_dict(load_checkpoint(open_folder(folder), training=False).model)
    model.eval()
    scores = []
    for start in range(0, len(paths), BATCH):
        batch = [
            images.load(path, None, config.image_size) for path in paths[start : start + BATCH]
        ]
        with torch.inference_mode():
            scores.append(model(torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)).numpy())
    return np.concatenate(scores)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--backbones", nargs="+", default=["shallow", "resnet18"])
    options = parser.parse_args()
    print(f"{options.images} JPEGs of {options.size} pixels, {torch.get_num_threads()} cores")
    print(f"{'backbone':10} {'bare loop':>12} {'score.py':>12} {'ratio':>7}   goal {GOAL}")
    with tempfile.TemporaryDirectory() as name:
        paths = photographs(Path(name), options.images, options.size)
        output = Path(name) / "scores.csv"
        for backbone in options.backbones:
            config = SSRankingConfig(backbone=backbone)
            checkpoint = Checkpoint(
                step=0,
                model=SSRANKING.build(config, 0).state_dict(),
                training={},
                config={
                    "method": "ssranking",
                    "config": config.model_dump(mode="json"),
                    "seed": 0,
                },
                state={},
            )
            folder = str(save_checkpoint(open_folder(name), backbone, checkpoint))
            ways: dict[str, Callable[[], object]] = {
                "bare": lambda f=folder, c=config: bare_loop(f, paths, c),
                "ours": lambda f=folder: score_paths(f, paths, output, workers=1),
            }
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(options.repeats):
                for way, work in ways.items():
                    times[way].append(seconds(work))
            bare, ours = (options.images / statistics.median(times[way]) for way in ways)
            print(f"{backbone:10} {bare:>10.1f}/s {ours:>10.1f}/s {ours / bare:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
