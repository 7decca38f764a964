"""RankIQA's streams, loss, rates and phases, against slow and obvious ones."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from rankloop.datasets.dataset import IMAGE_SCHEMA, PAIR_SCHEMA, Dataset
from rankloop.distortions import DISTORTIONS, RANKIQA_TID2013
from rankloop.errors import ConfigError, DataError
from rankloop.methods.configuration import make_config
from rankloop.methods.method import TrainingData
from rankloop.methods.rankiqa import RANKIQA, ladder_rows
from rankloop.methods.rankiqa_config import RankIQAConfig
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.training.loop import Schedule, train

SIDE = 60
MakeConfig = Callable[..., RankIQAConfig]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def make() -> MakeConfig:
    def make(**values: object) -> RankIQAConfig:
        small = {
            "backbone": "shallow",
            "weights": "none",
            "input_size": 48,
            "distortions": ("gaussian_noise", "jpeg"),
            "ranked_images": 10,
            "labelled_images": 4,
            "learning_rate": 0.01,
            "ranking_learning_rate": 0.01,
            "fine_tuning_learning_rate": 0.01,
            "test_sub_images": 3,
            "steps": 8,
        }
        return make_config(RankIQAConfig, small | values)

    return make


def _dataset(**columns: list[Any]) -> TrainingData:
    """Ten images, the first six to train on; more noise, lower MOS."""
    rows: list[dict[str, Any]] = [
        {
            "image": f"i{i}",
            "uri": f"nowhere/{i}.png",
            "source": f"i{i}",
            "split": "train" if i < 6 else "validation",
            "score": 9.0 - i % 6,
        }
        for i in range(10)
    ]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    dataset = Dataset(
        name="made up",
        images=pa.Table.from_pylist(rows, IMAGE_SCHEMA),
        pairs=pa.Table.from_pylist([], PAIR_SCHEMA),
        higher_is_better=True,
        score_name="MOS",
        annotator="none",
    )

    return TrainingData(dataset, _load)


def _load(row: int) -> np.ndarray:
    y, x = np.mgrid[:SIDE, : SIDE + 10]
    image = np.stack([x * 3, y * 4, (x + y) * 2], axis=2).astype(np.float64) % 256
    noise = np.random.default_rng(row).normal(0, 4 + 12 * (row % 6), image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return _dataset()


def _batch(config: RankIQAConfig, data: TrainingData, step: int = 0, seed: int = 0) -> Any:
    return next(plain_batches(RANKIQA.streams(config, data, seed), step, step + 1))


def test_the_papers_configuration_is_the_default():
    config = RankIQAConfig()
    assert config.distortions == RANKIQA_TID2013
    assert (config.backbone, config.weights, config.input_size) == ("vgg16", "imagenet", 224)
    assert (config.ranking_weight, config.learning_rate, config.steps) == (1.0, 1e-5, 50_000)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"distortions": ("gausian_blur",)}, "the nearest is 'gaussian_blur'"),
        ({"distortions": ()}, "at least one distortion"),
        ({"distortions": ("jpeg", "jpeg")}, "each once"),
        ({"levels": (0,)}, "at least two levels"),
        ({"levels": (0, 1, 1)}, "each once"),
        ({"levels": (0, 9)}, "levels .9. of gaussian_noise"),
        ({"ranked_images": 4}, "hold no ladder of 5"),
        ({"weights": "vgg16.safetensors"}, "give weights none"),
        ({"input_size": 40}, "below 43"),
        ({"objectiv": "ranking"}, "the nearest is 'objective'"),
    ],
)
def test_wrong_configurations_are_refused(make: MakeConfig, values: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        make(**values)


def test_a_batch_holds_labelled_sub_images_and_whole_ladders(make: MakeConfig, data: TrainingData):
    config = make(ranked_images=14)
    batch = _batch(config, data)
    assert batch["labelled"]["images"].shape == (4, 1, 48, 48, 3)
    assert batch["ranked"]["images"].shape == (2, 5, 48, 48, 3)
    assert batch["ranked"]["levels"].squeeze(2).tolist() == [[0, 1, 2, 3, 4]] * 2
    labels = set(data.dataset.images["score"].to_pylist()[:6])
    assert set(batch["labelled"]["label"].tolist()) <= labels
    for images in batch["ranked"]["images"].numpy().astype(float):
        errors = [np.abs(image - images[0]).mean() for image in images]
        assert errors == sorted(errors)


@pytest.mark.parametrize("pairs", ["random", "hard"])
def test_pairs_are_two_levels_of_one_ladder_the_better_first(
    make: MakeConfig, data: TrainingData, pairs: str
):
    streams = RANKIQA.streams(make(pairs=pairs, ranked_images=36), data, 0)
    assert streams["ranked"].rows_per_step == 18
    seen = set()
    for item in range(18):
        row = streams["ranked"].row(0, item)
        assert row["images"].shape == (2, 48, 48, 3)
        better, worse = row["levels"][:, 0].tolist()
        assert better < worse
        seen.add((better, worse))
    assert len(seen) > 5


def test_what_is_trained_decides_the_streams(make: MakeConfig, data: TrainingData):
    names = {
        objective: list(RANKIQA.streams(make(objective=objective), data, 0))
        for objective in ("multi_task", "regression", "ranking", "ranking_then_regression")
    }
    assert names == {
        "multi_task": ["labelled", "ranked"],
        "regression": ["labelled"],
        "ranking": ["ranked"],
        "ranking_then_regression": ["labelled", "ranked"],
    }


def test_labels_where_lower_is_better_change_their_sign(make: MakeConfig, data: TrainingData):
    flipped = replace(data, dataset=replace(data.dataset, higher_is_better=False))
    batches = [_batch(make(), each)["labelled"] for each in (data, flipped)]
    torch.testing.assert_close(batches[0]["label"], -batches[1]["label"])
    torch.testing.assert_close(batches[0]["images"], batches[1]["images"])


def test_ladders_are_made_of_undistorted_training_images_unlabelled_ones_first():
    distortion = [None, "jpeg", None, "jpeg", None, None] + [None] * 4
    assert ladder_rows(_dataset(distortion=distortion), 1.0, 0).tolist() == [0, 2, 4, 5]
    score = [1.0, None, None, 2.0, None, 3.0] + [1.0] * 4
    assert ladder_rows(_dataset(distortion=distortion, score=score), 1.0, 0).tolist() == [2, 4]
    with pytest.raises(DataError, match="all training images are distorted already"):
        ladder_rows(_dataset(distortion=["jpeg"] * 10), 1.0, 0)


def test_a_smaller_share_of_photographs_is_part_of_a_larger_one(data: TrainingData):
    shares = [set(ladder_rows(data, share, 3).tolist()) for share in (0.01, 0.34, 0.5, 1.0)]
    assert [len(share) for share in shares] == [1, 2, 3, 6]
    assert shares[0] < shares[1] < shares[2] < shares[3]
    assert len({tuple(ladder_rows(data, 0.5, seed)) for seed in range(20)}) > 5


def test_several_values_in_one_string(make: MakeConfig):
    config = make(distortions="jpeg gaussian_blur", levels="0 2 4")
    assert (config.distortions, config.levels) == (("jpeg", "gaussian_blur"), (0, 2, 4))


def test_head_counts_are_no_quality(make: MakeConfig, data: TrainingData):
    counts = replace(data, dataset=replace(data.dataset, score_name="count"))
    with pytest.raises(DataError, match="numbers of heads"):
        RANKIQA.streams(make(), counts, 0)


def _naive_loss(
    model: torch.nn.Module, batch: Any, config: RankIQAConfig, data: TrainingData
) -> tuple[torch.Tensor, torch.Tensor]:
    """One image, and one pair through two branches, after the other."""
    labels = np.array(data.dataset.images["score"].to_pylist()[:6])
    mean, deviation = labels.mean(), labels.std()

    def output(image: torch.Tensor) -> torch.Tensor:
        score = model(image.permute(2, 0, 1)[None])[0]
        return (score - mean) / deviation

    regression = torch.zeros((), dtype=torch.float64)
    for image, label in zip(batch["labelled"]["images"], batch["labelled"]["label"], strict=True):
        regression = regression + (output(image[0]) - (label - mean) / deviation) ** 2
    ranking = torch.zeros((), dtype=torch.float64)
    for images, levels in zip(batch["ranked"]["images"], batch["ranked"]["levels"], strict=True):
        for i, j in itertools.permutations(range(len(images)), 2):
            if levels[i] < levels[j]:
                hinge = config.margin - (output(images[i]) - output(images[j]))
                ranking = ranking + torch.clamp(hinge, min=0)
    count = batch["ranked"]["levels"].numel()
    return regression / len(batch["labelled"]["label"]), config.ranking_weight * ranking / count


@pytest.mark.parametrize("pairs", ["efficient", "random"])
def test_loss_and_gradient_are_those_of_images_and_pairs_one_by_one(
    make: MakeConfig, data: TrainingData, pairs: str
):
    config = make(pairs=pairs, ranking_weight=0.7, margin=0.9)
    batch = _batch(config, data)
    naive, ours = (RANKIQA.build(config, 3).double() for _ in range(2))
    for model in (naive, ours):
        RANKIQA.initialise(model, config, data)
    expected = _naive_loss(naive, batch, config, data)
    found = RANKIQA.loss(ours, batch, config)
    assert found["regression"].item() == pytest.approx(expected[0].item(), abs=1e-10)
    assert found["ranking"].item() == pytest.approx(expected[1].item(), abs=1e-10)
    sum(expected).backward()
    sum(found.values()).backward()
    for mine, theirs in zip(ours.parameters(), naive.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-10, rtol=1e-7)


def test_hard_pairs_become_more_as_training_goes_on(make: MakeConfig, data: TrainingData):
    config = make(pairs="hard", ranked_images=20, hard_pairs=2, hard_pairs_every=3, steps=30)
    model = RANKIQA.build(config, 0)
    found = []
    for step in (0, 2, 3, 29):
        batch = _batch(config, data, step)["ranked"]
        with torch.no_grad():
            outputs = model(batch["images"].flatten(0, 1).permute(0, 3, 1, 2)).view(-1, 2)
        hinges = (config.margin - (outputs[:, 0] - outputs[:, 1])).clamp(min=0)
        kept = min(10, 2 * (1 + step // 3))
        expected = hinges.sort(descending=True).values[:kept].sum() / (2 * kept)
        loss = RANKIQA.loss(model, {"ranked": batch}, config)["ranking"]
        torch.testing.assert_close(loss, expected)
        found.append(kept)
    assert found == [2, 2, 4, 10]


def test_rates_fall_evenly_within_each_phase(make: MakeConfig):
    values = {"learning_rate": 1.0, "ranking_learning_rate": 2.0, "fine_tuning_learning_rate": 3.0}
    one = make(steps=50, **values)
    rates = [RANKIQA.learning_rate(one, step) for step in range(50)]
    assert rates == pytest.approx([0.1 ** (step // 10) for step in range(50)])
    assert RANKIQA.learning_rate(make(objective="ranking", **values), 0) == 2.0
    two = make(objective="ranking_then_regression", steps=20, learning_rate_drops=1, **values)
    rates = [RANKIQA.learning_rate(two, step) for step in range(20)]
    assert rates == pytest.approx([2.0] * 5 + [0.2] * 5 + [3.0] * 5 + [0.3] * 5)


def test_the_last_layer_may_learn_faster(make: MakeConfig):
    config = make(head_rate_factor=10.0)
    model = RANKIQA.build(config, 0)
    groups = RANKIQA.optimizer(model, config).param_groups
    assert [len(group["params"]) for group in groups] == [8, 2]
    assert groups[1]["factor"] == 10.0
    assert groups[1]["params"][0] is model.head.weight


@pytest.mark.parametrize(
    ("backbone", "kept", "new"),
    [
        ("shallow", "convolutions", {"head"}),
        ("shallow", "features", {"head"}),
        ("shallow", "all", set()),
        pytest.param(
            *("vgg16", "convolutions", {"head", "classifier.0", "classifier.3"}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_regression_after_ranking_keeps_what_it_is_told(
    make: MakeConfig, backbone: str, kept: str, new: set[str]
):
    config = make(objective="ranking_then_regression", backbone=backbone, kept_layers=kept)
    model = RANKIQA.build(config, 0)
    optimizer = RANKIQA.optimizer(model, config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    RANKIQA.before_step(model, optimizer, config, 0, 3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    RANKIQA.before_step(model, optimizer, config, 0, 4)
    changed = {
        name.removeprefix("backbone.trunk.").rpartition(".")[0]
        for name, tensor in model.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == new


@pytest.mark.parametrize("cut", [2, 4, 6])
def test_two_phases_cut_off_anywhere_end_as_if_they_were_not(
    make: MakeConfig, data: TrainingData, tmp_path: Any, cut: int
):
    config = make(objective="ranking_then_regression")

    def run(name: str, stop: int | None = None) -> tuple[dict[str, Any], list[set[str]]]:
        terms: list[set[str]] = []

        def report(found: Any) -> bool:
            terms.extend(set(losses) for losses in found.losses.values())
            return found.step != stop

        model = train(
            RANKIQA,
            config,
            data,
            open_folder(str(tmp_path / name)),
            seed=1,
            schedule=Schedule(evaluate_every=2, checkpoint_every=2),
            open_streams=plain_batches,
            on_report=report,
        )
        return model.state_dict(), terms

    whole, terms = run("whole")
    assert terms == [{"ranking"}] * 4 + [{"regression"}] * 4
    run("cut", stop=cut)
    again, _ = run("cut")
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_it_learns_the_scale_and_the_order_of_the_labels(
    make: MakeConfig, data: TrainingData, tmp_path: Any
):
    config = make(steps=150, distortions=("gaussian_noise",), learning_rate_drops=1)
    reports: list[Any] = []
    train(
        RANKIQA,
        config,
        data,
        open_folder(str(tmp_path)),
        seed=0,
        schedule=Schedule(evaluate_every=150, checkpoint_every=150),
        open_streams=plain_batches,
        on_report=lambda report: reports.append(report) is None,
    )
    metrics = reports[-1].metrics
    assert metrics["srocc"] > 0.9
    assert metrics["plcc"] > 0.9
    losses = reports[-1].losses
    assert np.mean([losses[i]["regression"] for i in range(140, 150)]) < 0.2


def test_ranking_alone_uses_no_label(make: MakeConfig, data: TrainingData):
    config = make(objective="ranking")
    model = RANKIQA.build(config, 0)
    RANKIQA.initialise(model, config, data)
    assert (model.output.mean, model.output.deviation) == (0, 1)
    RANKIQA.initialise(model, make(), data)
    labels = np.array(data.dataset.images["score"].to_pylist()[:6])
    assert float(model.output.deviation) == pytest.approx(labels.std())


def test_every_level_of_the_default_distortions_exists():
    assert all(max(RankIQAConfig().levels) in DISTORTIONS[name].levels for name in RANKIQA_TID2013)
    assert math.isclose(RankIQAConfig().fine_tuning_share, 0.5)
