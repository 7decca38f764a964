"""A checkpoint is whole or it is not used, whatever happened to the disk."""

import errno
import json
import logging
import os
import subprocess
from dataclasses import replace

import pytest
import torch

from rankloop.errors import CheckpointError, StorageError
from rankloop.methods.ssranking import SSRANKING
from rankloop.storage import Folder, open_folder
from rankloop.streams.batches import plain_batches
from rankloop.training.checkpoints import (
    Checkpoint,
    load_checkpoint,
    load_latest,
    prune,
    save_checkpoint,
    step_name,
)
from rankloop.training.loop import Schedule, train
from rankloop.training.optimizer_state import optimizer_tensors, restore_optimizer

FILES = ["model.safetensors", "optimizer.safetensors", "config.json", "state.json"]


def made(step):
    return Checkpoint(
        step=step,
        model={"w": torch.full((3, 5), float(step)), "n": torch.tensor(step)},
        training={"optimizer/0/momentum_buffer": torch.arange(4.0) * step},
        config={"method": "x", "config": {}, "seed": 1},
        state={"reports": [], "optimizer": {"a": None}},
    )


def assert_same(one, other):
    assert replace(one, model={}, training={}) == replace(other, model={}, training={})
    for ours, theirs in ((one.model, other.model), (one.training, other.training)):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of steps 1 and 2."""
    folder = open_folder(str(tmp_path / "checkpoints"))
    for step in (1, 2):
        save_checkpoint(folder, step_name(step), made(step))
    return folder


def test_what_is_saved_is_loaded(folder):
    assert_same(load_checkpoint(folder / step_name(2)), made(2))
    assert_same(load_latest(folder), made(2))
    scoring = load_checkpoint(folder / step_name(2), training=False)
    assert_same(scoring, replace(made(2), training={}))


def test_files_are_safetensors_and_json_only(folder):
    checkpoint = folder / step_name(2)
    assert checkpoint.names() == sorted(FILES)
    assert folder.names() == [step_name(1), step_name(2)]
    for name in FILES:
        data = checkpoint.read_bytes(name)
        if name.endswith(".json"):
            json.loads(data)
        else:
            # Eight bytes give the length of a JSON header, and raw numbers follow.
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            assert header.keys() - {"__metadata__"}


@pytest.mark.integration
def test_a_checkpoint_in_a_bucket_counts_from_its_last_object(s3_folder, monkeypatch):
    bucket = open_folder(s3_folder)
    save_checkpoint(bucket, step_name(2), made(2))
    written = []
    write = Folder.write_bytes

    def watch(self, name, data):
        written.append(name)
        if name == "state.json":
            raise KeyboardInterrupt
        write(self, name, data)

    monkeypatch.setattr(Folder, "write_bytes", watch)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(bucket, step_name(3), made(3))
    assert written == FILES
    assert bucket.names()[-1] == step_name(3)
    assert_same(load_latest(bucket), made(2))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.5, 0.95, None])
def test_a_truncated_file_is_detected_and_the_checkpoint_before_used(folder, caplog, file, kept):
    checkpoint = folder / step_name(2)
    path = f"{checkpoint}/{file}"
    if kept is None:
        os.unlink(path)
    else:
        os.truncate(path, int(kept * os.path.getsize(path)))
    with pytest.raises(CheckpointError, match=step_name(2)):
        load_checkpoint(checkpoint)
    with caplog.at_level(logging.WARNING, "rankloop"):
        assert_same(load_latest(folder), made(1))
    (warning,) = [record.getMessage() for record in caplog.records]
    assert step_name(2) in warning
    assert warning.endswith(f"using the one before, {step_name(1)}")


@pytest.mark.parametrize("file", FILES[:3])
def test_one_changed_byte_is_detected(folder, file):
    path = f"{folder}/{step_name(2)}/{file}"
    with open(path, "r+b") as stream:
        stream.seek(-3, os.SEEK_END)
        byte = stream.read(1)[0]
        stream.seek(-3, os.SEEK_END)
        stream.write(bytes([byte ^ 1]))
    with pytest.raises(CheckpointError, match=f"damaged: {file}"):
        load_checkpoint(folder / step_name(2))


def test_a_damaged_optimizer_does_not_keep_a_model_from_scoring(folder):
    os.truncate(f"{folder}/{step_name(2)}/optimizer.safetensors", 10)
    loaded = load_checkpoint(folder / step_name(2), training=False)
    assert torch.equal(loaded.model["w"], made(2).model["w"])


def test_no_whole_checkpoint_is_said_and_starts_again(folder, caplog):
    for step in (1, 2):
        os.truncate(f"{folder}/{step_name(step)}/state.json", 5)
    with caplog.at_level(logging.WARNING, "rankloop"):
        assert load_latest(folder) is None
    assert [step_name(2) in caplog.messages[0], step_name(1) in caplog.messages[1]] == [True, True]
    assert all("no earlier one is whole" in message for message in caplog.messages)


def test_a_run_without_checkpoints_has_no_latest(tmp_path, caplog):
    assert load_latest(open_folder(str(tmp_path / "none"))) is None
    assert not caplog.records


def test_prune_keeps_the_newest_and_removes_leftovers(folder):
    for step in (10, 9):
        save_checkpoint(folder, step_name(step), made(step))
    (folder / f".{step_name(11)}.abc").write_bytes("model.safetensors", b"half")
    folder.write_bytes("notes.txt", b"not ours")
    prune(folder)
    assert folder.names() == ["notes.txt", step_name(9), step_name(10)]
    assert_same(load_latest(folder), made(10))
    prune(folder, keep=1)
    assert folder.names() == ["notes.txt", step_name(10)]


def test_saving_again_replaces(folder):
    save_checkpoint(folder, step_name(2), replace(made(5), step=2))
    assert torch.equal(load_latest(folder).model["w"], made(5).model["w"])
    assert folder.names() == [step_name(1), step_name(2)]


@pytest.mark.parametrize("fails_at", [0, 1, 2, 3])
def test_a_full_disk_is_said_and_older_checkpoints_load(folder, monkeypatch, fails_at):
    calls = []

    def fsync(file):
        calls.append(file)
        if len(calls) > fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="the disk is full: free some space"):
        save_checkpoint(folder, step_name(3), made(3))
    assert folder.names() == [step_name(1), step_name(2)]
    assert_same(load_latest(folder), made(2))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 400 KB, room for two checkpoints of the shallow network, and a way to grow it."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(*options):
        command = ["mount", *options, str(disk)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    try:
        mounted = mount("-t", "tmpfs", "-o", "size=400k", "tmpfs")
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a small disk")
    yield disk, lambda: mount("-o", "remount,size=8m")
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_run_on_a_full_disk_goes_on_once_there_is_space(small_disk, data, tiny_config, tmp_path):
    disk, grow = small_disk

    def run(folder):
        return train(
            SSRANKING,
            tiny_config(steps=6),
            data,
            folder,
            seed=1,
            schedule=Schedule(evaluate_every=3, checkpoint_every=1),
            open_streams=plain_batches,
        ).state_dict()

    folder = open_folder(str(disk))
    with pytest.raises(StorageError, match="the disk is full: free some space"):
        run(folder)
    cut = load_latest(folder / "checkpoints")
    assert 1 <= cut.step < 6
    assert grow()
    resumed = run(folder)
    whole = run(open_folder(str(tmp_path / "whole")))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "sgd without momentum": lambda p: torch.optim.SGD(p, lr=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_optimizer_takes_the_same_next_step(tmp_path, name):
    def step(model, optimizer, seed):
        inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        optimizer.step()

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = OPTIMIZERS[name](model.parameters())
    for seed in range(3):
        step(model, optimizer, seed)
    tensors, numbers = optimizer_tensors(optimizer)
    saved = replace(
        made(3), model=model.state_dict(), training=tensors, state={"optimizer": numbers}
    )
    loaded = load_checkpoint(save_checkpoint(open_folder(str(tmp_path)), "x", saved))

    again = torch.nn.Linear(3, 2)
    again.load_state_dict(loaded.model)
    restored = OPTIMIZERS[name](again.parameters())
    # Loss histories share the file with the optimiser.
    extra = {**loaded.training, "loss/ranking": torch.zeros(3)}
    restore_optimizer(restored, extra, loaded.state["optimizer"])
    for seed in range(3, 6):
        step(model, optimizer, seed)
        step(again, restored, seed)
        assert torch.equal(again.weight, model.weight)
        assert torch.equal(again.bias, model.bias)
