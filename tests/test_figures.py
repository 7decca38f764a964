"""Figures beside the results."""

from io import BytesIO

from PIL import Image

from rankloop.figures import save_figures
from rankloop.plots.style import new_figure
from rankloop.storage import open_folder


def test_figures_are_saved_and_say_who_labelled(tmp_path):
    folder = open_folder(str(tmp_path))
    figure = new_figure(4, 3)
    figure.subplots()
    annotator = "synthetic, error rate 0.05"
    names = save_figures(folder, {"a.png": figure, "b.png": None}, annotator=annotator)
    assert names == ["plots/a.png"]
    with Image.open(BytesIO((folder / "plots").read_bytes("a.png"))) as image:
        assert image.size == (480, 360)
    assert figure.get_supxlabel() == f"labels: {annotator}"
