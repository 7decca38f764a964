"""``samples``: the photographs that scikit-image and scikit-learn ship in their wheels."""

from rankloop.datasets.dataset import Split
from rankloop.datasets.part import ImageRow, Part
from rankloop.images import decode, read_bytes
from rankloop.randomness import rng

# Side of a crop in pixels: uniform in [96, min(192, short side of the photograph)].
MIN_CROP_SIDE = 96
MAX_CROP_SIDE = 192

# Left out: scikit-image's clock_motion.png, which is itself blurred by motion; cell, moon and
# retina, which are soft at the scale of a pixel, so that nobody could tell how much blur was added
# (variance of the Laplacian of sharp crops at 72 pixels: 4, 41, 16; of all others: 235 and more);
# and its drawings and test patterns. Each line is one source: both views of the motorcycle show
# the same scene.
PHOTOGRAPHS: tuple[tuple[str, ...], ...] = (
    ("package:skimage/data/astronaut.png",),
    ("package:skimage/data/brick.png",),
    ("package:skimage/data/camera.png",),
    ("package:skimage/data/chelsea.png",),
    ("package:skimage/data/coffee.png",),
    ("package:skimage/data/coins.png",),
    ("package:skimage/data/grass.png",),
    ("package:skimage/data/gravel.png",),
    ("package:skimage/data/hubble_deep_field.jpg",),
    ("package:skimage/data/ihc.png",),
    ("package:skimage/data/motorcycle_left.png", "package:skimage/data/motorcycle_right.png"),
    ("package:skimage/data/page.png",),
    ("package:skimage/data/rocket.jpg",),
    ("package:skimage/data/text.png",),
    ("package:sklearn/datasets/images/china.jpg",),
    ("package:sklearn/datasets/images/flower.jpg",),
)


# Of so few photographs a usual split would leave two to validate on.
VALIDATION_PHOTOGRAPHS = 4
TEST_PHOTOGRAPHS = 4


def read_samples(*, crops_per_photo: int, seed: int) -> Part:
    """Return seeded square crops of the packaged photographs, without labels, seeded split.

    Args:
        crops_per_photo: crops cut from each photograph; the first k are the same for any number. 0
            for the photographs themselves.
        seed: seed of their places and sides.

    Raises:
        ImageError: an installed package no longer ships one of the photographs.
    """
    shuffled = [PHOTOGRAPHS[i] for i in rng(seed, "sample split").permutation(len(PHOTOGRAPHS))]
    cut = VALIDATION_PHOTOGRAPHS + TEST_PHOTOGRAPHS
    split_of: dict[tuple[str, ...], Split] = dict.fromkeys(shuffled[cut:], "train")
    split_of |= dict.fromkeys(shuffled[:VALIDATION_PHOTOGRAPHS], "validation")
    split_of |= dict.fromkeys(shuffled[VALIDATION_PHOTOGRAPHS:cut], "test")
    return Part(
        [
            ImageRow(
                f"{_name(uri)}/{i:04d}",
                uri,
                crop=crop,
                source=_name(source[0]),
                split=split_of[source],
            )
            for source in PHOTOGRAPHS
            for uri in source
            for i, crop in enumerate(_crops(uri, crops_per_photo, seed))
        ]
    )


def _name(uri: str) -> str:
    return uri.rpartition("/")[2].rpartition(".")[0]


def _crops(uri: str, number: int, seed: int) -> list[tuple[int, int, int, int] | None]:
    if not number:
        return [None]
    height, width, _ = decode(read_bytes(uri)).shape
    crops: list[tuple[int, int, int, int] | None] = []
    for i in range(number):
        random = rng(seed, "sample crop", uri, i)
        side = int(random.integers(MIN_CROP_SIDE, min(MAX_CROP_SIDE, height, width) + 1))
        x = int(random.integers(0, width - side + 1))
        y = int(random.integers(0, height - side + 1))
        crops.append((x, y, side, side))
    return crops
