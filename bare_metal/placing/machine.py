"""A host as a plan sees a machine: what it says of itself, in the planner's words. Pure.

What a host does not say counts as nothing, so that no plan rests on it.
"""

from __future__ import annotations

from bare_metal.hosts.facts import Cpu, Gpu, HostFacts, Memory, Unknown
from llmops.planning import Gpu as PlannedGpu
from llmops.planning import MachineFacts


def machine_of(facts: HostFacts) -> MachineFacts:
    """What a host has to serve with, before an agent of it tells."""
    cpu = facts.cpu if isinstance(facts.cpu, Cpu) else None
    memory = facts.memory if isinstance(facts.memory, Memory) else None
    gpus = () if isinstance(facts.gpus, Unknown) else facts.gpus
    return MachineFacts(
        cores=cpu.threads if cpu else 0,
        memory=int(memory.total) if memory else 0,
        memory_free=int(memory.available) if memory else 0,
        disk_free=0,
        gpus=tuple(_gpu(one) for one in gpus),
        port_owner="",
        endpoint_port=None,
    )


def _gpu(gpu: Gpu) -> PlannedGpu:
    """A GPU that nothing runs on: a host that serves something else is not taken."""
    memory = int(gpu.memory or 0)
    return PlannedGpu(gpu.name, memory, memory)


__all__ = ["machine_of"]
