"""Several machines in the shape that a plan for one machine takes. Pure.

It has as much as there is room for when the replicas are dealt evenly, so that what fits there fits
on the machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llmops.planning import MachineFacts
from llmops.spec import Deployment, Hardware


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


__all__ = ["as_one"]
