"""Where tables of scores go: to a disk, or to a bucket, whole or not at all."""

import io
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from rankloop import progress
from rankloop.errors import ConfigError, LockedError, StorageError
from rankloop.locking import LOCK_NAME, locked
from rankloop.scoring.bulk import score_paths
from rankloop.scoring.output import Output, delivered, find_output
from rankloop.storage import Folder, open_folder


@pytest.mark.parametrize(
    "name", ["a.txt", "a", "a.csv.gz", ".", "s3://bucket/a.xlsx", "s3://a.csv", "s3://bucket/", ""]
)
def test_other_outputs_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="output"):
        find_output(name)


def test_outputs_are_paths_or_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(find_output("a.CSV")) == f"{tmp_path}/a.CSV"
    assert str(find_output(Path("sub/a.parquet"))) == f"{tmp_path}/sub/a.parquet"
    assert str(find_output(f"file://{tmp_path}/a.csv")) == f"{tmp_path}/a.csv"
    uri = "s3://key:secret@bucket/x/a%20b.csv?region=us-east-1"
    found = find_output(uri)
    assert (found.folder.path, found.name) == ("bucket/x", "a b.csv")
    assert str(found) == "s3://bucket/x/a%20b.csv?region=us-east-1"
    (tmp_path / "f.csv").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        find_output("f.csv")
    # A Path of a URI has lost a slash.
    with pytest.raises(ConfigError, match="give it as text"):
        find_output(Path("s3://bucket/a.csv"))


def in_bucket(s3_folder: str, name: str) -> str:
    place, _, options = s3_folder.partition("?")
    return f"{place}/{name}?{options}"


def _files(folder: Folder) -> list[str]:
    found = folder.filesystem.get_file_info(pafs.FileSelector(folder.path, recursive=True))
    return [info.base_name for info in found if info.type == pafs.FileType.File]


@pytest.mark.integration
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_in_a_bucket_is_that_on_a_disk(checkpoint, photos, tmp_path, s3_folder, ending):
    score_paths(checkpoint, photos, tmp_path / f"a.{ending}", batch_size=4)
    for _ in range(2):
        score_paths(checkpoint, photos, in_bucket(s3_folder, f"sub/a.{ending}"), batch_size=4)
        folder = open_folder(s3_folder) / "sub"
        assert _files(folder) == [f"a.{ending}"]
        data = folder.read_bytes(f"a.{ending}")
        if ending == "csv":
            assert data == (tmp_path / "a.csv").read_bytes()
        else:
            assert pq.read_table(io.BytesIO(data)) == pq.read_table(tmp_path / "a.parquet")


@pytest.mark.integration
@pytest.mark.parametrize("killed", [False, True])
def test_rows_in_a_bucket_are_gone_on_from(
    checkpoint, photos, tmp_path, s3_folder, monkeypatch, killed
):
    """Stopped, all rows are there; killed, those of a moment before."""
    score_paths(checkpoint, photos, tmp_path / "a.csv", batch_size=3)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0 if killed else 1e9)
    output, folder = in_bucket(s3_folder, "a.csv"), open_folder(s3_folder)
    kept: dict[str, bytes] = {}

    def stop(done: int, total: int) -> None:
        if done == 6:
            beside = folder / "a.csv.partial"
            if killed:
                rows = [name for name in beside.names() if name.endswith(".partial")]
                kept.update({name: beside.read_bytes(name) for name in rows})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_paths(checkpoint, photos, output, batch_size=3, on_progress=stop)
    assert not folder.has("a.csv")
    assert bool(kept) == killed
    for name, data in kept.items():
        (folder / "a.csv.partial").write_bytes(name, data)
    seen: list[int] = []
    score_paths(
        checkpoint,
        photos,
        output,
        batch_size=3,
        on_progress=lambda done, total: seen.append(done),
    )
    assert seen[0] == 6
    assert folder.read_bytes("a.csv") == (tmp_path / "a.csv").read_bytes()


@pytest.mark.integration
def test_a_second_writer_to_a_bucket_is_refused(checkpoint, photos, s3_folder):
    with (
        locked(open_folder(s3_folder) / "a.csv.partial"),
        pytest.raises(LockedError, match=r"another process is writing .*give another --output"),
    ):
        score_paths(checkpoint, photos, in_bucket(s3_folder, "a.csv"))


def _deliver(output: Output) -> None:
    with delivered(output, "x" * 12) as (local, _):
        (output.folder / "a.csv.partial").write_bytes("rows.partial", b"rows")
        local.write_text("a table")


def test_who_waits_for_the_table_keeps_the_lock_that_it_gets(tmp_path, monkeypatch):
    output = find_output(f"memory://{tmp_path}/a.csv")
    remove = Folder.remove
    with ExitStack() as waiting:

        def take_over(folder: Folder, name: str) -> None:
            remove(folder, name)
            if name == LOCK_NAME:
                monkeypatch.setattr(Folder, "remove", remove)
                waiting.enter_context(locked(folder))

        monkeypatch.setattr(Folder, "remove", take_over)
        _deliver(output)
        assert sorted(_files(output.folder)) == ["a.csv", LOCK_NAME]
    assert _files(output.folder) == ["a.csv"]


def test_a_table_that_is_there_is_no_failure_where_its_rows_stay(tmp_path, monkeypatch, caplog):
    output = find_output(f"memory://{tmp_path}/a.csv")
    remove = Folder.remove

    def fail(folder: Folder, name: str) -> None:
        if name != LOCK_NAME:
            raise StorageError("permission denied")
        remove(folder, name)

    monkeypatch.setattr(Folder, "remove", fail)
    _deliver(output)
    assert output.folder.read_bytes("a.csv") == b"a table"
    assert "a.csv is whole, but its unfinished rows are still beside it: permission" in caplog.text


@pytest.mark.integration
def test_density_maps_go_to_a_bucket_too(counter, photos, tmp_path, s3_folder):
    maps = open_folder(s3_folder)
    score_paths(counter, photos, tmp_path / "a.csv", density=s3_folder)
    score_paths(counter, photos, tmp_path / "b.csv", density=tmp_path / "maps")
    assert maps.names() == sorted(file.name for file in (tmp_path / "maps").iterdir())
    assert len(maps.names()) == 20
    name = next(name for name in maps.names() if name.endswith(".npy"))
    here = np.load(tmp_path / "maps" / name)
    np.testing.assert_array_equal(np.load(io.BytesIO(maps.read_bytes(name))), here)
