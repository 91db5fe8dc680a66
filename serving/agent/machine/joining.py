"""Further machines: told where to join, and counted in when a plan is made.

What they have is brought to the shape that a plan for one machine takes: as much as there is room
for when the replicas are dealt evenly, so that what fits there fits on the machines.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmops.errors import InputError
from llmops.planning import MachineFacts
from llmops.spec import Deployment, Hardware
from serving.agent import names
from serving.agent.blobs import Blobs
from serving.agent.documents import Kind
from serving.agent.nodes import alive
from serving.agent.words import Cluster, Node
from serving.runtime.network import Network

CLUSTER = Kind(Cluster, "where machines join")


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

    def _nodes(self) -> tuple[Node, ...]:
        return alive(self._blobs, self._clock()) if self._joining else ()


def as_one(own: MachineFacts, others: Sequence[MachineFacts], deployment: Deployment) -> (
    MachineFacts
):  # fmt: skip
    """All machines as one, for a plan: what its replicas may take when they are dealt evenly.

    Of the machines as many count as there are replicas, those with the most. Each replica stands on
    one machine, so each is given the same part of the smallest of these.
    """
    if not others:
        return own
    replicas = deployment.scaling.replicas.high
    usable = _usable((own, *others), deployment)
    chosen = sorted(usable, key=lambda m: (len(m.gpus), m.memory), reverse=True)[:replicas]
    each = -(-replicas // len(chosen))
    cores = min(max(1, (machine.cores - 1) // each) for machine in chosen)
    gpus = min(len(machine.gpus) // each for machine in chosen)
    memory = min(machine.memory // each for machine in chosen)
    free = min(machine.memory_free // each for machine in chosen)
    note = (
        f"planned for {len(chosen)} of {len(usable)} machines, with at most {each} replica(s) on"
        " each"
    )
    return replace(
        own,
        cores=cores * replicas + 1,
        memory=memory * replicas,
        memory_free=free * replicas,
        disk_free=min(machine.disk_free for machine in chosen),
        gpus=chosen[0].gpus[:gpus] * replicas,
        notes=(*own.notes, note),
    )


def _usable(machines: Sequence[MachineFacts], deployment: Deployment) -> list[MachineFacts]:
    """Those that replicas may stand on: where GPUs are wanted, those that have some."""
    hardware = deployment.hardware
    device = hardware.device if isinstance(hardware, Hardware) else "auto"
    with_gpus = [machine for machine in machines if machine.gpus]
    return with_gpus if with_gpus and device != "cpu" else list(machines)


__all__ = ["CLUSTER", "Joining", "Machines", "as_one"]
