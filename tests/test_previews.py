import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rankloop.datasets.crowds import CrowdPhotograph
from rankloop.datasets.part import ImageRow, Part
from rankloop.datasets.readers import read_sources
from rankloop.errors import DataError
from rankloop.plots.ranked_sets import ranked_sets_figure
from rankloop.previews import heads_in_crops, save_previews
from rankloop.randomness import rng
from rankloop.ranking.nested_crops import nested_boxes
from rankloop.ranking.recipes import RECIPES
from rankloop.storage import open_folder


def _photos(folder: Path, count: int, side: int = 70) -> None:
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (7, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((side + 10, side)).save(folder / f"{i}.png")


def test_all_ranked_sets_are_drawn(tmp_path: Path):
    _photos(tmp_path, 2, side=30)
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    folder = open_folder(str(tmp_path / "out"))
    skipped = save_previews(part, "all", folder, images=1, size=24, seed=0)
    reasons = {name: reason for name, reason in skipped if " for " not in name}
    missing = set(reasons)
    # Such small images have fewer different levels.
    same = {name for name in missing if "are the same image" in reasons[name]}
    assert "jpeg2000_transmission_errors" in same
    assert missing - same <= {"denoising_bm3d", "denoising_authors"}
    with pytest.raises(DataError, match="no photograph can be used for jpeg2000_"):
        save_previews(part, "jpeg2000_transmission_errors", folder, images=1, size=24, seed=0)
    assert set(folder.names()) == {f"{name}.png" for name in [*RECIPES, "quadruplet"]
                                   if name not in missing}  # fmt: skip


def test_corrupt_and_small_photographs_are_named(tmp_path: Path):
    _photos(tmp_path, 3)
    (tmp_path / "corrupt.png").write_bytes(b"no image")
    Image.new("RGB", (30, 300)).save(tmp_path / "narrow.png")
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    folder = open_folder(str(tmp_path / "out"))
    skipped = dict(save_previews(part, "jpeg", folder, images=9, size=40, seed=0))
    assert set(skipped) == {"corrupt.png", "narrow.png"}
    assert "30 x 300 pixels hold no square of 40" in skipped["narrow.png"]
    with pytest.raises(DataError, match="none of 5 photographs can be used"):
        save_previews(part, "jpeg", folder, images=2, size=400, seed=0)


def test_the_same_seed_draws_the_same(tmp_path: Path):
    _photos(tmp_path, 6)
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    pictures = []
    for name in ("a", "b"):
        folder = open_folder(str(tmp_path / name))
        save_previews(part, "gaussian_noise", folder, images=2, size=40, seed=3)
        with Image.open(io.BytesIO(folder.read_bytes("gaussian_noise.png"))) as image:
            pictures.append(np.asarray(image))
    np.testing.assert_array_equal(*pictures)


def test_a_figure_needs_a_label_per_image():
    with pytest.raises(ValueError, match="one label per image"):
        ranked_sets_figure([np.zeros((2, 4, 4, 3), np.uint8)], ["one"], title="")


def test_the_figure_shows_every_pixel():
    images = np.random.default_rng(0).integers(0, 256, (3, 120, 130, 3), np.uint8)
    figure = ranked_sets_figure(
        [images, images[::-1]], ["a", "b", "c"], title="t " * 200, names=["one", "two"]
    )
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi="figure")
    picture = np.asarray(Image.open(png).convert("RGB"))
    for image in images:
        assert _places(picture, image) == 2
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "c", "one", "two"]


def test_small_images_are_enlarged_by_whole_numbers():
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), np.uint8)
    png = io.BytesIO()
    ranked_sets_figure([images], ["a", "b"], title="t").savefig(png, format="png", dpi="figure")
    picture = np.asarray(Image.open(png).convert("RGB"))
    assert _places(picture, images[1].repeat(3, 0).repeat(3, 1)) == 1


def _places(picture: np.ndarray, image: np.ndarray) -> int:
    """How often an image is in a picture, exactly."""
    height, width, _ = image.shape
    corners = np.argwhere((picture[:-height, :-width] == image[0, 0]).all(axis=2))
    return sum(
        np.array_equal(picture[y : y + height, x : x + width], image) for y, x in corners.tolist()
    )


def test_a_photograph_that_one_ranked_set_cannot_use_is_named(tmp_path: Path):
    _photos(tmp_path, 2)
    Image.new("RGB", (90, 90), (80, 80, 80)).save(tmp_path / "gray.png")
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    folder = open_folder(str(tmp_path / "out"))
    ((name, reason),) = save_previews(part, "saturation", folder, images=3, size=40, seed=0)
    assert name == "gray.png for saturation"
    assert "are the same image" in reason


def test_heads_of_nested_crops_are_counted():
    image = np.zeros((90, 120, 3), np.uint8)
    heads = np.random.default_rng(0).uniform(-0.5, 89.5, (200, 2))
    found = heads_in_crops(CrowdPhotograph(image, heads, None, 0), rng(1))
    expected = []
    for left, top, side in nested_boxes(90, 120, rng(1)).tolist():
        mask = np.zeros((90, 120), bool)
        mask[top : top + side, left : left + side] = True
        # A head's pixel is the one whose middle is nearest.
        expected.append(sum(mask[int(np.floor(y + 0.5)), int(np.floor(x + 0.5))] for x, y in heads))
    assert found == expected
    assert found[0] > found[-1] > 0


def test_nested_crops_of_crowds_tell_their_heads(tmp_path: Path):
    _photos(tmp_path, 1)
    heads = [(40.0, 35.0), (2.0, 3.0)]
    pictures = []
    for points in (heads, None):
        part = Part([ImageRow("a", str(tmp_path / "0.png"), points=points)])
        folder = open_folder(str(tmp_path / f"out{points is None}"))
        assert not save_previews(part, "nested_crops", folder, images=1, size=40, seed=0)
        pictures.append(folder.read_bytes("nested_crops.png"))
    assert pictures[0] != pictures[1]


def test_every_row_of_quadruplets_is_of_two_photographs_of_its_own(tmp_path: Path):
    _photos(tmp_path, 5, side=130)
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    folder = open_folder(str(tmp_path / "out"))
    assert not save_previews(part, "quadruplet", folder, images=2, size=120, seed=0)
    with Image.open(io.BytesIO(folder.read_bytes("quadruplet.png"))) as image:
        two_rows = image.size[1]
    assert 240 < two_rows < 360
    alone = Part(part.images[:1])
    with pytest.raises(DataError, match="made of two photographs, and there is one"):
        save_previews(alone, "quadruplet", folder, images=2, size=40, seed=0)


def test_a_picture_of_an_earlier_run_does_not_stay(tmp_path: Path):
    _photos(tmp_path, 2, side=230)
    part = read_sources([f"folder:{tmp_path}"], seed=0)
    folder = open_folder(str(tmp_path / "out"))
    folder.write_bytes("jpeg2000.png", b"old")
    skipped = dict(save_previews(part, "all", folder, images=1, size=16, seed=0))
    assert "jpeg2000" in skipped
    assert not folder.has("jpeg2000.png")
