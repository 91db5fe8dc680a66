"""What takes away things that no stack holds, and machines of a pool: the only place that deletes
outside of a stack.

It never takes what holds data (buckets, disks' snapshots), and what it has no way to remove it
names: a person decides about those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from infra.account.model import Thing
from infra.account.reader import client_maker, explained, forgiven
from llmops.errors import LlmopsError

Way = tuple[str, Callable[[Any, Thing], Any]]

WAYS: dict[str, Way] = {
    "autoscaling:group": ("autoscaling", lambda c, t: c.delete_auto_scaling_group(
        AutoScalingGroupName=t.id, ForceDelete=True)),
    "elasticloadbalancing:loadbalancer": ("elbv2", lambda c, t: c.delete_load_balancer(
        LoadBalancerArn=t.arn)),
    "elasticloadbalancing:targetgroup": ("elbv2", lambda c, t: c.delete_target_group(
        TargetGroupArn=t.arn)),
    "ec2:instance": ("ec2", lambda c, t: c.terminate_instances(InstanceIds=[t.id])),
    "ec2:natgateway": ("ec2", lambda c, t: c.delete_nat_gateway(NatGatewayId=t.id)),
    "ec2:vpc-endpoint": ("ec2", lambda c, t: c.delete_vpc_endpoints(VpcEndpointIds=[t.id])),
    "ec2:volume": ("ec2", lambda c, t: c.delete_volume(VolumeId=t.id)),
    "ec2:elastic-ip": ("ec2", lambda c, t: c.release_address(AllocationId=t.id)),
    "ec2:network-interface": ("ec2", lambda c, t: c.delete_network_interface(
        NetworkInterfaceId=t.id)),
    "ec2:launch-template": ("ec2", lambda c, t: c.delete_launch_template(LaunchTemplateId=t.id)),
    "ec2:placement-group": ("ec2", lambda c, t: c.delete_placement_group(GroupName=t.id)),
    "ec2:security-group": ("ec2", lambda c, t: c.delete_security_group(GroupId=t.id)),
    "ec2:subnet": ("ec2", lambda c, t: c.delete_subnet(SubnetId=t.id)),
    "ec2:route-table": ("ec2", lambda c, t: c.delete_route_table(RouteTableId=t.id)),
    "ec2:vpc": ("ec2", lambda c, t: c.delete_vpc(VpcId=t.id)),
}  # fmt: skip
"""By kind: the client, and the call. In the order in which they can go: what uses others first."""


class Remover:
    """Takes things away in one region."""

    def __init__(self, region: str, client_of: Any = None) -> None:
        self._client_of = client_of or client_maker(region)

    def remove(self, things: tuple[Thing, ...]) -> Iterator[tuple[Thing, str]]:
        """Take them away in an order that can work; yields each and why it stays, empty when it
        goes. One that does not go keeps no other."""
        for thing in things:
            if thing.kind not in WAYS:
                yield thing, "llmops removes none of this kind"
        order = list(WAYS)
        for thing in sorted(
            (one for one in things if one.kind in WAYS), key=lambda one: order.index(one.kind)
        ):
            yield thing, self._one(thing)

    def _one(self, thing: Thing) -> str:
        service, call = WAYS[thing.kind]
        try:
            with explained(f"{thing.kind} {thing.id}"), forgiven("NotFound"):
                call(self._client_of(service), thing)
        except LlmopsError as error:
            return error.message
        return ""

    def end(self, machine: str, *, successor: bool) -> None:
        """Have a machine's Auto Scaling group end it, and start another in its place or keep one
        less. That it is protected from scaling in is no matter: it is named.

        Raises:
            UnreachableError: When AWS does not do it.
        """
        with (
            explained("autoscaling:TerminateInstanceInAutoScalingGroup"),
            forgiven("ScalingActivityInProgress"),
        ):
            self._client_of("autoscaling").terminate_instance_in_auto_scaling_group(
                InstanceId=machine, ShouldDecrementDesiredCapacity=not successor
            )

    def empty(self, bucket: str) -> Iterator[int]:
        """Delete every version of every object of a bucket; yields how many so far. Idempotent."""
        client = self._client_of("s3")
        gone = 0
        with explained(f"s3:DeleteObjectVersion of {bucket}"):
            for batch in _versions(client, bucket):
                client.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
                gone += len(batch)
                yield gone


def _versions(client: Any, bucket: str) -> Iterator[list[dict[str, str]]]:
    """All that is in a bucket, page by page; nothing where the bucket has gone."""
    with forgiven("NoSuchBucket"):
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            if found:
                yield [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]


__all__ = ["WAYS", "Remover"]
