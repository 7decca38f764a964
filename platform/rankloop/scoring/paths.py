"""From paths on a command line to the images to score."""

import os
from collections.abc import Sequence

import pyarrow.fs as pafs

from rankloop.datasets.folder import is_image_name
from rankloop.datasets.locations import exist, list_files
from rankloop.datasets.readers import read_sources
from rankloop.errors import DataError
from rankloop.filesystems import join_uri, open_uri
from rankloop.images import EXTENSIONS


def expand_paths(paths: Sequence[str]) -> list[str]:
    """Return the images that files and folders stand for, each once, as the user spelled them.

    Args:
        paths: local paths or URIs. A folder stands for all files in its tree that have an image's
            extension, sorted; links to folders and names that begin with a dot are left out.
            A file stands for itself, whatever its extension.

    Raises:
        DataError: a path does not exist, or no image is found at all.
    """
    expanded = [os.path.expanduser(path) if "://" not in path else path for path in paths]
    folders = {path for path in expanded if _is_folder(path)}
    files = [path for path in expanded if path not in folders]
    for path, there in zip(files, exist(files), strict=True):
        if not there:
            raise DataError(f"there is no image or folder {path}: check the path")
    found: dict[str, None] = {}
    for path in expanded:
        found |= dict.fromkeys(_images_below(path) if path in folders else [path])
    if not found:
        raise DataError(
            f"no image in {', '.join(paths) or 'no path'}: give images, or folders with "
            f"{', '.join(sorted(EXTENSIONS))} files in them or below them"
        )
    return list(found)


def images_of_sources(specs: Sequence[str]) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """Return the images of data sources (READER:PATH), each once, and what they list in vain.

    Returns:
        images: where each is, to its name in the data.
        skipped: (image, reason) of those that are missing or cannot be used.

    Raises:
        ConfigError: a source is not named as it should be.
        DataError: one is missing, empty or malformed, or has images that are crops of photographs,
            shrunk before they are used, or looked at in a region of interest only.
    """
    part = read_sources(specs, seed=0, crops_per_photo=0)
    for row in part.images:
        if row.crop is not None or row.longest_side is not None or row.region is not None:
            raise DataError(
                f"{row.image} of {' '.join(specs)} is a crop of a photograph, shrunk, or has a "
                "region of interest, and whole images are scored: save what is meant as files"
            )
    return {row.uri: row.image for row in part.images}, part.skipped


def _is_folder(path: str) -> bool:
    try:
        if "://" not in path:
            return os.path.isdir(path)
        filesystem, root = open_uri(path)
        return bool(filesystem.get_file_info(root).type == pafs.FileType.Directory)
    except (OSError, ImportError, ValueError) as error:
        raise DataError(f"cannot look for {path}: {error}; check the path") from error


def _images_below(folder: str) -> list[str]:
    return [_below(folder, name) for name in list_files(folder) if is_image_name(name)]


def _below(folder: str, name: str) -> str:
    return join_uri(folder, name) if "://" in folder else f"{folder.rstrip('/')}/{name}"
