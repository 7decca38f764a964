import os
import socket

import pytest
import ray
from ray.exceptions import RayActorError, RayTaskError

from rankloop.training.network import AddressedTorchConfig, interface_of, use_own_interface


def test_the_interface_of_an_address():
    name = interface_of("127.0.0.1")
    assert name in {found for _, found in socket.if_nameindex()}
    assert interface_of("203.0.113.7") is None


def test_an_interface_that_the_user_chose_is_kept(monkeypatch):
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "127.0.0.1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "chosen")
    use_own_interface()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "chosen"
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    use_own_interface()
    assert os.environ["GLOO_SOCKET_IFNAME"] == interface_of("127.0.0.1")


@pytest.mark.parametrize(
    "gone",
    [
        RayTaskError("setup", "Traceback\nDistNetworkError: failed to connect", OSError("gone")),
        RayActorError(error_msg="its host is gone"),
    ],
)
def test_workers_that_do_not_find_each_other_are_started_again(gone):
    """Train starts a group again where a worker was lost, not for what one of them raised."""
    left = []

    class Group:
        def execute(self, function):
            raise gone

        def abort(self):
            left.append(self)

    config, group = AddressedTorchConfig(), Group()
    with pytest.raises(RayActorError, match="did not find each other") as refused:
        config.backend_cls().on_start(group, config)
    assert refused.value.__cause__ is gone
    assert left == [group]
