"""Training lists of QCN."""

import numpy as np

from labelled_shapes import SCORES, load
from rankloop.images import resize_short_side
from rankloop.methods.pivot_scores import lloyd_max_pivot_scores, uniform_pivot_scores
from rankloop.methods.qcn import QCN
from rankloop.methods.qcn_streams import quantised_scores
from small_qcn import make, one_thread, step_batch

__all__ = ["make", "one_thread"]


def test_a_row_is_a_list_of_whole_images_one_of_each_interval(make, shapes):
    config = make()
    for step in range(6):
        lists = step_batch(config, shapes, step)["lists"]
        assert lists["labels"].shape == (2, 4)
        for labels, pixels, sizes in zip(
            lists["labels"], lists["pixels"], lists["sizes"], strict=True
        ):
            assert [int(min(label / 25, 3)) for label in labels.tolist()] == [0, 1, 2, 3]
            for label, flat, (height, width) in zip(
                labels.tolist(), pixels, sizes.tolist(), strict=True
            ):
                expected = resize_short_side(load(SCORES.index(label)), 32, 64)
                found = flat[: 3 * height * width].view(height, width, 3)
                np.testing.assert_array_equal(found, expected)


def test_a_row_of_the_code_has_several_images_of_groups_of_scores(make, shapes):
    config = make(batches="code", images_per_group=2, lists=1, images=3, steps=100)
    early = [step_batch(config, shapes, step)["lists"]["labels"][0].tolist() for step in range(5)]
    late = [
        step_batch(config, shapes, step)["lists"]["labels"][0].tolist() for step in range(5, 30)
    ]
    for labels in early:
        assert [SCORES.index(label) // 4 for label in labels] == [0, 0, 1, 1, 2, 2]
    # Nine groups of one or two scores each, three of them drawn.
    assert len({tuple(SCORES.index(label) // 4 for label in labels) for labels in late}) > 3


def test_pictures_show_the_images_on_one_size(make, shapes):
    config = make()
    stream = QCN.streams(config, shapes, 0)["lists"]
    row = stream.row(0, 0)
    shown = stream.pictures(row)
    side = int(row["sizes"].max())
    assert shown.shape == (4, side, side, 3)
    first = resize_short_side(load(SCORES.index(float(row["labels"][0]))), 32, 64)
    height, width, _ = first.shape
    np.testing.assert_array_equal(shown[0, :height, :width], first)
    assert len(stream.image_names) == 4
    values = ", ".join(f"{label:.3g}" for label in row["labels"].tolist())
    assert stream.describe(row) == f"scores, higher is better: {values}"


def test_pivot_scores_shared_by_trials_are_those_of_their_scores_and_configuration(make):
    expected = {
        "lloyd_max": lloyd_max_pivot_scores,
        "lloyd_max_pinned": lambda *given: lloyd_max_pivot_scores(*given, pinned_ends=True),
        "uniform": uniform_pivot_scores,
    }
    for seed in (0, 1):
        scores = np.random.default_rng(seed).normal(50.0, 20.0, 200)
        for quantisation, quantise in expected.items():
            for pivots in (5, 9):
                config = make(quantisation=quantisation, pivots=pivots)
                for _ in range(2):
                    found = quantised_scores(scores, config)
                    np.testing.assert_array_equal(found, quantise(scores, pivots))
                    # What one trial does with them is nothing to the next.
                    found[:] = 0.0
