"""Make a data set of the layout of TID2013 whose "opinions" are a full-reference metric.

    pip install piq
    python tests/benchmarks/stand_in_opinions.py PHOTOS OUT [--side 192]

28 photographs, drawn at random, shrunk until their longer side is --side, with the 24 types of
distortion at the levels that rankloop has of them (four or five), go to OUT/tid2013; their MOS is 9
times HaarPSI (Reisenhofer et al. 2018), which is no opinion. All other photographs, shrunk the same
way, go to OUT/photos: ladders to learn ranks from. With ?split=official five of the 28 are for
testing, and of the rest 19 for training, as in the experiment of the TPAMI paper's figure 5.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

import numpy as np
import torch
from monotonicity import haarpsi
from PIL import Image

from rankloop import images
from rankloop.datasets.folder import is_image_name
from rankloop.distortions import DISTORTIONS, TID2013
from rankloop.progress import counter
from rankloop.randomness import rng

# Number 25 of TID2013 is an artificial image, which no experiment uses.
REFERENCES = [number for number in range(1, 30) if number != 25]


def shrunk(path: Path, side: int) -> np.ndarray:
    """Return a photograph with this longer side, uint8 (h, w, 3)."""
    return images.shrink(images.decode(images.read_bytes(str(path))), side)


def versions(job: tuple[int, Path], out: Path, side: int) -> list[str]:
    """Write all versions of a reference and return their lines of mos_with_names.txt."""
    number, path = job
    torch.set_num_threads(1)
    photograph = shrunk(path, side)
    lines = []
    for kind, names in TID2013.items():
        # Of two directions one each: a type is a single ladder here.
        name = names[number % len(names)]
        made = DISTORTIONS[name].ladder(photograph, rng(0, "stand-in", path.name, name))[1:]
        for level, version in enumerate(made, 1):
            file = f"i{number:02d}_{kind:02d}_{level}.bmp"
            Image.fromarray(version).save(out / "distorted_images" / file)
            lines.append(f"{9 * haarpsi(photograph, version):.5f} {file}")
    return lines


def main() -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, default=192)
    options = parser.parse_args()
    paths = sorted(path for path in options.photos.rglob("*") if is_image_name(path.name))
    order = [paths[i] for i in rng(0, "references").permutation(len(paths))]
    tree = options.out / "tid2013"
    (tree / "distorted_images").mkdir(parents=True, exist_ok=True)
    (options.out / "photos").mkdir(exist_ok=True)
    lines: list[str] = []
    work = partial(versions, out=tree, side=options.side)
    with ProcessPoolExecutor() as pool, counter("references") as progress:
        for done, found in enumerate(pool.map(work, zip(REFERENCES, order, strict=False)), 1):
            lines += found
            progress(done, len(REFERENCES))
    for path in order[len(REFERENCES) :]:
        Image.fromarray(shrunk(path, options.side)).save(
            options.out / "photos" / f"{path.stem}.png"
        )
    (tree / "mos_with_names.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} images in {tree}; {len(order) - len(REFERENCES)} photographs beside it")


if __name__ == "__main__":
    main()
