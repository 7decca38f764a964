"""Packs and checkpoints that anybody may have written: what no code of ours writes is refused."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankloop.datasets.pack import read_pack, write_pack
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import CheckpointError, DamagedFileError, DataError
from rankloop.images import encode
from rankloop.scoring.scorer import load_scorer
from rankloop.storage import open_folder
from rankloop.training.checkpoints import Checkpoint, newest_step, save_checkpoint, step_name

DEEP = b"[" * 100_000


@pytest.fixture
def pack(tmp_path) -> Path:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encode(np.zeros((4, 4, 3), np.uint8)))
    rows = [ImageRow(name, str(tmp_path / name), score=1.0) for name in ("a.png", "b.png")]
    part = Part(rows, [("a.png", "b.png")], True, "mos", {"ties": 1}, (("c.png", "gone"),))
    write_pack(part, "x", open_folder(str(tmp_path / "pack")), threads=1)
    return tmp_path / "pack"


def _change(pack, table, column, value):
    (path,) = pack.glob(f"{table}-*.parquet")
    whole = pq.read_table(path)
    rows = whole.to_pylist()
    rows[-1][column] = value
    pq.write_table(type(whole).from_pylist(rows, schema=whole.schema), path)
    return path


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("crop", [1, 2]),
        ("crop", [0, 0, 0, 5]),
        ("crop", [-1, 0, 5, 5]),
        ("crop", [None, 0, 5, 5]),
        ("split", "evil"),
        ("score", math.nan),
        ("score", math.inf),
        ("spread", math.nan),
        ("points", [[1.0]]),
        ("points", [[1.0, math.nan]]),
        ("points", [None]),
        ("longest_side", -3),
        ("longest_side", 0),
        ("image", "a.png"),
        ("image", ""),
    ],
)
def test_a_pack_with_a_row_that_no_list_could_have(pack, column, value):
    path = _change(pack, "images", column, value)
    with pytest.raises(DataError) as refused:
        read_pack(str(pack))
    said = str(refused.value)
    assert f"{path}, row 1: {column} {value!r} is not " in said
    assert "do not trust this pack" in said


@pytest.mark.parametrize("other", ["c.png", "b.png"])
def test_a_pack_with_pairs_of_no_images(pack, other):
    path = _change(pack, "pairs", "better", other)
    with pytest.raises(DataError, match=rf"{path.name}, row 0: pair .*{other}.* is not two images"):
        read_pack(str(pack))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("higher_is_better", "yes"),
        ("higher_is_better", 1),
        ("score_name", ["x"]),
        ("counts", [1]),
        ("counts", {"ties": "many"}),
        ("skipped", [["a"]]),
        ("skipped", [[1, 2]]),
    ],
)
def test_a_pack_with_a_strange_description(pack, name, value):
    path = pack / "pack.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(DataError) as refused:
        read_pack(str(pack))
    assert f"{path}: {name} {value!r} is not " in str(refused.value)


@pytest.mark.parametrize("content", [b"[]", b"null", b"{}", b'{"version": 2}', DEEP])
def test_a_pack_that_is_described_by_something_else(pack, content):
    (pack / "pack.json").write_bytes(content)
    with pytest.raises(DataError, match="is no whole pack"):
        read_pack(str(pack))


def test_a_pack_whose_table_is_small_only_in_the_file(pack):
    """It is refused by its columns, before they take memory."""
    (path,) = pack.glob("images-*.parquet")
    zeros = pa.ListArray.from_arrays([0, 50_000_000], pa.array(np.zeros(50_000_000, np.int8)))
    pq.write_table(pa.table({"image": zeros}), path)
    assert path.stat().st_size < 1_000_000
    usual = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counting)
    try:
        with pytest.raises(DataError, match=f"{path.name} has other columns than ours: do not"):
            read_pack(str(pack))
    finally:
        pa.set_memory_pool(usual)
    assert counting.max_memory() < 10_000_000


def test_a_pack_with_a_damaged_table(pack):
    (path,) = pack.glob("images-*.parquet")
    data = bytearray(path.read_bytes())
    for place in range(4, len(data) - 4, 7):
        broken = data.copy()
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        try:
            read_pack(str(pack))
        except DataError:
            continue


@pytest.fixture
def checkpoint(tmp_path):
    folder = open_folder(str(tmp_path))
    config = {"method": "ssranking", "config": {}, "seed": 1}
    return Path(save_checkpoint(folder, "x", Checkpoint(1, {}, {}, config, {})).path)


def _write(checkpoint, file, content):
    (checkpoint / file).write_bytes(content)
    if file == "config.json":
        state = json.loads((checkpoint / "state.json").read_text())
        state["sha256"][file] = hashlib.sha256(content).hexdigest()
        (checkpoint / "state.json").write_text(json.dumps(state))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"[]"),
        ("config.json", b"null"),
        ("config.json", b"{}"),
        ("config.json", b'{"method": ["x"], "config": {}, "seed": 1}'),
        ("config.json", b'{"method": "ssranking", "config": [], "seed": 1}'),
        ("config.json", b'{"method": "ssranking", "config": {}, "seed": true}'),
        ("config.json", DEEP),
        ("state.json", b"[]"),
        ("state.json", b"null"),
        ("state.json", DEEP),
    ],
)
def test_a_checkpoint_that_is_described_by_something_else(checkpoint, file, content):
    _write(checkpoint, file, content)
    with pytest.raises((CheckpointError, DamagedFileError), match=str(checkpoint)):
        load_scorer(str(checkpoint))


@pytest.mark.parametrize(("name", "value"), [("step", "1"), ("step", True), ("state", [])])
def test_a_checkpoint_with_a_strange_state(checkpoint, name, value):
    state = json.loads((checkpoint / "state.json").read_text())
    (checkpoint / "state.json").write_text(json.dumps(state | {name: value}))
    with pytest.raises(CheckpointError, match=rf"state\.json gives {name} as"):
        load_scorer(str(checkpoint))


@pytest.mark.parametrize("name", ["step-evil", "step-", "step-1", "step-²²²²²²²²²"])
def test_other_folders_are_no_checkpoints(tmp_path, name):
    (tmp_path / name).mkdir()
    folder = open_folder(str(tmp_path))
    assert newest_step(folder) is None
    (tmp_path / step_name(7)).mkdir()
    assert newest_step(folder) == 7
