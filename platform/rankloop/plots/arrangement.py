"""How transformers arrange images and pivots by score (QCN, figure 8)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from rankloop.plots.style import new_figure

_PERPLEXITY = 30.0


def arrangement_figure(
    stages: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
    scores: npt.ArrayLike,
    pivot_scores: npt.ArrayLike,
) -> Figure:
    """Draw images and pivots in two dimensions, by t-SNE, after each transformer.

    Where all are at one point after a transformer, they are drawn so.

    Args:
        stages: features of the images (n, c) and pivots (m, c), after each.
        scores: of the images, (n,); higher is better.
        pivot_scores: (m,).
    """
    # Seconds to import, which every process of a cluster would wait for.
    from sklearn.manifold import TSNE

    scores, pivot_scores = np.asarray(scores, np.float64), np.asarray(pivot_scores, np.float64)
    figure = new_figure(3.6 * len(stages) + 1.6, 3.9)
    grid = figure.subplots(1, len(stages), squeeze=False)[0]
    for number, (axes, (features, pivots)) in enumerate(zip(grid, stages, strict=True), 1):
        points = np.concatenate([features, pivots])
        perplexity = min(_PERPLEXITY, (len(points) - 1) / 3)
        if np.ptp(points, axis=0).any():
            placed = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(points)
        else:
            # Which ends the process in scikit-learn.
            placed = np.zeros((len(points), 2))
        images = axes.scatter(*placed[: len(scores)].T, c=scores, cmap=_colours("Blues"), s=16)
        centers = axes.scatter(
            *placed[len(scores) :].T,
            c=pivot_scores,
            cmap=_colours("Reds"),
            s=24,
            marker="^",
        )
        axes.set_title(f"after transformer {number}", fontsize=11)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle("Images and pivots in the space that scores are read from, by t-SNE")
    figure.colorbar(images, ax=grid[-1], label="images: label, higher is better", pad=0.02)
    figure.colorbar(centers, ax=grid[-1], label="pivots: score", pad=0.04)
    return figure


def _colours(name: str) -> ListedColormap:
    """Return colours without their faintest, which are as good as white."""
    return ListedColormap(colormaps[name](np.linspace(0.25, 1.0, 256)))
