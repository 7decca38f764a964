import numpy as np

from rankloop.methods.method import ExampleStream
from rankloop.methods.ssranking import SSRANKING
from rankloop.training.first_batch import _drawn, first_batch_figures


def test_every_stream_of_images_is_drawn(data, tiny_config):
    config = tiny_config()
    figures = first_batch_figures(SSRANKING, config, data, 0)
    assert set(figures) == {"first_batch_labelled.png", "first_batch_unlabelled.png"}
    figure = figures["first_batch_unlabelled.png"]
    assert figure is not None
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["x₁", "x₂", "x₁ blurred", "x₂ blurred"]
    stream = SSRANKING.streams(config, data, 0)["labelled"]
    orders = {1: "first", -1: "second"}
    expected = [
        f"labelled: the {orders[int(stream.row(0, item)['delta'])]} is better" for item in range(4)
    ]
    figure = figures["first_batch_labelled.png"]
    assert figure is not None
    texts = [text.get_text().replace("\n", " ") for text in figure.axes[0].texts]
    assert texts == ["image 1", "image 2", *expected]


def test_levels_are_written_and_streams_without_images_left_out():
    def row(step, item):
        return {"images": np.zeros((2, 4, 4, 3), np.uint8), "levels": np.array([[0, 1], [2, 3]])}

    figure = _drawn("sets", ExampleStream(1, row))
    assert figure is not None
    assert [text.get_text() for text in figure.axes[0].texts] == ["level 0, 1", "level 2, 3"]
    assert _drawn("scores", ExampleStream(1, lambda step, item: {"x": np.zeros(3)})) is None


def test_rows_of_images_of_other_shapes_are_drawn_together():
    def row(step, item):
        side = 4 + 2 * item
        return {"images": np.full((3, side, side + 1, 3), 50 * (item + 1), np.uint8)}

    figure = _drawn("lists", ExampleStream(3, row))
    assert figure is not None
    (shown,) = figure.axes[0].images
    pixels = np.asarray(shown.get_array())
    counts = [int((pixels == 50 * (item + 1)).all(axis=2).sum()) for item in range(3)]
    # All are there, whole, and enlarged alike: three images of each row.
    enlarged = counts[0] // (3 * 4 * 5)
    assert enlarged >= 1
    assert counts == [enlarged * 3 * side * (side + 1) for side in (4, 6, 8)]
