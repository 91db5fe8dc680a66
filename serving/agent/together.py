"""Several machines in the shape that a plan for one machine takes. Pure.

It has as much as there is room for when the replicas are dealt evenly, so that what fits there fits
on the machines; and what a replica over several of them would have, should one machine not do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llmops.planning import MOST_STAGES, MachineFacts, share, whole
from llmops.spec import Deployment, Hardware


def as_one(own: MachineFacts, others: Sequence[MachineFacts], deployment: Deployment) -> (
    MachineFacts
):  # fmt: skip
    """All machines as one, for a plan: what its replicas may take when they are dealt evenly.

    A replica stands on one machine; `shares` has what it would be given on each of several.
    """
    if not others:
        return own
    replicas = deployment.scaling.replicas.high
    usable = _usable((own, *others), deployment)
    stages = range(1, min(len(usable), MOST_STAGES) + 1)
    shares = tuple(share(usable, replicas, count) for count in stages)
    return replace(whole(own, shares[0], replicas), shares=shares)


def _usable(machines: Sequence[MachineFacts], deployment: Deployment) -> list[MachineFacts]:
    """Those that replicas may stand on: where GPUs are wanted, those that have some."""
    hardware = deployment.hardware
    device = hardware.device if isinstance(hardware, Hardware) else "auto"
    with_gpus = [machine for machine in machines if machine.gpus]
    return with_gpus if with_gpus and device != "cpu" else list(machines)


__all__ = ["as_one"]
