"""The machines with GPUs: a group that keeps as many as are planned, and replaces what is lost.

It never chooses which one ends: a machine that serves would be cut off. What is too many, or
behind, llmops empties and then names to it (`infra.replacing`). So machines are protected from
scaling in, and zones are not balanced anew, which ends machines too.

Where machines have EFA and there are several, they stand close together in one zone, each network
card with an interface of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.part import Part, Scope
from infra.aws.template import TemplateArgs, launch_template

EFA = "efa"
"""The catalogue's word for a network of AWS that bypasses the kernel."""

WAIT = "10m"
"""That a group may take to get its machines; a refusal of EC2's ends it before that."""

LATEST = "$Latest"


@dataclass(frozen=True, slots=True)
class PoolArgs:
    """What a pool is made of."""

    template: TemplateArgs
    count: int
    """Machines that are planned."""
    size: int
    """Machines that it keeps: more than planned, while some are to be emptied."""
    rails: int
    """Network cards of a machine."""
    subnets: list[pulumi.Output[str]]
    machines_group: pulumi.Output[str]
    efa_group: pulumi.Output[str] | None
    """Set where the machines have EFA and are to use it."""


class Pool(Part):
    """Machines with GPUs."""

    group_name: pulumi.Output[str]
    placement: pulumi.Input[str] = ""
    """Name of the placement group that they stand close together in; empty for none."""

    def __init__(self, scope: Scope, args: PoolArgs, parent: pulumi.Resource) -> None:
        super().__init__("pool", scope, parent)
        close = args.efa_group is not None
        template = launch_template(self, "pool", self._placed(args) if close else args.template)
        group = aws.autoscaling.Group(
            "pool",
            min_size=args.count,
            max_size=args.size,
            desired_capacity=args.size,
            protect_from_scale_in=True,
            suspended_processes=["AZRebalance"],
            vpc_zone_identifiers=args.subnets[:1] if close else args.subnets,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            health_check_type="EC2",
            health_check_grace_period=300,
            wait_for_capacity_timeout=WAIT,
            ignore_failed_scaling_activities=False,
            tags=[
                {"key": key, "value": value, "propagate_at_launch": True}
                for key, value in scope.tagged("pool").items()
            ],
            opts=self.below("pool"),
        )
        self.group_name = group.name
        self.register_outputs({"group": self.group_name})

    def _placed(self, args: PoolArgs) -> TemplateArgs:
        together = aws.ec2.PlacementGroup(
            "close", strategy="cluster", tags=self.scope.tagged("close"), opts=self.below("close")
        )
        self.placement = together.name
        groups = [args.machines_group, args.efa_group]
        return replace(
            args.template,
            groups=(),
            interfaces=[_interface(card, groups) for card in range(args.rails)],
            placement=together.name,
        )


def _interface(card: int, groups: list[pulumi.Output[str] | None]) -> Mapping[str, Any]:
    """The first card's interface carries the machine's address as well."""
    first = {"device_index": 0, "interface_type": "efa", "associate_public_ip_address": "false"}
    return {
        "network_card_index": card,
        "security_groups": groups,
        "delete_on_termination": "true",
        **(first if card == 0 else {"device_index": 1, "interface_type": "efa-only"}),
    }
