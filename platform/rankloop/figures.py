"""Figures as files beside the results."""

import io
from collections.abc import Mapping

from matplotlib.figure import Figure

from rankloop.storage import Folder


def save_figures(folder: Folder, figures: Mapping[str, Figure | None]) -> list[str]:
    """Write each figure to ``folder/plots`` as PNG and return the files' names within ``folder``.

    Args:
        folder: a result folder.
        figures: by file name; None stands for one left out.
    """
    names = []
    for name, figure in figures.items():
        if figure is None:
            continue
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=120)
        (folder / "plots").write_bytes(name, png.getvalue())
        names.append(f"plots/{name}")
    return names
