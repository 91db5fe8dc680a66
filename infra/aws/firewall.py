"""Who may connect to whom: security groups, each rule with its reason.

Nothing is let in from outside but what the endpoint's load balancer is asked for; there is no port
22 anywhere, because Session Manager needs none.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.aws.network import ANYWHERE, Network
from infra.aws.part import Part, Scope
from llmops.spec import HEAD_PORT

HTTPS = 443
EVERY_PROTOCOL = "-1"


class Firewall(Part):
    """The groups of the machines, of EFA, and of the endpoints of AWS's services."""

    machines: pulumi.Output[str]
    services: pulumi.Output[str] | None
    efa: pulumi.Output[str] | None

    def __init__(
        self, scope: Scope, network: Network, parent: pulumi.Resource, *, efa: bool
    ) -> None:
        super().__init__("firewall", scope, parent)
        self._network = network
        self.machines = self.group("machines", "Machines of the service, among themselves")
        self.among("machines", self.machines, "Ray and the engine choose their ports themselves")
        self.efa = self._efa() if efa else None
        self.services = self._services() if network.s3 is not None else None
        self._ways_out()
        self.register_outputs({})

    def group(self, name: str, description: str) -> pulumi.Output[str]:
        """A group that lets nothing through yet."""
        made = aws.ec2.SecurityGroup(
            name,
            description=description,
            vpc_id=self._network.vpc_id,
            tags=self.scope.tagged(name),
            opts=self.below(name),
        )
        group: pulumi.Output[str] = made.id
        return group

    def among(self, name: str, group: pulumi.Output[str], why: str) -> None:
        """Everything between members of a group."""
        self.let_in(f"{name}-in", group, why, source=group)
        self.let_out(f"{name}-out", group, why, to=group)

    def let_in(
        self,
        name: str,
        group: pulumi.Output[str],
        why: str,
        *,
        port: int | None = None,
        source: pulumi.Output[str] | None = None,
        cidr: pulumi.Input[str] | None = None,
    ) -> None:
        """Connections to a group: to one port, or to all."""
        aws.vpc.SecurityGroupIngressRule(
            name,
            security_group_id=group,
            description=why,
            ip_protocol=EVERY_PROTOCOL if port is None else "tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=source,
            cidr_ipv4=cidr,
            tags=self.scope.tagged(name),
            opts=self.below(name),
        )

    def let_out(
        self,
        name: str,
        group: pulumi.Output[str],
        why: str,
        *,
        port: int | None = None,
        to: pulumi.Output[str] | None = None,
        cidr: pulumi.Input[str] | None = None,
        prefixes: pulumi.Output[str] | None = None,
    ) -> None:
        """Connections from a group."""
        aws.vpc.SecurityGroupEgressRule(
            name,
            security_group_id=group,
            description=why,
            ip_protocol=EVERY_PROTOCOL if port is None else "tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=to,
            cidr_ipv4=cidr,
            prefix_list_id=prefixes,
            tags=self.scope.tagged(name),
            opts=self.below(name),
        )

    def behind(self, clients: Sequence[pulumi.Input[str]]) -> pulumi.Output[str]:
        """The group of a load balancer that these networks reach, before the gateway."""
        group = self.group("endpoint", "The load balancer of the endpoint")
        for index, cidr in enumerate(clients):
            self.let_in(f"clients-{index}", group, "Clients of the endpoint", port=HTTPS, cidr=cidr)
        self.let_out("to-gateway", group, "The gateway", port=HEAD_PORT, to=self.machines)
        self.let_in("gateway", self.machines, "The load balancer", port=HEAD_PORT, source=group)
        return group

    def _efa(self) -> pulumi.Output[str]:
        """EFA needs everything between its own interfaces, and a group that says so."""
        group = self.group("efa", "EFA interfaces, among themselves")
        self.among("efa", group, "EFA traffic is between members only")
        return group

    def _services(self) -> pulumi.Output[str]:
        group = self.group("services", "Endpoints of services of AWS")
        self.let_in("services", group, "Machines", port=HTTPS, source=self.machines)
        self.let_out("to-services", self.machines, "Services of AWS", port=HTTPS, to=group)
        return group

    def _ways_out(self) -> None:
        """To S3 by its own endpoint; anywhere only where the network leads there at all."""
        if self._network.s3 is not None:
            self.let_out("to-s3", self.machines, "S3", port=HTTPS, prefixes=self._network.s3)
        if not self._network.inside:
            self.let_out(
                "to-internet", self.machines, "Models and packages", port=HTTPS, cidr=ANYWHERE
            )
