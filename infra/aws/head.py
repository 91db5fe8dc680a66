"""The head: one machine without GPUs, on an address of its own that stays when it is replaced."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.part import Part, Scope
from infra.aws.template import TemplateArgs, launch_template


@dataclass(frozen=True, slots=True)
class HeadArgs:
    """What a head is made of."""

    template: TemplateArgs
    subnet: pulumi.Output[str]
    groups: list[pulumi.Output[str]]


class Head(Part):
    """The machine that leads. Its start-up is read once: what a later one says, the agent does."""

    instance_id: pulumi.Output[str]
    address: pulumi.Output[str]

    def __init__(self, scope: Scope, args: HeadArgs, parent: pulumi.Resource) -> None:
        super().__init__("head", scope, parent)
        interface = aws.ec2.NetworkInterface(
            "head",
            description="Address of the head",
            subnet_id=args.subnet,
            security_groups=args.groups,
            tags=scope.tagged("head"),
            opts=self.below("head"),
        )
        template = launch_template(self, "head", args.template)
        machine = aws.ec2.Instance(
            "head",
            launch_template={"id": template.id, "version": "$Default"},
            primary_network_interface={"network_interface_id": interface.id},
            user_data_replace_on_change=False,
            tags=scope.tagged("head"),
            # Two machines cannot have the interface: so the old one goes first.
            opts=self.below("head", delete_first=True),
        )
        self.instance_id, self.address = machine.id, interface.private_ip
        self.register_outputs({"instance": self.instance_id, "address": self.address})
