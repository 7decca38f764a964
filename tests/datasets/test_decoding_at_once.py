"""Many threads may read images at once; as many as there are cores hold one decoded."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rankloop import decoding, images
from rankloop.datasets import prepare as module
from rankloop.datasets.opening import open_dataset
from rankloop.datasets.prepare import prepare
from rankloop.decoding import with_a_core
from rankloop.errors import ImageError
from rankloop.reading import in_order

WritePhotos = Callable[..., list[str]]
CORES, THREADS = 2, 12


class Most:
    """Counts threads in a block, and the most there were at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            time.sleep(0.01)
            yield
        finally:
            with self.lock:
                self.now -= 1

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **more: Any) -> Any:
            with self.counted():
                return function(*arguments, **more)

        return counted


@pytest.fixture
def photos(tmp_path: Path, write_photos: WritePhotos, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(decoding, "_cores", threading.BoundedSemaphore(CORES))
    return [
        str(tmp_path / name) for name in write_photos(tmp_path, [f"{i}.png" for i in range(30)])
    ]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Most:
    reads = Most()
    for place in (images, module):
        monkeypatch.setattr(place, "read_bytes", reads.around(images.read_bytes))
    return reads


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Most:
    decodes = Most()
    monkeypatch.setattr(decoding, "_decoded", decodes.around(decoding._decoded))
    return decodes


def test_what_is_prepared(
    photos: list[str], reads: Most, decodes: Most, monkeypatch: pytest.MonkeyPatch
):
    fits = Most()
    monkeypatch.setattr(module, "fit", fits.around(images.fit))
    dataset = open_dataset([f"folder:{Path(photos[0]).parent}"], seed=0)
    prepare(dataset, 8, max_bytes=1 << 30, threads=THREADS)
    assert reads.most > CORES
    assert decodes.most == fits.most == CORES


@pytest.mark.parametrize(
    "load", [lambda u: images.load(u, None, 8), lambda u: images.load_whole(u, None)]
)
def test_what_is_streamed(
    photos: list[str], reads: Most, decodes: Most, load: Callable[[str], Any]
):
    assert len(list(in_order(load, photos, THREADS))) == len(photos)
    assert reads.most > CORES
    assert decodes.most == CORES


def test_what_cannot_be_read_leaves_the_place_to_others(photos: list[str]):
    for path in photos[::2]:
        Path(path).write_bytes(b"no image")
    for _ in range(2):
        for i, path in enumerate(photos):
            if i % 2:
                images.load(path, None, 8)
            else:
                with pytest.raises(ImageError):
                    images.load(path, None, 8)


def test_a_block_in_a_block_waits_for_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decoding, "_cores", threading.BoundedSemaphore(1))
    with with_a_core(), with_a_core():
        pass
    with with_a_core():
        pass
