"""Endpoints of the services of AWS that machines without an internet need, in the VPC itself."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.firewall import Firewall
from infra.aws.network import Network
from infra.aws.part import Part, Scope
from infra.naming import LOGS, SERVICES


class Services(Part):
    """One interface each, in the zone of the head: each costs by the hour in every zone."""

    def __init__(
        self,
        scope: Scope,
        network: Network,
        firewall: Firewall,
        parent: pulumi.Resource,
        *,
        logs: bool,
    ) -> None:
        super().__init__("services", scope, parent)
        group = firewall.services
        needed = (*SERVICES, LOGS) if logs else SERVICES
        for service in needed if group is not None else ():
            aws.ec2.VpcEndpoint(
                service,
                vpc_id=network.vpc_id,
                service_name=f"com.amazonaws.{scope.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=network.private[:1],
                security_group_ids=[group],
                tags=scope.tagged(service),
                opts=self.below(service),
            )
        self.register_outputs({})
