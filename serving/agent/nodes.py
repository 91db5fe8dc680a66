"""The further machines of a store's agent: what each has, and whether it gives signs of life."""

from __future__ import annotations

from serving.agent import names
from serving.agent.blobs import Blobs
from serving.agent.documents import Kind
from serving.agent.words import Node

NODE = Kind(Node, "a machine's record")


def alive(blobs: Blobs, now: float) -> tuple[Node, ...]:
    """Those that give signs of life at `now` (Unix seconds), by name.

    It goes by their clocks: one whose clock is wrong by more than its record holds is not counted.
    """
    found = [NODE.read(blobs, name)[0] for name in tuple(blobs.names(names.NODES))]
    return tuple(n for n in found if n and not n.ended and now - n.renewed_at < n.seconds)
