"""A fabric as it was found: what `ibnetdiscover` printed, read into nodes and links.

Pure. Refuses a text that cannot be a whole fabric (empty, cut off, or of another form) by saying
why, because a checker that takes an empty answer for a healthy one is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class UnreadableError(Exception):
    """The text says nothing that could be believed."""


class SeenPort(NamedTuple):
    """What a port is joined to."""

    node: str
    """Identifier of the other node, as the format has it: `S-…` or `H-…`."""
    port: int
    link: str
    """Width and speed that were agreed on: `4xNDR`."""


@dataclass(slots=True)
class SeenNode:
    """A node that answered."""

    id: str
    name: str
    """What it calls itself."""
    ports: dict[int, SeenPort] = field(default_factory=dict)

    @property
    def switch(self) -> bool:
        """Whether it is a switch."""
        return self.id.startswith("S-")


@dataclass(frozen=True, slots=True)
class SeenFabric:
    """All nodes that answered, by identifier, and identifiers that more than one claimed."""

    nodes: Mapping[str, SeenNode]
    claimed_twice: tuple[SeenNode, ...] = ()

    def links(self) -> Iterator[tuple[SeenNode, int, SeenNode, int, str]]:
        """Each link once: both its ends, and what they agreed on."""
        for node in self.nodes.values():
            for port, there in node.ports.items():
                if (node.id, port) < (there.node, there.port):
                    yield node, port, self.nodes[there.node], there.port, there.link


_NODE = re.compile(r'^(Switch|Ca|Rt)\t+\d+ +"([SHR]-[0-9a-f]+)"\s*# "(.*?)"')
_PORT = re.compile(r'^\[(\d+)\](?:\([0-9a-f]+\))?\s+"([SHR]-[0-9a-f]+)"\[(\d+)\].*?(\d+x\w+)\s*$')
_HEADS = ("#", "vendid=", "devid=", "sysimgguid=", "switchguid=", "caguid=", "rtguid=", "ibwarn")


def read_fabric(text: str) -> SeenFabric:
    """Read what `ibnetdiscover` printed.

    Raises:
        UnreadableError: When that is nothing, is cut off, or is no such text.
    """
    nodes: dict[str, SeenNode] = {}
    twice: list[SeenNode] = []
    current: SeenNode | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if found := _NODE.match(line):
            current = SeenNode(found[2], found[3])
            if current.id in nodes:
                twice.append(current)
            nodes.setdefault(current.id, current)
        elif found := _PORT.match(line):
            if current is None:
                raise UnreadableError(f"line {number}: a port before any node")
            current.ports[int(found[1])] = SeenPort(found[2], int(found[3]), found[4])
        elif line.strip() and not line.startswith(_HEADS):
            raise UnreadableError(f"line {number} is none of ibnetdiscover's: {line[:60]!r}")
    if not nodes:
        raise UnreadableError("it names no node")
    if not any(node.switch for node in nodes.values()):
        raise UnreadableError("no switch answers: the port of the host that looked is not up")
    _check_whole(nodes)
    return SeenFabric(nodes, tuple(twice))


def _check_whole(nodes: Mapping[str, SeenNode]) -> None:
    """Every port that is joined to something is there at the other end too."""
    for node in nodes.values():
        for port, there in node.ports.items():
            other = nodes.get(there.node)
            if other is None or other.ports.get(there.port, ("", 0, ""))[:2] != (node.id, port):
                raise UnreadableError(
                    f'port {port} of "{node.name}" is joined to a port that the text does not tell'
                    " of: it is cut off, or the fabric changed while it was looked at"
                )
