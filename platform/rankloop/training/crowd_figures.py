"""Pictures of a model that counts people: density maps and errors by count."""

import numpy as np
import torch
from matplotlib.figure import Figure

from rankloop.datasets.density_maps import cell_density, region_shares
from rankloop.errors import ImageError
from rankloop.images import shrink
from rankloop.methods.crowd_patches import crowd_loader
from rankloop.methods.method import Method, TrainingData
from rankloop.models.density import STRIDE
from rankloop.plots.count_errors import count_errors_figure
from rankloop.plots.density_maps import CrowdEstimate, density_figure
from rankloop.plots.style import ending
from rankloop.training.count_errors import errors_by_range
from rankloop.training.final import FinalModel, scored_labels

# Photographs in the picture, spread evenly from the fewest people to the most; their longest side.
_SHOWN, _SIDE = 6, 480


def crowd_figures(
    method: Method, final: FinalModel, data: TrainingData
) -> dict[str, Figure | None]:
    """Draw photographs with true and predicted density, and errors by range of the true count.

    Nothing where the method makes no density maps.
    """
    if method.density is None:
        return {}
    scores, counts = scored_labels(final, data, "test")
    if not len(counts):
        return {}
    rows = final.evaluations["test"].images
    known = data.dataset.images["score"].is_valid().to_numpy()
    order = rows[known[rows]][np.argsort(counts, kind="stable")]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, _SHOWN).astype(int))]
    shown = []
    for row in chosen.tolist():
        try:
            shown.append(_estimate(method, final, data, row))
        except ImageError:
            # Vanished since it was scored.
            continue
    return {
        "test_density.png": density_figure(shown) if shown else None,
        "test_count_errors.png": count_errors_figure(errors_by_range(scores - counts, counts)),
    }


def _estimate(method: Method, final: FinalModel, data: TrainingData, row: int) -> CrowdEstimate:
    assert method.density is not None
    crowd = crowd_loader(data.dataset)(row)
    height, width, _ = crowd.image.shape
    device = next(final.model.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(crowd.image)).permute(2, 0, 1)[None]
    estimate = method.density(final.model, pixels.to(device))[0].float().cpu().numpy()
    rows, columns = estimate.shape
    box = (0, 0, STRIDE * columns, STRIDE * rows)
    if crowd.region is not None:
        estimate = estimate * region_shares(crowd.region, box, (rows, columns))
    entry = data.dataset.images.slice(row, 1).to_pylist()[0]
    truth = None
    if entry["points"] is not None:
        sigma = final.config.sigma
        truth = cell_density(crowd.points, box, (rows, columns), height, width, sigma, crowd.region)
    name = ending(entry["image"], 40)
    image = shrink(crowd.image, _SIDE)
    return CrowdEstimate(name, image, truth, estimate, float(entry["score"]))
