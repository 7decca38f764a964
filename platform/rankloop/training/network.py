"""How data-parallel workers on several hosts find each other."""

import os
from dataclasses import dataclass
from typing import Any

import psutil
from ray.train.torch import TorchConfig

_VARIABLE = "GLOO_SOCKET_IFNAME"


class _AddressedBackend(TorchConfig().backend_cls):  # type: ignore[misc]
    """Ray Train's backend of torch, after every worker has chosen its interface."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        worker_group.execute(use_own_interface)
        super().on_start(worker_group, backend_config)


@dataclass
class AddressedTorchConfig(TorchConfig):
    """Ray Train's configuration of torch, for hosts whose names lead nowhere.

    gloo offers others the address that the host's own name has, which is loopback on many machines
    (Debian's 127.0.1.1); Ray knows the address by which the other hosts reach this one.
    """

    @property
    def backend_cls(self) -> type:
        """What sets the workers up."""
        return _AddressedBackend


def use_own_interface() -> None:
    """Let gloo use the interface by which other hosts reach this one, unless the user chose one."""
    import ray

    name = interface_of(ray.util.get_node_ip_address())
    if name is not None:
        os.environ.setdefault(_VARIABLE, name)


def interface_of(address: str) -> str | None:
    """Return the name of the network interface that has an address; None if none has."""
    for name, known in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in known):
            return name
    return None
