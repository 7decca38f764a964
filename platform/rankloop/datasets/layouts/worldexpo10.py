"""``worldexpo10:PATH``: WorldExpo'10 (Zhang et al. 2015): 108 scenes, heads, regions."""

from collections.abc import Mapping

import numpy as np

from rankloop.datasets.layouts.heads import encode_region, head_points, inside, polygon_mask
from rankloop.datasets.layouts.tree import Tree, open_tree, read_mat, variable
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import ConfigError, DataError

HEIGHT, WIDTH = 576, 720
# Names begin with the scene; what follows it differs.
_SCENE_LENGTH = 6


def read_worldexpo10(path: str, options: Mapping[str, str]) -> Part:
    """Return the frames with the heads in each scene's region of interest, split as released.

    Args:
        path: folder with ``train_frame/FRAME.jpg``, ``train_label/SCENE/FRAME.mat`` and
            ``train_label/SCENE/roi.mat``, and ``test_frame/SCENE/FRAME.jpg`` and ``test_label/``.
        options: ``scene=NUMBER``: test on this scene alone; the other four test scenes are left
            out.

    Raises:
        ConfigError: no such test scene.
        DataError: no frame is there, or a scene has no region.
    """
    tree = open_tree(path)
    frames = [
        (side, name)
        for side in ("train", "test")
        for name in tree.below(f"{side}_frame", (".jpg",))
    ]
    scenes = {_scene(name) for side, name in frames if side == "test"}
    if options.get("scene", "") not in {"", *scenes}:
        known = ", ".join(sorted(scenes)) or "missing"
        raise ConfigError(f"scene={options['scene']}: the test scenes are {known}")
    regions: dict[str, np.ndarray] = {}
    encoded: dict[str, bytes] = {}
    rows, skipped = [], []
    outside = 0
    for side, name in frames:
        stem = name.rpartition("/")[2][:-4]
        scene = _scene(name)
        if side == "test" and options.get("scene", scene) != scene:
            continue
        label = f"{side}_label/{scene}/{stem}.mat"
        location = tree.uri(label)
        if location is None:
            skipped.append((name, f"its points, {label}, do not exist"))
            continue
        if scene not in regions:
            regions[scene] = _region(tree, side, scene)
            encoded[scene] = encode_region(regions[scene])
        try:
            marked = head_points(variable(read_mat(location), "point_position", location))
        except DataError as error:
            skipped.append((name, str(error)))
            continue
        points = inside(marked, regions[scene])
        outside += len(marked) - len(points)
        rows.append(
            ImageRow(
                name,
                name,
                source=scene,
                split="test" if side == "test" else None,
                score=float(len(points)),
                points=points,
                region=encoded[scene],
            )
        )
    if not rows:
        raise DataError(f"{tree.folder} holds no train_frame or test_frame with labels")
    found = tree.present(rows, tree.folder)
    return Part(
        found.images,
        higher_is_better=True,
        score_name="count",
        counts={"points_outside_region": outside} if outside else {},
        skipped=tuple(skipped),
    )


def _scene(name: str) -> str:
    return name.rpartition("/")[2][:_SCENE_LENGTH]


def _region(tree: Tree, side: str, scene: str) -> np.ndarray:
    location = tree.require(f"{side}_label/{scene}/roi.mat")
    content = read_mat(location)
    vertices = [
        variable(content, f"maskVertices{axis}Coordinates", location).ravel() for axis in "XY"
    ]
    return polygon_mask(np.stack(vertices, axis=1), HEIGHT, WIDTH)
