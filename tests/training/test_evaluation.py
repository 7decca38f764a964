import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import rankloop.training.evaluation as module
from rankloop.errors import ImageError, TrainingError
from rankloop.methods.ssranking import SSRANKING
from rankloop.training.evaluation import evaluate, predict_rows, selection_metric

CPU = torch.device("cpu")
MODEL = torch.nn.Identity()


def brightness(model, images):
    """A scorer that needs no training."""
    return images.float().mean(dim=(1, 2, 3))


BRIGHT = replace(SSRANKING, predict=brightness)


@pytest.fixture
def graded(data):
    """Image i has brightness 10 * (i + 1); validation images 12 to 17 have scores 0 to 5."""

    def load(row):
        return np.full((8, 8, 3), 10 * (row + 1), np.uint8)

    return replace(data, load=load)


def directed(data, higher_is_better):
    return replace(data, dataset=replace(data.dataset, higher_is_better=higher_is_better))


def test_images_and_scores_are_those_of_the_split(graded):
    found = evaluate(BRIGHT, None, MODEL, graded, "validation", CPU)
    assert found.images.tolist() == list(range(12, 18))
    assert found.scores.tolist() == [130, 140, 150, 160, 170, 180]
    assert found.scores.dtype == np.float32


@pytest.mark.parametrize("method_higher", [True, False])
@pytest.mark.parametrize("labels_higher", [True, False])
def test_full_agreement_is_one_whatever_the_directions(graded, method_higher, labels_higher):
    """Scores rise with the labels, so they agree where both have one direction."""
    method = replace(BRIGHT, higher_is_better=method_higher)
    data = directed(graded, labels_higher)
    metrics = evaluate(method, None, MODEL, data, "validation", CPU).metrics
    sign = 1.0 if method_higher == labels_higher else -1.0
    assert metrics["srocc"] == pytest.approx(sign)
    assert metrics["plcc"] == pytest.approx(sign)
    # In every pair the better image is the darker one.
    assert metrics["pair_accuracy"] == (0.0 if method_higher else 1.0)


def test_what_is_not_known_is_not_measured(graded):
    none = directed(graded, None)
    assert evaluate(BRIGHT, None, MODEL, none, "validation", CPU).metrics.keys() == {
        "pair_accuracy"
    }
    no_pairs = replace(graded, dataset=replace(graded.dataset, pairs=graded.dataset.pairs[:0]))
    assert evaluate(BRIGHT, None, MODEL, no_pairs, "validation", CPU).metrics.keys() == {
        "srocc",
        "plcc",
    }
    empty = evaluate(BRIGHT, None, MODEL, graded, "test", CPU)
    assert len(empty.images) == len(empty.scores) == len(empty.metrics) == 0


def test_the_selection_metric_is_what_validation_has(graded):
    assert selection_metric(SSRANKING, graded.dataset) == "srocc"
    images = graded.dataset.images
    place = images.schema.get_field_index("score")
    # One validation image alone has a score.
    scores = [float(i) if i < 13 else None for i in range(18)]
    few = images.set_column(place, images.schema.field(place), [scores])
    assert selection_metric(SSRANKING, replace(graded.dataset, images=few)) == "pair_accuracy"


def test_images_that_vanish_are_left_out(graded, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)

    def load(row):
        if row in (13, 14, 15):
            raise ImageError(f"image {row} vanished")
        return graded.load(row)

    found = evaluate(BRIGHT, None, MODEL, replace(graded, load=load), "validation", CPU)
    assert found.images.tolist() == [12, 16, 17]
    assert found.scores.tolist() == [130, 170, 180]
    assert found.metrics["srocc"] == pytest.approx(-1.0)
    # Pairs with a vanished image are left out too.
    assert found.metrics["pair_accuracy"] == 0.0


def test_remote_images_are_read_at_once_and_scored_in_order(graded):
    together = threading.Barrier(3, timeout=20)

    def load(row):
        together.wait()
        return graded.load(row)

    rows = np.arange(17, 11, -1)
    found = predict_rows(
        BRIGHT, None, MODEL, replace(graded, load=load, reads_at_once=3), rows, CPU
    )
    assert found[0].tolist() == rows.tolist()
    assert found[1].tolist() == [10 * (row + 1) for row in rows]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_scores_do_not_depend_on_the_batch(data, tiny_config, monkeypatch, batch):
    model = SSRANKING.build(tiny_config(), 0)
    rows = np.arange(18)
    _, whole = predict_rows(SSRANKING, None, model, data, rows, CPU)
    assert len(set(whole.tolist())) == 18
    monkeypatch.setattr(module, "BATCH", batch)
    _, parts = predict_rows(SSRANKING, None, model, data, rows, CPU)
    np.testing.assert_allclose(parts, whole, atol=1e-5, rtol=0)
    _, backwards = predict_rows(SSRANKING, None, model, data, rows[::-1], CPU)
    np.testing.assert_allclose(backwards[::-1], whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_in_evaluation_mode_for_as_long_as_it_takes(graded, training):
    model = torch.nn.Dropout().train(training)
    seen = []

    def predict(model, images):
        seen.append(model.training)
        return brightness(model, images)

    evaluate(replace(BRIGHT, predict=predict), None, model, graded, "validation", CPU)
    assert seen == [False]
    assert model.training == training


def test_scores_that_are_not_finite_are_an_error(graded):
    def predict(model, images):
        return torch.where(torch.arange(len(images)) < 2, torch.nan, 1.0)

    with pytest.raises(TrainingError, match="scores of 2 of 6 validation images are not finite"):
        evaluate(replace(BRIGHT, predict=predict), None, MODEL, graded, "validation", CPU)


def test_counts_are_judged_by_their_errors_by_range_and_by_scene(graded):
    """Brightness is the count: errors are those of loops."""
    counting = replace(BRIGHT, learns_from="points")
    assert selection_metric(counting, graded.dataset) == "mae"
    found = evaluate(counting, None, MODEL, graded, "validation", CPU, by_group=True)
    labels = graded.dataset.images["score"].to_pylist()
    errors = [
        abs(score - labels[row]) for row, score in zip(found.images, found.scores, strict=True)
    ]
    assert found.metrics["mae"] == pytest.approx(sum(errors) / len(errors))
    squares = sum(error**2 for error in errors) / len(errors)
    assert found.metrics["rmse"] == pytest.approx(squares**0.5)
    assert {"srocc", "mae/0-24", "mae_spread/0-24"} < set(found.metrics)
    assert "mae" not in evaluate(BRIGHT, None, MODEL, graded, "validation", CPU).metrics
