from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WritePhotos = Callable[..., list[str]]


@pytest.fixture
def write_photos() -> WritePhotos:
    """Write small random photographs with the given names into a folder; return the names."""

    def write(folder: Path, names: list[str], side: int = 24) -> list[str]:
        for i, name in enumerate(names):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(i).integers(0, 256, (side, side + 4, 3), np.uint8)
            Image.fromarray(pixels).save(path)
        return names

    return write


@pytest.fixture
def write_csv() -> Callable[[Path, str], str]:
    """Write a text file and return its path as a string."""

    def write(path: Path, text: str) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write
