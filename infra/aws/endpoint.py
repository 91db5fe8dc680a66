"""The endpoint: a load balancer that speaks TLS for the gateway, inside unless asked otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.part import Part, Scope
from llmops.spec import HEAD_PORT

TLS = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.2 and 1.3, with forward secrecy alone."""

TLS_PORT = 443


@dataclass(frozen=True, slots=True)
class EndpointArgs:
    """What an endpoint is made of."""

    certificate: str
    hostname: str
    public: bool
    vpc_id: pulumi.Output[str]
    subnets: list[pulumi.Output[str]]
    group: pulumi.Output[str]
    head: pulumi.Output[str]
    """Id of the machine that the gateway runs on."""


class Endpoint(Part):
    """A network load balancer: answers stream through it as they come."""

    url: pulumi.Output[str]
    dns_name: pulumi.Output[str]

    def __init__(self, scope: Scope, args: EndpointArgs, parent: pulumi.Resource) -> None:
        super().__init__("endpoint", scope, parent)
        balancer = aws.lb.LoadBalancer(
            "endpoint",
            load_balancer_type="network",
            internal=not args.public,
            subnets=args.subnets,
            security_groups=[args.group],
            enable_cross_zone_load_balancing=True,
            tags=scope.tagged("endpoint"),
            opts=self.below("endpoint"),
        )
        self.dns_name = balancer.dns_name
        self._listen(balancer, self._gateway(args), args.certificate)
        host = pulumi.Output.from_input(args.hostname) if args.hostname else balancer.dns_name
        self.url = pulumi.Output.concat("https://", host, "/v1")
        self.register_outputs({"url": self.url})

    def _gateway(self, args: EndpointArgs) -> aws.lb.TargetGroup:
        gateway = aws.lb.TargetGroup(
            "gateway",
            port=HEAD_PORT,
            protocol="TCP",
            target_type="instance",
            vpc_id=args.vpc_id,
            connection_termination=False,
            health_check={"protocol": "TCP", "port": "traffic-port"},
            tags=self.scope.tagged("gateway"),
            opts=self.below("gateway"),
        )
        aws.lb.TargetGroupAttachment(
            "gateway", target_group_arn=gateway.arn, target_id=args.head, port=HEAD_PORT,
            opts=self.below("gateway"),
        )  # fmt: skip
        return gateway

    def _listen(
        self, balancer: aws.lb.LoadBalancer, gateway: aws.lb.TargetGroup, certificate: str
    ) -> None:
        aws.lb.Listener(
            "tls",
            load_balancer_arn=balancer.arn,
            port=TLS_PORT,
            protocol="TLS",
            ssl_policy=TLS,
            certificate_arn=certificate,
            default_actions=[{"type": "forward", "target_group_arn": gateway.arn}],
            tags=self.scope.tagged("tls"),
            opts=self.below("tls"),
        )
