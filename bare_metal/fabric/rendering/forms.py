"""The forms that a cable plan can be written as, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bare_metal.fabric.model import FabricPlan
from bare_metal.fabric.rendering.cables import labels, table
from bare_metal.fabric.rendering.netfile import netfile
from bare_metal.fabric.rendering.picture import picture
from bare_metal.fabric.rendering.schedulers import kubernetes, slurm_conf, slurm_yaml
from bare_metal.fabric.rendering.topo import topo

FORMS: Mapping[str, Callable[[FabricPlan], str]] = {
    "cables": table,
    "labels": labels,
    "ibnetdiscover": netfile,
    "ibdiagnet": topo,
    "slurm-conf": slurm_conf,
    "slurm-yaml": slurm_yaml,
    "kubernetes": kubernetes,
    "svg": picture,
}
"""What a plan can be written as, by name."""
