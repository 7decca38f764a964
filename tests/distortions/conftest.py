import numpy as np
import pytest

from rankloop import images


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A photograph, uint8 (96, 128, 3), with odd content and no square shape."""
    face = images.load("package:skimage/data/astronaut.png", (100, 0, 256, 256), 128)
    return np.ascontiguousarray(face[16:112])


@pytest.fixture(scope="session")
def large_photo() -> np.ndarray:
    """A photograph, uint8 (400, 600, 3)."""
    return images.decode(images.read_bytes("package:skimage/data/coffee.png"))


@pytest.fixture
def gray() -> np.ndarray:
    """Mid-grey, uint8 (200, 300, 3): noise of a moderate strength is not clipped in it."""
    return np.full((200, 300, 3), 128, np.uint8)
