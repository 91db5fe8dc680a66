"""A network interface for each pod, inside the tests' own network.

Each pod has a network namespace with one address of the pods' network. A pair of interfaces joins
it to the tests' namespace, which forwards between pods, as a node does. It refuses nobody: there is
no network plugin, so no NetworkPolicy is enforced.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.kubernetes.realpods.inside import GATEWAY, INTERFACE

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
HOST = "10.244.0.1"
"""The tests' own address in the pods' network."""
FIRST = "10.244.200"
"""Network of these pods: the fake kubelets count theirs from the other end."""


class Network:
    """Gives addresses, and joins pods to the network."""

    def __init__(self) -> None:
        FORWARD.write_text("1")
        self._free: Iterator[int] = itertools.count(2)

    def address(self) -> str:
        """An address that no pod had before."""
        return f"{FIRST}.{next(self._free)}"

    def join(self, pid: int, address: str) -> None:
        """Give the network namespace of `pid` an interface, and lead the address there.

        The pods' whole network is local to the tests' loopback; a longer route in the same table
        goes before that.
        """
        here = f"pod{address.rpartition('.')[2]}"
        _ip(f"link add {here} type veth peer name {INTERFACE} netns {pid}")
        _ip(f"address add {GATEWAY}/32 dev {here}")
        _ip(f"link set {here} up")
        _ip(f"route add {address}/32 dev {here} src {HOST} table local")


def _ip(command: str) -> None:
    done = subprocess.run(["ip", *command.split()], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {command}: {done.stderr}")
