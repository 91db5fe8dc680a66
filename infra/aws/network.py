"""The network of a service: a VPC of its own with private subnets, or one that is there already.

Machines have no public address. Out of a VPC of our own they reach S3 and what manages them, and
the internet only where that is asked for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.flow_logs import FlowLogs
from infra.aws.part import Part, Scope

SUBNET_BITS = 4
"""A VPC is cut into sixteen: eight for private subnets, one a zone, and eight for public ones."""

ANYWHERE = "0.0.0.0/0"

MOST_ZONES = 3
"""Zones that a VPC of our own spans."""


@dataclass(frozen=True, slots=True)
class NetworkArgs:
    """What a network is made of."""

    vpc: str
    """`auto`, or the id of one that is there."""
    zones: Sequence[str]
    subnets: Sequence[str]
    public_subnets: Sequence[str]
    cidr: str
    nat: bool
    public: bool
    """Whether there must be subnets that the internet can reach."""
    flow_logs: bool


class Network(Part):
    """Subnets for machines and for a public endpoint, and the addresses that are inside."""

    vpc_id: pulumi.Output[str]
    cidr: pulumi.Output[str]
    private: list[pulumi.Output[str]]
    public: list[pulumi.Output[str]]
    inside: bool
    """Whether machines reach nothing but what the network itself has."""
    s3: pulumi.Output[str] | None
    """Id of S3's prefix list, where the network has a way to S3 of its own."""

    def __init__(self, scope: Scope, args: NetworkArgs, parent: pulumi.Resource) -> None:
        super().__init__("network", scope, parent)
        if args.vpc == "auto":
            self._make(args)
        else:
            self._find(args)
        self.register_outputs({"vpc": self.vpc_id})

    def _find(self, args: NetworkArgs) -> None:
        found = aws.ec2.get_vpc_output(id=args.vpc, opts=pulumi.InvokeOutputOptions(parent=self))
        self.vpc_id, self.cidr = pulumi.Output.from_input(args.vpc), found.cidr_block
        self.private = [pulumi.Output.from_input(subnet) for subnet in args.subnets]
        self.public = [pulumi.Output.from_input(subnet) for subnet in args.public_subnets]
        self.inside, self.s3 = False, None

    def _make(self, args: NetworkArgs) -> None:
        zones = tuple(args.zones[:MOST_ZONES])
        vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=args.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self.scope.tagged("vpc"),
            opts=self.below("vpc"),
        )
        self.vpc_id, self.cidr = vpc.id, vpc.cidr_block
        self.inside = not args.nat
        # Whatever forgets to name a security group is let through nowhere.
        aws.ec2.DefaultSecurityGroup(
            "closed", vpc_id=vpc.id, ingress=[], egress=[], tags=self.scope.tagged("closed"),
            opts=self.below("closed"),
        )  # fmt: skip
        private = {zone: self._subnet("private", zone, args.cidr, 0) for zone in zones}
        self.private = list(private.values())
        table = self._table("private", private)
        self.public = self._public(zones, args) if args.public or args.nat else []
        if args.nat:
            self._nat(table)
        self.s3 = self._endpoint_of_s3(table)
        if args.flow_logs:
            FlowLogs(self.scope, vpc.id, self)

    def _subnet(self, kind: str, zone: str, cidr: str, first: int) -> pulumi.Output[str]:
        """A zone has the same piece of the VPC whichever zones there are beside it."""
        pieces = list(ipaddress.IPv4Network(cidr).subnets(SUBNET_BITS))
        letter = ord(zone[-1]) - ord("a")
        name = f"{kind}-{zone}"
        subnet = aws.ec2.Subnet(
            name,
            vpc_id=self.vpc_id,
            availability_zone=zone,
            cidr_block=str(pieces[first + letter % 8]),
            map_public_ip_on_launch=False,
            tags=self.scope.tagged(name),
            opts=self.below(name),
        )
        made: pulumi.Output[str] = subnet.id
        return made

    def _table(self, kind: str, subnets: Mapping[str, pulumi.Output[str]]) -> aws.ec2.RouteTable:
        table = aws.ec2.RouteTable(
            kind, vpc_id=self.vpc_id, tags=self.scope.tagged(kind), opts=self.below(kind)
        )
        for zone, subnet in subnets.items():
            name = f"{kind}-{zone}"
            aws.ec2.RouteTableAssociation(
                name, route_table_id=table.id, subnet_id=subnet, opts=self.below(name)
            )
        return table

    def _public(self, zones: Sequence[str], args: NetworkArgs) -> list[pulumi.Output[str]]:
        gateway = aws.ec2.InternetGateway(
            "internet", vpc_id=self.vpc_id, tags=self.scope.tagged("internet"),
            opts=self.below("internet"),
        )  # fmt: skip
        subnets = {zone: self._subnet("public", zone, args.cidr, 8) for zone in zones}
        table = self._table("public", subnets)
        aws.ec2.Route(
            "to-internet", route_table_id=table.id, destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id, opts=self.below("to-internet"),
        )  # fmt: skip
        return list(subnets.values())

    def _nat(self, private: aws.ec2.RouteTable) -> None:
        address = aws.ec2.Eip(
            "nat", domain="vpc", tags=self.scope.tagged("nat"), opts=self.below("nat")
        )
        gateway = aws.ec2.NatGateway(
            "nat", allocation_id=address.id, subnet_id=self.public[0],
            tags=self.scope.tagged("nat"), opts=self.below("nat"),
        )  # fmt: skip
        aws.ec2.Route(
            "out", route_table_id=private.id, destination_cidr_block=ANYWHERE,
            nat_gateway_id=gateway.id, opts=self.below("out"),
        )  # fmt: skip

    def _endpoint_of_s3(self, private: aws.ec2.RouteTable) -> pulumi.Output[str]:
        endpoint = aws.ec2.VpcEndpoint(
            "s3",
            vpc_id=self.vpc_id,
            service_name=f"com.amazonaws.{self.scope.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[private.id],
            tags=self.scope.tagged("s3"),
            opts=self.below("s3"),
        )
        prefixes: pulumi.Output[str] = endpoint.prefix_list_id
        return prefixes
