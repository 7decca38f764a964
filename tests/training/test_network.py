import os
import socket

import ray

from rankloop.training.network import interface_of, use_own_interface


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
