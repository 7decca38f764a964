import pytest
import ray

from rankloop.cluster import connected
from rankloop.errors import ClusterError


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("The current node timed out during startup. Perhaps", ClusterError),
        ("something else", RuntimeError),
    ],
)
def test_a_ray_that_does_not_start_in_time_is_named(monkeypatch, said, expected):
    def init(**options: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(expected), connected():
        pass
