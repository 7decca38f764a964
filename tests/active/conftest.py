"""A campaign that takes seconds: twenty-odd small photographs, a shallow network."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dropped_answers import SOURCE
from rankloop.active.campaign import SELECTED, Campaign, Plan
from rankloop.active.new_campaign import create_campaign
from rankloop.datasets import prepare
from rankloop.datasets.dataset import Dataset
from rankloop.datasets.opening import open_dataset
from rankloop.methods import find_method
from rankloop.methods.rankiqa_config import RankIQAConfig
from rankloop.storage import open_folder
from scored_photos import write_scored_photos

CONFIG = RankIQAConfig(
    backbone="shallow",
    weights="none",
    input_size=48,
    distortions=("gaussian_noise", "gaussian_blur"),
    ranked_images=10,
    labelled_images=4,
    learning_rate=0.01,
    learning_rate_drops=0,
    test_sub_images=2,
    steps=6,
)
MakeCampaign = Callable[..., Campaign]


@pytest.fixture(scope="session")
def scored_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scored_photos(tmp_path_factory.mktemp("scored_photos"))


@contextmanager
def away(folder: Path, name: str = "") -> Iterator[None]:
    """Take a folder, or a file in it, away for a while, also from what was read of it lately."""
    there = folder / name
    hidden = there.with_name("away")
    there.rename(hidden)
    prepare._recent.photograph.cache_clear()
    try:
        yield
    finally:
        hidden.rename(there)


@pytest.fixture
def photos_away(scored_photos: Path) -> Callable[..., AbstractContextManager[None]]:
    return partial(away, scored_photos)


@pytest.fixture(scope="session")
def scored(scored_photos: Path) -> Dataset:
    return open_dataset(
        [f"csv:{scored_photos}/scores.csv?higher_is_better=true", f"folder:{scored_photos}"],
        seed=0,
        learns_from="scores",
    )


@pytest.fixture(scope="session")
def build_campaign(scored: Dataset) -> Callable[..., Campaign]:
    def build(
        storage: Path, name: str = "campaign", dataset: Dataset = scored, **values: Any
    ) -> Campaign:
        method = find_method(values.get("method", "rankiqa"))
        given = values.pop("config", {})
        if method.learns_from == "points":
            given = {**method.smoke, "steps": 2, "ranked_images": 8, "crops": 4, **given}
        rankiqa = method.name == "rankiqa"
        config = CONFIG.model_copy(update=given) if rankiqa else method.config(**given)
        plan: dict[str, Any] = {
            "method": "rankiqa",
            "config": config.model_dump(mode="json"),
            "strategy": "certainty",
            "labelling": "held_out",
            "start": 0.25,
            "step": 0.25,
            "seed": 0,
            "warm_start": True,
            "pairs": 20,
            "dataset": {
                "name": dataset.name,
                "higher_is_better": dataset.higher_is_better,
                "score_name": dataset.score_name,
                "annotator": dataset.annotator,
            },
        }
        folder = open_folder(str(storage)) / "active_learning" / name
        return create_campaign(folder, Plan(**(plan | values)), dataset)

    return build


@pytest.fixture
def make_campaign(tmp_path: Path, build_campaign: Callable[..., Campaign]) -> MakeCampaign:
    return partial(build_campaign, tmp_path)


@pytest.fixture
def asked(make_campaign: MakeCampaign) -> tuple[Campaign, list[str], Path]:
    campaign = make_campaign(labelling="folder")
    images = sorted(campaign.items)[:4]
    campaign.cycle(0).write_json(SELECTED, {"items": images})
    SOURCE.ask(campaign, 0, images)
    return campaign, images, Path(SOURCE.where(campaign, 0))
