"""How a machine is started: its launch template, the same for the head and for machines with GPUs.

Its metadata is given to whom asks with a session of this machine alone (IMDSv2, one hop), its disk
is encrypted, it has no key pair, and its user data holds no secret.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.part import Part
from infra.startup import StartUp, user_data

ROOT = "/dev/sda1"
"""Name of the root volume in images of Ubuntu."""

GIB = 2**30


@dataclass(frozen=True, slots=True)
class TemplateArgs:
    """What a launch template is made of."""

    machine: str
    image: str
    disk: int
    """Bytes of the root volume."""
    profile_arn: pulumi.Output[str]
    startup: pulumi.Output[StartUp]
    market: str = "on_demand"
    reservation: str = ""
    groups: Sequence[pulumi.Output[str]] = ()
    """Security groups; none where `interfaces` says it."""
    interfaces: Sequence[Mapping[str, Any]] = ()
    placement: pulumi.Output[str] | None = None
    """Name of a placement group."""


def launch_template(part: Part, name: str, args: TemplateArgs) -> aws.ec2.LaunchTemplate:
    """A launch template below a part."""
    return aws.ec2.LaunchTemplate(
        name,
        instance_type=args.machine,
        image_id=args.image,
        update_default_version=True,
        user_data=args.startup.apply(_encoded),
        iam_instance_profile={"arn": args.profile_arn},
        metadata_options={
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
            "instance_metadata_tags": "disabled",
        },
        block_device_mappings=[_root(args.disk)],
        vpc_security_group_ids=list(args.groups) or None,
        network_interfaces=list(args.interfaces) or None,
        instance_market_options=_market(args.market),
        capacity_reservation_specification=_reservation(args.reservation),
        placement={"group_name": args.placement} if args.placement is not None else None,
        tag_specifications=[
            {"resource_type": kind, "tags": part.scope.started(name)}
            for kind in ("instance", "volume", "network-interface")
        ],
        tags=part.scope.tagged(name),
        opts=part.below(name),
    )


def _encoded(startup: StartUp) -> str:
    return base64.b64encode(user_data(startup).encode()).decode()


def _root(disk: int) -> dict[str, Any]:
    return {
        "device_name": ROOT,
        "ebs": {
            "encrypted": "true",
            "volume_size": disk // GIB,
            "volume_type": "gp3",
            "delete_on_termination": "true",
        },
    }


_MARKETS: Mapping[str, dict[str, Any] | None] = {
    "on_demand": None,
    "spot": {
        "market_type": "spot",
        "spot_options": {
            "spot_instance_type": "one-time", "instance_interruption_behavior": "terminate",
        },
    },
    "capacity_block": {"market_type": "capacity-block"},
}  # fmt: skip


def _market(market: str) -> dict[str, Any] | None:
    return _MARKETS[market]


def _reservation(reservation: str) -> dict[str, Any] | None:
    if not reservation:
        return None
    return {"capacity_reservation_target": {"capacity_reservation_id": reservation}}
