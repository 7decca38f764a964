"""Fewer grey levels and fewer colours: #07 and #22 of TID2013."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from rankloop.distortions.distortion import Distortion, Versions
from rankloop.distortions.minimum_variance import minimum_variance_palettes
from rankloop.distortions.pixels import GREY_LEVELS, look_up
from rankloop.distortions.sources import AUTHORS, SUPPLEMENT


def _uniform(
    image: np.ndarray, generator: np.random.Generator, steps: Sequence[int], versions: Versions
) -> None:
    for step, version in zip(steps, versions, strict=True):
        look_up(image, step * np.minimum(np.rint(GREY_LEVELS / step), 255 // step), version)


def _nested(
    image: np.ndarray, generator: np.random.Generator, steps: Sequence[int], versions: Versions
) -> None:
    """Each class of grey levels becomes its mean: of classes in one another the error grows."""
    histogram = np.bincount(image.ravel(), minlength=256)
    for step, version in zip(steps, versions, strict=True):
        classes = (GREY_LEVELS // step).astype(np.intp)
        counts = np.bincount(classes, histogram)
        means = np.bincount(classes, histogram * GREY_LEVELS) / np.maximum(counts, 1)
        look_up(image, means[classes], version)


def _otsu(
    image: np.ndarray, generator: np.random.Generator, steps: Sequence[int], versions: Versions
) -> None:
    """Grey levels of all channels together, cut where Otsu's criterion says."""
    histogram = np.bincount(image.ravel(), minlength=256)
    cuts = otsu_thresholds(histogram, [255 // step for step in steps])
    for thresholds, version in zip(cuts, versions, strict=True):
        values = np.concatenate([[0], thresholds[1:], [255]])
        classes = np.searchsorted(thresholds, GREY_LEVELS, side="left")
        look_up(image, values[classes], version)


def otsu_thresholds(histogram: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """Return the thresholds that leave least variance within the classes between them.

    Multi-level Otsu, exactly, by dynamic programming over the grey levels; of equals, the lowest.

    Args:
        histogram: int (256,).
        counts: numbers of thresholds, each >= 1.

    Returns:
        for each count, int (count,), rising: values up to and including a threshold are below it.
    """
    weights = np.concatenate([[0.0], np.cumsum(histogram, dtype=np.float64)])
    moments = np.concatenate([[0.0], np.cumsum(histogram * GREY_LEVELS)])
    first, last = np.triu_indices(256)
    within = np.full((256, 256), -np.inf)
    weight = weights[last + 1] - weights[first]
    moment = moments[last + 1] - moments[first]
    # Sum of squared class means: what is left after it is the variance within.
    within[first, last] = np.divide(moment**2, weight, out=np.zeros_like(weight), where=weight > 0)
    best = [within[0]]
    starts = []
    for _ in range(max(counts)):
        # Row: first value of the last class; column: its last value.
        totals = np.concatenate([[-np.inf], best[-1][:-1]])[:, np.newaxis] + within
        starts.append(totals.argmax(axis=0))
        best.append(totals.max(axis=0))
    result = []
    for count in counts:
        end, thresholds = 255, []
        for number in range(count - 1, -1, -1):
            end = int(starts[number][end]) - 1
            thresholds.append(end)
        result.append(np.array(thresholds[::-1]))
    return result


def _palette(
    image: np.ndarray, generator: np.random.Generator, counts: Sequence[int], versions: Versions
) -> None:
    photograph = Image.fromarray(image)
    for colors, version in zip(minimum_variance_palettes(image, counts), versions, strict=True):
        palette = Image.new("P", (1, 1))
        palette.putpalette(colors.tobytes())
        dithered = photograph.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        version[...] = dithered.convert("RGB")


QUANTIZATIONS = (
    Distortion(
        "quantization_noise",
        (27, 39, 55, 76),
        "quantisation step in grey levels",
        f"{SUPPLEMENT}, #07",
        _uniform,
        # A coarser step may have its levels just where an image has its own.
        is_monotone=False,
    ),
    Distortion(
        "quantization_noise_monotone",
        (16, 32, 64, 128),
        "grey levels of a class, which becomes its mean",
        "ours: #07 with classes that lie in one another",
        _nested,
    ),
    Distortion(
        "quantization_noise_authors",
        (27, 39, 55, 76),
        "255 over the number of thresholds that Otsu's method places",
        f"{AUTHORS}, #07",
        _otsu,
    ),
    Distortion(
        "color_quantization_dither",
        (64, 32, 16, 8),
        "colours of the palette; errors are diffused (Floyd-Steinberg)",
        f"{SUPPLEMENT}, #22, where the text's 'step' is the number of colours of the code",
        _palette,
    ),
)
