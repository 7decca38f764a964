"""Workers find room on any cluster, share one folder, and their watcher may fail."""

import queue
import threading

import pytest
import torch

from rankloop.errors import DataError, StorageError, TrainingError
from rankloop.methods.ssranking import SSRANKING
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.training import distributed
from rankloop.training.distributed_worker import Sharing, sharing_workers
from rankloop.training.loop import Report, Schedule, Worker, train


def test_workers_that_do_not_share_the_folder_are_told_so(data, tiny_config, tmp_path, monkeypatch):
    def reduce(extremes, operation, group):
        # The other worker found a checkpoint of step 6.
        assert operation == torch.distributed.ReduceOp.MAX
        extremes.copy_(torch.maximum(extremes, torch.tensor([6, -6])))

    monkeypatch.setattr(torch.distributed, "all_reduce", reduce)
    with pytest.raises(StorageError, match="of steps 0 and 6: give a --storage"):
        train(
            SSRANKING,
            tiny_config(),
            data,
            open_folder(str(tmp_path)),
            seed=1,
            schedule=Schedule(5, 5),
            open_streams=plain_batches,
            worker=Worker(torch.device("cpu"), 0, 2),
        )


def test_an_error_of_the_watcher_is_kept_and_later_reports_still_come():
    messages, seen, failures = queue.Queue(), [], []
    reports = [Report(step, {}, {}) for step in (1, 2)]

    def watch(report):
        seen.append(report)
        if len(seen) == 1:
            raise BrokenPipeError("nobody reads our progress")

    for message in (3, Sharing(2), *reports, None):
        messages.put(message)

    def count(number):
        raise BrokenPipeError("nobody counts, either")

    distributed._listen(messages, watch, count, count, threading.Event(), failures)
    assert seen == reports
    *others, (error, tried_again) = failures
    assert [str(one) for one, _ in others] == ["nobody counts, either"] * 2
    assert isinstance(error, BrokenPipeError)
    assert not tried_again


def test_what_is_tried_again_is_said(caplog):
    messages, failures = queue.Queue(), []
    messages.put(("TrainingError", "Traceback ...\nOSError: s3://me:secret@b is gone", True))
    messages.put(None)
    distributed._listen(messages, print, print, print, threading.Event(), failures)
    assert "tried again: OSError: s3://b is gone" in caplog.text
    assert "secret" not in caplog.text
    assert len(failures) == 1


@pytest.mark.parametrize(
    ("nodes", "workers", "data_workers", "expected"),
    [
        ([2], 1, 1, 1.0),
        ([2], 2, 1, 0.5),
        ([1], 2, 1, 0.25),
        ([2], 8, 1, 0.125),
        ([16], 2, 3, 5.0),
        # One worker's share is never larger than a node.
        ([2, 2, 2], 1, 1, 1.0),
        # Four workers on three nodes: two of them share one.
        ([8, 8, 8], 4, 1, 3.0),
        ([8, 2], 2, 1, 3.0),
    ],
)
def test_workers_fit_on_the_nodes_and_leave_room(nodes, workers, data_workers, expected):
    resources = [{"CPU": float(cpus), "memory": 1e9} for cpus in nodes]
    found = distributed.cpus_per_worker(resources, workers, data_workers, use_gpu=False)
    assert found == expected
    assert sum(cpus // found for cpus in nodes) >= workers
    assert sum(nodes) - workers * found >= 0.25


@pytest.mark.parametrize(
    ("workers", "rows", "expected"),
    [(4, [16, 8], 4), (3, [16, 8], 2), (3, [9, 6], 3), (5, [7, 5], 1), (1, [3], 1)],
)
def test_as_many_share_a_step_as_its_rows_can_be_divided_among(workers, rows, expected):
    assert sharing_workers(workers, rows) == expected


def test_what_was_tried_again_in_vain_is_named():
    bug = TrainingError("Traceback ...\nTypeError: no such argument")
    ended = TrainingError("workers were lost 4 times")
    with pytest.raises(TrainingError, match="4 times; the last time with: TypeError: no such"):
        distributed._raise_last([(bug, True), (bug, True), (ended, False)], None)
    with pytest.raises(TrainingError, match=r"^workers were lost 4 times$"):
        distributed._raise_last([(ended, False)], None)
    gone = RuntimeError("workers were lost 101 times")
    with pytest.raises(TrainingError, match=r"on its workers: .* 101 times; the last time with: T"):
        distributed._raise_last([(bug, True)], gone)
    # Over the next time: no failure.
    distributed._raise_last([(bug, True)], None)


@pytest.mark.parametrize("failed", [None, RuntimeError("workers were lost")])
def test_of_several_failures_the_one_that_ended_the_run_is_raised(failed):
    passing = StorageError("the bucket is away")
    ended = TrainingError("the loss is NaN")
    watcher = BrokenPipeError("nobody reads our progress")
    failures = [(watcher, False), (passing, True), (ended, False)]
    with pytest.raises(TrainingError, match=r"^the loss is NaN"):
        distributed._raise_last(failures, failed)


def test_what_was_overcome_is_no_cause_of_what_comes_later():
    messages, failures = queue.Queue(), []
    for message in (
        ("StorageError", "the bucket is away", True),
        Sharing(2),
        ("DataError", "no image can be read", False),
        None,
    ):
        messages.put(message)
    distributed._listen(messages, print, print, print, threading.Event(), failures)
    with pytest.raises(DataError, match=r"^no image can be read$"):
        distributed._raise_last(failures, None)
    messages.put(("StorageError", "the bucket is away", True))
    messages.put(Sharing(2))
    messages.put(None)
    del failures[:]
    distributed._listen(messages, print, print, print, threading.Event(), failures)
    with pytest.raises(TrainingError, match=r"on its workers: they are gone$"):
        distributed._raise_last(failures, RuntimeError("they are gone"))


def test_workers_that_make_their_rows_themselves_take_all_there_is():
    nodes = [{"CPU": 2.0}, {"CPU": 2.0}]
    assert distributed.cpus_per_worker(nodes, 2, 0, use_gpu=False) == 2.0
    assert distributed.cpus_per_worker(nodes, 4, 0, use_gpu=False) == 1.0


def test_workers_that_need_a_gpu_are_counted_on_nodes_that_have_one():
    nodes = [{"CPU": 64.0}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 4.0}]
    assert distributed.cpus_per_worker(nodes, 2, 1, use_gpu=True) == 7.0
    assert distributed.cpus_per_worker(nodes, 5, 1, use_gpu=True) == 1.0
    # No room yet: what an autoscaling cluster is asked for.
    assert distributed.cpus_per_worker(nodes, 6, 1, use_gpu=True) == 1.0
