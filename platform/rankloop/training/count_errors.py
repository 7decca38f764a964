"""Errors of counts by range and by scene: a mean over all hides where a counter fails."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

# People from which each range on begins; the same for all data sets, so that they compare.
STARTS = (0, 25, 50, 100, 200, 400, 800, 1600, 3200)


def count_range(count: float) -> str:
    """Return the range that a count is in, such as ``100-199``; counts beyond 3200 are one."""
    place = int(np.searchsorted(STARTS, count, side="right")) - 1
    if place == len(STARTS) - 1:
        return f"{STARTS[-1]} or more"
    return f"{STARTS[place]}-{STARTS[place + 1] - 1}"


RANGES = tuple(count_range(start) for start in STARTS)
"""Names of all ranges, ascending."""


def errors_by_range(errors: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Split errors by the ranges that true counts are in, ascending, float (n,) each.

    Args:
        errors: float (n,).
        counts: true counts, float (n,).
    """
    order = np.argsort(counts, kind="stable")
    names = [count_range(float(counts[place])) for place in order]
    return {
        name: errors[order[[other == name for other in names]]] for name in dict.fromkeys(names)
    }


def error_metrics(
    errors: np.ndarray, counts: np.ndarray, sources: Sequence[str]
) -> dict[str, float]:
    """Return MAE and the standard deviation of absolute errors by range, and MAE by scene.

    Of a range with a single image there is no deviation.

    Args:
        errors: estimated less true counts, float (n,).
        counts: true counts, float (n,).
        sources: of each image its scene; one with a single image is none.
    """
    absolute = np.abs(errors)
    found = {}
    for name, some in errors_by_range(absolute, counts).items():
        found[f"mae/{name}"] = float(some.mean())
        if len(some) > 1:
            found[f"mae_spread/{name}"] = float(some.std(ddof=1))
    scenes = [scene for scene, images in sorted(Counter(sources).items()) if images > 1]
    names = np.array(sources, object)
    return found | {f"mae/{scene}": float(absolute[names == scene].mean()) for scene in scenes}
