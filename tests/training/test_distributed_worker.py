"""A first worker that cannot begin tells the others, which wait for it."""

import os
import subprocess
import sys

import pytest

from rankloop.cluster import SOURCE_ROOT
from rankloop.storage import open_folder
from rankloop.training.attempts import ATTEMPTS

# Ray's part is to say which worker this is.
WORKER = """
import sys
from datetime import timedelta
from types import SimpleNamespace
import ray.train, ray.train.torch, torch
from rankloop.storage import open_folder
from rankloop.training.distributed_worker import _joined

rank, meeting, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
)
ray.train.get_context = lambda: SimpleNamespace(
    get_world_rank=lambda: rank, get_world_size=lambda: 2
)
ray.train.torch.get_device = lambda: torch.device("cpu")
try:
    print("joined as", _joined({"rows": [2], "folder": open_folder(folder)}))
except BaseException as error:
    print("raised", type(error).__name__)
sys.stdout.flush()
# The first must not free the other by its end.
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        # What nobody thought of: our own file, but of another form.
        (b"[1]", ["raised AttributeError\n", "joined as None\n"]),
        (b"{}", ["joined as Worker(", "joined as Worker("]),
    ],
)
def test_the_others_do_not_wait_for_a_first_that_failed(tmp_path, note, expected):
    open_folder(str(tmp_path)).write_bytes(ATTEMPTS, note)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path / "meeting"), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE_ROOT)},
        )
        for rank in range(2)
    ]
    try:
        said = [worker.stdout.readline() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert all(line.startswith(start) for line, start in zip(said, expected, strict=True)), said
