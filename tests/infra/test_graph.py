"""What the program declares, as Pulumi's SDK sends it: golden graphs, and rules over all of them.

See `capturing` for what this proves, and what it does not.
"""

from __future__ import annotations

import base64
import difflib
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from infra.aws import part
from infra.keeping import Keep
from infra.tags import OWNER_TAG, PLAN_TAG, PROJECT_TAG, SERVICE_TAG, SPEC_TAG, STACK_TAG
from llmops.planning import UNKNOWN
from llmops.spec import Deployment, loads
from tests.infra.capturing import SECRET, SIGNATURE, Captured, Registered, capture
from tests.infra.graphs import CASES, NAMES, captured, case, golden, short, text

ALL_TAGS = {PROJECT_TAG, STACK_TAG, SERVICE_TAG, OWNER_TAG, SPEC_TAG, PLAN_TAG, "Name"}
HOLDS_DATA = {"aws:s3/bucket:Bucket"}
GROUP = "aws:autoscaling/group:Group"
PLACEMENT = "aws:ec2/placementGroup:PlacementGroup"


@pytest.fixture(scope="module")
def graphs() -> dict[str, Captured]:
    return {name: captured(case(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_is_what_it_was(graphs: dict[str, Captured], name: str) -> None:
    was, is_now = golden(name).read_text(), text(graphs[name])
    lines = difflib.unified_diff(was.splitlines(), is_now.splitlines(), "golden", "now", n=1)
    assert was == is_now, "python -m tests.infra.graphs writes it anew:\n" + "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_preview_declares_what_an_update_does(graphs: dict[str, Captured], name: str) -> None:
    before = captured(case(name), preview=True)
    assert set(before.resources) == set(graphs[name].resources)
    assert {u: r.dependencies for u, r in before.resources.items()} == {
        u: r.dependencies for u, r in graphs[name].resources.items()
    }


def test_the_same_plan_makes_the_same_graph(graphs: dict[str, Captured]) -> None:
    assert text(captured(case("public"))) == text(graphs["public"])


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_can_be_tagged_says_whose_it_is(
    graphs: dict[str, Captured], name: str
) -> None:
    for one in graphs[name].resources.values():
        if one.kind.startswith("aws:") and _takes_tags(one.kind):
            assert _tags(one) >= ALL_TAGS, f"{short(one.urn)} is not tagged"


def _takes_tags(kind: str) -> bool:
    module, name = kind.split(":")[1].partition("/")[0], kind.rpartition(":")[2]
    resource = getattr(getattr(aws, module), name)
    return "tags" in inspect.signature(resource._internal_init).parameters


def _tags(one: Registered) -> set[str]:
    tags = one.inputs.get("tags") or {}
    return {tag["key"] for tag in tags} if isinstance(tags, list) else set(tags)


def test_another_plan_of_the_same_machines_starts_them_no_other_way() -> None:
    """Or a deploy of anything would put every machine behind."""

    def starts(made: Deployment) -> dict[str, Any]:
        found = captured(made).of("aws:ec2/launchTemplate:LaunchTemplate")
        return {one.name: {k: v for k, v in one.inputs.items() if k != "tags"} for one in found}

    made, other = case("public"), case("public").model_copy(deep=True)
    more = {"target": made.target.model_copy(update={"owner": "search"}),
            "engine": made.engine.model_copy(update={"context": 2048})}  # fmt: skip
    other = other.model_copy(update=more)
    assert (
        captured(made).named("aws:autoscaling/group:Group", "pool").inputs["tags"]
        != (captured(other).named("aws:autoscaling/group:Group", "pool").inputs["tags"])
    )
    assert starts(made) == starts(other)


@pytest.mark.parametrize("name", NAMES)
def test_only_what_holds_data_is_protected(graphs: dict[str, Captured], name: str) -> None:
    for one in graphs[name].resources.values():
        assert one.protect == (one.kind in HOLDS_DATA), short(one.urn)


@pytest.mark.parametrize("name", NAMES)
def test_every_resource_is_made_by_the_provider_of_the_region(
    graphs: dict[str, Captured], name: str
) -> None:
    (provider,) = graphs[name].of("pulumi:providers:aws")
    assert provider.inputs["region"] == "us-east-1"
    for one in graphs[name].resources.values():
        if one.kind.startswith("aws:"):
            assert one.provider == provider.urn, short(one.urn)


@pytest.mark.parametrize("name", NAMES)
def test_machines_give_their_role_to_nobody_and_keep_nothing_in_the_clear(
    graphs: dict[str, Captured], name: str
) -> None:
    for template in graphs[name].of("aws:ec2/launchTemplate:LaunchTemplate"):
        options = template.inputs["metadataOptions"]
        assert (options["httpTokens"], options["httpPutResponseHopLimit"]) == ("required", 1)
        assert "keyName" not in template.inputs
        for disk in template.inputs["blockDeviceMappings"]:
            assert disk["ebs"]["encrypted"] == "true"


@pytest.mark.parametrize("name", NAMES)
def test_the_endpoint_is_the_only_way_in(graphs: dict[str, Captured], name: str) -> None:
    found = graphs[name]
    for rule in found.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        ports = (rule.inputs.get("fromPort"), rule.inputs.get("toPort"))
        assert ports in ((443, 443), (8000, 8000), (None, None)), short(rule.urn)
        if "cidrIpv4" in rule.inputs:
            assert rule.inputs["securityGroupId"] == "endpoint-id", short(rule.urn)
            assert ports == (443, 443)
            everywhere = rule.inputs["cidrIpv4"] == "0.0.0.0/0"
            assert everywhere == (name == "public"), short(rule.urn)
        else:
            assert rule.inputs["referencedSecurityGroupId"], short(rule.urn)
    for balancer in found.of("aws:lb/loadBalancer:LoadBalancer"):
        assert balancer.inputs["internal"] == (name != "public")
    for listener in found.of("aws:lb/listener:Listener"):
        assert (listener.inputs["protocol"], listener.inputs["port"]) == ("TLS", 443)


def test_machines_with_efa_stand_close_in_one_zone(graphs: dict[str, Captured]) -> None:
    pool = graphs["block"].named("aws:ec2/launchTemplate:LaunchTemplate", "pool")
    cards = pool.inputs["networkInterfaces"]
    assert [card["networkCardIndex"] for card in cards] == list(range(32))
    assert {card["interfaceType"] for card in cards} == {"efa", "efa-only"}
    assert all("efa-id" in card["securityGroups"] for card in cards)
    group = graphs["block"].named("aws:autoscaling/group:Group", "pool")
    assert len(group.inputs["vpcZoneIdentifiers"]) == 1
    assert pool.inputs["placement"] == {"groupName": "close-0a1b2c3"}


def test_a_group_ends_no_machine_of_its_own_choice(graphs: dict[str, Captured]) -> None:
    for found in graphs.values():
        group = found.named(GROUP, "pool").inputs
        assert group["protectFromScaleIn"] is True
        assert group["suspendedProcesses"] == ["AZRebalance"]


def test_machines_that_are_there_are_kept_and_nothing_else_is_declared_otherwise() -> None:
    """The least is what is planned: AWS refuses to end a named machine below that."""
    planned, kept = captured(case("smallest")), captured(case("smallest"), keep=Keep(3))
    group = kept.named(GROUP, "pool").inputs
    assert (group["minSize"], group["maxSize"], group["desiredCapacity"]) == (1, 3, 3)
    group |= {"maxSize": 1.0, "desiredCapacity": 1.0}
    for name, value in (("machines", 3.0), ("usd_per_hour", UNKNOWN), ("usd_per_month", UNKNOWN)):
        assert kept.outputs[name] == value
        kept.outputs[name] = planned.outputs[name]
    assert text(kept) == text(planned)
    fewer = captured(case("smallest"), keep=Keep(0))
    assert text(fewer) == text(planned), "a plan of more machines than there are is as it was"


def test_machines_that_stand_close_together_stay_so_when_one_is_left() -> None:
    """Their placement group could not go while it stands in it."""
    one = loads((CASES / "block.yaml").read_text().replace("replicas: 12", "replicas: 8"))
    alone, left = captured(one), captured(one, keep=Keep(1, close=True))
    assert alone.of(PLACEMENT) == []
    assert alone.outputs["placement"] == ""
    assert [two.name for two in left.of(PLACEMENT)] == ["close"]
    assert left.outputs["placement"] == "close-0a1b2c3"
    assert left.named(GROUP, "pool").inputs["desiredCapacity"] == 1


def test_only_the_head_may_write_releases_and_the_token(graphs: dict[str, Captured]) -> None:
    policies = graphs["smallest"].of("aws:iam/rolePolicy:RolePolicy")
    written = {
        policy.name: {
            statement["Resource"]
            for statement in json.loads(policy.inputs["policy"])["Statement"]
            if any(":Put" in action for action in statement["Action"])
        }
        for policy in policies
        if policy.name != "flows"
    }
    store = "arn:aws:s3:::llmops-store-0a1b2c3/llmops"
    token = "arn:aws:secretsmanager:us-east-1:123456789012:ray-token"
    assert written["head-role"] == {f"{store}/*", token}
    assert written["worker-role"] == {f"{store}/nodes/*"}
    assert not any("*" in action for policy in policies for action in _actions(policy))


def _actions(policy: Registered) -> Iterator[str]:
    for statement in json.loads(policy.inputs["policy"])["Statement"]:
        actions = statement["Action"]
        yield from [actions] if isinstance(actions, str) else actions


def test_no_canary_of_the_environment_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    canaries = {
        "AWS_SECRET_ACCESS_KEY": "canary-one", "HF_TOKEN": "canary-two",
        "PULUMI_CONFIG_PASSPHRASE": "canary-three", "LLMOPS_API_KEY": "canary-four",
    }  # fmt: skip
    for name, value in canaries.items():
        monkeypatch.setenv(name, value)
    found = captured(case("public"))
    sent = json.dumps([one.inputs for one in found.resources.values()]) + _user_data(found)
    assert not [value for value in canaries.values() if value in sent]


def _user_data(found: Captured) -> str:
    templates = found.of("aws:ec2/launchTemplate:LaunchTemplate")
    return "".join(base64.b64decode(one.inputs["userData"]).decode() for one in templates)


def test_the_capture_would_see_a_secret_that_leaves_its_envelope() -> None:
    """The proof above would be worth nothing where envelopes are not seen."""

    def tells() -> None:
        kept = pulumi.Output.secret("canary-five")
        aws.ec2.SecurityGroup("kept", description=kept)
        aws.ec2.SecurityGroup("told", description="canary-five")

    found = capture(tells)
    values: dict[str, Any] = {
        one.name: one.inputs.get("description") for one in found.resources.values()
    }
    assert values["kept"] == {SIGNATURE: SECRET, "value": "canary-five"}
    assert values["told"] == "canary-five"


def test_a_renamed_resource_is_found_by_its_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "RENAMED", {"ray-token": ("cluster-token",), "head": ("leader",)})
    found = captured(case("smallest"))
    assert found.named("aws:secretsmanager/secret:Secret", "ray-token").aliases == (
        "cluster-token",
    )
    assert found.named("aws:ec2/instance:Instance", "head").aliases == ("leader",)


def test_a_zone_keeps_its_subnet_when_others_come_and_go() -> None:
    from infra.program import program
    from llmops.planning import make_plan
    from tests.infra.making import deployment, facts

    def blocks(zones: tuple[str, ...]) -> dict[str, str]:
        made = deployment()
        plan = make_plan(made, facts(made, zones))
        found = capture(lambda: program(made, plan, _files()))
        subnets = found.of("aws:ec2/subnet:Subnet")
        return {one.name: one.inputs["cidrBlock"] for one in subnets}

    few, many = blocks(("us-east-1b",)), blocks(("us-east-1a", "us-east-1b", "us-east-1f"))
    assert few.items() <= many.items()
    assert len(set(many.values())) == len(many)


def _files() -> Any:
    import tempfile
    from pathlib import Path

    from tests.infra.making import files

    return files(Path(tempfile.mkdtemp()))
