"""The actor on a real Ray: killed, and called twice at once."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from rankloop.active.campaign import Campaign, open_campaign
from rankloop.active.conductor import NAMESPACE, Orders, drive_by_actor
from rankloop.active.cycle import Resources
from rankloop.storage import open_folder

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.usefixtures("ray_session"),
]
ORDERS = Orders(2, Resources(workers=0, scoring_workers=0))


def _start(campaign: Campaign, told: list[str], failures: list[BaseException]) -> threading.Thread:
    storage = open_folder(str(Path(campaign.folder.path).parents[1]))

    def work() -> None:
        try:
            drive_by_actor(campaign.folder, storage, ORDERS, told.append)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def _wait_for(told: list[str], text: str, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not any(text in line for line in told):
        assert time.monotonic() < end, told
        time.sleep(0.05)


def _decisions(campaign: Campaign) -> list[object]:
    campaign = open_campaign(campaign.folder)
    assert campaign.cycles_done() == 3
    return [
        [campaign.selected(number) for number in range(3)],
        campaign.labels(3),
        [campaign.cycle(n).read_json("trained.json")["metrics"] for n in (1, 2, 3)],
    ]


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory, build_campaign: Callable[..., Campaign]
) -> list[object]:
    campaign = build_campaign(tmp_path_factory.mktemp("expected"))
    told: list[str] = []
    failures: list[BaseException] = []
    _start(campaign, told, failures).join(120)
    assert not failures
    assert any("cycle 3: trains" in line for line in told)
    return _decisions(campaign)


def test_a_killed_actor_starts_again_and_goes_on(make_campaign, expected: list[object]):
    campaign = make_campaign()
    told: list[str] = []
    failures: list[BaseException] = []
    thread = _start(campaign, told, failures)
    _wait_for(told, "cycle 1: step 6 of 6")
    (name,) = [
        actor["name"]
        for actor in ray.util.list_named_actors(all_namespaces=True)
        if actor["namespace"] == NAMESPACE
    ]
    ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=False)
    thread.join(120)
    assert not thread.is_alive()
    assert not failures
    assert _decisions(campaign) == expected
    assert any("cycle 3: trains" in line for line in told)
    # Its place is free again.
    assert not [
        actor
        for actor in ray.util.list_named_actors(all_namespaces=True)
        if actor["namespace"] == NAMESPACE
    ]


def test_a_second_call_follows_the_first_and_has_nothing_to_do(
    make_campaign, expected: list[object]
):
    campaign = make_campaign()
    told: tuple[list[str], list[str]] = ([], [])
    failures: list[BaseException] = []
    first = _start(campaign, told[0], failures)
    _wait_for(told[0], "cycle 1: trains")
    second = _start(campaign, told[1], failures)
    for thread in (first, second):
        thread.join(120)
        assert not thread.is_alive()
    assert not failures
    assert _decisions(campaign) == expected
    for lines in told:
        assert any("cycle 3: trains" in line for line in lines)
