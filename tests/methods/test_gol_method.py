"""GOL's streams, losses and neighbours, against slow and obvious ones."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from labelled_shapes import SCORES, load
from rankloop.errors import ConfigError, DataError
from rankloop.images import resize_short_side
from rankloop.methods.configuration import make_config
from rankloop.methods.gol import GOL
from rankloop.methods.gol_config import GOLConfig
from rankloop.methods.method import TrainingData
from rankloop.scoring.scorer import load_scorer
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.training.loop import Schedule, train

MakeConfig = Callable[..., GOLConfig]


@pytest.fixture(scope="module")
def make() -> MakeConfig:
    def make(**values: object) -> GOLConfig:
        small = {
            "backbone": "resnet18",
            "weights": "none",
            "short_side": 32,
            "channels": 16,
            "references": 11,
            "images": 8,
            "learning_rate": 0.001,
            "steps": 6,
        }
        return make_config(GOLConfig, small | values)

    return make


def _model(config: GOLConfig, data: TrainingData) -> Any:
    model = GOL.build(config, 0)
    GOL.initialise(model, config, data)
    return model


def _batch(config: GOLConfig, data: TrainingData, step: int = 0) -> Any:
    return next(plain_batches(GOL.streams(config, data, 0), step, step + 1))


def test_rows_are_whole_images_with_the_rank_of_their_score(make, shapes):
    batch = _batch(make(), shapes)["labelled"]
    assert batch["rank"].shape == (8, 1)
    seen = set()
    for pixels, sizes, rank in zip(batch["pixels"], batch["sizes"], batch["rank"], strict=True):
        height, width = sizes[0].tolist()
        found = pixels[0, : 3 * height * width].view(height, width, 3).numpy()
        (row,) = [i for i in range(12) if np.array_equal(resize_short_side(load(i), 32, 64), found)]
        assert int(rank) == round(SCORES[row] / 10)
        seen.add(row)
    assert len(seen) > 3


def test_losses_are_those_of_the_code(make, shapes):
    config = make(frozen_statistics=True, pairs=1000)
    model = _model(config, shapes).train()
    batch = _batch(config, shapes)
    torch.manual_seed(3)
    terms = GOL.loss(model, batch, config)
    ranks = batch["labelled"]["rank"][:, 0]
    images = [
        pixels[0, : 3 * h * w].view(h, w, 3).permute(2, 0, 1)
        for pixels, ((h, w),) in zip(
            batch["labelled"]["pixels"], batch["labelled"]["sizes"].tolist(), strict=True
        )
    ]
    with torch.no_grad():
        h, r = model(images)
        metric, pairs = 0.0, [(x, y) for x in range(8) for y in range(x)]
        for x, y in pairs:
            if ranks[x] < ranks[y]:
                x, y = y, x
            for level, point in enumerate(r):
                to_x, to_y = float((h[x] - point).norm()), float((h[y] - point).norm())
                if ranks[x] - ranks[y] <= 1:
                    metric += max(0.0, abs(to_x - to_y) - 0.25)
                    continue
                metric += max(0.0, to_y - to_x + 0.25) if level <= ranks[y] else 0.0
                metric += max(0.0, to_x - to_y + 0.25) if level >= ranks[x] else 0.0
        center = np.mean([float((h[i] - r[ranks[i]]).norm()) for i in range(8)])
    # The loss is not the same in both directions of a pair, which are drawn first.
    torch.manual_seed(3)
    turned = (torch.rand(28) > 0.5).tolist()
    order = []
    for (x, y), turn in zip(itertools.combinations(range(8), 2), turned, strict=True):
        if ranks[x] != ranks[y]:
            x, y = (y, x) if turn else (x, y)
            order.append(_slow_order(h[x], h[y], int(ranks[x]), int(ranks[y]), r))
    assert terms["metric"].item() == pytest.approx(metric / len(pairs), rel=1e-4)
    assert terms["center"].item() == pytest.approx(center, rel=1e-4)
    assert terms["order"].item() == pytest.approx(np.mean(order), rel=1e-4)


def _slow_order(
    x: torch.Tensor, y: torch.Tensor, own: int, other: int, points: torch.Tensor
) -> float:
    """The loss of one pair, from image x to image y."""

    def cosine(start: torch.Tensor, end: torch.Tensor) -> float:
        found, known = y - x, end - start
        return float(found @ known / (found.norm() * known.norm()))

    step = 1 if other > own else -1
    if 0 <= own - step < len(points):
        opposite = cosine(points[own], points[own - step])
    else:
        opposite = cosine(points[own + step], points[own])
    right = math.exp(20 * cosine(points[own], points[other]))
    return -math.log(right / (right + math.exp(20 * opposite)))


def test_images_may_be_cut_to_random_squares_as_in_the_code(make, shapes):
    stream = GOL.streams(make(augmentation="code"), shapes, 0)["labelled"]
    plain = GOL.streams(make(), shapes, 0)["labelled"]
    mirrored = set()
    for item in range(20):
        row, whole = stream.row(0, item), plain.row(0, item)
        assert row["sizes"].tolist() == [[28, 28]]
        height, width = whole["sizes"][0]
        image = whole["pixels"][0, : 3 * height * width].reshape(height, width, 3)
        square = row["pixels"][0, : 3 * 28 * 28].reshape(28, 28, 3)
        places = [
            (top, left, turned)
            for top in range(height - 27)
            for left in range(width - 27)
            for turned, seen in enumerate((square, square[:, ::-1]))
            if np.array_equal(image[top : top + 28, left : left + 28], seen)
        ]
        ((_, _, turned),) = places
        mirrored.add(turned)
        np.testing.assert_array_equal(stream.row(0, item)["pixels"], row["pixels"])
    assert mirrored == {0, 1}


def test_scores_that_are_all_equal_are_refused(make, shapes):
    images = shapes.dataset.images
    column = images.schema.get_field_index("score")
    table = images.set_column(column, "score", pa.array([7.0] * len(images), pa.float64()))
    equal = replace(shapes, dataset=replace(shapes.dataset, images=table))
    with pytest.raises(DataError, match="all training images of made up have the score 7"):
        GOL.streams(make(), equal, 0)


def test_pairs_of_each_order_are_limited(make, shapes):
    config = make(pairs=2, frozen_statistics=True)
    model, batch = _model(config, shapes), _batch(config, shapes)
    torch.manual_seed(0)
    one = GOL.loss(model, batch, config)["metric"].item()
    torch.manual_seed(1)
    # Of all pairs it would be the same but for rounding.
    assert GOL.loss(model, batch, config)["metric"].item() != pytest.approx(one, rel=1e-3)


def test_every_parameter_is_learned(make, shapes):
    config = make()
    model = _model(config, shapes).train()
    torch.stack(list(GOL.loss(model, _batch(config, shapes), config).values())).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_rates_fall_along_a_cosine_to_a_thousandth(make):
    config = make(steps=100, learning_rate=1.0)
    for step in (0, 30, 99):
        share = 0.5 * (1 + math.cos(math.pi * step / 100))
        expected = 0.001 + 0.999 * share
        assert GOL.learning_rate(config, step) == pytest.approx(expected)


def test_the_number_of_neighbours_is_chosen_by_validation_or_given(make, shapes):
    config = make()
    model = _model(config, shapes)
    GOL.prepare_scoring(model, config, shapes, 0)
    assert model.neighbour_scores.tolist() == SCORES
    with torch.no_grad():
        embedding = torch.cat(
            [
                model.eval().embedding(
                    torch.from_numpy(resize_short_side(load(row), 32, 64)).permute(2, 0, 1)[None]
                )
                for row in range(12, 18)
            ]
        )
    errors = {}
    for k in range(2, 60, 2):
        (mean,) = model.neighbour_means(embedding, [k])
        errors[k] = float((mean - torch.tensor(SCORES[:6])).abs().mean())
    assert int(model.k) == min(errors, key=errors.__getitem__)
    given = make(neighbours=3)
    GOL.prepare_scoring(model, given, shapes, 0)
    assert int(model.k) == 3


def test_without_validation_labels_the_number_must_be_given(make, unvalidated):
    model = _model(make(), unvalidated)
    with pytest.raises(ConfigError, match="give --neighbours"):
        GOL.prepare_scoring(model, make(), unvalidated, 0)
    GOL.prepare_scoring(model, make(neighbours=2), unvalidated, 0)


def test_a_run_cut_off_ends_as_if_it_had_not_been_and_scores_from_its_folder(
    make, shapes, tmp_path
):
    def run(name: str, stop: int | None = None) -> Any:
        return train(
            GOL,
            make(),
            shapes,
            open_folder(str(tmp_path / name)),
            seed=1,
            schedule=Schedule(evaluate_every=2, checkpoint_every=3),
            open_streams=plain_batches,
            on_report=lambda report: report.step != stop,
        )

    whole = run("whole").state_dict()
    run("cut", stop=2)
    for name, tensor in run("cut").state_dict().items():
        assert torch.equal(tensor, whole[name]), name
    scorer = load_scorer(str(tmp_path / "whole"))
    images = [load(row) for row in range(12, 18)]
    together = scorer.score_arrays(images)
    alone = np.concatenate([scorer.score_arrays([image]) for image in images])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-5)
