"""Figures as files beside the results and as artifacts in MLflow."""

import io
from collections.abc import Mapping

from matplotlib.figure import Figure

from rankloop.storage import Folder
from rankloop.tracking import Tracking


def save_figures(
    folder: Folder, tracking: Tracking, run_id: str, figures: Mapping[str, Figure | None]
) -> None:
    """Write each figure to ``folder/plots`` as PNG and log it; None stands for one left out."""
    for name, figure in figures.items():
        if figure is None:
            continue
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=120)
        (folder / "plots").write_bytes(name, png.getvalue())
        tracking.log_figure(run_id, figure, f"plots/{name}")
