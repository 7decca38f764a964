"""``folder:PATH``: any tree of images, without labels."""

from rankloop.datasets.locations import absolute, join, list_files
from rankloop.datasets.part import ImageRow, Part
from rankloop.errors import DataError
from rankloop.images import EXTENSIONS

# Images that are not read: that they are there is said.
_OTHER_EXTENSIONS = (".tif", ".tiff", ".gif", ".ppm", ".pgm", ".heic", ".avif", ".jxl", ".dng")


def read_folder(path: str) -> Part:
    """Return the images of a tree, named by their path relative to it, sorted.

    Args:
        path: local folder or URI. Files with other extensions than images have, and names
            that begin with a dot, are left out.

    Raises:
        DataError: the folder is missing or holds no image.
    """
    folder = absolute(path)
    files = list_files(folder)
    names = [name for name in files if is_image_name(name)]
    if not names:
        raise DataError(
            f"the folder {folder} holds no image ({len(files)} other files): "
            f"give one with {', '.join(sorted(EXTENSIONS))} files in it or below it"
        )
    others = sum(name.lower().endswith(_OTHER_EXTENSIONS) for name in files)
    counts = {"images_of_other_formats": others} if others else {}
    return Part([ImageRow(name, join(folder, name)) for name in names], counts=counts)


def is_image_name(name: str) -> bool:
    """Return whether a file name has the extension of an image, in small or capital letters."""
    return name.lower().endswith(tuple(EXTENSIONS))
