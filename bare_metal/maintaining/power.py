"""Whether a host's power may go: not while it serves, nor while that is not known.

Only looks. The mark of maintenance is not asked for: it is written before replicas leave, so a host
that has it may serve yet. What tells is whether the agent is still there.
"""

from __future__ import annotations

from bare_metal.hosts.connection import LookingConnector, Unreachable
from bare_metal.hosts.facts import Unknown, gather
from bare_metal.hosts.operations import serves
from bare_metal.inventory import Placed

NOT_KNOWN = "whether it serves is not known"


def in_the_way(host: Placed, way: LookingConnector) -> str:
    """Why a host's power must not go; empty where nothing is in the way.

    Args:
        host: The host.
        way: How hosts are reached.
    """
    if not host.address:
        return f"{NOT_KNOWN}: the cluster file has no address of it"
    found = gather((host,), way)[host.name]
    if isinstance(found, Unreachable):
        return f"{NOT_KNOWN}: {found.reason}"
    if isinstance(found.ours, Unknown):
        return f"{NOT_KNOWN}: {found.ours.reason}"
    agent = serves(found)
    return f"it serves for {agent[1]}, as its {agent[0]}" if agent else ""


__all__ = ["in_the_way"]
