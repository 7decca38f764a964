"""Figures as files beside the results."""

import io
from collections.abc import Mapping

from matplotlib.figure import Figure

from rankloop.plots.style import GREY
from rankloop.storage import Folder


def save_figures(
    folder: Folder, figures: Mapping[str, Figure | None], *, annotator: str
) -> list[str]:
    """Write each figure to ``folder/plots`` as PNG and return the files' names within ``folder``.

    Args:
        folder: a result folder.
        figures: by file name; None stands for one left out.
        annotator: who made the labels, which every figure says: its numbers are worth no more.
    """
    names = []
    for name, figure in figures.items():
        if figure is None:
            continue
        figure.supxlabel(f"labels: {annotator}", x=0.99, ha="right", fontsize=8, color=GREY)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi="figure")
        (folder / "plots").write_bytes(name, png.getvalue())
        names.append(f"plots/{name}")
    return names
