"""The look that all figures share; no global Matplotlib state is read or changed."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Told apart also with colour-blind eyes (Okabe and Ito 2008, https://jfly.uni-koeln.de/color/).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
COLORS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches, that lays itself out and needs no display."""
    return Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")


def tidy(axes: Axes, *, grid: str = "y") -> None:
    """Take away what carries no data; ``grid`` is ``"x"``, ``"y"`` or ``"both"``."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors="#444444", labelsize=10)
    axes.xaxis.label.set_fontsize(11)
    axes.yaxis.label.set_fontsize(11)
    axes.set_axisbelow(True)
    if grid in ("x", "both"):
        axes.xaxis.grid(True, color="#E5E5E5", linewidth=0.8)
    if grid in ("y", "both"):
        axes.yaxis.grid(True, color="#E5E5E5", linewidth=0.8)


def ending(name: str, most: int) -> str:
    """Return the last characters of an image's name, where names differ, at most so many."""
    return name if len(name) <= most else f"…{name[len(name) - most + 1 :]}"
