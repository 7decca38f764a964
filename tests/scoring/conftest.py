from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rankloop.methods.configuration import make_config
from rankloop.methods.counting import COUNTING
from rankloop.methods.counting_config import CountingConfig
from rankloop.methods.ssranking import SSRANKING, SSRankingConfig
from rankloop.storage import Folder, open_folder
from rankloop.training.checkpoints import Checkpoint, save_checkpoint

SIZE = 48


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Where other work shares the cores, threads that wait for one another are slower than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def save_scorer() -> Callable[..., Folder]:
    """Save an untrained shallow scorer as a checkpoint."""

    def save(parent: Path, name: str = "checkpoint", seed: int = 0, **values: object) -> Folder:
        config = make_config(
            SSRankingConfig,
            {"backbone": "shallow", "image_size": SIZE, "input_size": SIZE} | values,
        )
        model = SSRANKING.build(config.model_copy(update={"weights": "none"}), seed)
        identity = {
            "method": "ssranking",
            "config": config.model_dump(mode="json"),
            "seed": seed,
            "higher_is_better": True,
        }
        checkpoint = Checkpoint(seed, model.state_dict(), {}, identity, {})
        return save_checkpoint(open_folder(str(parent)), name, checkpoint)

    return save


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, save_scorer: Callable[..., Folder]) -> str:
    return str(save_scorer(tmp_path_factory.mktemp("scorer")))


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Twelve photographs of several sizes, two of which are corrupt: the third and the last."""
    folder = tmp_path / "photos"
    folder.mkdir()
    paths = []
    for i in range(12):
        path = folder / f"photo{i:02d}.png"
        low = np.random.default_rng(i).integers(0, 256, (4 + i, 6, 3), np.uint8)
        Image.fromarray(low).resize((80 - i, 60 + i)).save(path)
        paths.append(str(path))
    Path(paths[2]).write_bytes(Path(paths[2]).read_bytes()[:100])
    Path(paths[11]).write_bytes(b"not an image")
    return paths


@pytest.fixture(scope="session")
def counter(tmp_path_factory: pytest.TempPathFactory) -> str:
    config = make_config(CountingConfig, dict(COUNTING.smoke))
    identity = {
        "method": "counting",
        "config": config.model_dump(mode="json"),
        "seed": 0,
        "higher_is_better": True,
    }
    model = COUNTING.build(config, 0)
    model.density.bias.data.fill_(0.3)  # type: ignore[union-attr, operator]
    checkpoint = Checkpoint(0, model.state_dict(), {}, identity, {})
    folder = open_folder(str(tmp_path_factory.mktemp("counter")))
    return str(save_checkpoint(folder, "checkpoint", checkpoint))
