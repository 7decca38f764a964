"""Several workers train as one would, also when one of them is killed."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
import ray

from rankloop.errors import ConfigError, ImageError, StorageError, TrainingError
from rankloop.methods.ssranking import SSRANKING
from rankloop.storage import open_folder
from rankloop.training import network, worker_starts
from rankloop.training.checkpoints import load_latest
from rankloop.training.distributed import SCRATCH, _listen, train_distributed
from rankloop.training.distributed_worker import Sharing, Starting
from rankloop.training.loop import Report, Schedule
from rankloop.training.network import AddressedTorchConfig

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_session")]

# Workers cannot import a test file.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
STEPS = 12
VANISHED = 7


def kill_this_process():
    os.kill(os.getpid(), signal.SIGKILL)


def lose_the_storage():
    raise StorageError("the storage is away")


@dataclass
class Loader:
    """Serves images but one, which has vanished since they were checked."""

    pixels: np.ndarray

    def __call__(self, row):
        if row == VANISHED:
            raise ImageError(f"image {row} does not exist")
        return self.pixels[row]


@dataclass
class FailingLoader(Loader):
    """Fails once: when the first worker has been served so many."""

    failed: Path
    fail: Callable[[], None]
    after: int
    served: int = 0

    def __call__(self, row):
        self.served += 1
        if self.served == self.after:
            try:
                # Only one worker ever is the first.
                self.failed.touch(exist_ok=False)
            except FileExistsError:
                return super().__call__(row)
            self.fail()
        return super().__call__(row)


def choose_no_interface():
    os.environ["GLOO_SOCKET_IFNAME"] = "nowhere"


class LostBackend(AddressedTorchConfig().backend_cls):
    def on_start(self, worker_group, backend_config):
        worker_group.execute(choose_no_interface)
        super().on_start(worker_group, backend_config)


class LostConfig(AddressedTorchConfig):
    @property
    def backend_cls(self):
        return LostBackend


@pytest.fixture
def data(data, pixels):
    return replace(data, load=Loader(pixels))


@pytest.fixture
def run(data, tiny_config):
    def run(path, workers, data=data, **values):
        reports = []
        folder = open_folder(str(path))
        train_distributed(
            SSRANKING,
            tiny_config(steps=STEPS, **values),
            data,
            folder,
            seed=1,
            schedule=Schedule(evaluate_every=3, checkpoint_every=2),
            workers=workers,
            data_workers=0,
            use_gpu=False,
            on_report=reports.append,
        )
        return reports, load_latest(folder / "checkpoints")

    return run


@pytest.fixture(scope="module")
def results():
    """Two workers' uninterrupted run, made by the first test that needs it."""
    return {}


@pytest.fixture
def two_workers(run, results, tmp_path):
    if not results:
        results["two"] = run(tmp_path / "two", 2)
    return results["two"]


def losses(reports):
    terms = {step: term for report in reports for step, term in report.losses.items()}
    assert sorted(terms) == list(range(STEPS))
    return np.array([[terms[step][name] for name in ("ranking", "qrc")] for step in sorted(terms)])


def test_ctrl_c_works_again_after_training(two_workers):
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_two_workers_train_as_this_process_alone_does(run, two_workers, tmp_path):
    alone, last_alone = run(tmp_path / "alone", 0)
    reports, last = two_workers
    assert [report.step for report in reports] == [3, 6, 9, 12]
    np.testing.assert_allclose(losses(reports), losses(alone), atol=1e-5, rtol=0)
    assert last.step == STEPS
    for name, tensor in last_alone.model.items():
        np.testing.assert_allclose(last.model[name], tensor, atol=1e-4, rtol=0)
    assert last.config == last_alone.config
    # Both workers' replacements are counted.
    ((row, times),) = last.state["replaced"]
    assert [[row, times]] == last_alone.state["replaced"]
    assert row == VANISHED
    assert times > 1


@pytest.mark.parametrize(
    "fail", [kill_this_process, pytest.param(lose_the_storage, marks=pytest.mark.slow)]
)
def test_a_failed_worker_is_replaced_and_nothing_changes(
    run, two_workers, data, pixels, tmp_path, fail
):
    """Killed, or left without its storage for a moment."""
    # A worker serves 2 x 2 + 1 x 2 images a step, and some in vain: one fails while it prepares
    # step 8 or so, a few steps ahead of those that it trains.
    loader = FailingLoader(pixels, tmp_path / "failed", fail, after=58)
    reports, last = run(tmp_path / "run", 2, replace(data, load=loader))
    assert loader.failed.exists()
    whole, last_whole = two_workers
    # Reports made before are made again after the restart.
    assert len(reports) > len(whole)
    assert reports[-len(whole) :] == whole
    assert last.step == STEPS
    assert all(np.array_equal(last.model[name], last_whole.model[name]) for name in last.model)
    assert last.state["replaced"] == last_whole.state["replaced"]
    # Ray's own files are gone.
    assert SCRATCH not in open_folder(str(tmp_path / "run")).names()


def test_rows_that_cannot_be_dealt_out_are_a_configuration_error(run, tmp_path):
    with pytest.raises(ConfigError, match="5 rows per step cannot be divided among 2 workers"):
        run(tmp_path, 2, labelled_pairs=5)


@pytest.mark.slow
def test_workers_that_never_find_each_other_end_the_training(run, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_starts, "MOST_FAILURES", 1)
    monkeypatch.setattr(network, "AddressedTorchConfig", LostConfig)
    # It takes every core: a start that left its own to nobody would leave none for the next.
    with pytest.raises(TrainingError, match=r"lost 2 times in their start, at last: .* nowhere"):
        run(tmp_path, 1)


def test_the_listener_tells_messages_apart():
    messages: Queue[object] = Queue()
    report = Report(4, {"srocc": 0.5}, {})
    for message in (Starting(), Sharing(2), 2, report, Starting(), 7, Sharing(1), None):
        messages.put(message)
    reports, steps, workers, training = [], [], [], threading.Event()
    _listen(
        messages,
        reports.append,
        lambda step: steps.append((step, training.is_set())),
        workers.append,
        training,
        [],
    )
    assert reports == [report]
    # What the first worker had under way still comes when its host is lost.
    assert steps == [(2, True), (7, False)]
    assert workers == [2, 1]
    assert training.is_set()
