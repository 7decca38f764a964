"""Where tables of scores go: to a disk, or to a bucket, whole or not at all."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rankloop import progress
from rankloop.errors import ConfigError, LockedError
from rankloop.locking import locked
from rankloop.scoring.bulk import score_paths
from rankloop.scoring.output import find_output
from rankloop.storage import open_folder


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


@pytest.mark.integration
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_in_a_bucket_is_that_on_a_disk(checkpoint, photos, tmp_path, s3_folder, ending):
    score_paths(checkpoint, photos, tmp_path / f"a.{ending}", batch_size=4)
    for _ in range(2):
        score_paths(checkpoint, photos, in_bucket(s3_folder, f"sub/a.{ending}"), batch_size=4)
        folder = open_folder(s3_folder) / "sub"
        assert folder.names() == [f"a.{ending}"]
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
