"""Every ranked set streams through Ray Data as it does without, from files, packs and buckets."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
from PIL import Image

from rankloop.datasets.loaders import file_loader
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.pack import write_pack
from rankloop.datasets.readers import read_sources
from rankloop.filesystems import join_uri, open_uri
from rankloop.methods.method import ExampleStream
from rankloop.methods.ranked_sets import ranked_set_stream
from rankloop.ranking.recipes import RECIPES, find_recipe
from rankloop.storage import open_folder
from rankloop.streams.batches import plain_batches
from rankloop.streams.ray_batches import ray_batches

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_session")]

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
SIZE = 48
# In small images the levels of these are the same image now and then, or always.
NEED_LARGE = {
    "jpeg2000",
    "jpeg_transmission_errors",
    "jpeg2000_transmission_errors",
    "fast_fading",
}
LARGE = 224
SETS = ("gaussian_blur", "impulse_noise", "jpeg2000", "fast_fading", "blur_x_noise", "nested_crops")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(20):
        generator = np.random.default_rng(i)
        small = Image.fromarray(generator.integers(0, 256, (9, 12, 3), np.uint8))
        small.resize((90, 60 + i)).save(folder / f"{i:02d}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def large_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large_photos")
    for i in range(20):
        pixels = np.random.default_rng(i).integers(0, 256, (60, 80, 3), np.uint8)
        Image.fromarray(pixels).resize((400, 300 + i)).save(folder / f"{i}.jpg", quality=95)
    return folder


def _stream(spec: str, name: str) -> dict[str, ExampleStream]:
    dataset = open_dataset([spec], seed=0)
    rows = np.arange(len(dataset.images))
    load = file_loader(dataset, None)
    size = LARGE if name in NEED_LARGE else SIZE
    return {"sets": ranked_set_stream(load, rows, find_recipe(name), size, 4, seed=5)}


def _images(batches) -> torch.Tensor:
    return torch.cat([batch["sets"]["images"] for batch in batches])


@pytest.mark.parametrize("name", SETS)
def test_the_same_bytes_on_one_two_and_four_workers_and_after_a_restart(
    photos: Path, large_photos: Path, name: str
):
    streams = _stream(f"folder:{large_photos if name in NEED_LARGE else photos}", name)
    plain = _images(plain_batches(streams, 0, 6))
    size = LARGE if name in NEED_LARGE else SIZE
    assert plain.shape[2:] == (size, size, 3)
    through_ray = list(ray_batches(streams, 3, 6, data_workers=2))
    assert torch.equal(_images(through_ray), plain[12:])
    for one, other in zip(plain_batches(streams, 3, 6), through_ray, strict=True):
        assert one["sets"].keys() == other["sets"].keys()
        assert all(torch.equal(one["sets"][name], other["sets"][name]) for name in one["sets"])
    if name in ("gaussian_blur", "impulse_noise", "blur_x_noise"):
        for workers in (1, 2, 4):
            assert torch.equal(_images(ray_batches(streams, 0, 6, data_workers=workers)), plain)


def test_from_a_pack_and_from_a_bucket(photos: Path, tmp_path: Path, s3_folder: str):
    expected = _images(plain_batches(_stream(f"folder:{photos}", "jpeg"), 0, 3))
    part = read_sources([f"folder:{photos}"], seed=0)
    write_pack(part, "x", open_folder(str(tmp_path / "pack")), threads=2)
    write_pack(part, "x", open_folder(join_uri(s3_folder, "pack")), threads=2)
    for path in photos.iterdir():
        filesystem, target = open_uri(join_uri(s3_folder, f"loose/{path.name}"))
        with filesystem.open_output_stream(target) as stream:
            stream.write(path.read_bytes())
    for spec in (
        f"pack:{tmp_path / 'pack'}",
        f"pack:{join_uri(s3_folder, 'pack')}",
        f"folder:{join_uri(s3_folder, 'loose')}",
    ):
        streams = _stream(spec, "jpeg")
        assert torch.equal(_images(ray_batches(streams, 0, 3, data_workers=2)), expected)


def test_from_fsspec(photos: Path):
    for path in photos.iterdir():
        filesystem, target = open_uri(f"memory://ranked-sets/{path.name}")
        with filesystem.open_output_stream(target) as stream:
            stream.write(path.read_bytes())
    expected = _images(plain_batches(_stream(f"folder:{photos}", "saturation"), 0, 3))
    # Memory is this process's own: no worker sees it.
    found = _images(plain_batches(_stream("folder:memory://ranked-sets", "saturation"), 0, 3))
    assert torch.equal(found, expected)


def test_corrupt_and_small_images_are_replaced_and_named(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for path in photos.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "00.jpg").write_bytes(b"no image")
    Image.new("RGB", (90, SIZE - 1)).save(tmp_path / "01.jpg")
    with caplog.at_level(logging.WARNING, "rankloop"):
        batches = list(plain_batches(_stream(f"folder:{tmp_path}", "gaussian_noise"), 0, 30))
    assert len(_images(batches)) == 120
    replaced = torch.cat([batch["sets"]["replaced"] for batch in batches])
    assert set(replaced.flatten().tolist()) == {0, 1, -1}
    sources = torch.cat([batch["sets"]["source"] for batch in batches])
    assert set(sources.tolist()) == set(range(2, 20))
    assert "00.jpg: not an image" in caplog.text
    assert f"90 x {SIZE - 1} pixels holds no square of {SIZE}" in caplog.text


def test_levels_come_with_the_images(photos: Path):
    (batch,) = plain_batches(_stream(f"folder:{photos}", "blur_x_jpeg"), 0, 1)
    assert batch["sets"]["images"].shape == (4, 9, SIZE, SIZE, 3)
    assert batch["sets"]["levels"].shape == (4, 9, 2)
    assert batch["sets"]["levels"][0].tolist() == [[a, b] for a in (1, 2, 3) for b in (1, 2, 3)]


def test_source_is_the_image_that_a_set_was_made_from(photos: Path):
    streams = _stream(f"folder:{photos}", "gaussian_noise")
    load = file_loader(open_dataset([f"folder:{photos}"], seed=0), None)
    for batch in plain_batches(streams, 0, 3):
        for versions, source in zip(batch["sets"]["images"], batch["sets"]["source"], strict=True):
            whole = load(int(source))
            squares = np.lib.stride_tricks.sliding_window_view(whole, (SIZE, SIZE, 3))[:, :, 0]
            assert (squares == versions[0].numpy()).all(axis=(2, 3, 4)).any()


def test_every_recipe_gives_fixed_shapes(photos: Path, large_photos: Path):
    for name in RECIPES:
        if name in ("denoising_bm3d", "denoising_authors"):
            continue
        where = large_photos if name in NEED_LARGE else photos
        batches = plain_batches(_stream(f"folder:{where}", name), 0, 2)
        shapes = {tuple(batch["sets"]["images"].shape) for batch in batches}
        assert len(shapes) == 1
