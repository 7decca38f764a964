"""Names from outside (lists, packs, checkpoints, answers) reach no file that is not theirs."""

import json
from pathlib import Path

import boto3
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankloop.datasets.labelled_pairs import read_labelled_pairs
from rankloop.datasets.layouts.tid2013 import read_tid2013
from rankloop.datasets.locations import inside
from rankloop.datasets.pack import read_pack, write_pack
from rankloop.datasets.part import ImageRow, Part
from rankloop.datasets.scored_images import read_scored_images
from rankloop.datasets.ssranking import read_ssranking
from rankloop.errors import CheckpointError, DataError
from rankloop.images import encode
from rankloop.scoring.density import map_files
from rankloop.storage import open_folder
from rankloop.training.checkpoints import load_checkpoint

PNG = encode(np.zeros((8, 8, 3), np.uint8))


def outside_names(outside: Path) -> list[str]:
    """Ways of naming a file beside the images' folder, of which some systems follow each."""
    name = outside.name
    return [
        f"../{name}",
        f"x/../../{name}",
        f"./.././{name}",
        f"..\\{name}",
        f"%2e%2e/{name}",
        f"%2e%2e%2f{name}",
        f"%252e%252e%252f{name}",
        f"..;/{name}",
        f"..%00/{name}",
        f"\u2024\u2024/{name}",
        f"\uff0e\uff0e\uff0f{name}",
        f"..\u2215{name}",
        str(outside),
        f"/{outside}",
        outside.as_uri(),
        f"FILE://{outside}",
        f"local://{outside}",
        f"simplecache::file://{outside}",
        f"C:\\{name}",
        f"C:/{name}",
        "link.png",
        "linked/" + name,
        "x" * 5000 + ".png",
        "data:image/png;base64,iVBORw0KGgo=",
        "package:skimage/data/coffee.png",
        "http://127.0.0.1:9/x.png",
        "s3://bucket/x.png?endpoint_override=127.0.0.1:9",
    ]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two images, and one beside it that no list of the folder may name."""
    (tmp_path / "outside.png").write_bytes(PNG)
    folder = tmp_path / "photos"
    (folder / "x").mkdir(parents=True)
    for name in ("good.png", "x/good.png"):
        (folder / name).write_bytes(PNG)
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "linked").symlink_to(tmp_path)
    return folder


@pytest.fixture
def names(photos: Path) -> list[str]:
    return outside_names(photos.parent / "outside.png")


def _csv(path: Path, header: str, lines: list[str]) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")


def _check(part: Part, names: list[str], photos: Path) -> None:
    inside = {str(photos / name) for name in ("good.png", "x/good.png")}
    assert {row.uri for row in part.images} <= inside
    assert len(part.images) == 2
    assert {image for image, _ in part.skipped} == set(names)
    assert all(reason for _, reason in part.skipped)


def test_scored_images(photos: Path, names: list[str]) -> None:
    lines = [f'"{name}",1' for name in ["good.png", "x/../x/good.png", *names]]
    _csv(photos / "list.csv", "image,score", lines)
    part = read_scored_images(str(photos / "list.csv"), {"higher_is_better": "true"})
    _check(part, names, photos)
    reasons = dict(part.skipped)
    assert "names no file inside" in reasons["../outside.png"]
    assert "names no file inside" in reasons["link.png"]


def test_labelled_pairs(photos: Path, names: list[str]) -> None:
    lines = [f'good.png,"{name}",a' for name in ["x/good.png", *names]]
    _csv(photos / "list.csv", "image_a,image_b,better", lines)
    part = read_labelled_pairs(str(photos / "list.csv"), {})
    _check(part, names, photos)
    assert part.pairs == [("good.png", "x/good.png")]


def test_lists_of_ssranking(photos: Path, names: list[str]) -> None:
    # Its lines cannot hold all names; what they can hold is tried as image and as original.
    given = [name for name in names if name.endswith(".png") and not set(name) & set(",>")]
    lists = photos.parent / "lists"
    lists.mkdir()
    pairs = [f"good.png,{name}" for name in ["x/good.png", *given]]
    # What leads to the image outside if nothing is checked: a data set is a folder of its own.
    originals = ["..>>outside.png", "linked>>outside.png", "x>>../../outside.png"]
    originals += [f"x>>{name}" for name in given]
    crops = [f"{name}>>0 0 4 4>>cut{i}.png" for i, name in enumerate(originals)]
    cut = [f"cut{i}.png" for i in range(len(originals))]
    (lists / "supervised.txt").write_text("\n".join(pairs))
    (lists / "crops.txt").write_text("\n".join(crops))
    (lists / "unsupervised.txt").write_text("\n".join(f"good.png,{name}" for name in cut))
    part = read_ssranking(str(lists), {"images": str(photos)})
    assert {row.uri for row in part.images} <= {str(photos / n) for n in ("good.png", "x/good.png")}
    assert {image for image, _ in part.skipped} >= {*given, *cut[:3]}
    reasons = dict(part.skipped)
    assert all("names no file inside" in reasons[image] for image in cut[:3])


def test_lists_of_a_release(tmp_path: Path) -> None:
    images = tmp_path / "tid" / "distorted_images"
    images.mkdir(parents=True)
    (images / "i01_01_1.bmp").write_bytes(PNG)
    (tmp_path / "i02_01_1.bmp").write_bytes(PNG)
    (tmp_path / "tid" / "mos_with_names.txt").write_text("5 i01_01_1.bmp\n4 ../../i02_01_1.bmp\n")
    with pytest.raises(DataError, match=r"is not 'MOS iRR_TT_L\.bmp'"):
        read_tid2013(str(tmp_path / "tid"), {})


def test_what_lies_inside_is_read_however_it_is_named(photos: Path) -> None:
    for name in ("good.png", "x/../good.png", str(photos / "good.png")):
        assert inside(str(photos), name) == str(photos / "good.png")
    # With the folder of all files, any absolute name is meant.
    outside = str(photos.parent / "outside.png")
    assert inside("/", outside) == outside
    # A folder that is a link itself is the user's.
    link = photos.parent / "other"
    link.symlink_to(photos)
    assert inside(str(link), "good.png") == str(link / "good.png")


@pytest.mark.parametrize("folder", ["memory://names/photos", "s3://bucket/photos?region=us-east-1"])
def test_folders_behind_a_uri(photos: Path, names: list[str], folder: str) -> None:
    linked = {"link.png", f"linked/{photos.parent.name}", "linked/outside.png"}
    start, mark, options = folder.partition("?")
    for name in set(names) - linked:
        found = inside(folder, name)
        # What is not refused is an odd, but plain name within the folder.
        assert found is None or found.startswith(f"{start}/")
        assert found is None or found.endswith(mark + options)
        assert found is None or "/../" not in found
    for name in ("../x.png", "%2e%2e/x.png", "%252e%252e/x.png", "..\\x.png", f"{start}/../x.png"):
        assert inside(folder, name) is None
    for name in ("https://h/x.png", f"{start}x/a.png", "a::file://x.png", f"{start}/a?b::c://d"):
        assert inside(folder, name) is None
    assert inside(folder, f"{start}/a/b.png") == f"{start}/a/b.png{mark}{options}"
    assert inside(folder, "a/b.png") == f"{start}/a/b.png{mark}{options}"


def test_names_hold_no_passwords() -> None:
    folder = "s3://key:secret@bucket/photos"
    assert inside(folder, "s3://key:secret@bucket/photos/a.png") is None
    assert inside(folder, "s3://bucket/photos/a.png") == f"{folder}/a.png"


def test_a_list_in_a_bucket_names_no_local_file(photos: Path) -> None:
    memory = fsspec.filesystem("memory")
    lines = ["image,score", "a.png,1", f"{photos}/good.png,2", f"file://{photos}/good.png,3"]
    memory.pipe({"/names/list.csv": "\n".join(lines).encode(), "/names/a.png": PNG})
    part = read_scored_images("memory://names/list.csv", {"higher_is_better": "true"})
    assert [row.uri for row in part.images] == ["memory://names/a.png"]
    assert len(part.skipped) == 2


@pytest.mark.parametrize("row", ["0/../../outside.parquet#0", "-1", "0"])
def test_a_pack_whose_rows_are_no_numbers(tmp_path: Path, row: str) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    folder = open_folder(str(tmp_path / "pack"))
    part = Part([ImageRow("a.png", str(tmp_path / "a.png"))])
    assert not write_pack(part, "folder:x", folder, threads=1)
    description = folder.read_json("pack.json")
    path = tmp_path / "pack" / description["images"]
    table = pq.read_table(path)
    place = table.schema.get_field_index("row")
    pq.write_table(table.set_column(place, "row", pa.array([row])), path)
    with pytest.raises(DataError, match="do not trust this pack"):
        read_pack(str(folder))


def test_density_maps_stay_in_their_folder(tmp_path: Path, names: list[str]) -> None:
    for name in [*names, "../../../../etc/passwd", "s3://b/../../../x"]:
        for files in (map_files([name]), map_files([name, "s3://b/y/z"])):
            assert all((tmp_path / file).resolve().is_relative_to(tmp_path) for file in files)


def test_a_checkpoint_names_no_other_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    state = {"step": 1, "state": {}, "sha256": {"../secret": "0" * 64}}
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.json").write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match=r"incomplete: 'model\.safetensors'"):
        load_checkpoint(open_folder(str(tmp_path / "checkpoint")))


def test_objects_of_a_bucket_become_no_files_elsewhere(
    s3_server: str, s3_folder: str, tmp_path: Path
) -> None:
    folder = open_folder(s3_folder)
    bucket, _, path = folder.path.partition("/")
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{s3_server}",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )
    for name in ("model", "../outside", "x/../../outside", "/outside"):
        client.put_object(Bucket=bucket, Key=f"{path}/{name}", Body=b"x")
    destination = tmp_path / "a" / "b" / "copy"
    folder.fetch(destination)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [destination / "model"]
