"""Further machines: told where to join, and counted in when a plan is made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import InputError
from llmops.planning import MachineFacts
from serving.agent import names
from serving.agent.blobs import Blobs
from serving.agent.nodes import CLUSTER, alive, recorded
from serving.agent.words import Cluster, Node
from serving.runtime.network import Network


@dataclass(frozen=True, slots=True)
class Joining:
    """How this machine takes part in a Ray of several."""

    network: Network

    @classmethod
    def of(cls, address: str | None, token_file: Path | None) -> Joining | None:
        """As the command line says it; None where this machine is alone.

        Raises:
            InputError: When only one of the two is said, or one is wrong.
        """
        if address is None and token_file is None:
            return None
        if address is None or token_file is None:
            raise InputError(
                "a Ray of several machines needs --address and --token-file, both on each",
                hint="leave both out for one machine",
            )
        return cls(Network.of(address, token_file))


class Machines:
    """The further machines of a store, as the agent's own looks at them.

    Args:
        blobs: The store.
        joining: How machines join; None where none may.
        clock: Unix seconds.
    """

    def __init__(
        self, blobs: Blobs, joining: Joining | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._blobs, self._clock = blobs, clock
        self._joining = joining
        self._told: Cluster | None = None
        self._turn = threading.Lock()

    @property
    def network(self) -> Network | None:
        """How further machines may join; None where none may."""
        return self._joining.network if self._joining else None

    def tell(self, endpoint: dict[str, Any] | None) -> None:
        """Say where to join: of a host's record, or None while none runs."""
        if self._joining is None:
            return
        address = str((endpoint or {}).get("ray") or "")
        wanted = Cluster(address, self._joining.network.fingerprint())
        with self._turn:
            if wanted != self._told:
                _, version = CLUSTER.read(self._blobs, names.CLUSTER)
                CLUSTER.write(self._blobs, names.CLUSTER, wanted, version)
                self._told = wanted

    def alive(self) -> tuple[MachineFacts, ...]:
        """What the machines have that give signs of life."""
        return tuple(node.machine for node in self._nodes())

    def missing(self, endpoint: dict[str, Any] | None) -> tuple[str, ...]:
        """Addresses of those that give signs of life, and have not joined this Ray yet."""
        head = str((endpoint or {}).get("ray") or "")
        return tuple(node.address for node in self._nodes() if node.joined != head)

    def silent(self) -> tuple[str, ...]:
        """Addresses of those that have neither said goodbye nor give signs of life."""
        if self._joining is None:
            return ()
        now = self._clock()
        found = (node for node in recorded(self._blobs) if not node.ended)
        return tuple(node.address for node in found if not node.alive(now))

    def _nodes(self) -> tuple[Node, ...]:
        return alive(self._blobs, self._clock()) if self._joining else ()


__all__ = ["CLUSTER", "Joining", "Machines"]
