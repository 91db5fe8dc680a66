"""What a provider would have answered: only what the program reads of a resource that is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ACCOUNT = "123456789012"


def outputs_of(kind: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Computed outputs of a resource that was made."""
    service = kind.split(":")[1].partition("/")[0]
    found = {
        "arn": f"arn:aws:{service}:us-east-1:{ACCOUNT}:{name}",
        "name": f"{name}-0a1b2c3",
    }
    return {**found, **_OWN.get(kind, {}), **_bucket(kind, name)}


def _bucket(kind: str, name: str) -> dict[str, Any]:
    if kind != "aws:s3/bucket:Bucket":
        return {}
    return {"bucket": f"llmops-{name}-0a1b2c3", "arn": f"arn:aws:s3:::llmops-{name}-0a1b2c3"}


_OWN: Mapping[str, dict[str, Any]] = {
    "aws:ec2/vpcEndpoint:VpcEndpoint": {"prefixListId": "pl-0123456789abcdef0"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:ec2/networkInterface:NetworkInterface": {"privateIp": "10.80.0.10"},
    "aws:lb/loadBalancer:LoadBalancer": {"dnsName": "endpoint-0a1b2c3.elb.us-east-1.amazonaws.com"},
}


def invoked(token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a function that looks something up."""
    if token == "aws:ec2/getVpc:getVpc":
        return {"id": arguments["id"], "cidrBlock": "10.20.0.0/16"}
    raise AssertionError(f"the program asks {token}, which nobody answers")
