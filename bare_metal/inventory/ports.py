"""Names of the ports of Ethernet switches, from 1 to as many as a switch has. Pure."""

from __future__ import annotations

from bare_metal.inventory.model import Cluster
from bare_metal.inventory.roce import SwitchPorts


def port_names(ports: SwitchPorts, radix: int) -> tuple[str, ...]:
    """The names of a switch's ports, in the order of their numbers in the cable plan."""
    lanes = ports.lanes or (0,)
    return tuple(
        ports.form.replace("{port}", str(ports.first + at // len(lanes) * ports.step)).replace(
            "{lane}", str(lanes[at % len(lanes)])
        )
        for at in range(radix)
    )


def ports_of(cluster: Cluster) -> dict[str, SwitchPorts]:
    """How ports are named of the switches where that is not as of all others."""
    return {one.name: one.ports for one in cluster.switches if one.ports is not None}
