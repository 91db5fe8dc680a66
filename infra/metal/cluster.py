"""Components of a cluster that stands in somebody's own racks: they describe it, and make nothing.

A stack of them is a record: what is declared, in which state of the file, and as outputs for other
programs of Pulumi. That cables are as described is the business of `llmops cluster fabric verify`,
and what hosts are, of `llmops cluster check`. No secret and no way to log in to a controller is
among the outputs.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import pulumi

from bare_metal.fabric import FabricPlan, wire
from bare_metal.inventory import Cluster as Described
from bare_metal.inventory import Placed, hosts_of, rails_of

KIND = "llmops:metal"


class Host(pulumi.ComponentResource):
    """A host where it stands."""

    def __init__(self, host: Placed, parent: pulumi.Resource) -> None:
        super().__init__(f"{KIND}:Host", host.name, None, pulumi.ResourceOptions(parent=parent))
        self.register_outputs(
            {
                "name": host.name,
                "unit": host.unit,
                "slot": float(host.slot),
                "rack": host.rack,
                "address": host.address,
                "usdPerHour": host.hourly,
            }
        )


class Fabric(pulumi.ComponentResource):
    """The cable plan: how much of what, and which state of it."""

    def __init__(self, name: str, plan: FabricPlan, parent: pulumi.Resource) -> None:
        super().__init__(f"{KIND}:Fabric", name, None, pulumi.ResourceOptions(parent=parent))
        roles = Counter(one.role for one in plan.switches)
        self.register_outputs(
            {
                "link": plan.link,
                "leaves": float(roles["leaf"]),
                "spines": float(roles["spine"]),
                "cores": float(roles["core"]),
                "adapters": float(len(plan.adapters)),
                "cables": float(len(plan.cables)),
                "cablesDigest": digest_of(plan),
            }
        )


class Cluster(pulumi.ComponentResource):
    """A cluster: its fabric and its hosts."""

    def __init__(self, described: Described, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{KIND}:Cluster", described.name, None, options)
        hosts, plan = hosts_of(described), wire(described)
        Fabric(f"{described.name}-fabric", plan, self)
        for host in hosts:
            Host(host, self)
        self.outputs: dict[str, object] = {
            "name": described.name,
            "hosts": {host.name: host.address for host in hosts},
            "units": sorted({host.unit for host in hosts}),
            "rails": [device for _, device in rails_of(described)],
            "cablesDigest": digest_of(plan),
            "usdPerHour": sum(host.hourly for host in hosts),
        }
        self.register_outputs(self.outputs)


def digest_of(plan: FabricPlan) -> str:
    """What tells one cable plan from another: SHA-256 of its cables, in order."""
    text = "".join(f"{low}\t{high}\n" for low, high in plan.cables)
    return hashlib.sha256(text.encode()).hexdigest()


def describe(described: Described) -> None:
    """Declare a cluster, and export what other programs need of it."""
    for name, value in Cluster(described).outputs.items():
        pulumi.export(name, value)


__all__ = ["Cluster", "Fabric", "Host", "describe", "digest_of"]
