"""``discs``: packaged photographs with a known number of discs, to try counting out.

They stand for heads: their numbers say how well a counter finds discs, not people, and are named
synthetic wherever they appear.
"""

import base64

import cv2
import numpy as np

from rankloop.datasets.dataset import HEAD_COUNT
from rankloop.datasets.part import ImageRow, Part
from rankloop.datasets.samples import read_samples
from rankloop.images import crop, decode, encode, read_bytes, resize
from rankloop.randomness import rng

# Side of an image, and radii of discs, in pixels; most discs of an image.
SIDE = 160
RADII = (3, 6)
MOST = 60
# Crops of each photograph.
CROPS = 3
ANNOTATOR = "synthetic, discs drawn into photographs"


def read_discs(*, seed: int) -> Part:
    """Return seeded crops of the packaged photographs with discs in them, seeded split.

    Args:
        seed: decides crops, discs and splits.

    Raises:
        ImageError: an installed package no longer ships one of the photographs.
    """
    rows = [_row(row, seed) for row in read_samples(crops_per_photo=CROPS, seed=seed).images]
    return Part(rows, higher_is_better=True, score_name=HEAD_COUNT, annotator=ANNOTATOR)


def _row(row: ImageRow, seed: int) -> ImageRow:
    assert row.crop is not None
    image = resize(crop(decode(read_bytes(row.uri)), *row.crop), SIDE)
    dice = rng(seed, "discs", row.image)
    # Few and many are equally likely, as in data sets of crowds.
    number = round(float(np.exp(dice.uniform(0.0, np.log(MOST)))))
    points = dice.uniform(0, SIDE - 1, (number, 2))
    for x, y in points:
        color = dice.integers(160, 256, 3).tolist()
        radius = int(dice.integers(RADII[0], RADII[1] + 1))
        cv2.circle(image, (round(x), round(y)), radius, color, -1, cv2.LINE_AA)
        cv2.circle(image, (round(x), round(y)), radius, (30, 20, 20), 1, cv2.LINE_AA)
    uri = f"data:image/png;base64,{base64.b64encode(encode(image)).decode('ascii')}"
    return ImageRow(
        row.image,
        uri,
        source=row.source,
        split=row.split,
        score=float(number),
        points=[(float(x), float(y)) for x, y in points],
    )
