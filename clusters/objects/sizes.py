"""What pods take: the fixed sizes of head and gateway, and sizes in the words of the API.

Requests are limits everywhere. Then a pod's QoS class is Guaranteed: a node that runs short of
memory ends other pods first, and the kernel's throttling never hits a pod because a neighbour is
busy. For a replica it is also the only honest size: an engine takes all of its memory at its start.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightkube.models import core_v1

KIB, MIB, GIB = 2**10, 2**20, 2**30
UNITS = (("Ti", 2**40), ("Gi", GIB), ("Mi", MIB), ("Ki", KIB))

OBJECT_STORE = 96 * MIB
"""Bytes of Ray's object store in every pod. Requests and answers pass by gRPC, so it stays nearly
empty; without a figure Ray would take 30 % of the pod's memory. Ray takes no less than 75 MiB."""


@dataclass(frozen=True, slots=True)
class Size:
    """What one container takes; memory and disk in bytes."""

    cores: int
    memory: int
    disk: int


HEAD = Size(cores=2, memory=4 * GIB, disk=6 * GIB)
"""The head runs no work, and knows a few dozen actors. Idle it takes 0.9 GiB (measured: Ray 2.60,
the memory of all its processes, pages they share counted once), and Serve's controller comes to it.
Four, because a head that is ended for want of memory takes the runtime along. Two cores, because at
a start twenty processes import Python and Ray."""

GATEWAY = Size(cores=2, memory=3 * GIB, disk=6 * GIB)
"""One event loop that may keep one core busy, and Ray's own processes on the second. These take
0.4 GiB (measured as for the head); the gateway holds at most 1,000 requests at a time, each with a
body of 1 MiB at most by default."""

AUTOSCALER = Size(cores=1, memory=GIB, disk=GIB)
"""Ray's autoscaler, a container beside the head: one process. Twice KubeRay's own figures, because
requests are limits here."""


def shared_memory(gpus: int) -> int:
    """Bytes of `/dev/shm` in a pod with `gpus`. What lies there counts as the pod's memory.

    Ray's object store, and as much again for the engine's own queues between its processes; NCCL
    and the engine's all-reduce share buffers of some 100 MiB for each pair, so 1 GiB per GPU.
    """
    return 2 * OBJECT_STORE + 64 * MIB + gpus * GIB


def quantity(size: int) -> str:
    """A number of bytes as the API writes it, in the largest unit that divides it."""
    for unit, worth in UNITS:
        if size and size % worth == 0:
            return f"{size // worth}{unit}"
    return str(size)


def resources(size: Size, extended: dict[str, int] | None = None) -> core_v1.ResourceRequirements:
    """Requests and limits, which are the same; `extended` are devices by their resource's name."""
    figures = {
        "cpu": str(size.cores),
        "memory": quantity(size.memory),
        "ephemeral-storage": quantity(size.disk),
        **{name: str(count) for name, count in (extended or {}).items() if count},
    }
    return core_v1.ResourceRequirements(requests=dict(figures), limits=dict(figures))
