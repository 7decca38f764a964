"""``worldexpo10:PATH``: WorldExpo'10 (Zhang et al. 2015): 108 scenes, heads, regions."""

from collections.abc import Mapping

import numpy as np

from rankloop.datasets.layouts.heads import (
    crowd_part,
    encode_region,
    head_points,
    inside_region,
    points_file,
    polygon_mask,
    tested_part,
)
from rankloop.datasets.layouts.tree import Tree, open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import ConfigError

HEIGHT, WIDTH = 576, 720
# Names begin with the scene; what follows it differs.
_SCENE_LENGTH = 6


def read_worldexpo10(path: str, options: Mapping[str, str]) -> Part:
    """Return the frames with the heads in each scene's region of interest, split as released.

    Args:
        path: folder with ``train_frame/FRAME.jpg``, ``train_label/SCENE/FRAME.mat`` and
            ``train_label/SCENE/roi.mat``, and ``test_frame/SCENE/FRAME.jpg`` and ``test_label/``.
        options: ``scene=NUMBER``: test on this scene alone; frames of the other four test scenes
            are unlabelled training images, to make nested crops of (TPAMI paper, 6.2.2).

    Raises:
        ConfigError: no such test scene.
        DataError: no frame has points and a region, or none of the scene.
    """
    tree = open_tree(path)
    frames = [(side, name) for side in ("train", "test") for name in _frames(tree, side)]
    scenes = {_scene(name) for side, name in frames if side == "test"}
    if options.get("scene", "") not in {"", *scenes}:
        known = ", ".join(sorted(scenes)) or "missing"
        raise ConfigError(f"scene={options['scene']}: the test scenes are {known}")
    side_of = {name: side for side, name in frames}
    regions: dict[str, tuple[np.ndarray, bytes]] = {}
    outside: list[int] = []

    def row(name: str) -> ImageRow:
        side, scene = side_of[name], _scene(name)
        if side == "test" and options.get("scene", scene) != scene:
            return ImageRow(name, name, source=scene, split="train")
        location = points_file(tree, f"{side}_label/{scene}/{name.rpartition('/')[2][:-4]}.mat")
        marked = head_points(variable(read_mat(location), "point_position", location))
        if scene not in regions:
            mask = _region(tree, side, scene)
            regions[scene] = mask, encode_region(mask)
        mask, region = regions[scene]
        points = inside_region(marked, mask)
        outside.append(len(marked) - len(points))
        return ImageRow(
            name,
            name,
            source=scene,
            split="test" if side == "test" else None,
            score=float(len(points)),
            points=points,
            region=region,
        )

    part = crowd_part(
        tree, side_of, row, "train_frame or test_frame with labels", lambda: sum(outside)
    )
    if not options.get("scene"):
        return part
    scene = options["scene"]
    tested = f"test_frame/{scene}"
    return tested_part(part, f"worldexpo10:{path}?scene={scene}", tested)


def _frames(tree: Tree, side: str) -> list[str]:
    """Frames that are there, and those that points are there for."""
    present = tree.below(f"{side}_frame", (".jpg",))
    known = {name.rpartition("/")[2][:-4].lower() for name in present}
    labels = [name.split("/") for name in tree.below(f"{side}_label", (".mat",))]
    # Test frames lie in a folder per scene, as all labels do.
    missing = [
        "/".join([f"{side}_frame", *([parts[-2]] if side == "test" else []), parts[-1][:-4]])
        for parts in labels
        if parts[-1].lower() != "roi.mat" and parts[-1][:-4].lower() not in known
    ]
    return [*present, *(f"{name}.jpg" for name in missing)]


def _scene(name: str) -> str:
    return name.rpartition("/")[2][:_SCENE_LENGTH]


def _region(tree: Tree, side: str, scene: str) -> np.ndarray:
    location = tree.require(f"{side}_label/{scene}/roi.mat")
    content = read_mat(location)
    vertices = [
        variable(content, f"maskVertices{axis}Coordinates", location).ravel() for axis in "XY"
    ]
    return polygon_mask(np.stack(vertices, axis=1), HEIGHT, WIDTH)
