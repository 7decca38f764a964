import dataclasses
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import fsspec
import numpy as np
import pytest

import rankloop.datasets.pack as module
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.pack import read_pack, write_pack
from rankloop.datasets.part import Part
from rankloop.datasets.readers import read_sources
from rankloop.errors import DataError
from rankloop.images import encode, read_bytes
from rankloop.storage import open_folder

WritePhotos = Callable[..., list[str]]


def _without_uris(part: Part) -> Part:
    rows = [dataclasses.replace(row, uri="") for row in part.images]
    return dataclasses.replace(part, images=rows, pairs=list(part.pairs))


@pytest.fixture
def layout(tmp_path: Path, write_photos: WritePhotos) -> str:
    """A data set with scores, splits, sources and a missing image."""
    names = write_photos(tmp_path / "photos", [f"{i}.png" for i in range(30)])
    lines = [f"{name},{i / 7},{'test' if i > 25 else ''},s{i // 2}" for i, name in enumerate(names)]
    listed = "image,mos,split,source\n" + "\n".join([*lines, "gone.png,1,,s99"])
    (tmp_path / "scores.csv").write_text(listed)
    return f"csv:{tmp_path}/scores.csv?score=mos&higher_is_better=true&images={tmp_path / 'photos'}"


def test_a_pack_reads_as_its_layout(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 10_000)
    part = read_sources([layout], seed=0)
    folder = open_folder(str(tmp_path / "pack"))
    assert write_pack(part, "photos", folder, threads=3) == ()
    assert len([name for name in folder.names() if name.endswith("parquet")]) > 4
    packed = read_pack(str(tmp_path / "pack"))
    assert _without_uris(packed) == _without_uris(part)
    for row, original in zip(packed.images, part.images, strict=True):
        assert read_bytes(row.uri) == read_bytes(original.uri)
    direct = open_dataset([layout], seed=3)
    through = open_dataset([f"pack:{tmp_path / 'pack'}"], seed=3)
    assert through.images.drop_columns(["uri"]) == direct.images.drop_columns(["uri"])
    assert through.pairs == direct.pairs
    assert (through.skipped, through.counts) == (direct.skipped, direct.counts)


def test_crops_share_their_photograph(tmp_path: Path):
    part = read_sources(["samples"], seed=0, crops_per_photo=3)
    write_pack(part, "samples", open_folder(str(tmp_path / "pack")), threads=2)
    packed = read_pack(str(tmp_path / "pack"))
    assert [row.crop for row in packed.images] == [row.crop for row in part.images]
    assert len({row.uri for row in packed.images}) == len({row.uri for row in part.images}) == 17


def test_labelled_pairs_and_points_are_kept(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path, ["a.png", "b.png"])
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    rows = [
        dataclasses.replace(part.images[0], points=[(1.5, 2.0), (0.1, 7.25)], score=2.0),
        dataclasses.replace(part.images[1], points=[], region=b"png", longest_side=9, score=0.0),
    ]
    part = Part(rows, [("b.png", "a.png")], True, "count", {"ties": 3}, (("x", "gone"),))
    write_pack(part, "x", open_folder(str(tmp_path / "pack")), threads=1)
    assert _without_uris(read_pack(str(tmp_path / "pack"))) == _without_uris(part)


def test_unreadable_images_are_left_out_and_listed(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path, ["a.png", "b.png", "c.png"])
    part = read_sources([f"pairs:{_pairs(tmp_path)}"], seed=0)
    (tmp_path / "b.png").unlink()
    skipped = write_pack(part, "x", open_folder(str(tmp_path / "pack")), threads=2)
    assert [image for image, _ in skipped] == ["b.png"]
    packed = read_pack(str(tmp_path / "pack"))
    assert [row.image for row in packed.images] == ["a.png", "c.png"]
    assert packed.pairs == [("a.png", "c.png")]
    assert packed.skipped == skipped


def _pairs(folder: Path) -> Path:
    path = folder / "pairs.csv"
    path.write_text("image_a,image_b,better\na.png,b.png,a\na.png,c.png,a\n")
    return path


def test_an_interrupted_call_goes_on(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 10_000)
    part = read_sources([layout], seed=0)
    folder = open_folder(str(tmp_path / "pack"))
    reads: list[str] = []

    def read(uri: str) -> bytes:
        reads.append(uri)
        if len(reads) == 17:
            raise KeyboardInterrupt
        return read_bytes(uri)

    monkeypatch.setattr(module, "read_bytes", read)
    with pytest.raises(KeyboardInterrupt):
        write_pack(part, "x", folder, threads=1)
    with pytest.raises(DataError, match="is no whole pack"):
        read_pack(str(tmp_path / "pack"))
    before = len(reads)
    write_pack(part, "x", folder, threads=1)
    # What was in finished shards is not read again.
    assert len(reads) - before < 30 - 9
    monkeypatch.undo()
    assert _without_uris(read_pack(str(tmp_path / "pack"))) == _without_uris(part)


def test_files_that_could_not_be_read_are_tried_again(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path, ["a.png", "b.png"])
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    folder = open_folder(str(tmp_path / "pack"))
    content = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").unlink()
    assert len(write_pack(part, "x", folder, threads=1)) == 1
    (tmp_path / "b.png").write_bytes(content)
    assert write_pack(part, "x", folder, threads=1) == ()
    assert len(read_pack(str(tmp_path / "pack")).images) == 2


def test_a_changed_file_is_packed_again(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path, ["a.png", "b.png"])
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    folder = open_folder(str(tmp_path / "pack"))
    write_pack(part, "x", folder, threads=1)
    before = read_pack(str(tmp_path / "pack")).images[0].uri
    (tmp_path / "a.png").write_bytes((tmp_path / "b.png").read_bytes())
    write_pack(part, "x", folder, threads=1)
    after = read_pack(str(tmp_path / "pack")).images[0].uri
    assert read_bytes(after) == (tmp_path / "b.png").read_bytes()
    assert before != after
    # Nothing of the former pack, nor notes for going on, is left.
    assert len(folder.names()) == 4


def test_a_pack_stays_whole_until_the_next_one_is(
    tmp_path: Path, write_photos: WritePhotos, monkeypatch: pytest.MonkeyPatch
):
    write_photos(tmp_path / "a", ["1.png", "2.png"])
    folder = open_folder(str(tmp_path / "pack"))
    part = read_sources([f"folder:{tmp_path / 'a'}"], seed=0)
    write_pack(part, "a", folder, threads=1)
    before = _contents(read_pack(str(tmp_path / "pack")))
    write_photos(tmp_path / "a", ["2.png", "3.png"])
    part = read_sources([f"folder:{tmp_path / 'a'}"], seed=0)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_table", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_pack(part, "a", folder, threads=1)
    assert _contents(read_pack(str(tmp_path / "pack"))) == before
    # As a killed call leaves it.
    (tmp_path / "pack" / ".shard-00006-x.parquet.f20ef59").write_bytes(b"half")
    write_pack(part, "a", folder, threads=1)
    assert sorted(_contents(read_pack(str(tmp_path / "pack")))) == ["1.png", "2.png", "3.png"]
    names = sorted(name.partition("-")[0] for name in folder.names())
    assert names == ["images", "pack.json", "pairs", "shard"]


def _contents(part: Part) -> dict[str, bytes]:
    return {row.image: read_bytes(row.uri) for row in part.images}


@pytest.mark.parametrize("encoded", [False, True])
def test_the_job_writes_no_password_of_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoded: bool
):
    images = "memory://key:secret@packs"
    fsspec.filesystem("memory").pipe(
        {"key:secret@packs/a.png": encode(np.zeros((16, 12, 3), np.uint8))}
    )
    (tmp_path / "list.csv").write_text("image,score\na.png,1\n")
    option = quote(images, safe="") if encoded else images
    source = f"csv:{tmp_path}/list.csv?higher_is_better=true&images={option}"
    monkeypatch.setattr(sys, "argv", ["ingest.py", source, "--output", str(tmp_path / "p")])
    runpy.run_path(str(Path(__file__).parents[2] / "jobs" / "ingest.py"))["main"]()
    folder = open_folder(str(tmp_path / "p"))
    assert not [name for name in folder.names() if b"secret" in folder.read_bytes(name)]
    shown = f"csv:{tmp_path}/list.csv?higher_is_better=true&images=memory://packs"
    assert folder.read_json("pack.json")["data"] == shown


def test_passwords_are_not_packed(layout: str, tmp_path: Path):
    part = read_sources([layout], seed=0)
    folder = open_folder(str(tmp_path / "p"))
    write_pack(part, "folder:s3://key:secret@bucket/x", folder, threads=1)
    written = b"".join(folder.read_bytes(name) for name in folder.names())
    assert b"secret" not in written


def test_a_pack_of_other_data_is_never_replaced(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path, ["1.png", "2.png"])
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    folder = open_folder(str(tmp_path / "pack"))
    write_pack(part, "a", folder, threads=1)
    with pytest.raises(DataError, match="holds a pack of a: give another --output for b"):
        write_pack(part, "b", folder, threads=1)
    assert len(read_pack(str(tmp_path / "pack")).images) == 2


def test_through_a_bucket(layout: str, s3_folder: str):
    part = read_sources([layout], seed=0)
    write_pack(part, "x", open_folder(s3_folder), threads=2)
    packed = read_pack(s3_folder)
    assert _without_uris(packed) == _without_uris(part)
    assert read_bytes(packed.images[7].uri) == read_bytes(part.images[7].uri)


@pytest.mark.parametrize("name", ["../../secret", "x?endpoint_override=elsewhere", "a.parquet"])
def test_a_pack_that_leaves_its_folder_is_refused(layout: str, tmp_path: Path, name: str):
    import pyarrow.parquet as pq

    write_pack(read_sources([layout], seed=0), "x", open_folder(str(tmp_path / "p")), threads=1)
    (images,) = (tmp_path / "p").glob("images-*.parquet")
    table = pq.read_table(images)
    stolen = table.set_column(1, table.schema.field(1), [[name] * len(table)])
    pq.write_table(stolen, images)
    with pytest.raises(DataError, match="no shard's name"):
        read_pack(str(tmp_path / "p"))
    description = tmp_path / "p" / "pack.json"
    description.write_text(description.read_text().replace(images.name, name))
    with pytest.raises(DataError, match="no table's name"):
        read_pack(str(tmp_path / "p"))


def test_another_version(layout: str, tmp_path: Path):
    write_pack(read_sources([layout], seed=0), "x", open_folder(str(tmp_path / "p")), threads=1)
    path = tmp_path / "p" / "pack.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 7'))
    with pytest.raises(DataError, match="version 7 and this is 2"):
        read_pack(str(tmp_path / "p"))


def test_nothing_can_be_read(tmp_path: Path, write_photos: WritePhotos):
    write_photos(tmp_path, ["a.png"])
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="none of 1 images of x can be read"):
        write_pack(part, "x", open_folder(str(tmp_path / "pack")), threads=1)
