"""A run cut off at any step ends as if it had not been, to the bit."""

import json
import logging
import math
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from rankloop.errors import CheckpointError, DataError, ImageError, TrainingError
from rankloop.methods.ssranking import SSRANKING
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.training import loop
from rankloop.training.checkpoints import load_latest, step_name
from rankloop.training.final import replaced_images
from rankloop.training.loop import Schedule, train

# Evaluations and checkpoints at different steps, so that a cut falls on all kinds of places.
SCHEDULE = Schedule(evaluate_every=2, checkpoint_every=3)


class CutError(Exception):
    pass


@pytest.fixture
def run(data, tiny_config):
    """Train in a folder, or go on there; cut raises after the evaluation of that step."""

    def run(path, cut=None, method=SSRANKING, schedule=SCHEDULE, seed=1, on_report=None, **values):
        reports = []

        def watch(report):
            reports.append(report)
            if report.step == cut:
                raise CutError
            return on_report is None or on_report(report)

        model = train(
            method,
            tiny_config(**values),
            data,
            open_folder(str(path)),
            seed=seed,
            schedule=schedule,
            open_streams=plain_batches,
            on_report=watch,
        )
        return model, reports

    return run


@pytest.fixture(scope="module")
def uncut(data, tiny_config, tmp_path_factory):
    folder = open_folder(str(tmp_path_factory.mktemp("uncut")))
    reports = []
    model = train(
        SSRANKING,
        tiny_config(),
        data,
        folder,
        seed=1,
        schedule=SCHEDULE,
        open_streams=plain_batches,
        on_report=lambda report: reports.append(report) is None,
    )
    return model.state_dict(), reports, load_latest(folder / "checkpoints")


def assert_same_tensors(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.equal(tensor, other[name]), name


def assert_ends_as(uncut, path, model, reports):
    tensors, wanted, last = uncut
    assert_same_tensors(model.state_dict(), tensors)
    # All reports are made again after a restart; equal means to the bit.
    assert reports == wanted
    found = load_latest(open_folder(str(path)) / "checkpoints")
    assert found.step == last.step
    assert_same_tensors(found.model, last.model)
    assert_same_tensors(found.training, last.training)
    assert found.state["reports"] == last.state["reports"]


def test_the_run_learns_and_reports(uncut):
    tensors, reports, last = uncut
    assert [report.step for report in reports] == [2, 4, 6, 8, 10]
    assert [sorted(report.losses) for report in reports] == [[i, i + 1] for i in range(0, 10, 2)]
    assert all(terms.keys() == {"ranking", "qrc"} for r in reports for terms in r.losses.values())
    assert all(r.metrics.keys() == {"srocc", "plcc", "pair_accuracy"} for r in reports)
    start = SSRANKING.build(SSRANKING.config(backbone="shallow", input_size=48), 1).state_dict()
    assert not torch.equal(tensors["head.weight"], start["head.weight"])
    assert last.step == 10


@pytest.mark.parametrize("cut", [2, 4, 6, 8, 10])
def test_cut_at_a_report_and_resumed(run, uncut, tmp_path, cut):
    with pytest.raises(CutError):
        run(tmp_path, cut=cut)
    assert_ends_as(uncut, tmp_path, *run(tmp_path))


def test_cut_again_and_again(run, uncut, tmp_path):
    for cut in (4, 6, 8, 10):
        with pytest.raises(CutError):
            run(tmp_path, cut=cut)
    assert_ends_as(uncut, tmp_path, *run(tmp_path))


def test_a_finished_run_only_reports_again(run, uncut, tmp_path):
    run(tmp_path)
    untrainable = replace(SSRANKING, loss=None)
    assert_ends_as(uncut, tmp_path, *run(tmp_path, method=untrainable))


def test_another_seed_is_another_run(run, uncut, tmp_path):
    model, _ = run(tmp_path, seed=2)
    assert not torch.equal(model.state_dict()["head.weight"], uncut[0]["head.weight"])


def test_randomness_within_the_model_repeats_after_a_cut(run, tmp_path):
    """A loss that draws from torch's generator, as dropout does."""

    def noisy(model, batch, config):
        terms = SSRANKING.loss(model, batch, config)
        return {name: term * (1 + torch.rand(())) for name, term in terms.items()}

    method = replace(SSRANKING, loss=noisy)
    whole, reports = run(tmp_path / "whole", method=method)
    with pytest.raises(CutError):
        run(tmp_path / "cut", cut=8, method=method)
    torch.rand(7)
    again, reports_again = run(tmp_path / "cut", method=method)
    assert_same_tensors(again.state_dict(), whole.state_dict())
    assert reports_again == reports


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_truncated_checkpoint_is_passed_over(run, uncut, tmp_path, caplog, file):
    with pytest.raises(CutError):
        run(tmp_path, cut=8)
    damaged = tmp_path / "checkpoints" / step_name(6) / file
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    with caplog.at_level(logging.WARNING, "rankloop"):
        assert_ends_as(uncut, tmp_path, *run(tmp_path))
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "rankloop"]
    assert step_name(6) in warning
    assert warning.endswith(f"using the one before, {step_name(3)}")


def test_a_loss_that_is_not_finite_names_the_step(run, tmp_path):
    calls = []

    def loss(model, batch, config):
        calls.append(len(calls))
        terms = SSRANKING.loss(model, batch, config)
        return terms | {"qrc": terms["qrc"] * math.nan} if calls[-1] == 4 else terms

    with pytest.raises(TrainingError, match=r"step 4: .*nan.* lower learning_rate \(now 0.05\)"):
        run(tmp_path, method=replace(SSRANKING, loss=loss))
    # The model of the checkpoint is from before.
    last = load_latest(open_folder(str(tmp_path)) / "checkpoints")
    assert last.step == 3
    assert all(tensor.isfinite().all() for tensor in last.model.values())


@pytest.mark.parametrize("every", [1, 100])
def test_a_learning_rate_that_diverges_is_an_error(run, tmp_path, every):
    """Whether the loss or an evaluation sees it first."""

    def loss(model, batch, config):
        return {"scale": sum((p**2).sum() for p in model.parameters())}

    schedule = Schedule(evaluate_every=every, checkpoint_every=100)
    with pytest.raises(TrainingError, match="not finite"):
        run(
            tmp_path,
            method=replace(SSRANKING, loss=loss),
            schedule=schedule,
            learning_rate=10.0,
            steps=200,
        )
    assert load_latest(open_folder(str(tmp_path)) / "checkpoints") is None


@pytest.mark.parametrize("rank", [0, 1])
def test_when_rank_0_alone_sees_the_divergence_all_workers_stop(
    data, tiny_config, monkeypatch, rank
):
    """Whoever raised without telling would leave the others waiting in their next step."""
    told = []

    def exchange(values, worker):
        assert worker.rank == rank
        told.append(values["diverged"].item())
        return {"diverged": 0.5}

    monkeypatch.setattr(loop, "_mean_over_workers", exchange)
    method = replace(SSRANKING, predict=lambda model, images: torch.full((len(images),), math.nan))
    model = SSRANKING.build(tiny_config(), 0)
    with pytest.raises(TrainingError, match="not finite after step 5"):
        loop._validate(method, None, model, data, 5, loop.Worker(torch.device("cpu"), rank, 2))
    assert told == [1.0 - rank]


@pytest.mark.parametrize("other", [{"epsilon_qrc": 0.06}, {"steps": 11}, {"seed": 2}])
def test_checkpoints_of_another_configuration_are_refused(run, tmp_path, other):
    with pytest.raises(CutError):
        run(tmp_path, cut=4)
    with pytest.raises(CheckpointError, match="another configuration: give another --storage"):
        run(tmp_path, **other)


def test_the_rate_follows_the_cosine_also_after_a_cut(run, tmp_path):
    rates = {}

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            rates.setdefault(self.start + self.taken, []).append(self.param_groups[0]["lr"])
            self.taken += 1
            return super().step(closure)

    def method(start):
        def optimizer(model, config):
            made = Watched(model.parameters(), lr=99.0, momentum=config.momentum)
            made.start, made.taken = start, 0
            return made

        return replace(SSRANKING, optimizer=optimizer)

    with pytest.raises(CutError):
        run(tmp_path, cut=8, method=method(0))
    run(tmp_path, method=method(6))
    assert {step: len(seen) for step, seen in rates.items()} == {
        **dict.fromkeys(range(10), 1),
        **{6: 2, 7: 2},
    }
    for step, seen in rates.items():
        expected = 0.05 * 0.5 * (1 + np.cos(np.pi * step / 10))
        assert seen == pytest.approx([expected] * len(seen), rel=1e-12)


def test_false_from_the_watcher_ends_the_run_with_a_checkpoint(run, tmp_path):
    _, reports = run(tmp_path, on_report=lambda report: report.step < 4)
    assert [report.step for report in reports] == [2, 4]
    assert load_latest(open_folder(str(tmp_path)) / "checkpoints").step == 4
    # Stopped runs stay stopped while the watcher says so, and can be taken up when it does not.
    _, again = run(tmp_path, on_report=lambda report: report.step < 4)
    assert again == reports


def test_a_stopped_run_taken_up_again_ends_as_uncut(run, uncut, tmp_path):
    run(tmp_path, on_report=lambda report: report.step < 4)
    assert_ends_as(uncut, tmp_path, *run(tmp_path))


def test_a_metric_that_is_undefined_is_nan_after_a_restart(run, tmp_path):
    """JSON has no NaN: constant scores have no correlation."""

    def constant(model, images):
        return torch.zeros(len(images))

    method = replace(SSRANKING, predict=constant)
    with pytest.raises(CutError):
        run(tmp_path, cut=6, method=method)
    _, reports = run(tmp_path, method=method)
    assert math.isnan(reports[0].metrics["srocc"])
    assert reports[0].metrics["pair_accuracy"] == 0.5
    state = json.loads((tmp_path / "checkpoints" / step_name(10) / "state.json").read_text())
    assert state["state"]["reports"][0]["metrics"]["srocc"] is None


def test_two_checkpoints_are_kept(run, tmp_path):
    run(tmp_path, schedule=Schedule(evaluate_every=10, checkpoint_every=1))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [
        step_name(9),
        step_name(10),
    ]


@pytest.mark.parametrize(("cut", "raises"), [(None, False), (4, True), (4, False)])
def test_images_that_vanished_are_counted_over_the_whole_run(
    data, tiny_config, tmp_path, cut, raises
):
    def load(row):
        if row in (2, 7):
            raise ImageError("vanished")
        return data.load(row)

    broken, config = replace(data, load=load), tiny_config()
    folder = open_folder(str(tmp_path))

    def watch(report):
        if report.step == cut and not (tmp_path / "cut").exists():
            (tmp_path / "cut").touch()
            if raises:
                raise CutError
            return False
        return True

    def go():
        train(
            SSRANKING,
            config,
            broken,
            folder,
            seed=1,
            schedule=SCHEDULE,
            open_streams=plain_batches,
            on_report=watch,
        )

    if cut:
        with pytest.raises(CutError) if raises else nullcontext():
            go()
    go()
    expected = Counter()
    for stream in SSRANKING.streams(config, broken, 1).values():
        for step in range(config.steps):
            for item in range(stream.rows_per_step):
                expected.update(row for row in stream.row(step, item)["replaced"].tolist())
    del expected[-1]
    last = load_latest(folder / "checkpoints")
    assert dict(last.state["replaced"]) == dict(expected)
    assert set(expected) == {2, 7}
    assert replaced_images(last, data.dataset) == {f"i{row}": expected[row] for row in (2, 7)}


def test_head_counts_are_no_labels_for_blur(data, tiny_config):
    crowds = replace(data, dataset=replace(data.dataset, score_name="count"))
    with pytest.raises(DataError, match="numbers of heads, which say nothing of blur"):
        SSRANKING.streams(tiny_config(), crowds, 0)


def test_every_step_that_is_done_is_told(data, tiny_config, tmp_path):
    told: list[int] = []
    config = tiny_config(steps=3)
    folder = open_folder(str(tmp_path))
    common = {"seed": 1, "schedule": SCHEDULE, "open_streams": plain_batches}
    train(SSRANKING, config, data, folder, on_step=told.append, **common)
    assert told == [1, 2, 3]
