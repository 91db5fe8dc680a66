"""The further machines of a store's agent: where they join, what each has, whether it lives, and
which one is to leave.

One at a time leaves, because there is one object that names it. A machine that has left stays away
for as long as it is named; then it joins again.
"""

from __future__ import annotations

from serving.agent import names
from serving.agent.blobs import Blobs
from serving.agent.documents import Kind
from serving.agent.words import Cluster, Leaving, Node

CLUSTER = Kind(Cluster, "where machines join")
NODE = Kind(Node, "a machine's record")
LEAVING = Kind(Leaving, "which machine is to leave")


def recorded(blobs: Blobs) -> tuple[Node, ...]:
    """What each machine has last said of itself, by name."""
    found = [NODE.read(blobs, name)[0] for name in tuple(blobs.names(names.NODES))]
    return tuple(node for node in found if node)


def alive(blobs: Blobs, now: float) -> tuple[Node, ...]:
    """Those that give signs of life at `now` (Unix seconds), by name.

    It goes by their clocks: one whose clock is wrong by more than its record holds is not counted.
    """
    return tuple(node for node in recorded(blobs) if node.alive(now))
