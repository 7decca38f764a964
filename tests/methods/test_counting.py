"""Counting's streams, loss, rates and regions of interest, against slow and obvious ones."""

import math
import pickle
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from rankloop.datasets.arrow import with_column
from rankloop.datasets.dataset import split_indices
from rankloop.datasets.opening import open_dataset
from rankloop.errors import ConfigError, DataError
from rankloop.images import encode
from rankloop.methods.counting import COUNTING, counted_rows, cropped_rows
from rankloop.methods.counting_config import CountingConfig
from rankloop.methods.crowd_patches import crowd_loader
from rankloop.methods.method import TrainingData
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.training.loop import Schedule, train
from small_qcn import one_thread

__all__ = ["one_thread"]


def _with(data: TrainingData, name: str, values: dict[int, object]) -> TrainingData:
    images = data.dataset.images
    column = images[name].to_pylist()
    for row, value in values.items():
        column[row] = value
    changed = replace(data.dataset, images=with_column(images, name, column))
    return replace(data, dataset=changed)


def _batch(config: CountingConfig, data: TrainingData, step: int = 0):
    streams = COUNTING.streams(config, data, 0)
    return next(iter(plain_batches(streams, step, step + 1, 0, 1)))


def test_only_points_are_learned_from_and_the_others_ranked(make_counting, discs):
    train = split_indices(discs.dataset, "train")
    config = make_counting()
    assert counted_rows(discs).tolist() == cropped_rows(discs, config).tolist() == train.tolist()
    hidden = train[:5].tolist()
    some = _with(discs, "points", dict.fromkeys(hidden))
    assert cropped_rows(some, config).tolist() == hidden
    assert cropped_rows(some, make_counting(crops_from="all")).tolist() == train.tolist()
    assert counted_rows(some).tolist() == train[5:].tolist()
    # What was unlabelled at the beginning stays what is ranked.
    since = replace(discs, unlabelled=train[2:4])
    assert cropped_rows(since, config).tolist() == train[2:4].tolist()
    none = _with(discs, "points", dict.fromkeys(train.tolist()))
    with pytest.raises(DataError, match="no training image of discs has head points"):
        _batch(make_counting(), none)


def test_the_loss_is_that_of_loops(make_counting, discs):
    config = make_counting(ranking_weight=7.0, margin=0.2)
    batch = _batch(config, discs)
    model = COUNTING.build(config, 0).eval()
    terms = COUNTING.loss(model, batch, config)
    labelled, ranked = batch["labelled"], batch["ranked"]
    with torch.no_grad():
        patches = labelled["images"][:, 0].permute(0, 3, 1, 2)
        crops = ranked["images"].flatten(0, 1).permute(0, 3, 1, 2)
        maps = model(torch.cat([patches, crops])).double().numpy()
    counting = 0.0
    for i in range(3):
        for row in range(4):
            for column in range(4):
                truth = float(labelled["density"][i, row, column])
                counting += (maps[i, row, column] - truth) ** 2 / 3
    ranking = 0.0
    for number in range(2):
        counts = [maps[3 + 4 * number + k].sum() for k in range(4)]
        for around in range(4):
            for within in range(around + 1, 4):
                ranking += max(0.0, 0.2 - (counts[around] - counts[within])) / 8
    assert terms["counting"].item() == pytest.approx(counting, rel=1e-4)
    assert terms["ranking"].item() == pytest.approx(7.0 * ranking, rel=1e-4)


def test_what_lies_outside_the_region_has_no_gradient(make_counting, discs):
    train = split_indices(discs.dataset, "train")
    region = np.zeros((160, 160, 3), np.uint8)
    regions = _with(discs, "region", dict.fromkeys(train.tolist(), encode(region)))
    config = make_counting(objective="counting")
    model = COUNTING.build(config, 0)
    terms = COUNTING.loss(model, _batch(config, regions), config)
    assert terms["counting"].item() == 0.0
    terms["counting"].backward()
    assert all(not part.grad.any() for part in model.parameters() if part.grad is not None)
    assert COUNTING.loss(model, _batch(config, discs), config)["counting"].item() > 0


@pytest.mark.parametrize("pairs", ["random", "hard"])
def test_pairs_are_a_crop_and_one_within_it(make_counting, discs, pairs):
    config = make_counting(pairs=pairs, hard_pairs=2, hard_pairs_every=3)
    ranked = _batch(config, discs)["ranked"]
    assert ranked["images"].shape == (4, 2, 64, 64, 3)
    assert (ranked["levels"][:, 0] < ranked["levels"][:, 1]).all()
    model = COUNTING.build(config, 0).eval()
    crops = ranked["images"].flatten(0, 1).permute(0, 3, 1, 2)
    with torch.no_grad():
        counts = model(crops).sum(dim=(1, 2)).view(4, 2).double().numpy()
    hinges = sorted((max(0.0, float(b - a)) for a, b in counts), reverse=True)
    # Four crops hold two pairs of hinge loss 0 or more; ranking alone, without λ.
    for step, hardest in ((0, 2), (3, 4)):
        ranked["step"][:] = step
        terms = COUNTING.loss(model, {"ranked": ranked}, config)
        kept = hinges[:hardest] if pairs == "hard" else hinges
        expected = sum(kept) / (2 * len(kept))
        assert terms["ranking"].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_each_objective_has_its_streams(make_counting, discs):
    assert set(COUNTING.streams(make_counting(), discs, 0)) == {"labelled", "ranked"}
    assert set(COUNTING.streams(make_counting(objective="counting"), discs, 0)) == {"labelled"}
    config = make_counting(objective="ranking_then_counting", steps=10, counting_share=0.3)
    streams = COUNTING.streams(config, discs, 0)
    assert set(_batch(config, discs, 6)) == {"ranked"}
    assert set(_batch(config, discs, 7)) == {"labelled"}
    # The first epoch of photographs begins with counting.
    first = streams["labelled"].row(7, 0)["images"]
    alone = COUNTING.streams(make_counting(objective="counting"), discs, 0)["labelled"].row(0, 0)[
        "images"
    ]
    np.testing.assert_array_equal(first, alone)


def test_the_rate_falls_to_a_tenth_in_the_middle_of_each_phase(make_counting):
    config = make_counting(learning_rate=1e-6, steps=10)
    rates = [COUNTING.learning_rate(config, step) for step in range(10)]
    assert rates == pytest.approx([1e-6] * 5 + [1e-7] * 5)
    config = make_counting(objective="ranking_then_counting", learning_rate=1.0, steps=8)
    rates = [COUNTING.learning_rate(config, step) for step in range(8)]
    assert rates == pytest.approx([1.0, 1.0, 0.1, 0.1] * 2)


def test_an_image_of_a_region_is_counted_within_it(make_counting, discs):
    region = np.zeros((160, 160, 3), np.uint8)
    region[32:100, 16:144] = 255
    some = _with(discs, "region", {0: encode(region)})
    config = make_counting()
    model = COUNTING.build(config, 0).eval()
    assert COUNTING.row_views is not None
    views = [COUNTING.row_views(some, row, config) for row in (0, 1)]
    assert [view.shape for view in views] == [(1, 160, 160, 4), (1, 160, 160, 3)]
    counts = [
        COUNTING.predict(model, torch.tensor(view).permute(0, 3, 1, 2)).item() for view in views
    ]
    whole = torch.from_numpy(views[0][..., :3].copy()).permute(0, 3, 1, 2)
    assert COUNTING.density is not None
    cells = COUNTING.density(model, whole)[0].numpy()
    # 68 rows: four cells and a quarter of one.
    expected = cells[2:6, 1:9].sum() + cells[6, 1:9].sum() / 4
    assert counts[0] == pytest.approx(float(expected), rel=1e-4)
    other = COUNTING.density(model, torch.tensor(views[1]).permute(0, 3, 1, 2))
    assert counts[1] == pytest.approx(float(other.sum()), rel=1e-5)


def test_ranked_sets_of_scoring_are_whole_nested_crops(make_counting, discs):
    config = make_counting(pairs="random")
    made = COUNTING.ranked_set(discs.load(0), np.random.default_rng(0), config)
    assert made.images.shape == (4, 64, 64, 3)
    assert made.levels.tolist() == [[0], [1], [2], [3]]


@pytest.mark.parametrize("objective", ["multi_task", "ranking_then_counting"])
def test_a_run_that_was_cut_off_ends_with_the_same_model(make_counting, discs, tmp_path, objective):
    config = make_counting(objective=objective, frozen_statistics=False)

    class CutError(Exception):
        pass

    def run(name: str, cut: int | None = None) -> dict[str, torch.Tensor]:
        def watch(report: object) -> bool:
            if report.step == cut:  # type: ignore[attr-defined]
                raise CutError
            return True

        model = train(
            COUNTING,
            config,
            discs,
            open_folder(str(tmp_path / name)),
            seed=0,
            schedule=Schedule(evaluate_every=3, checkpoint_every=3),
            open_streams=plain_batches,
            on_report=watch,
        )
        return model.state_dict()

    whole = run("whole")
    with pytest.raises(CutError):
        run("cut", 3)
    again = run("cut")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert not all(math.isnan(float(value.double().sum())) for value in whole.values())


def test_pictures_show_the_patch_and_its_density(make_counting, discs):
    stream = COUNTING.streams(make_counting(), discs, 0)["labelled"]
    row = stream.row(0, 0)
    shown = stream.pictures(row)
    assert shown is not None
    assert shown.shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(shown[0], row["images"][0])
    brightest = np.unravel_index(row["density"].argmax(), row["density"].shape)
    assert shown[1, 16 * brightest[0] + 3, 16 * brightest[1] + 3].tolist() == [255] * 3
    assert stream.describe(row) == f"{row['density'].sum():.4g} people"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"input_size": 100}, "input_size 100 must be a multiple of 16"),
        ({"least_patch": 200, "most_patch": 100}, "least_patch 200 is above most_patch 100"),
        ({"ranked_images": 3, "crops": 4}, "ranked_images 3 hold no set of 4 crops"),
        ({"objective": "ranking_then_counting", "steps": 1}, "steps 1 are too few"),
        ({"crop_scal": 0.5}, "crop_scale"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(make_counting, values, message):
    with pytest.raises(ConfigError, match=message):
        make_counting(**values)


def test_photographs_without_points_are_refused(tmp_path):
    for number in range(30):
        noise = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        (tmp_path / f"{number}.png").write_bytes(encode(noise))
    lines = [f"{number}.png,{number}" for number in range(30)]
    (tmp_path / "scores.csv").write_text("\n".join(["image,score", *lines]))
    with pytest.raises(DataError, match="no image of the training split has head points"):
        open_dataset(
            [f"csv:{tmp_path}/scores.csv?higher_is_better=true"], seed=0, learns_from="points"
        )


def test_points_of_a_table_are_pixels_of_the_photograph(discs):
    assert discs.dataset.images["points"].type == pa.list_(pa.list_(pa.float32(), 2))
    row = int(counted_rows(discs)[0])
    crowd = crowd_loader(discs.dataset)(row)
    assert len(crowd.points) == discs.dataset.images["score"][row].as_py()
    np.testing.assert_array_equal(crowd.image, discs.load(row))


def test_counting_learns(make_counting, discs):
    """From the same patches again and again, so that it must."""
    config = make_counting(labelled_images=6, objective="counting", learning_rate=2e-5, steps=40)
    torch.manual_seed(0)
    model = COUNTING.build(config, 0).train()
    optimizer = COUNTING.optimizer(model, config)
    batch = _batch(config, discs)
    losses = []
    for _ in range(30):
        loss = COUNTING.loss(model, batch, config)["counting"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3])


def _violations(model: torch.nn.Module, ranked: Mapping[str, torch.Tensor]) -> int:
    """Pairs of nested crops of which the inner one has no lower count."""
    sets, size = ranked["images"].shape[:2]
    with torch.no_grad():
        maps = model(ranked["images"].flatten(0, 1).permute(0, 3, 1, 2))
    counts = maps.sum(dim=(1, 2)).view(sets, size)
    return sum(
        int((counts[:, around] <= counts[:, within]).sum())
        for around in range(size)
        for within in range(around + 1, size)
    )


def test_ranking_by_a_margin_brings_nested_crops_into_order(make_counting, discs):
    config = make_counting(ranked_images=16, margin=1.0, ranking_weight=1.0, learning_rate=1e-4)
    batch = _batch(config, discs)
    before, after = {}, {}
    for objective, used in (("multi_task", ("labelled", "ranked")), ("counting", ("labelled",))):
        own = {name: batch[name] for name in used}
        model = COUNTING.build(config, 0).train()
        optimizer = COUNTING.optimizer(model, config)
        before[objective] = _violations(model, batch["ranked"])
        for _ in range(25):
            optimizer.zero_grad()
            torch.stack([*COUNTING.loss(model, own, config).values()]).sum().backward()
            optimizer.step()
        after[objective] = _violations(model, batch["ranked"])
    # Of four sets of four crops: 24 pairs.
    assert before["multi_task"] == before["counting"] >= 6
    assert after["multi_task"] <= 2
    assert after["counting"] >= 6


def test_streams_can_be_sent_to_processes_of_a_data_loader(make_counting, discs):
    for stream in COUNTING.streams(make_counting(), discs, 0).values():
        again = pickle.loads(pickle.dumps(stream))
        np.testing.assert_array_equal(again.row(0, 1)["images"], stream.row(0, 1)["images"])
