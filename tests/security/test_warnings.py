"""Warnings of workers, which Ray writes to logs that others can read."""

import warnings

import pytest
import torch

from rankloop.active.conductor import _Conductor
from rankloop.active.pool_scores import _Actor
from rankloop.scoring.distributed import _Model
from rankloop.training.distributed_worker import work
from rankloop.tuning.runs import _train_one


@pytest.mark.parametrize(
    "begin",
    [
        lambda: work({}),
        lambda: _train_one({}, None),
        lambda: _Actor(None, None, None),
        lambda: _Model(None, None),
        lambda: _Conductor().nothing(),
    ],
)
def test_hold_no_passwords(begin, monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", None)
    threads = torch.get_num_threads()
    # Without what they need they get no further than their beginning.
    with pytest.raises((KeyError, AttributeError, ValueError, TypeError)):
        begin()
    torch.set_num_threads(threads)
    warnings.showwarning("slow: s3://key:Canary@b/x", UserWarning, "a.py", 1, line="")
    assert "UserWarning: slow: s3://b/x\n" in capsys.readouterr().err
