"""QCN's streams, losses, rates and scores, against slow and obvious ones."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from labelled_shapes import SCORES, load
from rankloop.errors import ConfigError, DataError
from rankloop.methods.pivot_scores import lloyd_max_pivot_scores
from rankloop.methods.qcn import QCN
from rankloop.methods.qcn_config import QCNConfig
from rankloop.scoring.scorer import load_scorer
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.training.checkpoints import load_latest
from rankloop.training.evaluation import predict_rows
from rankloop.training.loop import Schedule, train
from small_qcn import built_model, make, network_image, one_thread, step_batch

__all__ = ["make", "one_thread"]


def test_the_papers_configuration_is_the_default():
    config = QCNConfig()
    assert (config.backbone, config.weights, config.short_side) == ("resnet50", "imagenet", 384)
    assert (config.pivots, config.images, config.transformers) == (101, 18, 3)
    assert config.images * config.images_per_group * config.lists == 54
    assert (config.learning_rate, config.weight_decay) == (5e-5, 5e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": 10, "heads": 4}, "channels 10 cannot be divided among 4 heads"),
        ({"channels": 12, "heads": 4, "layout": "code"}, "give a multiple of 8"),
        (
            {"order_weight": 0, "metric_weight": 0, "center_weight": 0, "mae_weight": 0},
            "all four loss weights are 0",
        ),
        (
            {"order_weight": 0, "metric_weight": 0, "center_weight": 0, "mae_start": 0.1},
            "leaves the first steps without a loss",
        ),
        ({"objective": "regression", "mae_weight": 0}, "leaves nothing to learn"),
        ({"pivot": 3}, "unknown configuration key 'pivot': the nearest is 'pivots'"),
    ],
)
def test_what_cannot_be_is_refused(make, values, message):
    with pytest.raises(ConfigError, match=message):
        make(**values)


def _arranged(model: Any, images: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """One list, image by image, without any batching."""
    features = torch.cat([model.encoder(network_image(image)) for image in images])[None]
    pivots = model.pivots[None]
    for transformer in model.transformers:
        features, pivots = transformer(features, pivots)
    return features[0], pivots[0]


def _direction(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    return (end - start) / (end - start).norm()


def _slow_terms(model: Any, labels: list[float], levels: list[float], margin: float) -> Any:
    images = [load(SCORES.index(label)) for label in labels]
    h, p = _arranged(model, images)
    order = sum(float(_direction(p[m], p[m - 1]) @ _direction(p[m], p[m + 1])) for m in range(1, 4))
    metric, pairs = 0.0, list(itertools.combinations(range(len(labels)), 2))
    for i, j in pairs:
        x, y = (i, j) if labels[i] > labels[j] else (j, i)
        for r, level in zip(p, levels, strict=True):
            to_x, to_y = float((h[x] - r).norm()), float((h[y] - r).norm())
            if labels[x] == labels[y]:
                metric += abs(to_x - to_y)
                continue
            metric += max(0.0, to_y - to_x + margin) if level <= labels[y] else 0.0
            metric += max(0.0, to_x - to_y + margin) if level >= labels[x] else 0.0
    center = 0.0
    for point, label in zip(h, labels, strict=True):
        m = max(m for m in range(4) if m == 0 or levels[m] <= label)
        share = (label - levels[m]) / (levels[m + 1] - levels[m])
        center += float((point - (1 - share) * p[m] - share * p[m + 1]).norm())
    estimates = []
    for point in h:
        near = [float((point - p[m]).norm() + (point - p[m + 1]).norm()) for m in range(4)]
        m = near.index(min(near))
        line = p[m + 1] - p[m]
        share = float((point - p[m]) @ line / (line @ line))
        estimates.append(levels[m] + share * (levels[m + 1] - levels[m]))
    unit = 100 / (max(SCORES) - min(SCORES))
    errors = [unit * abs(e - label) for e, label in zip(estimates, labels, strict=True)]
    smooth = [0.5 * e * e if e < 1 else e - 0.5 for e in errors]
    return order, metric / len(pairs), center, sum(smooth) / len(smooth)


def test_losses_are_those_of_the_paper(make, shapes):
    config = make(frozen_statistics=True, metric_weight=3.0)
    model = built_model(config, shapes).train()
    batch = step_batch(config, shapes)
    terms = QCN.loss(model, batch, config)
    levels = model.pivot_scores.tolist()
    with torch.no_grad():
        slow = np.array(
            [_slow_terms(model, one.tolist(), levels, 0.1) for one in batch["lists"]["labels"]]
        ).mean(axis=0)
    found = [terms[name].item() for name in ("order", "metric", "center", "mae")]
    assert found == pytest.approx((slow * [1, 3, 1, 1]).tolist(), rel=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "layout": "code",
            "heads": 2,
            "batches": "code",
            "images_per_group": 2,
            "lists": 1,
            "repeats": 3,
            "quantisation": "lloyd_max_pinned",
            "order_loss": "mean_with_ends",
            "center_reduction": "mean",
            "metric_pairs": "random",
            "metric_similar": False,
            "flip": "features",
            "warm_up": 0.05,
        },
        {"images": 1, "batches": "intervals", "quantisation": "uniform", "flip": "none"},
        {"feature_self_update": False, "pivot_self_update": False, "heads": 2},
    ],
)
def test_all_options_are_learned_by_all_parameters(make, shapes, values):
    config = make(**values)
    model = built_model(config, shapes).train()
    torch.manual_seed(0)
    terms = QCN.loss(model, step_batch(config, shapes), config)
    assert set(terms) == {"order", "metric", "center", "mae"}
    torch.stack(list(terms.values())).sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # Zero gates keep what is before them from being learned in the first step; a single image has
    # nothing to choose from.
    known = ("query", "key_value", "exit.linear", "entry", "wide", "narrow.linear")
    if config.layout == "code" or config.images == 1:
        idle = [name for name in idle if not any(part in name for part in known)]
    assert idle == []
    QCN.prepare_scoring(model, config, shapes, 0)
    model.eval()
    images = torch.from_numpy(np.stack([load(0), load(3)])).permute(0, 3, 1, 2)
    assert torch.isfinite(QCN.predict(model, images)).all()


@pytest.mark.parametrize("alone", ["order", "metric", "center", "mae"])
def test_every_weight_takes_part_in_each_loss_alone(make, shapes, alone):
    others = {"order", "metric", "center", "mae"} - {alone}
    config = make(**{f"{name}_weight": 0.0 for name in others})
    model = built_model(config, shapes).train()
    (term,) = QCN.loss(model, step_batch(config, shapes), config).values()
    term.backward()
    # Else data-parallel training ends with an error.
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("left_out", ["order", "metric", "center", "mae"])
def test_each_loss_can_be_left_out(make, shapes, left_out):
    config = make(**{f"{left_out}_weight": 0.0})
    terms = QCN.loss(built_model(config, shapes), step_batch(config, shapes), config)
    assert set(terms) == {"order", "metric", "center", "mae"} - {left_out}


def test_the_mae_loss_may_start_later(make, shapes):
    config = make(mae_start=0.3)
    model = built_model(config, shapes)
    assert "mae" not in QCN.loss(model, step_batch(config, shapes, 2), config)
    assert "mae" in QCN.loss(model, step_batch(config, shapes, 3), config)


def test_losses_do_not_depend_on_the_scale_of_the_labels(make, shapes):
    config = make(frozen_statistics=True)
    images = shapes.dataset.images
    small = [None if s is None else 3 + s / 100 for s in images["score"].to_pylist()]
    column = images.schema.get_field_index("score")
    scaled = replace(
        shapes,
        dataset=replace(
            shapes.dataset,
            images=images.set_column(column, "score", pa.array(small, pa.float64())),
        ),
    )
    one, other = (
        QCN.loss(built_model(config, d), step_batch(config, d), config) for d in (shapes, scaled)
    )
    for name, term in one.items():
        assert other[name].item() == pytest.approx(term.item(), rel=1e-3), name


def test_the_mae_loss_may_be_in_the_unit_of_the_scores(make, shapes):
    images = shapes.dataset.images
    thrice = [None if s is None else 3 * s for s in images["score"].to_pylist()]
    column = images.schema.get_field_index("score")
    table = images.set_column(column, "score", pa.array(thrice, pa.float64()))
    wide = replace(shapes, dataset=replace(shapes.dataset, images=table))
    for objective in ("comparison", "regression"):
        by_range = make(frozen_statistics=True, objective=objective)
        raw = make(frozen_statistics=True, objective=objective, mae_unit="raw")
        one, other = (
            QCN.loss(built_model(c, wide), step_batch(c, wide), c)["mae"].item()
            for c in (by_range, raw)
        )
        # Errors of many units, of which the loss is a line.
        unit = 3.0 if objective == "comparison" else 3 * np.std(SCORES) / 25
        assert other + 0.5 == pytest.approx(unit * (one + 0.5), rel=0.05)


def test_batch_normalisation_is_learned_from_random_weights_only(make):
    assert not make(frozen_statistics=None).keeps_statistics
    assert make(frozen_statistics=None, weights="imagenet").keeps_statistics
    assert make(frozen_statistics=True).keeps_statistics
    assert not make(frozen_statistics=False, weights="imagenet").keeps_statistics


def test_pivots_have_the_scores_of_the_quantisation(make, shapes):
    scores = np.array(SCORES)
    for name, expected in (
        ("lloyd_max", lloyd_max_pivot_scores(scores, 5)),
        ("lloyd_max_pinned", lloyd_max_pivot_scores(scores, 5, pinned_ends=True)),
        ("uniform", np.linspace(0, 100, 5)),
    ):
        model = built_model(make(quantisation=name), shapes)
        np.testing.assert_allclose(model.pivot_scores.numpy(), expected)
    with pytest.raises(DataError, match="40 pivots are more than the 12 different"):
        QCN.streams(make(pivots=40), shapes, 0)


def test_where_lower_is_better_the_opposite_is_learned(make, shapes):
    lower = replace(shapes, dataset=replace(shapes.dataset, higher_is_better=False))
    model = built_model(make(), lower)
    assert model.pivot_scores[0] < model.pivot_scores[-1] <= 0
    assert step_batch(make(), lower)["lists"]["labels"].max() <= 0


def test_rates_rise_and_fall_along_a_cosine(make):
    config = make(steps=100, learning_rate=1.0)
    for step in (0, 1, 50, 99):
        expected = 0.5 * (1 + math.cos(math.pi * step / 100))
        assert QCN.learning_rate(config, step) == pytest.approx(expected)
    warm = make(steps=100, learning_rate=1.0, warm_up=0.05)
    found = [QCN.learning_rate(warm, step) for step in range(100)]
    assert found[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert found[5:] == sorted(found[5:], reverse=True)


@pytest.mark.parametrize("objective", ["comparison", "regression"])
def test_the_backbone_may_learn_at_a_rate_of_its_own(make, shapes, tmp_path, objective):
    def learned(factor: float) -> dict[str, torch.Tensor]:
        config = make(
            objective=objective, steps=1, backbone_rate_factor=factor, weight_decay=0.0,
            frozen_statistics=True,
        )  # fmt: skip
        before = built_model(config, shapes, seed=1).state_dict()
        trained = train(
            QCN,
            config,
            shapes,
            open_folder(str(tmp_path / f"{objective} {factor}")),
            seed=1,
            schedule=Schedule(evaluate_every=1, checkpoint_every=1),
            open_streams=plain_batches,
        ).state_dict()
        return {name: trained[name] - before[name] for name in before if "projection" not in name}

    whole, tenth, none = learned(1.0), learned(0.1), learned(0.0)
    conv = "encoder.backbone.trunk.conv1.weight"
    assert whole[conv].any()
    # Of Adam's first step the rate is the size.
    torch.testing.assert_close(tenth[conv], 0.1 * whole[conv], rtol=1e-3, atol=1e-8)
    assert not none[conv].any()
    other = "pivots" if objective == "comparison" else "head.weight"
    assert whole[other].any()
    torch.testing.assert_close(tenth[other], whole[other])


def test_a_run_cut_off_ends_as_if_it_had_not_been_and_scores_from_its_folder(
    make, shapes, tmp_path
):
    config = make(layout="code", heads=2, repeats=2, metric_pairs="random")
    schedule = Schedule(evaluate_every=4, checkpoint_every=3)

    def run(name: str, stop: int | None = None) -> Any:
        return train(
            QCN,
            config,
            shapes,
            open_folder(str(tmp_path / name)),
            seed=1,
            schedule=schedule,
            open_streams=plain_batches,
            on_report=lambda report: report.step != stop,
        )

    whole = run("whole").state_dict()
    run("cut", stop=4)
    again = run("cut").state_dict()
    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name]), name
    checkpoint = load_latest(open_folder(str(tmp_path / "whole")) / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.model["auxiliary"].abs().sum() > 0
    scorer = load_scorer(str(tmp_path / "whole"))
    images = [load(row) for row in range(12, 18)]
    together = scorer.score_arrays(images)
    assert together.std() > 0
    alone = np.concatenate([scorer.score_arrays([image]) for image in images])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-5)
    backwards = scorer.score_arrays(images[::-1])[::-1]
    np.testing.assert_allclose(backwards, together, rtol=0, atol=1e-5)
    rows, scores = predict_rows(
        QCN, config, scorer.model, shapes, np.arange(12, 18), torch.device("cpu")
    )
    np.testing.assert_allclose(scores, together, rtol=0, atol=1e-5)
    assert rows.tolist() == list(range(12, 18))


def test_of_an_image_longer_than_2_to_1_the_middle_is_seen(make):
    image = np.random.default_rng(0).integers(0, 256, (20, 200, 3)).astype(np.uint8)
    (seen,) = QCN.views(image, make())
    (middle,) = QCN.views(image[:, 80:120], make())
    assert seen.shape == (32, 64, 3)
    np.testing.assert_array_equal(seen, middle)
    made = QCN.ranked_set(image, np.random.default_rng(0), make())
    assert made.images.shape[1:] == (32, 32, 3)


def test_a_step_with_a_shape_of_one_image_only_is_learned(make, shapes):
    def one_square(row: int) -> np.ndarray:
        return load(row)[:36, :36] if row == 0 else load(1)

    mixed = replace(shapes, load=one_square)
    config = make()
    model = built_model(config, mixed).train()
    # The first interval holds the square often.
    for step in range(4):
        terms = QCN.loss(model, step_batch(config, mixed, step), config)
        assert torch.stack(list(terms.values())).isfinite().all()


def test_certainty_has_ladders_of_squares_to_look_at(make):
    made = QCN.ranked_set(load(0), np.random.default_rng(0), make())
    assert made.images.shape[1:] == (32, 32, 3)
    assert len(made.levels) >= 2


def test_plain_regression_is_the_encoder_with_one_layer(make, shapes):
    config = make(objective="regression", frozen_statistics=True, mae_weight=2.0)
    model = built_model(config, shapes).train()
    batch = step_batch(config, shapes)
    terms = QCN.loss(model, batch, config)
    labels = batch["lists"]["labels"].flatten().tolist()
    deviation = np.std(SCORES)
    with torch.no_grad():
        features = torch.cat(
            [model.encoder(network_image(load(SCORES.index(one)))) for one in labels]
        )
        outputs = model.head(features)[:, 0].tolist()
    errors = [25 * abs(o - (one - np.mean(SCORES)) / deviation) for o, one in
              zip(outputs, labels, strict=True)]  # fmt: skip
    smooth = [0.5 * e * e if e < 1 else e - 0.5 for e in errors]
    assert set(terms) == {"mae"}
    assert terms["mae"].item() == pytest.approx(2 * np.mean(smooth), rel=1e-4)
    terms["mae"].backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    QCN.prepare_scoring(model, config, shapes, 0)
    images = torch.from_numpy(np.stack([load(0), load(3)])).permute(0, 3, 1, 2)
    scores = QCN.predict(model.eval(), images)
    both = (QCN.predict(model, images) + QCN.predict(model, images.flip(3))) / 2
    torch.testing.assert_close(scores, both)
    with torch.no_grad():
        expected = (model(images) + model(images.flip(3))) / 2
    torch.testing.assert_close(scores, expected)
