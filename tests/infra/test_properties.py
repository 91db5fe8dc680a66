"""Rules that hold for the graph of every deployment on AWS, and not only for those of the cases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.aws.roles import RoleArgs, statements
from infra.tags import machines_digest, tags_of
from llmops.errors import RefusedError
from llmops.planning import Plan
from llmops.spec import AwsTarget, Deployment, loads
from tests.infra.api import wrong
from tests.infra.capturing import Captured
from tests.infra.graphs import captured, short, text
from tests.infra.making import MODEL, deployment, planned

EVERYWHERE = ("0.0.0.0/0", "::/0")
LONGEST_PREFIX = 37
"""Characters of a bucket's prefix: the provider adds 26, and a name has 63."""

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d"


@st.composite
def endpoints(draw: st.DrawFn) -> dict[str, Any]:
    if not draw(st.booleans()):
        return {}
    networks = st.lists(st.sampled_from(["10.0.0.0/8", "192.168.0.0/24", "203.0.113.0/24"]),
                        unique=True, max_size=3)  # fmt: skip
    return {
        "certificate": CERTIFICATE,
        "public": draw(st.booleans()),
        "networks": draw(networks),
    }


@st.composite
def targets(draw: st.DrawFn) -> dict[str, Any]:
    machine, reserved = draw(st.sampled_from([
        ("auto", {}), ("g6e.xlarge", {"market": "spot"}), ("p5.48xlarge", {}),
        ("p5.48xlarge", {"market": "capacity_block", "zone": "us-east-1c",
                         "reservation": "cr-0123456789abcdef0"}),
    ]))  # fmt: skip
    nat = draw(st.booleans())
    cidrs = st.sampled_from(["10.80.0.0/16", "172.20.0.0/20", "192.168.0.0/22"])
    network = {"nat": nat, "flow_logs": draw(st.booleans()), "cidr": draw(cidrs)}
    return {
        "kind": "aws", "region": "us-east-1", "machine": machine, **reserved,
        "spare": draw(st.integers(0, 2)),
        "store": draw(st.sampled_from(["auto", "s3://company/llmops"])),
        "packages": "index" if nat else "s3://wheels/llmops",
        "logs": {"cloudwatch": draw(st.booleans())},
        "network": network,
        "endpoint": draw(endpoints()),
    }  # fmt: skip


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    target = draw(targets())
    source = MODEL if target["network"]["nat"] else "s3://models/qwen"
    return loads(yaml.safe_dump({
        "name": draw(st.sampled_from(["chat", "a" * 40, "support-chat-2"])),
        "model": {"source": source},
        "scaling": {"replicas": draw(st.integers(1, 20))},
        "target": target,
    }))  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(deployments())
def test_what_is_declared_is_closed_encrypted_and_known_to_the_api(made: Deployment) -> None:
    found = captured(made)
    _let_in_as_asked(made, found)
    _is_encrypted(found)
    for one in found.resources.values():
        if one.kind.startswith("aws:"):
            assert list(wrong(one.kind, one.inputs)) == [], short(one.urn)


def _let_in_as_asked(made: Deployment, found: Captured) -> None:
    target = made.target
    assert isinstance(target, AwsTarget)
    endpoint = target.endpoint
    open_to = {
        rule.inputs["cidrIpv4"]
        for rule in found.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        if "cidrIpv4" in rule.inputs
    }
    asked = set(endpoint.networks) if endpoint.certificate else set()
    if endpoint.certificate and not asked:
        asked = {EVERYWHERE[0] if endpoint.public else target.network.cidr}
    assert open_to == asked
    assert not any("ingress" in one.inputs and one.inputs["ingress"]
                   for one in found.resources.values())  # fmt: skip
    for subnet in found.of("aws:ec2/subnet:Subnet"):
        assert subnet.inputs["mapPublicIpOnLaunch"] is False


def _is_encrypted(found: Captured) -> None:
    for template in found.of("aws:ec2/launchTemplate:LaunchTemplate"):
        disks = template.inputs["blockDeviceMappings"]
        assert disks
        assert all(disk["ebs"]["encrypted"] == "true" for disk in disks)
    buckets = {one.name for one in found.of("aws:s3/bucket:Bucket")}
    for one in found.of("aws:s3/bucket:Bucket"):
        assert len(one.inputs["bucketPrefix"]) <= LONGEST_PREFIX
    kept = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    assert {one.inputs["bucket"] for one in found.of(kept)} == {f"{name}-id" for name in buckets}
    for listener in found.of("aws:lb/listener:Listener"):
        assert listener.inputs["protocol"] == "TLS"


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(deployments())
def test_the_same_deployment_makes_the_same_graph(made: Deployment) -> None:
    assert text(captured(made)) == text(captured(made))


@settings(max_examples=40, deadline=None)
@given(deployments())
def test_the_plans_digest_is_of_the_machines_and_not_of_their_price(made: Deployment) -> None:
    plan = _planned(made)
    if plan is None or plan.machines is None:
        return
    cheaper = replace(plan, machines=replace(plan.machines, offers=(), usd_per_hour=replace(
        plan.machines.usd_per_hour, value=0.0)))  # fmt: skip
    other = replace(plan, machines=replace(plan.machines, market="another"))
    assert machines_digest(plan) == machines_digest(cheaper) != machines_digest(other)
    assert len(set(tags_of(made, plan).values())) >= 4


def test_whether_machines_are_rolled_says_nothing_of_the_release_nor_of_them() -> None:
    kept, rolled = deployment(spare=1), deployment(spare=1, roll="auto")
    assert planned(kept).identity == planned(rolled).identity
    assert tags_of(kept, planned(kept)) == tags_of(rolled, planned(rolled))


def _planned(made: Deployment) -> Plan | None:
    try:
        return planned(made)
    except RefusedError:
        return None


@given(st.booleans(), st.lists(st.sampled_from(["s3://a/b", "s3://c", "s3://d/e/f"]), unique=True))
def test_a_role_names_every_resource_but_sessions(leads: bool, reads: list[str]) -> None:
    args = RoleArgs(_nothing(), _nothing(), tuple(reads), leads)
    group = "arn:aws:logs:r:1:log-group:machines-1" if leads else ""
    given_ = statements(
        "aws", "s3://store/llmops", "arn:aws:secretsmanager:r:1:secret:t", group, args
    )
    for statement in given_:
        actions = _listed(statement["Action"])
        sessions = all(action.startswith(("ssm:", "ssmmessages:")) for action in actions)
        assert (statement["Resource"] == "*") == sessions
        assert not any(action.endswith("*") for action in actions)
    assert json.dumps(given_)


def _nothing() -> Any:
    return None


def _listed(value: str | list[str] | Mapping[str, Any]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
