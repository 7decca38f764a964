"""A pickled object that would leave a trace, in place of or inside every kind of file we read."""

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray.data  # noqa: F401 (registers Arrow types, as in a job)
import scipy.io
from ray.data._internal.object_extensions.arrow import ArrowPythonObjectType
from safetensors.torch import save

from rankloop.active.answer_files import read_answers
from rankloop.active.campaign import IMAGES, Campaign, open_campaign
from rankloop.active.forms import FORMS
from rankloop.datasets.columns import read_columns
from rankloop.datasets.layouts.tree import read_mat, read_sheet
from rankloop.datasets.pack import read_pack, write_pack
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import RankloopError
from rankloop.images import decode, encode
from rankloop.locking import LOCK_NAME, locked
from rankloop.models.weights import read_weights
from rankloop.npy import from_bytes
from rankloop.packed import packed_uri, read_packed
from rankloop.storage import open_folder, read_parquet
from rankloop.training.checkpoints import load_checkpoint
from rankloop.tuning.study import open_study


class Canary:
    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __reduce__(self):
        return os.mkdir, (self.file,)


@pytest.fixture
def canary(tmp_path):
    """A pickle that makes a folder when it is opened; none may be there after the test."""
    trace = tmp_path / "trace"
    data = pickle.dumps(Canary(trace))
    yield data
    assert not trace.exists()
    pickle.loads(data)
    assert trace.exists()


def _column(canary, rows=1):
    return ArrowPythonObjectType().wrap_array(pa.array([canary] * rows, pa.large_binary()))


def _columns(canary):
    """The pickle as a column, and as deep in other types as Arrow goes."""
    plain = _column(canary)
    yield plain
    yield pa.ListArray.from_arrays([0, 1], plain)
    yield pa.StructArray.from_arrays([plain], ["x"])
    yield pa.ListArray.from_arrays([0, 1], pa.StructArray.from_arrays([plain], ["x"]))


def _parquet(table):
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _refused(read, *arguments):
    with pytest.raises((RankloopError, ValueError)):
        read(*arguments)


@pytest.mark.parametrize("question", ["scores", "pairs", "points"])
def test_answers(canary, tmp_path, question):
    folder, form = open_folder(str(tmp_path / "answers")), FORMS[question]
    names = [form.question, *form.answer, "annotator", "name"]
    for i, evil in enumerate(_columns(canary)):
        for name in names:
            columns = {other: pa.array(["1"]) for other in names} | {name: evil}
            folder.write_bytes(f"{i}-{name}.parquet", _parquet(pa.table(columns)))
    folder.write_bytes("bare.parquet", canary)
    folder.write_bytes("bare.csv", canary)
    refused = []
    assert not list(read_answers([folder], form, refused, taken={}, settled_seconds=0))
    assert len(refused) == 4 * len(names) + 2


def test_tables_of_a_result_folder(canary, tmp_path):
    folder = open_folder(str(tmp_path))
    for evil in _columns(canary):
        folder.write_bytes("labels.parquet", _parquet(pa.table({"question": evil})))
        _refused(read_parquet, folder, "labels.parquet")
    folder.write_bytes("labels.parquet", canary)
    _refused(read_parquet, folder, "labels.parquet")


def test_images_of_a_campaign(canary, tmp_path):
    folder = open_folder(str(tmp_path))
    buffer = io.BytesIO()
    table = pa.table({"image": _column(canary)})
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table)
    for data in (buffer.getvalue(), canary):
        folder.write_bytes(IMAGES, data)
        _refused(lambda: Campaign(folder, None).dataset)
    folder.write_bytes("campaign.json", canary)
    _refused(open_campaign, folder)


def test_packs(canary, tmp_path):
    (tmp_path / "a.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8)))
    folder = open_folder(str(tmp_path / "pack"))
    part = Part([ImageRow("a.png", str(tmp_path / "a.png"))])
    write_pack(part, "folder:x", folder, threads=1)
    description = folder.read_json("pack.json")
    for name in ("images", "pairs"):
        before = folder.read_bytes(description[name])
        table = pq.read_table(io.BytesIO(before))
        for i, column in enumerate(table.column_names):
            evil = table.set_column(i, column, _column(canary, len(table)))
            folder.write_bytes(description[name], _parquet(evil))
            _refused(read_pack, str(folder))
        folder.write_bytes(description[name], before)
    (row,) = read_pack(str(folder)).images
    shard = row.uri.removeprefix("pack:").partition("#")[0]
    other = Path(shard).with_name("shard-00009-0123456789abcdef.parquet")
    other.write_bytes(_parquet(pa.table({"bytes": _column(canary)})))
    _refused(read_packed, packed_uri(str(other), 0))
    folder.write_bytes("pack.json", canary)
    _refused(read_pack, str(folder))


def test_checkpoints(canary, tmp_path):
    whole = {
        "model.safetensors": save({}),
        "optimizer.safetensors": save({}),
        "config.json": b"{}",
    }
    for name in whole:
        folder, files = open_folder(str(tmp_path / name)), whole | {name: canary}
        for file, data in files.items():
            folder.write_bytes(file, data)
        digests = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
        state = {"step": 1, "state": {}, "sha256": digests}
        folder.write_bytes("state.json", json.dumps(state).encode())
        _refused(load_checkpoint, folder)
        folder.write_bytes("state.json", canary)
        _refused(load_checkpoint, folder)


def test_weights_and_arrays(canary, tmp_path):
    for name in ("w.safetensors", "w.pth", "w.bin"):
        (tmp_path / name).write_bytes(canary)
        _refused(read_weights, str(tmp_path / name))
    buffer = io.BytesIO()
    np.save(buffer, np.array([Canary(tmp_path / "trace")], dtype=object), allow_pickle=True)
    _refused(from_bytes, buffer.getvalue())
    _refused(from_bytes, canary)
    _refused(decode, canary)


def test_files_of_releases(canary, tmp_path):
    for name, read in (("a.mat", read_mat), ("a.xlsx", read_sheet), ("a.csv", read_columns)):
        (tmp_path / name).write_bytes(canary)
        _refused(read, str(tmp_path / name))
    cells = np.array([canary, b"x"], dtype=object)
    scipy.io.savemat(tmp_path / "b.mat", {"x": cells, "y": np.frombuffer(canary, np.uint8)})
    assert set(read_mat(str(tmp_path / "b.mat"))) >= {"x", "y"}
    with h5py.File(tmp_path / "c.mat", "w") as file:
        file["x"] = np.void(canary)
        file["y"] = np.array([file["x"].ref], dtype=h5py.ref_dtype)
        file["x"].attrs["MATLAB_class"] = np.void(canary)
        file["far"] = h5py.ExternalLink("/etc/passwd", "/")
        file["gone"] = h5py.SoftLink("/nowhere")
    assert set(read_mat(str(tmp_path / "c.mat"))) == {"x", "y"}
    book = openpyxl.Workbook()
    book.active.append([canary.hex(), "=1+1"])
    book.save(tmp_path / "d.xlsx")
    assert read_sheet(str(tmp_path / "d.xlsx"))[0][0] == canary.hex()


def test_locks_and_studies(canary, tmp_path):
    folder = open_folder(str(tmp_path / "held"))
    folder.write_bytes(LOCK_NAME, canary)
    with locked(folder):
        # Half a lock is nobody's.
        assert folder.read_json(LOCK_NAME)["pid"] == os.getpid()
    study = open_folder(str(tmp_path / "study"))
    study.write_bytes("journal.log", canary + b"\n")
    _refused(open_study, study, {})


READ_WITH_RAY = """
import sys
from rankloop.storage import open_folder, read_parquet
import ray.data
ray.is_initialized = lambda: True
BEFORE
try:
    print(read_parquet(open_folder(sys.argv[1]), "labels.parquet"))
except Exception as error:
    print("REFUSED", error)
"""
CONNECT = "from rankloop.cluster import connected\nwith connected(): pass"
JOB = "from rankloop.command_line import run_job\nrun_job(lambda: 'done')"


@pytest.mark.parametrize("before", [CONNECT, JOB])
def test_tensors_of_ray(canary, tmp_path, before):
    # What a file of these types says of itself is unpickled, where Ray's setting allows it.
    metadata = {"ARROW:extension:name": "ray.data.arrow_tensor", "ARROW:extension:metadata": canary}
    column = pa.field("x", pa.list_(pa.float32()), metadata=metadata)
    table = pa.table([pa.array([[1.0]], column.type)], schema=pa.schema([column]))
    (tmp_path / "labels.parquet").write_bytes(_parquet(table))
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_RAY.replace("BEFORE", before), str(tmp_path)],
        env={
            **os.environ,
            "RAY_DATA_AUTOLOAD_CLOUDPICKLE_TENSOR_METADATA": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "REFUSED" in done.stdout, done.stderr
