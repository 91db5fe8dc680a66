"""The forms that a cable plan can be written as, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bare_metal.fabric.model import FabricPlan
from bare_metal.fabric.rendering.cables import labels, table
from bare_metal.fabric.rendering.netfile import netfile
from bare_metal.fabric.rendering.picture import picture
from bare_metal.fabric.rendering.schedulers import kubernetes, slurm_conf, slurm_yaml
from bare_metal.fabric.rendering.topo import topo
from llmops.errors import InputError


def _infiniband(write: Callable[[FabricPlan], str], form: str) -> Callable[[FabricPlan], str]:
    """A form that only programs of InfiniBand read."""

    def written(plan: FabricPlan) -> str:
        if plan.kind != "infiniband":
            raise InputError(
                f"{form}: expected an InfiniBand fabric, found one of Ethernet: what reads this"
                " form talks to InfiniBand switches only",
                hint="cables, labels, slurm-conf, slurm-yaml and kubernetes are written of both",
            )
        return write(plan)

    return written


FORMS: Mapping[str, Callable[[FabricPlan], str]] = {
    "cables": table,
    "labels": labels,
    "ibnetdiscover": _infiniband(netfile, "ibnetdiscover"),
    "ibdiagnet": _infiniband(topo, "ibdiagnet"),
    "slurm-conf": slurm_conf,
    "slurm-yaml": slurm_yaml,
    "kubernetes": kubernetes,
    "svg": picture,
}
"""What a plan can be written as, by name. Raises InputError for a form that is of no use to it."""
