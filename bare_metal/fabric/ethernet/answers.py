"""What hosts and switches tell of themselves and of whom they hear. Nothing is judged here.

LLDP (IEEE 802.1AB) tells a chassis's identifier and name, and a port's identifier and description.
A device that could not be asked is a value of its own, so that no cable of it can pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Port:
    """An interface of the device itself; None stands for what it does not say."""

    up: bool | None = None
    mtu: int | None = None
    speed: int | None = None
    """Mb/s."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Whom an interface hears."""

    interface: str
    """The device's own interface."""
    chassis: str
    name: str
    """What the neighbour calls itself; empty where it does not say."""
    ports: tuple[str, ...]
    """Names that its port goes by; empty where it says a hardware address only."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device said."""

    neighbours: tuple[Neighbour, ...]
    ports: Mapping[str, Port] | None = None
    """By interface; None where nothing was said of them."""
    chassis: str = ""
    """Its own identifier; empty where it did not say."""
    name: str = ""
    """What it calls itself to its neighbours."""
    interfaces: Mapping[str, str] = field(default_factory=dict)
    """The network interface of each RDMA adapter, as the host itself says."""


@dataclass(frozen=True, slots=True)
class NotAsked:
    """A device that could not be asked, and why."""

    reason: str
    hint: str = ""


Answers = Mapping[str, Answer | NotAsked]
"""By the name of the host or the switch in the plan. A switch that is not among them was not to be
asked."""
