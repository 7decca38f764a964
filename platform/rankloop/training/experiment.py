"""From command-line options to data in memory and a result folder with its result.json."""

import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from rankloop.cluster import on_cluster
from rankloop.datasets.dataset import SPLITS, Dataset, Labels
from rankloop.datasets.loaders import array_loader
from rankloop.datasets.options import DataOptions, open_data
from rankloop.methods.file_data import file_data
from rankloop.methods.method import Method, TrainingData
from rankloop.progress import counter
from rankloop.shown import in_line
from rankloop.storage import Folder, open_folder

# Spearman's correlation of so many unrelated values is above 0.3 in one of ten draws.
FEW_IMAGES = 20
_COUNTS = {
    "pairs_across_splits": "labelled pairs left out, their images being in different splits",
    "pairs_with_unreadable_image": "labelled pairs left out, an image being unreadable",
    "images_of_other_formats": "images left out, their format (TIFF, GIF ...) not being read",
    "images_without_source_pattern": "images without the source pattern, each its own source",
}


@dataclass(frozen=True)
class Prepared:
    """Data that training reads.

    Attributes:
        data: tables and a loader.
        array: all images, uint8 (n, s, s, 3), when they fit in memory; else None and the loader
            decodes files.
    """

    data: TrainingData
    array: np.ndarray | None


def prepare_data(options: DataOptions, method: Method, config: Any) -> Prepared:
    """Open the data sources for a method, check every image once, and say what was found.

    Raises:
        DataError: missing, empty or malformed data, or none that the method can learn from.
        ConfigError: RAY_ADDRESS is where jobs are submitted.
    """
    # Before a million photographs are read.
    on_cluster()
    image_size = method.image_size(config)
    with counter("checking images") as progress:
        dataset, array = open_data(
            options,
            image_size,
            least_side=method.least_side(config),
            learns_from=method.learns_from,
            on_progress=progress,
        )
    print(describe(dataset, method.learns_from), flush=True)
    if array is None:
        data = file_data(dataset, image_size)
    else:
        data = TrainingData(dataset, array_loader(array))
    # Data that the method cannot learn from are refused before Ray starts.
    method.streams(config, data, options.seed)
    return Prepared(data, array)


def check_weights(method: Method, configs: Iterable[Any]) -> None:
    """Refuse initial weights that cannot be had, or do not fit, before anything else starts.

    Raises:
        ConfigError: names the weights and the backbone.
    """
    tried = set()
    for config in configs:
        what = getattr(config, "backbone", None), getattr(config, "weights", None)
        if what not in tried:
            tried.add(what)
            method.build(config, 0)


def describe(dataset: Dataset, learns_from: Labels = "pairs") -> str:
    """Say in a few lines what a dataset holds and who labelled it."""
    splits = dataset.images["split"].to_pylist()
    pairs = dataset.pairs["split"].to_pylist()
    scored = [
        split
        for split, score in zip(splits, dataset.images["score"].to_pylist(), strict=True)
        if score is not None
    ]
    points = learns_from == "points"
    lines = [
        f"data: {dataset.name}, labels: {dataset.annotator}",
        *(
            f"  {split}: {splits.count(split)} images, "
            + (
                f"{pairs.count(split)} labelled pairs"
                if learns_from == "pairs"
                else f"{scored.count(split)} {'counted' if points else 'with a score'}"
            )
            for split in SPLITS
        ),
    ]
    for name, count in dataset.counts.items():
        if count:
            lines.append(f"  {_COUNTS.get(name, name.replace('_', ' '))}: {count}")
    if splits.count("validation") < FEW_IMAGES:
        lines.append(
            f"  fewer than {FEW_IMAGES} validation images: what is chosen by them is chosen nearly "
            "by chance; give more"
        )
    if dataset.skipped:
        lines.append(f"  skipped {len(dataset.skipped)} images that are missing or cannot be read:")
        lines.extend(
            f"    {in_line(f'{image}: {reason}')}" for image, reason in dataset.skipped[:10]
        )
        if len(dataset.skipped) > 10:
            lines.append("    ... all are listed in the result folder")
    return "\n".join(lines)


def result_folder(
    storage: str, job: str, method: str, prepared: Prepared, identity: Mapping[str, Any]
) -> Folder:
    """Folder of a job: the same command on the same data gives the same folder, any other another.

    Data count by what was read (splits, labels, pixels): a model trained before photographs were
    added or replaced is never taken for one of the new set. Images that do not fit in memory count
    by their place and, on a local disk, by size and time of change.
    """
    dataset = prepared.data.dataset
    text = json.dumps(identity, sort_keys=True, default=repr)
    digest = hashlib.blake2b(text.encode(), digest_size=5)
    for table in (dataset.images.drop_columns(["uri"]), dataset.pairs):
        for column in table.itercolumns():
            digest.update(repr(column.to_pylist()).encode())
    if prepared.array is not None:
        digest.update(np.ascontiguousarray(prepared.array).data)
        return open_folder(storage) / job / f"{method}-{digest.hexdigest()}"
    for uri in dataset.images["uri"].to_pylist():
        digest.update(uri.encode())
        if os.path.exists(uri):
            found = os.stat(uri)
            digest.update(f"{found.st_size} {found.st_mtime_ns}".encode())
    return open_folder(storage) / job / f"{method}-{digest.hexdigest()}"


def write_result(
    folder: Folder,
    method: Method,
    config: Any,
    dataset: Dataset,
    *,
    seeds: list[int],
    metrics: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write ``result.json``: everything needed to know what the numbers in it mean."""
    splits = dataset.images["split"].to_pylist()
    sources: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split, source in zip(splits, dataset.images["source"].to_pylist(), strict=True):
        sources[split].add(source)
    result = {
        "method": method.name,
        "config": config.model_dump(mode="json"),
        "scores_higher_is_better": method.higher_is_better,
        "data": {
            "name": dataset.name,
            "annotator": dataset.annotator,
            "score_name": dataset.score_name,
            "labels_higher_is_better": dataset.higher_is_better,
            "counts": dict(dataset.counts),
            "skipped": [list(entry) for entry in dataset.skipped],
        },
        "split": {
            split: {
                "images": splits.count(split),
                "sources": len(sources[split]),
                "labelled_pairs": dataset.pairs["split"].to_pylist().count(split),
            }
            for split in SPLITS
        },
        "seeds": seeds,
        "budget": {"steps": config.steps},
        "metrics": metrics,
        "versions": versions(),
        **(more or {}),
    }
    safe: dict[str, Any] = json_safe(result)
    folder.write_json("result.json", safe)
    return safe


def versions() -> dict[str, str]:
    """Versions of everything that could change a result."""
    packages = ("rankloop", "ray", "torch", "torchvision", "mlflow", "optuna", "numpy", "pillow")
    found = {
        "python": platform.python_version(),
        "platform": sys.platform,
        # Filters in float32 may round another way without AVX2, say.
        "vector extensions": cv2.getCPUFeaturesLine(),
    }
    for package in (*packages, "opencv-python-headless"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return found


def json_safe(value: Any) -> Any:
    """Return a copy in which NaN and infinity are null, which JSON can hold."""
    if isinstance(value, Mapping):
        return {key: json_safe(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
