"""The cable plan for schedulers: Slurm's topology files, and node labels for Kubernetes with Kueue.

All leaves of a unit hold the same hosts, one for each rail, so a scheduler is told of one domain
for each unit and not of eight: hosts of a unit reach each other over one switch on every rail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

import yaml

from bare_metal.fabric.model import FabricPlan

BLOCK_LABEL = "llmops/fabric-block"
UNIT_LABEL = "llmops/fabric-unit"
HOST_LABEL = "kubernetes.io/hostname"

ROOT = "fabric"


def units(plan: FabricPlan) -> Mapping[str, tuple[str, ...]]:
    """Hosts of each unit, in the order of their slots."""
    hosts = {one.host: one.unit for one in plan.adapters}
    by_unit = groupby(hosts, key=hosts.__getitem__)
    return {unit: tuple(members) for unit, members in by_unit}


def blocks(plan: FabricPlan) -> Mapping[str, tuple[str, ...]]:
    """Units that share spines; one block where all do."""
    names = list(units(plan))
    size = plan.shape.block
    return {
        f"block{number}": tuple(names[at : at + size])
        for number, at in enumerate(range(0, len(names), size), 1)
    }


def slurm_conf(plan: FabricPlan) -> str:
    """Slurm's `topology.conf` for its plugin `topology/tree`."""
    lines = [f"SwitchName={unit} Nodes={','.join(hosts)}" for unit, hosts in units(plan).items()]
    lines += [f"SwitchName={name} Switches={','.join(below)}" for name, below in _above(plan)]
    return "\n".join(lines) + "\n"


def slurm_yaml(plan: FabricPlan) -> str:
    """Slurm's `topology.yaml`, which is read in place of `topology.conf` where there is one."""
    switches: list[dict[str, str]] = [
        {"switch": unit, "nodes": ",".join(hosts)} for unit, hosts in units(plan).items()
    ]
    switches += [{"switch": name, "children": ",".join(below)} for name, below in _above(plan)]
    tree = {"topology": "default", "cluster_default": True, "tree": {"switches": switches}}
    return yaml.safe_dump([tree], sort_keys=False, width=1_000_000)


def _above(plan: FabricPlan) -> Iterator[tuple[str, tuple[str, ...]]]:
    grouped = blocks(plan)
    if len(grouped) > 1:
        yield from grouped.items()
        yield ROOT, tuple(grouped)
    elif len(units(plan)) > 1:
        yield ROOT, tuple(units(plan))


def kubernetes(plan: FabricPlan) -> str:
    """Labels of the nodes, and Kueue's Topology over them.

    For `kubectl apply --server-side`, which sets the labels and leaves all else of a node alone.
    """
    of_unit = {unit: block for block, below in blocks(plan).items() for unit in below}
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": host,
                "labels": {BLOCK_LABEL: of_unit[unit], UNIT_LABEL: unit},
            },
        }
        for unit, hosts in units(plan).items()
        for host in hosts
    ]
    levels = [{"nodeLabel": label} for label in (BLOCK_LABEL, UNIT_LABEL, HOST_LABEL)]
    topology = {
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "Topology",
        "metadata": {"name": plan.cluster},
        "spec": {"levels": levels},
    }
    return yaml.safe_dump_all([topology, *nodes], sort_keys=False)
